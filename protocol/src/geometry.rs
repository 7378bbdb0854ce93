//! All arithmetic of pieces, blocks and files. Nobody else divides by a piece length.

use std::ops::Range;

/// Bytes in a block as clients request them (BEP 3), but for the last of a piece.
pub const BLOCK_LENGTH: u32 = 16 * 1024;
/// Longest block that is served: what the field has always refused is more than 128 KiB (BEP 3).
pub const MAX_BLOCK_LENGTH: u32 = 128 * 1024;
/// Longest piece that is accepted: a piece is hashed in one go and held while it is fetched.
pub const MAX_PIECE_LENGTH: u32 = 512 * 1024 * 1024;
/// Most pieces of a torrent: 4 Mi pieces are 80 MiB of hashes, beyond any real torrent.
pub const MAX_PIECE_COUNT: u32 = 4 * 1024 * 1024;

/// A run of bytes inside one piece, as in REQUEST, PIECE and CANCEL (BEP 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Block {
    /// Index of the piece.
    pub piece: u32,
    /// First byte, counted from the start of the piece.
    pub begin: u32,
    /// Bytes in the block.
    pub length: u32,
}

impl Block {
    /// Whether it begins where `other` ends: in the same piece, or at the start of the next.
    pub fn follows(&self, other: Self) -> bool {
        let is_next_piece = other.piece.checked_add(1) == Some(self.piece) && self.begin == 0;
        is_next_piece
            || self.piece == other.piece && other.begin.checked_add(other.length) == Some(self.begin)
    }
}

/// How a payload of `length` bytes is cut into pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    length: u64,
    piece_length: u32,
    piece_count: u32,
}

/// A payload that cannot be cut as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GeometryError {
    /// There is nothing to share.
    #[error("the payload is empty")]
    Empty,
    /// The piece length is zero or too large.
    #[error("the piece length {0} is not between 1 byte and 512 MiB")]
    PieceLength(u64),
    /// There would be too many pieces.
    #[error("{0} pieces are more than the {MAX_PIECE_COUNT} that are supported")]
    TooManyPieces(u64),
}

impl Geometry {
    /// Cuts `length` bytes into pieces of `piece_length` bytes, the last one shorter.
    ///
    /// # Errors
    /// When either is out of the supported range.
    pub fn new(length: u64, piece_length: u64) -> Result<Self, GeometryError> {
        let valid_length = u32::try_from(piece_length).ok().filter(|n| (1..=MAX_PIECE_LENGTH).contains(n));
        let Some(valid_length) = valid_length else { return Err(GeometryError::PieceLength(piece_length)) };
        if length == 0 {
            return Err(GeometryError::Empty);
        }
        let count = length.div_ceil(piece_length);
        match u32::try_from(count) {
            Ok(piece_count) if piece_count <= MAX_PIECE_COUNT => {
                Ok(Self { length, piece_length: valid_length, piece_count })
            }
            _ => Err(GeometryError::TooManyPieces(count)),
        }
    }

    /// Bytes in the whole payload, padding files included.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Bytes in a piece, but for the last.
    pub fn piece_length(&self) -> u32 {
        self.piece_length
    }

    /// How many pieces there are.
    pub fn piece_count(&self) -> u32 {
        self.piece_count
    }

    /// Where `piece` lies in the payload; empty at the end for a piece that does not exist.
    pub fn piece_range(&self, piece: u32) -> Range<u64> {
        let start = (u64::from(piece) * u64::from(self.piece_length)).min(self.length);
        start..(start + u64::from(self.piece_length)).min(self.length)
    }

    /// Bytes in `piece`; none in a piece that does not exist.
    pub fn length_of(&self, piece: u32) -> u32 {
        let range = self.piece_range(piece);
        // No piece is longer than the piece length.
        u32::try_from(range.end - range.start).unwrap_or(self.piece_length)
    }

    /// The pieces that have a byte in `range` of the payload.
    pub fn pieces_of(&self, range: Range<u64>) -> Range<u32> {
        let piece_length = u64::from(self.piece_length);
        let index = |piece: u64| u32::try_from(piece).unwrap_or(self.piece_count).min(self.piece_count);
        if range.is_empty() {
            0..0
        } else {
            index(range.start / piece_length)..index(range.end.div_ceil(piece_length))
        }
    }

