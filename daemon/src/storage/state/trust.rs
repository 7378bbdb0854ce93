//! Which pieces of a payload on disk are taken to be whole without reading them: a pure decision.
//!
//! A bit alone proves nothing. It counts while every file of its piece looks as it did when the bit was recorded, and
//! while what was written cannot have been lost: the kernel has run since, or an `fdatasync` had returned.

use std::ops::Range;

use protocol::geometry::{Extent, FileLayout, Geometry};
use protocol::piece_set::PieceSet;

use super::{FileRecord, Saved};

/// A file of the torrent as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDisk {
    /// It looks like this.
    File(FileRecord),
    /// It is not there, or no regular file.
    Missing,
    /// It is never there: padding.
    Padding,
}

/// What a memory is worth. Pieces in neither `trusted` nor `to_check` are not on disk. For that to hold, files are
/// recorded for the first time when all that was on disk before had been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// Pieces that are verified.
    pub trusted: PieceSet,
    /// Those of them that are on disk for certain, whatever happens to the machine.
    pub synced: PieceSet,
    /// Pieces whose bytes may be there and are to be hashed.
    pub to_check: PieceSet,
}

/// What the files of a piece say about it, the worst of them first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Finding {
    Absent,
    Changed,
    Unchanged,
}

/// Weighs what is remembered of a torrent against its `files`, one for each of `layout`, as they are now.
pub fn trust(saved: &Saved, geometry: &Geometry, layout: &FileLayout, files: &[OnDisk]) -> Trust {
    let count = geometry.piece_count();
    // Bits of another length are those of another torrent, or damaged.
    let read = |bits: &[u8]| PieceSet::from_wire(bits, count).unwrap_or_else(|| PieceSet::new(count));
    let (have, synced) = (read(&saved.have), read(&saved.synced));
    let empty = PieceSet::new(count);
    let mut trust = Trust { trusted: empty.clone(), synced: empty.clone(), to_check: empty };
    for piece in 0..count {
        let is_safe = have.contains(piece) && (saved.is_same_boot || synced.contains(piece));
        match find(saved, layout, files, geometry.piece_range(piece)) {
            Finding::Absent => {}
            Finding::Unchanged if is_safe => {
                trust.trusted.insert(piece);
                if synced.contains(piece) {
                    trust.synced.insert(piece);
                }
            }
            // Its files have not been written since they were recorded, and it was not verified then.
            Finding::Unchanged if !have.contains(piece) => {}
            Finding::Unchanged | Finding::Changed => {
                trust.to_check.insert(piece);
            }
        }
    }
    trust
}

