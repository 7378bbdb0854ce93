//! Whole pieces in one mapping, several of them at a time in the lanes of [`digest_all`]. Called by [`super`].
//!
//! A lane asks for its piece chunk by chunk. What it asks for is entered into the page table first, in one call, so
//! that no page is a fault of its own, and a file that has shrunk is an error.

use std::cell::RefCell;
use std::io;
use std::mem;
use std::ops::Range;

use super::{CHUNK_LENGTH, PieceHash};
use crate::storage::guard;
use crate::storage::mapping::Mapping;
use crate::storage::sha1::digest_all;
use crate::storage::task::Task;

/// Bytes of a long piece that are read ahead at a time: enough that a disk that turns seldom moves its head.
const AHEAD_LENGTH: usize = 8 * CHUNK_LENGTH;

/// Pieces that lie end to end.
#[derive(Debug)]
pub(super) struct WholePieces<'a> {
    /// Where the bytes are.
    pub(super) mapping: &'a Mapping,
    /// What the pieces cover of it.
    pub(super) run: Range<usize>,
    /// Bytes in a piece, but for the last.
    pub(super) piece_length: usize,
    /// Counts bytes as they are done, and may end it.
    pub(super) task: &'a Task,
}

/// What came of whole pieces.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The hash of each, `None` where the end of the piece was not reached.
    pub(super) hashes: Vec<Option<PieceHash>>,
    /// What went wrong: then no piece was begun any more.
    pub(super) failure: Option<io::Error>,
}

impl WholePieces<'_> {
    /// Hashes the pieces. All of them count as done, also when it ends early.
    pub(super) fn hash(&self) -> Outcome {
        let reading = RefCell::new(Reading::default());
        reading.borrow_mut().failure = self.prefetch_starts().err();
        let digests = guard::with_bytes(self.mapping, self.run.clone(), |bytes| {
            let goes_on = |_: &_| !self.task.is_cancelled() && reading.borrow().failure.is_none();
            let pieces = bytes.chunks(self.piece_length).enumerate().take_while(goes_on);
            digest_all(pieces.map(|(number, piece)| Chunks::new(self, &reading, number, piece)))
        });
        let Reading { hashed, abandoned, mut failure, .. } = reading.into_inner();
        self.task.add((self.run.len() - hashed) as u64);
        let mut hashes = vec![None; self.run.len().div_ceil(self.piece_length)];
        match digests {
            Ok(digests) => {
                hashes.iter_mut().zip(digests).for_each(|(hash, digest)| *hash = Some(digest));
                abandoned.into_iter().for_each(|piece| hashes[piece] = None);
            }
            // Nobody knows which lanes have seen zeros.
            Err(fault) => failure = failure.or(Some(io::Error::other(fault))),
        }
        Outcome { hashes, failure }
    }

    /// Has the kernel begin to read each piece; most are read to their end, in the order of the file.
    fn prefetch_starts(&self) -> io::Result<()> {
        if self.piece_length <= AHEAD_LENGTH {
            return self.mapping.prefetch(self.run.clone());
        }
        let mut pieces = self.run.clone().step_by(self.piece_length);
        pieces.try_for_each(|start| self.mapping.prefetch(start..self.run.end.min(start + AHEAD_LENGTH)))
    }

    /// Where `range` of the run lies in the mapping.
    fn in_mapping(&self, range: &Range<usize>) -> Range<usize> {
        self.run.start + range.start..self.run.start + range.end
    }
}

/// How far all lanes are.
#[derive(Debug, Default)]
struct Reading {
    /// What was entered into the page table last, counted from the start of the run.
    entered: Range<usize>,
    /// Bytes that were hashed.
    hashed: usize,
    /// Pieces that were begun and not read to their end.
    abandoned: Vec<usize>,
    failure: Option<io::Error>,
}

impl Reading {
    /// Makes sure that `chunk` of the run is in the page table, and where it is short, what comes after it.
    fn enter(&mut self, whole: &WholePieces<'_>, chunk: Range<usize>) -> io::Result<()> {
        if self.entered.start <= chunk.start && chunk.end <= self.entered.end {
            return Ok(());
        }
        let wanted = chunk.start..whole.run.len().min(chunk.start + CHUNK_LENGTH);
        whole.mapping.populate(whole.in_mapping(&wanted))?;
        self.entered = wanted;
        Ok(())
    }
}

/// A piece, as a lane asks for it.
struct Chunks<'a> {
    whole: &'a WholePieces<'a>,
    reading: &'a RefCell<Reading>,
    number: usize,
    piece: &'a [u8],
    /// Bytes of the piece that were given out.
    position: usize,
    /// Those that the lane has not yet come back from.
    under_way: usize,
}

