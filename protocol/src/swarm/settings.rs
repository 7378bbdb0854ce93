//! What a user may choose about one swarm.

use super::choker::SeedRule;
use super::picker::PieceOrder;

/// Connections that a torrent has at most, of both directions: the rest of the process wants some too.
const DEFAULT_MAX_PEERS: usize = 200;
/// Connections that are being made at a time: each waits for a stranger who may be gone.
const DEFAULT_MAX_DIALS: usize = 20;
/// Peers that are enough: no more are dialled while so many are connected.
const DEFAULT_ENOUGH_PEERS: usize = 60;
/// Upload slots while we fetch: few enough that each gives a peer reason to give something back.
const DEFAULT_LEECH_SLOTS: usize = 8;

/// The choices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Which piece to begin next.
    pub piece_order: PieceOrder,
    /// Most connections, of both directions.
    pub max_peers: usize,
    /// Most connections that are being made.
    pub max_dials: usize,
    /// Connections from which on no more are made.
    pub enough_peers: usize,
    /// Upload slots while something is missing; `None` unchokes everybody.
    pub leech_slots: Option<usize>,
    /// Upload slots when nothing is missing; `None` unchokes everybody.
    pub seed_slots: Option<usize>,
    /// Who gets the slots when nothing is missing.
    pub seed_rule: SeedRule,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            piece_order: PieceOrder::RarestFirst,
            max_peers: DEFAULT_MAX_PEERS,
            max_dials: DEFAULT_MAX_DIALS,
            enough_peers: DEFAULT_ENOUGH_PEERS,
            leech_slots: Some(DEFAULT_LEECH_SLOTS),
            seed_slots: None,
            seed_rule: SeedRule::RoundRobin,
        }
    }
}
