//! Which block a connection asks for next: in order, round and round.

use protocol::geometry::{BLOCK_LENGTH, Block, Geometry};

#[derive(Debug)]
pub(super) struct Cursor {
    geometry: Geometry,
    piece: u32,
    begin: u32,
}

impl Cursor {
    /// Begins at the piece that lies `index / count` into the payload, so that `count` cursors are spread over it.
    pub(super) fn new(geometry: Geometry, index: usize, count: usize) -> Self {
        let piece = u64::from(geometry.piece_count()) * index as u64 / count as u64;
        Self { geometry, piece: u32::try_from(piece).unwrap_or(0), begin: 0 }
    }

    pub(super) fn next(&mut self) -> Block {
        let range = self.geometry.piece_range(self.piece);
        let left = range.end - range.start - u64::from(self.begin);
        let length = u32::try_from(left).map_or(BLOCK_LENGTH, |left| left.min(BLOCK_LENGTH));
        let block = Block { piece: self.piece, begin: self.begin, length };
        if u64::from(length) < left {
            self.begin += length;
        } else {
            self.begin = 0;
            self.piece = if self.piece + 1 < self.geometry.piece_count() { self.piece + 1 } else { 0 };
        }
        block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_tile_the_payload_and_begin_again() {
        let geometry = Geometry::new(100_000, 32_768).unwrap();
        let mut cursor = Cursor::new(geometry, 0, 1);
        let mut position = 0;
        while position < geometry.length() {
            let range = geometry.block_range(cursor.next()).unwrap();
            assert_eq!(range.start, position);
            position = range.end;
        }
        assert_eq!(cursor.next(), Block { piece: 0, begin: 0, length: BLOCK_LENGTH });
    }

    #[test]
    fn cursors_are_spread_over_the_payload() {
        let geometry = Geometry::new(100 << 20, 1 << 20).unwrap();
        let first = |index| Cursor::new(geometry, index, 4).next().piece;
        assert_eq!([first(0), first(1), first(2), first(3)], [0, 25, 50, 75]);
    }
}