    /// Where `pieces` lie in the payload: the way back from [`Geometry::pieces_of`].
    pub fn bytes_of(&self, pieces: Range<u32>) -> Range<u64> {
        if pieces.is_empty() {
            return 0..0;
        }
        self.piece_range(pieces.start).start..self.piece_range(pieces.end - 1).end
    }

    /// What the pieces that begin and end in `range` of the payload cover of it; empty at its start when there are none.
    pub fn bytes_within(&self, range: Range<u64>) -> Range<u64> {
        let piece_length = u64::from(self.piece_length);
        let start = range.start.next_multiple_of(piece_length);
        let end =
            if range.end >= self.length { self.length } else { range.end / piece_length * piece_length };
        if start < end { start..end } else { range.start..range.start }
    }

    /// Where `block` lies in the payload, or `None` when it is empty, longer than [`MAX_BLOCK_LENGTH`], or not
    /// inside its piece. Every request of a peer goes through here.
    pub fn block_range(&self, block: Block) -> Option<Range<u64>> {
        let piece = self.piece_range(block.piece);
        let start = piece.start + u64::from(block.begin);
        let end = start + u64::from(block.length);
        let valid = (1..=MAX_BLOCK_LENGTH).contains(&block.length) && end <= piece.end;
        valid.then_some(start..end)
    }
}

/// Where each file lies in the payload: files stand end to end in the order of the torrent (BEP 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileLayout {
    ends: Box<[u64]>,
}

/// A run of bytes inside one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Index of the file in the torrent.
    pub file: usize,
    /// First byte, counted from the start of the file.
    pub offset: u64,
    /// Bytes in the extent, never zero.
    pub length: u64,
}

impl FileLayout {
    /// Lays files of `lengths` bytes end to end; `None` when their sum does not fit 64 bits.
    pub fn new(lengths: impl IntoIterator<Item = u64>) -> Option<Self> {
        let mut end = 0_u64;
        let ends: Option<Box<[u64]>> = lengths
            .into_iter()
            .map(|length| {
                end = end.checked_add(length)?;
                Some(end)
            })
            .collect();
        Some(Self { ends: ends? })
    }

