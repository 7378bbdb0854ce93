//! A piece that is being assembled: its blocks, those that are in memory and those that were written early.

use std::collections::BTreeMap;
use std::ops::Bound;

use protocol::swarm::PeerKey;
use tokio::sync::OwnedSemaphorePermit;

use super::BlockData;

/// The blocks of one piece, in order, without overlaps.
#[derive(Debug)]
pub(super) struct Parts {
    length: u32,
    /// By the first byte of each.
    parts: BTreeMap<u32, Part>,
    received: u32,
    /// KiB of credits that the blocks in memory hold.
    held_kib: usize,
    is_partly_written: bool,
}

/// A block that was received.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) length: u32,
    pub(super) source: PeerKey,
    /// `None` once it was written early.
    held: Option<Held>,
}

#[derive(Debug)]
struct Held {
    data: BlockData,
    _credits: OwnedSemaphorePermit,
}

/// Blocks in memory that follow each other without a gap.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Run<'a> {
    /// First byte within the piece.
    pub(super) begin: u32,
    pub(super) slices: Vec<&'a [u8]>,
}

impl Parts {
    /// Nothing yet of a piece of `length` bytes.
    pub(super) fn new(length: u32) -> Self {
        Self { length, parts: BTreeMap::new(), received: 0, held_kib: 0, is_partly_written: false }
    }

    /// Takes a block; false when some of it is there already, and it is dropped.
    pub(super) fn insert(
        &mut self,
        begin: u32,
        source: PeerKey,
        data: BlockData,
        credits: OwnedSemaphorePermit,
    ) -> bool {
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let before = self.parts.range(..=begin).next_back();
        let after = self.parts.range((Bound::Excluded(begin), Bound::Unbounded)).next();
        let is_free = before.is_none_or(|(start, part)| start + part.length <= begin)
            && after.is_none_or(|(start, _)| begin.saturating_add(length) <= *start);
        if is_free {
            self.received += length;
            self.held_kib += credits.num_permits();
            self.parts.insert(begin, Part { length, source, held: Some(Held { data, _credits: credits }) });
        }
        is_free
    }

    /// Whether all bytes are there.
    pub(super) fn is_whole(&self) -> bool {
        self.received == self.length
    }

    /// Whether some of it was written early.
    pub(super) fn is_partly_written(&self) -> bool {
        self.is_partly_written
    }

    /// KiB of credits that its blocks hold.
    pub(super) fn held_kib(&self) -> usize {
        self.held_kib
    }

    /// The blocks in order, each with its first byte.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Part)> {
        self.parts.iter().map(|(begin, part)| (*begin, part))
    }

    /// The bytes that are in memory, in order: all of them, unless some were written early.
    pub(super) fn slices(&self) -> impl Iterator<Item = &[u8]> {
        self.parts.values().filter_map(Part::data).flat_map(BlockData::slices)
    }

    /// What is in memory, in order.
    pub(super) fn runs(&self) -> Vec<Run<'_>> {
        let mut runs: Vec<Run<'_>> = Vec::new();
        let mut end = None;
        for (begin, part) in self.iter() {
            let Some(data) = part.data() else { continue };
            if end != Some(begin) {
                runs.push(Run { begin, slices: Vec::new() });
            }
            if let Some(run) = runs.last_mut() {
                run.slices.extend(data.slices());
            }
            end = Some(begin + part.length);
        }
        runs
    }

    /// Lets go of what is in memory: it was written.
    pub(super) fn release(&mut self) {
        self.parts.values_mut().for_each(|part| part.held = None);
        (self.held_kib, self.is_partly_written) = (0, true);
    }
}

impl Part {
    /// Its bytes, unless it was written early.
    pub(super) fn data(&self) -> Option<&BlockData> {
        self.held.as_ref().map(|held| &held.data)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use tokio::sync::Semaphore;

    use super::*;

    fn credits() -> OwnedSemaphorePermit {
        Arc::new(Semaphore::new(16)).try_acquire_many_owned(16).unwrap()
    }

    #[test]
    fn what_was_written_early_counts_but_is_no_longer_in_memory() {
        let mut parts = Parts::new(6);
        assert!(parts.insert(0, PeerKey(1), vec![0, 1].into(), credits()));
        assert!(!parts.is_partly_written());
        parts.release();
        assert!(!parts.insert(0, PeerKey(2), vec![0, 1].into(), credits()), "it is there");
        assert!(parts.insert(4, PeerKey(2), vec![4, 5].into(), credits()));
        assert!(parts.is_partly_written() && !parts.is_whole());
        assert_eq!(parts.held_kib(), 16);
        assert!(parts.insert(2, PeerKey(2), vec![2, 3].into(), credits()));
        assert_eq!(parts.runs(), [Run { begin: 2, slices: vec![&[2, 3], &[4, 5]] }]);
        assert!(parts.is_whole());
    }

    proptest! {
        /// The model is an array of bytes, each with the number of the block that came first.
        #[test]
        fn the_first_copy_of_each_byte_stays(blocks in prop::collection::vec((0_u32..40, 1_u32..12), 0..60)) {
            let mut parts = Parts::new(40);
            let mut model = [None; 40];
            for (number, (begin, length)) in (0_u8..).zip(blocks) {
                let length = length.min(40 - begin);
                let range = begin as usize..(begin + length) as usize;
                let is_free = model[range.clone()].iter().all(Option::is_none);
                let data = vec![number; length as usize].into();
                prop_assert_eq!(parts.insert(begin, PeerKey(0), data, credits()), is_free);
                if is_free {
                    model[range].fill(Some(number));
                }
            }
            prop_assert_eq!(parts.is_whole(), model.iter().all(Option::is_some));
            let mut found = [None; 40];
            let mut end = None;
            for run in parts.runs() {
                prop_assert!(end.is_none_or(|end| end < run.begin as usize), "runs are apart");
                let bytes = run.slices.concat();
                let range = run.begin as usize..run.begin as usize + bytes.len();
                end = Some(range.end);
                found[range].iter_mut().zip(bytes).for_each(|(found, byte)| *found = Some(byte));
            }
            prop_assert_eq!(found, model);
        }
    }
}
