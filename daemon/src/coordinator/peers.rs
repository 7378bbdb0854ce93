//! The peers of a torrent as the control API shows them.

use std::time::Instant;

use protocol::control::PeerRow;
use protocol::id::PeerId;
use protocol::swarm::{Peer, Swarm};

/// The peers of `swarm`, whose torrent has `piece_count` pieces as far as is known.
pub(super) fn rows(swarm: &Swarm, piece_count: Option<u32>, now: Instant) -> Vec<PeerRow> {
    swarm.peers().map(|(_, peer)| row(peer, piece_count, now)).collect()
}

fn row(peer: &Peer, piece_count: Option<u32>, now: Instant) -> PeerRow {
    let progress = |count| f64::from(peer.have_count()) / f64::from(count);
    PeerRow {
        address: peer.address.to_string(),
        client: peer.client.clone(),
        peer_id: printable(&peer.peer_id),
        is_incoming: !peer.is_outgoing,
        progress: piece_count.filter(|count| *count > 0).map_or(0.0, progress),
        is_interested: peer.is_interested,
        is_choked: !peer.is_unchoked,
        are_we_interested: peer.are_we_interested,
        is_choking_us: peer.is_choking_us,
        is_snubbing: peer.is_snubbing,
        connected_s: now.saturating_duration_since(peer.connected_at).as_secs(),
    }
}

fn printable(peer_id: &PeerId) -> String {
    let bytes = peer_id.as_bytes().iter();
    bytes.map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' }).collect()
}
