//! The search for pieces to open for one peer, within one pick. Reads the [`Buckets`] and changes nothing.
//!
//! A peer with many pieces finds one in the first few places of a shelf. For one with few, or only common ones, the
//! search gives up after a bounded number of misses, compares 64 pieces at a time, and lives on what that found.

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};

use super::buckets::{Buckets, SHELF_COUNT, Shelf};
use crate::piece_set::PieceSet;

/// Places of a shelf looked at one by one before sets are compared: some 300 ns, as much as comparing 20,000 pieces.
const MAX_MISSES: usize = 256;
/// Pieces that a search keeps for the next calls: more than a pick of 2,000 blocks opens in usual torrents.
const SAMPLE: usize = 256;

/// Which piece comes first. Higher priorities always do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// The one that the fewest peers have.
    Rarest,
    /// The one that the most peers have.
    Commonest,
    /// Any.
    Random,
    /// The one with the lowest index.
    Lowest,
}

/// A search through the shelves, from the highest priority down.
#[derive(Debug)]
pub(super) struct Search<'a> {
    pieces: &'a PieceSet,
    way: Way,
    /// How many shelves are left, the one that is being searched included.
    shelves: usize,
    /// Pieces of that shelf that the peer has, the best last.
    sample: Vec<u32>,
}

impl<'a> Search<'a> {
    /// A search for what a peer that has `pieces` can give.
    pub(super) fn new(pieces: &'a PieceSet, way: Way) -> Self {
        Self { pieces, way, shelves: SHELF_COUNT, sample: Vec::new() }
    }

    /// The next piece that is still on a shelf and that the peer has. The caller takes it off before it asks again.
    pub(super) fn next(&mut self, buckets: &Buckets, rng: &mut impl Rng) -> Option<u32> {
        while self.shelves > 0 {
            while let Some(piece) = self.sample.pop() {
                if buckets.contains(piece) {
                    return Some(piece);
                }
            }
            let shelf = &buckets.shelves()[self.shelves - 1];
            if let Some(piece) = self.scan(shelf) {
                return Some(piece);
            }
            self.fill(shelf, buckets, rng);
            if self.sample.is_empty() {
                self.shelves -= 1;
            }
        }
        None
    }

    /// The part of `shelf` in which the peer can have a piece.
    fn part<'s>(&self, shelf: &'s Shelf) -> &'s [u32] {
        if self.pieces.is_full() { shelf.order() } else { shelf.known() }
    }

    /// Looks at the first places of `shelf` only.
    fn scan(&self, shelf: &Shelf) -> Option<u32> {
        let order = self.part(shelf);
        let has = |piece: &u32| self.pieces.contains(*piece);
        match self.way {
            Way::Rarest => order.iter().rev().take(MAX_MISSES).copied().find(has),
            Way::Commonest => order.iter().take(MAX_MISSES).copied().find(has),
            Way::Random | Way::Lowest => None,
        }
    }

    /// Collects pieces of `shelf` that the peer has, from anywhere on it; none only if there are none.
    fn fill(&mut self, shelf: &Shelf, buckets: &Buckets, rng: &mut impl Rng) {
        if shelf.order().is_empty() {
            return;
        }
        if self.way == Way::Lowest {
            self.sample.extend(shelf.members().common(self.pieces).take(SAMPLE));
            self.sample.reverse();
            return;
        }
        self.probe(shelf, rng);
        if self.sample.is_empty() {
            self.compare(shelf, rng);
        }
        self.sample.shuffle(rng);
        match self.way {
            Way::Rarest => self.sample.sort_by_key(|piece| std::cmp::Reverse(buckets.rarity(*piece))),
            Way::Commonest => self.sample.sort_by_key(|piece| buckets.rarity(*piece)),
            Way::Random | Way::Lowest => {}
        }
    }

    /// Looks at random places: enough for a peer that has a fair part of the shelf.
    fn probe(&mut self, shelf: &Shelf, rng: &mut impl Rng) {
        let order = self.part(shelf);
        if order.is_empty() {
            return;
        }
        let probes = (0..MAX_MISSES).map(|_| order[rng.random_range(0..order.len())]);
        self.sample.extend(probes.filter(|piece| self.pieces.contains(*piece)));
    }

    /// Compares sets, and takes a run of what is in both, from a random one on.
    fn compare(&mut self, shelf: &Shelf, rng: &mut impl Rng) {
        let common = shelf.members().common_len(self.pieces) as usize;
        let skipped = rng.random_range(0..=common.saturating_sub(SAMPLE));
        self.sample.extend(shelf.members().common(self.pieces).skip(skipped).take(SAMPLE));
    }
}
