//! The pieces that may be opened, kept in the order of how many peers have them. Owned by the [`Picker`].
//!
//! Nothing is ever sorted: when a peer comes to have a piece, the piece moves to the bucket next to its own, to a
//! random place there, so equals stay shuffled. Knows nothing of blocks.
//!
//! [`Picker`]: super::Picker

use rand::{Rng, RngExt};

use super::Priority;
use crate::piece_set::PieceSet;

/// The place of a piece that is on no shelf.
const NOWHERE: u32 = u32::MAX;
/// How many shelves there are: one for each priority at which pieces are fetched.
pub(super) const SHELF_COUNT: usize = 3;

/// What is known of every piece: its priority, how many peers have it, and its place in the order of its shelf.
#[derive(Debug)]
pub(super) struct Buckets {
    shelves: [Shelf; SHELF_COUNT],
    places: Vec<u32>,
    availability: Vec<u16>,
    priorities: Vec<Priority>,
    seeds: u32,
}

/// Pieces of one priority, the commonest first. A bucket is the run of those that equally many peers have.
#[derive(Debug)]
pub(super) struct Shelf {
    order: Vec<u32>,
    len: u32,
    /// Where the bucket of each availability starts: as many pieces as more peers have. The last entry is zero.
    starts: Vec<u32>,
    members: PieceSet,
}

impl Buckets {
    /// Empty shelves for `piece_count` pieces that nobody has.
    pub(super) fn new(piece_count: u32) -> Self {
        let count = piece_count as usize;
        Self {
            shelves: std::array::from_fn(|_| Shelf::new(piece_count)),
            places: vec![NOWHERE; count],
            availability: vec![0; count],
            priorities: vec![Priority::Normal; count],
            seeds: 0,
        }
    }

    /// The shelves, those of higher priority later.
    pub(super) fn shelves(&self) -> &[Shelf; SHELF_COUNT] {
        &self.shelves
    }

    /// Whether nothing may be opened.
    pub(super) fn is_empty(&self) -> bool {
        self.shelves.iter().all(|shelf| shelf.len == 0)
    }

    /// Whether `piece` may be opened.
    pub(super) fn contains(&self, piece: u32) -> bool {
        self.places.get(piece as usize).is_some_and(|place| *place != NOWHERE)
    }

    /// The priority of `piece`, which exists.
    pub(super) fn priority(&self, piece: u32) -> Priority {
        self.priorities[piece as usize]
    }

    /// Sets the priority of `piece`, which is on no shelf.
    pub(super) fn set_priority(&mut self, piece: u32, priority: Priority) {
        debug_assert!(!self.contains(piece), "a piece on a shelf keeps its priority");
        self.priorities[piece as usize] = priority;
    }

    /// How many peers have `piece`, which exists; seeds included.
    pub(super) fn availability(&self, piece: u32) -> u32 {
        self.seeds + u32::from(self.rarity(piece))
    }

    /// How many peers that are not seeds have `piece`.
    pub(super) fn rarity(&self, piece: u32) -> u16 {
        self.availability[piece as usize]
    }

    /// Whether one peer alone has the rarest piece of a shelf, or nobody.
    pub(super) fn has_sole(&self) -> bool {
        let rarest = self.shelves.iter().filter_map(|shelf| shelf.order.last());
        rarest.into_iter().any(|piece| self.availability(*piece) <= 1)
    }

    /// Counts a peer that has everything.
    pub(super) fn add_seed(&mut self) {
        self.seeds += 1;
    }

    /// No longer counts one.
    pub(super) fn remove_seed(&mut self) {
        assert!(self.seeds > 0, "a seed leaves that never came");
        self.seeds -= 1;
    }

    /// One more peer has `piece`, which exists.
    pub(super) fn gain(&mut self, piece: u32, rng: &mut impl Rng) {
        let before = self.rarity(piece);
        assert!(before < u16::MAX, "more peers than a swarm holds");
        self.availability[piece as usize] = before + 1;
        if let Some(shelf) = shelf_of(&mut self.shelves, &self.places, &self.priorities, piece) {
            let place = shelf.rise(self.places[piece as usize], before, &mut self.places);
            shelf.settle(place, before + 1, &mut self.places, rng);
        }
    }