impl<'a> Chunks<'a> {
    fn new(
        whole: &'a WholePieces<'a>,
        reading: &'a RefCell<Reading>,
        number: usize,
        piece: &'a [u8],
    ) -> Self {
        Self { whole, reading, number, piece, position: 0, under_way: 0 }
    }

    /// Sees to it that the next `length` bytes can be read, and that those long after them will be.
    fn make_ready(&self, reading: &mut Reading, length: usize) -> io::Result<()> {
        let start = self.number * self.whole.piece_length;
        let end = start + self.piece.len();
        let position = start + self.position;
        if self.position.is_multiple_of(AHEAD_LENGTH) && end - position > AHEAD_LENGTH {
            let next = position + AHEAD_LENGTH..end.min(position + 2 * AHEAD_LENGTH);
            self.whole.mapping.prefetch(self.whole.in_mapping(&next))?;
        }
        reading.enter(self.whole, position..position + length)
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let mut reading = self.reading.borrow_mut();
        let hashed = mem::take(&mut self.under_way);
        reading.hashed += hashed;
        self.whole.task.add_hashed(hashed as u64);
        let chunk = &self.piece[self.position..self.piece.len().min(self.position + CHUNK_LENGTH)];
        if chunk.is_empty() {
            return None;
        }
        let is_cancelled = self.whole.task.is_cancelled();
        let ready = if is_cancelled { Ok(()) } else { self.make_ready(&mut reading, chunk.len()) };
        if is_cancelled || ready.is_err() {
            reading.abandoned.push(self.number);
            reading.failure = ready.err().or(reading.failure.take());
            return None;
        }
        self.position += chunk.len();
        self.under_way = chunk.len();
        Some(chunk)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use sha1::{Digest, Sha1};

    use super::*;

    /// A file of bytes that differ everywhere, and its mapping.
    fn mapped(length: usize) -> (File, Mapping, Vec<u8>) {
        let bytes: Vec<u8> = (0..length).map(|i| (i * 7 + i / 251).to_le_bytes()[0]).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let mapping = Mapping::new(&file, 0, length).unwrap();
        (file, mapping, bytes)
    }

    fn hash(mapping: &Mapping, run: Range<usize>, piece_length: usize, task: &Task) -> Outcome {
        WholePieces { mapping, run, piece_length, task }.hash()
    }

    #[test]
    fn short_and_long_pieces_hash_as_their_bytes_do() {
        let (_file, mapping, bytes) = mapped(2 * AHEAD_LENGTH + 5_000);
        let end = bytes.len();
        for (run, piece_length) in [
            (0..100, 100),
            (3_000..70_000, 16_384),
            (5_000..end, 300_000),
            (0..end, CHUNK_LENGTH + 1),
            (7..end, AHEAD_LENGTH - 64),
            (1_000..end, 2 * AHEAD_LENGTH + 1),
        ] {
            let task = Task::default();
            let outcome = hash(&mapping, run.clone(), piece_length, &task);
            let pieces = bytes[run.clone()].chunks(piece_length);
            let expected: Vec<_> = pieces.map(|piece| Some(Sha1::digest(piece).into())).collect();
            assert!(outcome.hashes == expected, "{run:?} in pieces of {piece_length} bytes");
            assert!(outcome.failure.is_none());
            assert_eq!(task.done_bytes(), run.len() as u64);
        }
    }

    #[test]
    fn a_file_that_shrinks_costs_only_the_pieces_from_there_on() {
        let (file, mapping, _) = mapped(10 * CHUNK_LENGTH);
        file.set_len(6 * CHUNK_LENGTH as u64 + 5_000).unwrap();
        let task = Task::default();
        let outcome = hash(&mapping, 0..10 * CHUNK_LENGTH, CHUNK_LENGTH, &task);
        let found: Vec<bool> = outcome.hashes.iter().map(Option::is_some).collect();
        assert_eq!(found, [true, true, true, true, true, true, false, false, false, false]);
        assert!(outcome.failure.is_some());
        assert_eq!(task.done_bytes(), 10 * CHUNK_LENGTH as u64);
    }

    #[test]
    fn nothing_is_hashed_for_a_task_that_is_cancelled() {
        let (_file, mapping, _) = mapped(100_000);
        let task = Task::default();
        task.cancel();
        let outcome = hash(&mapping, 0..100_000, 10_000, &task);
        assert_eq!(outcome.hashes, [None; 10]);
        assert!(outcome.failure.is_none());
    }
}
