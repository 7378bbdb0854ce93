//! One peer of the world: its shipped `Swarm`, its disk, its line, and how honest it is.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use protocol::bitfield::HaveBits;
use protocol::id::PeerId;
use protocol::peer::{Found, Identity, TorrentView};
use protocol::swarm::{PeerKey, Settings, Swarm};

use super::connection::End;
use super::disk::Disk;
use super::torrent::Torrent;

/// The port at which everybody listens.
const PORT: u16 = 6_881;

/// How a node keeps to the rules.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Honest,
    /// Flips a byte in this share of the blocks that it sends.
    Corrupt(f64),
    /// Says that it has everything, and answers no request.
    Silent,
    /// Says that it has everything, and rejects every request.
    Rejecting,
    /// Sends bytes that are no messages, after a while.
    Garbage,
    /// Gives metadata away that is another torrent's.
    FalseMetadata,
}

/// What a node is and when it is there.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) kind: Kind,
    pub(crate) is_seed: bool,
    /// Whether it knows nothing but the info-hash.
    pub(crate) is_magnet: bool,
    pub(crate) settings: Settings,
    pub(crate) upload_bytes_per_s: u64,
    pub(crate) download_bytes_per_s: u64,
    /// From it to the middle of the net.
    pub(crate) latency: Duration,
    pub(crate) joins_at: Duration,
    pub(crate) leaves_at: Option<Duration>,
    /// How long it stays once it has everything; for ever if it does not say.
    pub(crate) stays: Option<Duration>,
    /// Extensions that its connections do without (BEP 6, BEP 10).
    pub(crate) lacks_fast: bool,
    pub(crate) lacks_extended: bool,
    /// Whether others can connect to it.
    pub(crate) is_reachable: bool,
}

impl Plan {
    /// An honest leecher with a line of `upload_bytes_per_s`, and eight times as much the other way.
    pub(crate) fn leecher(upload_bytes_per_s: u64) -> Self {
        Self {
            kind: Kind::Honest,
            is_seed: false,
            is_magnet: false,
            settings: Settings::default(),
            upload_bytes_per_s,
            download_bytes_per_s: upload_bytes_per_s.saturating_mul(8),
            latency: Duration::from_millis(20),
            joins_at: Duration::ZERO,
            leaves_at: None,
            stays: None,
            lacks_fast: false,
            lacks_extended: false,
            is_reachable: true,
        }
    }

    /// An honest seed.
    pub(crate) fn seed(upload_bytes_per_s: u64) -> Self {
        Self { is_seed: true, ..Self::leecher(upload_bytes_per_s) }
    }

    pub(crate) fn is_honest(&self) -> bool {
        self.kind == Kind::Honest
    }
}

/// A node.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) plan: Plan,
    pub(super) swarm: Swarm,
    pub(super) identity: Identity,
    pub(super) view: Option<TorrentView>,
    pub(super) disk: Disk,
    pub(super) address: SocketAddr,
    pub(super) ends: BTreeMap<PeerKey, End>,
    pub(super) is_online: bool,
    /// Connections with something to send, the next first.
    pub(super) ready: VecDeque<End>,
    pub(super) is_sending: bool,
    /// When the last byte that is on its way to it will have come in.
    pub(super) line_free_at: Duration,
    pub(crate) completed_at: Option<Duration>,
    /// Bytes of blocks that came in, whatever became of them, and that went out.
    pub(crate) fetched: u64,
    pub(crate) served: u64,
    /// Whom it has banned.
    pub(crate) banned: Vec<usize>,
}

impl Node {
    pub(super) fn new(index: usize, plan: Plan, torrent: &Torrent, seed: u64) -> Self {
        let mut id = *b"-BD0100-sim_________";
        id[12..].copy_from_slice(&seed.to_be_bytes());
        let peer_id = PeerId::new(id);
        let mut swarm = Swarm::new(torrent.info.info_hash(), peer_id, plan.settings, seed);
        let info = if plan.kind == Kind::FalseMetadata { &torrent.false_info } else { &torrent.info };
        let have = HaveBits::new(torrent.piece_count());
        if plan.is_seed {
            (0..torrent.piece_count()).for_each(|piece| have.set(piece));
        }
        let view = TorrentView { info: Arc::clone(info), have: Arc::new(have) };
        let view = (!plan.is_magnet).then_some(view);
        view.iter().for_each(|view| swarm.begin(view.clone(), &[]));
        Self {
            swarm,
            identity: Identity { peer_id, listen_port: plan.is_reachable.then_some(PORT) },
            view,
            disk: Disk::new(torrent, plan.is_seed),
            address: address_of(index),
            ends: BTreeMap::new(),
            is_online: false,
            ready: VecDeque::new(),
            is_sending: false,
            line_free_at: Duration::ZERO,
            completed_at: plan.is_seed.then_some(Duration::ZERO),
            fetched: 0,
            served: 0,
            banned: Vec::new(),
            plan,
        }
    }

    /// What a connection is told of the torrent.
    pub(super) fn found(&self) -> Found {
        self.view.clone().map_or(Found::InfoHash, Found::Torrent)
    }

    /// Pieces that are verified.
    pub(crate) fn have_count(&self) -> u32 {
        self.view.as_ref().map_or(0, |view| view.have.have_count())
    }

    /// Whether it is to complete in any case.
    pub(crate) fn must_complete(&self) -> bool {
        self.plan.is_honest() && self.plan.leaves_at.is_none()
    }
}

/// Where node `index` listens: no two share a host.
pub(super) fn address_of(index: usize) -> SocketAddr {
    SocketAddr::from(([11, 0, 0, u8::try_from(index + 1).unwrap()], PORT))
}

/// Whose address this is.
pub(super) fn index_of(address: SocketAddr) -> usize {
    match address {
        SocketAddr::V4(address) => usize::from(address.ip().octets()[3]) - 1,
        SocketAddr::V6(address) => panic!("{address} is nobody's"),
    }
}
