//! What a swarm knows of one connection.

use std::net::SocketAddr;
use std::time::Instant;

use crate::id::PeerId;
use crate::piece_set::PieceSet;

/// A peer that is connected.
#[derive(Debug)]
pub struct Peer {
    /// The other end of the connection.
    pub address: SocketAddr,
    /// What the peer calls itself.
    pub peer_id: PeerId,
    /// Name and version of its client, if it said so.
    pub client: Option<String>,
    /// Whether we opened the connection.
    pub is_outgoing: bool,
    /// Where others can connect to the peer, if that is known.
    pub(super) listens_at: Option<SocketAddr>,
    /// When the connection joined.
    pub connected_at: Instant,
    pub(super) pieces: Pieces,
    /// How many of the pieces that we want it has.
    pub(super) useful: u32,
    /// Whether it answers our requests.
    pub is_choking_us: bool,
    /// Whether it wants pieces of us.
    pub is_interested: bool,
    /// Whether it leaves our requests unanswered.
    pub is_snubbing: bool,
    /// Whether it said that it wants nothing any more (BEP 21).
    pub(super) is_upload_only: bool,
    /// Whether we told it that we want pieces of it.
    pub are_we_interested: bool,
    /// Whether we answer its requests.
    pub is_unchoked: bool,
    /// Requests that it takes beyond those that were ordered.
    pub(super) credits: u32,
    /// Pieces that may be requested while it chokes us, and those it would like to give (BEP 6).
    pub(super) allowed_fast: Vec<u32>,
    pub(super) suggested: Vec<u32>,
    /// Payload since the last round of the choker.
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) sent_since_unchoke: u64,
}

/// What a peer has.
#[derive(Debug)]
pub(super) enum Pieces {
    /// Nothing was said, or it cannot be understood yet.
    Unknown,
    /// These.
    Set(PieceSet),
    /// So many: all that a seed needs to know.
    Count(u32),
}

impl Peer {
    pub(super) fn new(address: SocketAddr, peer_id: PeerId, is_outgoing: bool, now: Instant) -> Self {
        Self {
            address,
            peer_id,
            client: None,
            is_outgoing,
            listens_at: is_outgoing.then_some(address),
            connected_at: now,
            pieces: Pieces::Unknown,
            useful: 0,
            is_choking_us: true,
            is_interested: false,
            is_snubbing: false,
            is_upload_only: false,
            are_we_interested: false,
            is_unchoked: false,
            credits: 0,
            allowed_fast: Vec::new(),
            suggested: Vec::new(),
            received: 0,
            sent: 0,
            sent_since_unchoke: 0,
        }
    }

    /// How many pieces it has.
    pub fn have_count(&self) -> u32 {
        match &self.pieces {
            Pieces::Unknown => 0,
            Pieces::Set(pieces) => pieces.len(),
            Pieces::Count(count) => *count,
        }
    }

    /// Whether it has `piece`, as far as is known.
    pub(super) fn has(&self, piece: u32) -> bool {
        matches!(&self.pieces, Pieces::Set(pieces) if pieces.contains(piece))
    }
}