    /// One peer fewer has `piece`, which exists.
    pub(super) fn lose(&mut self, piece: u32, rng: &mut impl Rng) {
        let before = self.rarity(piece);
        assert!(before > 0, "a piece is lost that nobody had");
        self.availability[piece as usize] = before - 1;
        if let Some(shelf) = shelf_of(&mut self.shelves, &self.places, &self.priorities, piece) {
            let place = shelf.sink(self.places[piece as usize], before, &mut self.places);
            shelf.settle(place, before - 1, &mut self.places, rng);
        }
    }

    /// Puts `piece` on the shelf of its priority, unless it is there or to be skipped.
    pub(super) fn insert(&mut self, piece: u32, rng: &mut impl Rng) {
        let Some(number) = self.priority(piece).shelf().filter(|_| !self.contains(piece)) else { return };
        let (shelf, rarity) = (&mut self.shelves[number], self.availability[piece as usize]);
        let mut place = shelf.push(piece, &mut self.places);
        for from in 0..rarity {
            place = shelf.rise(place, from, &mut self.places);
        }
        shelf.settle(place, rarity, &mut self.places, rng);
    }

    /// Takes `piece` off its shelf; whether it was on one.
    pub(super) fn remove(&mut self, piece: u32) -> bool {
        let rarity = self.rarity(piece);
        let Some(shelf) = shelf_of(&mut self.shelves, &self.places, &self.priorities, piece) else {
            return false;
        };
        let mut place = self.places[piece as usize];
        for from in (1..=rarity).rev() {
            place = shelf.sink(place, from, &mut self.places);
        }
        shelf.pop(place, &mut self.places);
        true
    }
}

/// The shelf that `piece` stands on, if it does.
fn shelf_of<'a>(
    shelves: &'a mut [Shelf; SHELF_COUNT],
    places: &[u32],
    priorities: &[Priority],
    piece: u32,
) -> Option<&'a mut Shelf> {
    let number = priorities[piece as usize].shelf().filter(|_| places[piece as usize] != NOWHERE)?;
    Some(&mut shelves[number])
}

impl Shelf {
    fn new(piece_count: u32) -> Self {
        Self { order: Vec::new(), len: 0, starts: vec![0], members: PieceSet::new(piece_count) }
    }

    /// All pieces, the commonest first.
    pub(super) fn order(&self) -> &[u32] {
        &self.order
    }

    /// The pieces that a peer may have that is not a seed: somebody is known to have them.
    pub(super) fn known(&self) -> &[u32] {
        &self.order[..self.starts[0] as usize]
    }

    /// The pieces as a set.
    pub(super) fn members(&self) -> &PieceSet {
        &self.members
    }

    /// Where the bucket of `availability` ends.
    fn end(&self, availability: u16) -> u32 {
        match usize::from(availability).checked_sub(1) {
            None => self.len,
            Some(rarer) => self.starts[rarer],
        }
    }

    /// Adds `piece` to the bucket of those that nobody has; its place.
    fn push(&mut self, piece: u32, places: &mut [u32]) -> u32 {
        let place = self.len;
        self.order.push(piece);
        self.len += 1;
        self.members.insert(piece);
        places[piece as usize] = place;
        place
    }

    /// Takes out the piece at `place`, in the bucket of those that nobody has.
    fn pop(&mut self, place: u32, places: &mut [u32]) {
        self.swap(place, self.len - 1, places);
        if let Some(piece) = self.order.pop() {
            self.len -= 1;
            self.members.remove(piece);
            places[piece as usize] = NOWHERE;
        }
    }

    /// Moves the piece at `place` from bucket `from` to the one of the next commoner pieces; its new place.
    fn rise(&mut self, place: u32, from: u16, places: &mut [u32]) -> u32 {
        let bucket = usize::from(from);
        if self.starts.len() < bucket + 2 {
            self.starts.resize(bucket + 2, 0);
        }
        let first = self.starts[bucket];
        self.swap(place, first, places);
        self.starts[bucket] += 1;
        first
    }

