//! Pieces that are whole and wait for company: several are hashed together in little more time than one.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use protocol::id::InfoHash;

use crate::storage::sha1::UNIT_LANES;

/// How long a piece waits for others.
const GATHER: Duration = Duration::from_millis(5);
/// Bytes that are hashed together, if they are pieces enough to fill the lanes of the SHA unit: what is more has left the
/// processor's cache before it is written.
const BATCH_LENGTH: u64 = 4 * 1024 * 1024;

/// The pieces, those first that came first.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    pieces: VecDeque<Gathered>,
    /// When the first of them has waited long enough; at once where there is none.
    until: Option<Instant>,
}

#[derive(Debug)]
struct Gathered {
    info_hash: InfoHash,
    piece: u32,
    length: u32,
}

impl Gathering {
    /// Adds a piece of `length` bytes.
    pub(super) fn add(&mut self, info_hash: InfoHash, piece: u32, length: u32, now: Instant) {
        self.pieces.push_back(Gathered { info_hash, piece, length });
        self.until.get_or_insert(now + GATHER);
    }

    /// Drops the pieces of a torrent.
    pub(super) fn forget(&mut self, info_hash: InfoHash) {
        self.pieces.retain(|gathered| gathered.info_hash != info_hash);
        if self.pieces.is_empty() {
            self.until = None;
        }
    }

    /// Has those that are here wait no longer.
    pub(super) fn end(&mut self) {
        self.until = None;
    }

    /// When there is a batch at the latest.
    pub(super) fn due_at(&self) -> Option<Instant> {
        self.until
    }

    /// Takes out those that are to be hashed next, once they are enough, or have waited.
    pub(super) fn take_batch(&mut self, now: Instant) -> Option<Vec<(InfoHash, u32)>> {
        let has_waited = self.until.is_none_or(|until| until <= now);
        let all = (has_waited && !self.pieces.is_empty()).then_some(self.pieces.len());
        let count = self.enough().or(all)?;
        let batch = self.pieces.drain(..count).map(|gathered| (gathered.info_hash, gathered.piece));
        let batch = batch.collect();
        // Those that are to end wait no more than before.
        if self.until.is_some() {
            self.until = (!self.pieces.is_empty()).then_some(now + GATHER);
        }
        Some(batch)
    }

    /// How many of the pieces make a full batch, if there are as many.
    fn enough(&self) -> Option<usize> {
        let lengths = self.pieces.iter().scan(0, |sum, gathered| {
            *sum += u64::from(gathered.length);
            Some(*sum)
        });
        let mut sums = (1..).zip(lengths);
        sums.find(|(count, sum)| *count >= UNIT_LANES && *sum >= BATCH_LENGTH).map(|(count, _)| count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u32 = 1 << 20;

    fn gathering(count: u32, length: u32, now: Instant) -> Gathering {
        let mut gathering = Gathering::default();
        (0..count).for_each(|piece| gathering.add(InfoHash::of_info(b"it"), piece, length, now));
        gathering
    }

    fn count(gathering: &mut Gathering, now: Instant) -> Option<usize> {
        gathering.take_batch(now).map(|batch| batch.len())
    }

    #[test]
    fn a_batch_fills_the_lanes_and_is_long_enough() {
        let now = Instant::now();
        for (length, full, whole) in [(MIB / 4, 16, 35), (MIB, 4, 9), (8 * MIB, 4, 11)] {
            let mut pieces = gathering(whole, length, now);
            assert_eq!([(); 3].map(|()| count(&mut pieces, now)), [Some(full), Some(full), None], "{length}");
        }
    }

    #[test]
    fn a_piece_without_company_waits_and_then_goes_alone() {
        let now = Instant::now();
        let mut pieces = gathering(1, MIB, now);
        let due_at = pieces.due_at().unwrap();
        assert!(due_at > now);
        assert_eq!(count(&mut pieces, now), None);
        assert_eq!((count(&mut pieces, due_at), pieces.due_at()), (Some(1), None));
        assert_eq!(count(&mut pieces, due_at), None);
    }

    #[test]
    fn what_is_left_by_a_batch_waits_anew() {
        let now = Instant::now();
        let mut pieces = gathering(5, MIB, now);
        let later = now + GATHER / 2;
        assert_eq!(count(&mut pieces, later), Some(4));
        assert_eq!(pieces.due_at(), Some(later + GATHER));
    }

    #[test]
    fn at_the_end_nothing_waits() {
        let now = Instant::now();
        let mut pieces = gathering(6, MIB, now);
        pieces.end();
        assert_eq!([(); 3].map(|()| count(&mut pieces, now)), [Some(4), Some(2), None]);
    }

    #[test]
    fn pieces_of_a_torrent_that_is_forgotten_are_not_hashed() {
        let now = Instant::now();
        let mut pieces = gathering(3, MIB, now);
        let other = InfoHash::of_info(b"other");
        pieces.add(other, 7, MIB, now);
        pieces.forget(InfoHash::of_info(b"it"));
        assert_eq!(pieces.take_batch(now + GATHER), Some(vec![(other, 7)]));
        pieces.add(other, 8, MIB, now);
        pieces.forget(other);
        assert_eq!((pieces.due_at(), count(&mut pieces, now + GATHER)), (None, None));
    }
}