    /// Bytes in all files together.
    pub fn length(&self) -> u64 {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Where file number `file` lies in the payload.
    pub fn file_range(&self, file: usize) -> Range<u64> {
        let start = if file == 0 { 0 } else { self.ends[file - 1] };
        start..self.ends[file]
    }

    /// The pieces of files that `range` of the payload covers, in order; empty files have none.
    pub fn extents(&self, range: Range<u64>) -> impl Iterator<Item = Extent> + '_ {
        let first = self.ends.partition_point(|end| *end <= range.start);
        let mut position = range.start;
        (first..self.ends.len())
            .map_while(move |file| {
                if position >= range.end {
                    return None;
                }
                let span = self.file_range(file);
                let length = span.end.min(range.end) - position;
                let extent = Extent { file, offset: position - span.start, length };
                position += length;
                Some(extent)
            })
            .filter(|extent| extent.length > 0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_piece_is_shorter() {
        let geometry = Geometry::new(100, 30).unwrap();
        assert_eq!(geometry.piece_count(), 4);
        assert_eq!(geometry.piece_range(0), 0..30);
        assert_eq!(geometry.piece_range(3), 90..100);
        assert_eq!([0, 3, 4].map(|piece| geometry.length_of(piece)), [30, 10, 0]);
        assert!(geometry.piece_range(4).is_empty() && geometry.piece_range(u32::MAX).is_empty());
    }

    #[test]
    fn a_payload_out_of_range_is_refused() {
        assert_eq!(Geometry::new(0, 16), Err(GeometryError::Empty));
        assert_eq!(Geometry::new(1, 0), Err(GeometryError::PieceLength(0)));
        let too_long = u64::from(MAX_PIECE_LENGTH) + 1;
        assert_eq!(Geometry::new(1, too_long), Err(GeometryError::PieceLength(too_long)));
        assert_eq!(Geometry::new(u64::MAX, 1), Err(GeometryError::TooManyPieces(u64::MAX)));
    }

    #[test]
    fn a_block_is_served_only_inside_its_piece() {
        let geometry = Geometry::new(100_000, 32_768).unwrap();
        let range = |piece, begin, length| geometry.block_range(Block { piece, begin, length });
        assert_eq!(range(0, 16_384, 16_384), Some(16_384..32_768));
        assert_eq!(range(3, 0, 1_696), Some(98_304..100_000));
        assert_eq!(range(0, 0, 0), None, "empty");
        assert_eq!(range(0, 16_385, 16_384), None, "crosses its piece");
        assert_eq!(range(3, 0, 1_697), None, "past the end");
        assert_eq!(range(4, 0, 1), None, "no such piece");
        assert_eq!(range(u32::MAX, u32::MAX, u32::MAX), None, "does not overflow");
        let wide = Geometry::new(1 << 20, 1 << 20).unwrap();
        assert!(wide.block_range(Block { piece: 0, begin: 0, length: MAX_BLOCK_LENGTH }).is_some());
        assert!(wide.block_range(Block { piece: 0, begin: 0, length: MAX_BLOCK_LENGTH + 1 }).is_none());
    }

    #[test]
    fn a_range_names_the_pieces_it_touches() {
        let geometry = Geometry::new(100, 30).unwrap();
        assert_eq!(geometry.pieces_of(0..30), 0..1);
        assert_eq!(geometry.pieces_of(29..31), 0..2);
        assert_eq!(geometry.pieces_of(90..100), 3..4);
        assert!(geometry.pieces_of(30..30).is_empty());
        assert_eq!(geometry.bytes_within(0..100), 0..100);
        assert_eq!(geometry.bytes_within(1..99), 30..90);
        assert_eq!(geometry.bytes_within(61..100), 90..100);
        assert_eq!(geometry.bytes_within(30..60), 30..60);
        for range in [0..29, 29..31, 31..60, 91..100, 60..60] {
            assert_eq!(geometry.bytes_within(range.clone()), range.start..range.start);
        }
        assert_eq!([0..1, 1..4, 2..2].map(|pieces| geometry.bytes_of(pieces)), [0..30, 30..100, 0..0]);
    }

    #[test]
    fn file_lengths_that_overflow_are_refused() {
        assert_eq!(FileLayout::new([u64::MAX, 1]), None);
    }

    #[test]
    fn a_block_follows_the_one_that_ends_where_it_begins() {
        let block = |piece, begin| Block { piece, begin, length: 10 };
        assert!(block(1, 10).follows(block(1, 0)) && block(2, 0).follows(block(1, 40)));
        assert!(!block(1, 20).follows(block(1, 0)) && !block(2, 10).follows(block(1, 0)));
        assert!(!block(0, 0).follows(Block { piece: u32::MAX, begin: u32::MAX, length: 1 }));
    }

    proptest! {
        #[test]
        fn extents_cover_a_range_exactly_once(
            lengths in prop::collection::vec(0_u64..50, 0..20),
            start in 0_u64..500,
            length in 0_u64..500,
        ) {
            let layout = FileLayout::new(lengths.iter().copied()).unwrap();
            let start = start.min(layout.length());
            let end = (start + length).min(layout.length());
            let mut position = start;
            for extent in layout.extents(start..end) {
                prop_assert!(extent.length > 0 && extent.offset + extent.length <= lengths[extent.file]);
                prop_assert_eq!(layout.file_range(extent.file).start + extent.offset, position);
                position += extent.length;
            }
            prop_assert_eq!(position, end);
        }

        #[test]
        fn pieces_tile_the_payload(length in 1_u64..10_000, piece_length in 1_u64..300) {
            let geometry = Geometry::new(length, piece_length).unwrap();
            let mut position = 0;
            for piece in 0..geometry.piece_count() {
                prop_assert_eq!(geometry.piece_range(piece).start, position);
                position = geometry.piece_range(piece).end;
            }
            prop_assert_eq!(position, length);
        }
    }
}