    /// Moves the piece at `place` from bucket `from`, not the first, to the one of the next rarer pieces.
    fn sink(&mut self, place: u32, from: u16, places: &mut [u32]) -> u32 {
        let last = self.end(from) - 1;
        self.swap(place, last, places);
        self.starts[usize::from(from) - 1] -= 1;
        last
    }

    /// Gives the piece at `place` a random place in its bucket, that of `availability`.
    fn settle(&mut self, place: u32, availability: u16, places: &mut [u32], rng: &mut impl Rng) {
        let bucket = self.starts[usize::from(availability)]..self.end(availability);
        let random = rng.random_range(bucket);
        self.swap(place, random, places);
    }

    fn swap(&mut self, a: u32, b: u32, places: &mut [u32]) {
        if a != b {
            self.order.swap(a as usize, b as usize);
            places[self.order[a as usize] as usize] = a;
            places[self.order[b as usize] as usize] = b;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;

    const PIECES: u32 = 12;
    const PRIORITIES: [Priority; 4] = [Priority::Skip, Priority::Low, Priority::Normal, Priority::High];

    #[test]
    fn equals_are_shuffled() {
        let (mut buckets, mut rng) = (Buckets::new(1_000), SmallRng::seed_from_u64(1));
        (0..1_000).for_each(|piece| buckets.insert(piece, &mut rng));
        let firsts =
            |buckets: &Buckets| buckets.shelves()[1].order()[..10].iter().filter(|n| **n < 100).count();
        assert!(firsts(&buckets) < 5, "in index order");
        (0..1_000).for_each(|piece| buckets.gain(piece, &mut rng));
        assert!(firsts(&buckets) < 5, "in the order in which they were gained");
    }

    proptest! {
        #[test]
        fn shelves_are_always_sorted(
            steps in prop::collection::vec((0..5_u8, 0..PIECES, 0..4_usize), 0..200),
            seed in any::<u64>(),
        ) {
            let (mut buckets, mut rng) = (Buckets::new(PIECES), SmallRng::seed_from_u64(seed));
            let mut counts = [0_u16; PIECES as usize];
            let mut priorities = [Priority::Normal; PIECES as usize];
            let mut placed = BTreeSet::new();
            for (step, piece, priority) in steps {
                let number = piece as usize;
                match step {
                    0 | 1 => {
                        buckets.gain(piece, &mut rng);
                        counts[number] += 1;
                    }
                    2 if counts[number] > 0 => {
                        buckets.lose(piece, &mut rng);
                        counts[number] -= 1;
                    }
                    3 => {
                        buckets.insert(piece, &mut rng);
                        let _ = priorities[number] != Priority::Skip && placed.insert(piece);
                    }
                    _ => {
                        prop_assert_eq!(buckets.remove(piece), placed.remove(&piece));
                        buckets.set_priority(piece, PRIORITIES[priority]);
                        priorities[number] = PRIORITIES[priority];
                    }
                }
                for (shelf, priority) in buckets.shelves().iter().zip(&PRIORITIES[1..]) {
                    let mut model: Vec<u32> = placed.iter().copied().collect();
                    model.retain(|piece| priorities[*piece as usize] == *priority);
                    prop_assert!(shelf.members().iter().eq(model.iter().copied()));
                    let known = model.iter().filter(|piece| counts[**piece as usize] > 0).count();
                    prop_assert_eq!(shelf.known().len(), known);
                    model.sort_by_key(|piece| std::cmp::Reverse(counts[*piece as usize]));
                    let sorted: Vec<u16> = model.iter().map(|piece| counts[*piece as usize]).collect();
                    let order: Vec<u16> = shelf.order().iter().map(|piece| counts[*piece as usize]).collect();
                    prop_assert_eq!(order, sorted);
                    let mut members = shelf.order().to_vec();
                    members.sort_unstable();
                    prop_assert!(shelf.members().iter().eq(members));
                }
                for piece in 0..PIECES {
                    prop_assert_eq!(buckets.availability(piece), u32::from(counts[piece as usize]));
                    prop_assert_eq!(buckets.contains(piece), placed.contains(&piece));
                }
            }
        }
    }
}
