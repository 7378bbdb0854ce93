//! Which block a connection asks for next.

use std::rc::Rc;

use protocol::geometry::{Block, Geometry};

use super::Order;
use crate::payload::Noise;

/// The blocks of a torrent in the order in which they are asked for, shared by all its cursors.
#[derive(Debug)]
pub(super) struct Course {
    geometry: Geometry,
    block_length: u32,
    blocks_per_piece: u64,
    count: u64,
    /// The numbers of the blocks, shuffled; none for one after the other.
    shuffled: Option<Vec<u32>>,
}

impl Course {
    pub(super) fn new(geometry: Geometry, block_length: u32, order: Order) -> Self {
        let blocks_in = |bytes: u64| bytes.div_ceil(u64::from(block_length));
        let blocks_per_piece = blocks_in(u64::from(geometry.piece_length()));
        let last = geometry.piece_range(geometry.piece_count() - 1);
        let count =
            u64::from(geometry.piece_count() - 1) * blocks_per_piece + blocks_in(last.end - last.start);
        let shuffled = (order == Order::Random).then(|| shuffle(count));
        Self { geometry, block_length, blocks_per_piece, count, shuffled }
    }

    fn block(&self, number: u64) -> Block {
        let piece = u32::try_from(number / self.blocks_per_piece).unwrap_or(u32::MAX);
        let begin = u32::try_from(number % self.blocks_per_piece).unwrap_or(u32::MAX) * self.block_length;
        let left = self.geometry.length_of(piece) - begin;
        Block { piece, begin, length: left.min(self.block_length) }
    }
}

/// All numbers below `count`, in an order that is the same in every run (Fisher and Yates).
fn shuffle(count: u64) -> Vec<u32> {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let mut numbers: Vec<u32> = (0..count).collect();
    let mut noise = Noise::default();
    for last in (1..count).rev() {
        let other = u32::try_from(noise.next() % u64::from(last + 1)).unwrap_or(0);
        numbers.swap(last as usize, other as usize);
    }
    numbers
}

/// How far a connection has come on its course.
#[derive(Debug)]
pub(super) struct Cursor {
    course: Rc<Course>,
    next: u64,
}

impl Cursor {
    /// Begins `index / count` into the course, so that `count` cursors are spread over it.
    pub(super) fn new(course: Rc<Course>, index: usize, count: usize) -> Self {
        let next = course.count * index as u64 / count as u64;
        Self { course, next }
    }

    pub(super) fn next(&mut self) -> Block {
        let at = self.next;
        self.next = (at + 1) % self.course.count;
        let shuffled = self.course.shuffled.as_ref();
        let number = shuffled.and_then(|numbers| numbers.get(usize::try_from(at).ok()?));
        self.course.block(number.map_or(at, |number| u64::from(*number)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const LENGTH: u32 = 16 * 1024;

    fn course(length: u64, piece_length: u64, order: Order) -> Rc<Course> {
        Rc::new(Course::new(Geometry::new(length, piece_length).unwrap(), LENGTH, order))
    }

    #[test]
    fn blocks_tile_the_payload_and_begin_again() {
        let geometry = Geometry::new(100_000, 40_000).unwrap();
        let mut cursor = Cursor::new(course(100_000, 40_000, Order::InOrder), 0, 1);
        let mut position = 0;
        while position < geometry.length() {
            let range = geometry.block_range(cursor.next()).unwrap();
            assert_eq!(range.start, position);
            position = range.end;
        }
        assert_eq!(cursor.next(), Block { piece: 0, begin: 0, length: LENGTH });
    }

    #[test]
    fn at_random_each_block_comes_once_before_any_comes_again() {
        let mut cursor = Cursor::new(course(1_000_000, 65_536, Order::Random), 0, 1);
        let mut pass = || (0..62).map(|_| cursor.next()).collect::<Vec<_>>();
        let (first, second) = (pass(), pass());
        assert_eq!(first, second);
        assert_eq!(first.iter().collect::<HashSet<_>>().len(), 62);
        assert!(!first.is_sorted_by_key(|block| (block.piece, block.begin)));
    }

    #[test]
    fn cursors_are_spread_over_the_payload() {
        let course = course(100 << 20, 1 << 20, Order::InOrder);
        let first = |index| Cursor::new(Rc::clone(&course), index, 4).next().piece;
        assert_eq!([first(0), first(1), first(2), first(3)], [0, 25, 50, 75]);
    }
}
