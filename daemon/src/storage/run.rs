//! What blocks that were asked for together are of their files: runs, each read as one.

use std::ops::Range;

use protocol::geometry::Block;

use super::torrent::Torrent;
use super::window::Windows;

/// A run of bytes of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    /// Which file of the torrent.
    pub(super) file: usize,
    /// Its bytes that were asked for.
    range: Range<u64>,
    /// Where in the file the last piece ends that it has a part of.
    piece_end: u64,
    /// Whether somebody reads on here: it is of more than one block, or goes on where the last one ended.
    is_in_order: bool,
}

impl Run {
    /// What is to be read of the file, which is `length` bytes long. What somebody reads in order is read ahead, to the end
    /// of a window, but not into a piece that may be another peer's business.
    pub(super) fn to_read(&self, length: u64) -> Range<u64> {
        let end = self.range.end;
        let end = if self.is_in_order { Windows::end_of(end).min(self.piece_end).max(end) } else { end };
        Windows::widen(self.range.start..end, length)
    }
}

/// The runs of `blocks`, which a connection asked for in this order; `goes_on` says that the first of them begins where
/// it had stopped before. Padding is in no file.
pub(super) fn runs(torrent: &Torrent, blocks: &[Block], goes_on: bool) -> Vec<Run> {
    let geometry = torrent.info().geometry();
    let mut runs: Vec<Run> = Vec::new();
    for (number, block) in blocks.iter().enumerate() {
        let mut left_in_piece =
            u64::from(geometry.length_of(block.piece)).saturating_sub(u64::from(block.begin));
        for extent in torrent.extents(*block) {
            let range = extent.offset..extent.offset + extent.length;
            let piece_end = extent.offset + left_in_piece;
            left_in_piece -= extent.length;
            if torrent.is_padding(extent.file) {
                continue;
            }
            match runs.last_mut() {
                Some(last) if last.file == extent.file && last.range.end == range.start => {
                    last.range.end = range.end;
                    (last.piece_end, last.is_in_order) = (piece_end, true);
                }
                _ => runs.push(Run {
                    file: extent.file,
                    range,
                    piece_end,
                    is_in_order: number == 0 && goes_on,
                }),
            }
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::torrent::tests::torrent_of_pieces;
    use super::super::window::{GRAIN_LENGTH, WINDOW_LENGTH};
    use super::*;

    const BLOCK: u32 = 16 * 1024;
    const PIECE: u32 = 512 * 1024;

    fn block(number: u32) -> Block {
        let per_piece = PIECE / BLOCK;
        Block { piece: number / per_piece, begin: number % per_piece * BLOCK, length: BLOCK }
    }

    /// What is read of a file of three pieces for the blocks with these numbers: starts and ends.
    fn read(numbers: &[u32], goes_on: bool) -> Vec<(u64, u64)> {
        let folder = tempfile::tempdir().unwrap();
        let length = 3 * u64::from(PIECE);
        fs::File::create(folder.path().join("file")).unwrap().set_len(length).unwrap();
        let torrent = torrent_of_pieces(folder.path(), PIECE);
        let blocks: Vec<Block> = numbers.iter().map(|number| block(*number)).collect();
        let read = |run: &Run| {
            let range = run.to_read(length);
            (range.start, range.end)
        };
        runs(&torrent, &blocks, goes_on).iter().map(read).collect()
    }

    #[test]
    fn what_is_asked_here_and_there_is_all_that_is_read() {
        let grain = |number: u64| (number * GRAIN_LENGTH, (number + 1) * GRAIN_LENGTH);
        assert_eq!(read(&[70, 3, 5], false), [grain(70), grain(3), grain(5)]);
    }

    #[test]
    fn what_is_asked_in_order_is_read_ahead_to_the_end_of_a_window_or_piece() {
        assert_eq!(read(&[3, 4, 5], false), [(3 * GRAIN_LENGTH, WINDOW_LENGTH)]);
        assert_eq!(read(&[16], true), [(WINDOW_LENGTH, 2 * WINDOW_LENGTH)], "it goes on");
        assert_eq!(
            read(&[7, 16], true),
            [(7 * GRAIN_LENGTH, WINDOW_LENGTH), (WINDOW_LENGTH, 17 * GRAIN_LENGTH)]
        );
        let end = u64::from(PIECE);
        assert_eq!(read(&[30, 31], false), [(end - 2 * GRAIN_LENGTH, end)], "not into the next piece");
        assert_eq!(
            read(&[31, 32], false),
            [(end - GRAIN_LENGTH, end + WINDOW_LENGTH)],
            "unless it is asked for"
        );
    }

    #[test]
    fn runs_end_with_their_files() {
        let folder = tempfile::tempdir().unwrap();
        for (name, length) in [("a", 20_000), ("b", 5), ("c", 40_000)] {
            fs::write(folder.path().join(name), vec![7; length]).unwrap();
        }
        let torrent = torrent_of_pieces(folder.path(), PIECE);
        let blocks = [block(0), block(1), block(2)];
        let lengths = [20_000, 5, 40_000];
        let found = runs(&torrent, &blocks, false);
        let read: Vec<_> = found.iter().map(|run| (run.file, run.to_read(lengths[run.file]))).collect();
        assert_eq!(read, [(0, 0..20_000), (1, 0..5), (2, 0..40_000)]);
    }
}
