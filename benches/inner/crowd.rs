//! The thousand peers of a large torrent: what each has.

use protocol::bitfield::wire_length;
use protocol::piece_set::PieceSet;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::torrent::MANY_PIECES;

/// Peers of the torrent.
pub(crate) const PEER_COUNT: u32 = 1_000;
/// How many of them are seeds.
pub(crate) const SEED_COUNT: u32 = PEER_COUNT / 10;
/// All randomness there is.
const SEED: u64 = 17;

/// A tenth of all peers are seeds, the others have half of the pieces each.
pub(crate) struct Crowd {
    /// What the peers have.
    pub(crate) peers: Vec<PieceSet>,
    /// What one more peer has: half of the pieces.
    pub(crate) newcomer: PieceSet,
}

impl Crowd {
    pub(crate) fn new(rng: &mut SmallRng) -> Self {
        let peer = |number: u32| if is_seed(number) { PieceSet::full(MANY_PIECES) } else { half(rng) };
        Self { peers: (0..PEER_COUNT).map(peer).collect(), newcomer: half(rng) }
    }
}

/// Whether peer `number` is one of the seeds.
pub(crate) fn is_seed(number: u32) -> bool {
    number < SEED_COUNT
}

/// A generator that gives the same numbers in each run.
pub(crate) fn rng() -> SmallRng {
    SmallRng::seed_from_u64(SEED)
}

/// Any half of the pieces, or about.
pub(crate) fn half(rng: &mut SmallRng) -> PieceSet {
    let mut bits = vec![0; wire_length(MANY_PIECES)];
    rng.fill_bytes(&mut bits);
    // There are no spare bits.
    PieceSet::from_wire(&bits, MANY_PIECES).unwrap()
}

/// A few pieces: `count` of them, all over the torrent.
pub(crate) fn few(count: u32) -> PieceSet {
    let mut pieces = PieceSet::new(MANY_PIECES);
    (0..count).for_each(|number| _ = pieces.insert(number * (MANY_PIECES / count)));
    pieces
}