/// What the files in `range` of the payload say. Padding says nothing.
fn find(saved: &Saved, layout: &FileLayout, files: &[OnDisk], range: Range<u64>) -> Finding {
    let finding = |extent: Extent| match files.get(extent.file) {
        Some(OnDisk::Padding) => Finding::Unchanged,
        Some(OnDisk::File(now)) if now.length < extent.offset + extent.length => Finding::Absent,
        Some(OnDisk::File(now)) => {
            let then = u32::try_from(extent.file).ok().and_then(|file| saved.files.get(&file));
            if then == Some(now) { Finding::Unchanged } else { Finding::Changed }
        }
        Some(OnDisk::Missing) | None => Finding::Absent,
    };
    layout.extents(range).map(finding).min().unwrap_or(Finding::Unchanged)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Three files of 20 bytes in pieces of 8: the third piece lies in the first two files, the sixth in the last two.
    fn layout() -> (Geometry, FileLayout) {
        (Geometry::new(60, 8).unwrap(), FileLayout::new([20; 3]).unwrap())
    }

    fn file(inode: u64) -> FileRecord {
        FileRecord { length: 20, inode, modified_s: 1, modified_ns: 2 }
    }

    /// A memory of all eight pieces, the first four synced, and the files as it remembers them.
    fn all(is_same_boot: bool) -> (Saved, Vec<OnDisk>) {
        let files: BTreeMap<u32, FileRecord> =
            (0..3).map(|number| (number, file(u64::from(number)))).collect();
        let on_disk = files.values().map(|file| OnDisk::File(*file)).collect();
        let saved = Saved { have: vec![0xff], synced: vec![0xf0], is_same_boot, files, ..Saved::default() };
        (saved, on_disk)
    }

    /// The pieces that are trusted, and those to check.
    fn weigh(saved: &Saved, files: &[OnDisk]) -> (Vec<u32>, Vec<u32>) {
        let (geometry, layout) = layout();
        let trust = trust(saved, &geometry, &layout, files);
        let synced = PieceSet::from_wire(&saved.synced, 8).unwrap_or(PieceSet::new(8));
        assert!(trust.synced.iter().eq(trust.trusted.common(&synced)));
        (trust.trusted.iter().collect(), trust.to_check.iter().collect())
    }

    #[test]
    fn everything_is_trusted_while_nothing_has_changed() {
        let (saved, files) = all(true);
        assert_eq!(weigh(&saved, &files), ((0..8).collect(), vec![]));
    }

    #[test]
    fn after_another_boot_only_synced_pieces_are_trusted() {
        let (saved, files) = all(false);
        assert_eq!(weigh(&saved, &files), (vec![0, 1, 2, 3], vec![4, 5, 6, 7]));
    }

    #[test]
    fn a_changed_file_costs_the_pieces_it_is_part_of() {
        for change in 0..4 {
            let (saved, mut files) = all(true);
            let mut changed = file(0);
            match change {
                0 => changed.modified_ns += 1,
                1 => changed.modified_s += 1,
                2 => changed.inode += 7,
                _ => changed.length += 1,
            }
            files[0] = OnDisk::File(changed);
            assert_eq!(weigh(&saved, &files), (vec![3, 4, 5, 6, 7], vec![0, 1, 2]), "change {change}");
        }
    }

    #[test]
    fn pieces_of_a_missing_file_are_absent() {
        let (saved, mut files) = all(true);
        files[1] = OnDisk::Missing;
        assert_eq!(weigh(&saved, &files), (vec![0, 1, 5, 6, 7], vec![]));
    }

    #[test]
    fn a_short_file_has_none_of_the_pieces_beyond_its_end() {
        let (saved, mut files) = all(true);
        files[2] = OnDisk::File(FileRecord { length: 10, ..file(2) });
        assert_eq!(weigh(&saved, &files), (vec![0, 1, 2, 3, 4], vec![5]));
    }

    #[test]
    fn a_file_that_nobody_remembers_is_checked() {
        let (saved, files) = all(true);
        let forgotten = Saved { files: BTreeMap::new(), ..saved };
        assert_eq!(weigh(&forgotten, &files), (vec![], (0..8).collect()));
        assert_eq!(weigh(&Saved::default(), &files), (vec![], (0..8).collect()));
    }

    #[test]
    fn bits_of_a_wrong_length_prove_nothing() {
        for have in [vec![], vec![0xff; 2], vec![0xff; 1_000]] {
            let (saved, files) = all(true);
            let (trusted, to_check) = weigh(&Saved { have, ..saved }, &files);
            assert!(trusted.is_empty() && to_check.is_empty());
        }
        let (saved, files) = all(false);
        let (trusted, _) = weigh(&Saved { synced: vec![0xff; 2], ..saved }, &files);
        assert!(trusted.is_empty(), "nor do those of what was synced");
    }

    #[test]
    fn padding_imposes_nothing() {
        let (mut saved, mut files) = all(true);
        saved.files.remove(&1);
        files[1] = OnDisk::Padding;
        assert_eq!(weigh(&saved, &files), ((0..8).collect(), vec![]));
    }

    fn any_file() -> impl Strategy<Value = (u64, u8, u8)> {
        (0_u64..40, 0_u8..4, 0_u8..6)
    }

    proptest! {
        /// Said in other words than the code's: file by file, not extent by extent.
        #[test]
        fn no_piece_of_a_changed_file_is_trusted(
            files in prop::collection::vec(any_file(), 1..8),
            piece_length in 1_u64..30,
            is_same_boot in any::<bool>(),
            (have, synced) in (any::<[u8; 4]>(), any::<[u8; 4]>()),
        ) {
            let layout = FileLayout::new(files.iter().map(|(length, ..)| *length)).unwrap();
            prop_assume!(layout.length() > 0);
            let geometry = Geometry::new(layout.length(), piece_length).unwrap();
            let count = geometry.piece_count();
            let bit = |bits: &[u8; 4], piece: u32| bits[piece as usize / 8 % 4] >> (piece % 8) & 1 == 1;
            let wire = |bits: &[u8; 4]| {
                let mut wire = vec![0_u8; count.div_ceil(8) as usize];
                for piece in (0..count).filter(|piece| bit(bits, *piece)) {
                    wire[piece as usize / 8] |= 0x80 >> (piece % 8);
                }
                wire
            };
            let mut saved = Saved { have: wire(&have), synced: wire(&synced), is_same_boot, ..Saved::default() };
            let mut now = Vec::new();
            for (number, (length, then, kind)) in (0..).zip(&files) {
                let record = |time| FileRecord { length: *length, ..file(time) };
                if *then > 0 {
                    saved.files.insert(number, record(u64::from(*then)));
                }
                now.push(match kind {
                    0 => OnDisk::Missing,
                    1 => OnDisk::Padding,
                    2 => OnDisk::File(record(1)),
                    3 => OnDisk::File(record(99)),
                    _ => OnDisk::File(record(u64::from(*then))),
                });
            }
            let trust = trust(&saved, &geometry, &layout, &now);
            for piece in 0..count {
                let range = geometry.piece_range(piece);
                let touched: Vec<usize> = (0..files.len())
                    .filter(|file| {
                        let of_file = layout.file_range(*file);
                        of_file.start.max(range.start) < of_file.end.min(range.end)
                    })
                    .collect();
                let is_missing = touched.iter().any(|file| now[*file] == OnDisk::Missing);
                let is_unchanged = touched.iter().all(|file| match now[*file] {
                    OnDisk::File(record) => saved.files.get(&u32::try_from(*file).unwrap()) == Some(&record),
                    OnDisk::Padding => true,
                    OnDisk::Missing => false,
                });
                let is_trusted =
                    is_unchanged && bit(&have, piece) && (is_same_boot || bit(&synced, piece));
                prop_assert_eq!(trust.trusted.contains(piece), is_trusted);
                prop_assert_eq!(trust.synced.contains(piece), is_trusted && bit(&synced, piece));
                let is_unverified = is_unchanged && !bit(&have, piece);
                let is_checked = !is_missing && !is_trusted && !is_unverified;
                prop_assert_eq!(trust.to_check.contains(piece), is_checked);
            }
        }
    }
}
