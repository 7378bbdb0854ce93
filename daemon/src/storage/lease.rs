//! Payload lent to a sender: slices of mappings, buffers and zeros that stay put while the lease lives.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::buffer::Buffer;
use super::open::OpenFile;

/// What padding files are made of (BEP 47): they do not exist on disk.
static ZEROS: [u8; 16 * 1024] = [0; 16 * 1024];

/// The bytes of blocks, in the order in which they were lent. Reused from batch to batch without allocating.
#[derive(Debug, Default)]
pub struct Lease {
    slices: Vec<Slice>,
    /// For each block the number of its last slice, plus one.
    block_ends: Vec<u32>,
    /// What keeps the memory of the slices alive. Neighbours in one file share an entry.
    holds: Vec<Hold>,
    /// The share of its lane that what was fetched takes up.
    credits: Option<OwnedSemaphorePermit>,
}

/// A run of bytes, and the entry of `holds` that it lies in. Small: a peer that is slow keeps one for each block.
#[derive(Debug, Clone, Copy)]
struct Slice {
    hold: u32,
    length: u32,
    offset: usize,
}

#[derive(Debug)]
enum Hold {
    Mapped(Arc<OpenFile>),
    Buffer(Buffer),
    Zeros,
}

impl Lease {
    /// How many blocks were lent.
    pub fn block_count(&self) -> usize {
        self.block_ends.len()
    }

    /// How many slices were lent.
    pub fn slice_count(&self) -> usize {
        self.slices.len()
    }

    /// How many slices its memory has room for.
    pub fn capacity(&self) -> usize {
        self.slices.capacity()
    }

    /// The memory of block number `block`: pointer and length of each slice, good until the lease is cleared.
    pub fn memory(&self, block: usize) -> impl Iterator<Item = (*const u8, usize)> + '_ {
        let end = |block: usize| self.block_ends[block] as usize;
        let start = if block == 0 { 0 } else { end(block - 1) };
        self.slices[start..end(block)].iter().map(|slice| {
            let length = slice.length as usize;
            let range = slice.offset..slice.offset + length;
            let pointer = match &self.holds[slice.hold as usize] {
                Hold::Mapped(file) => file.mapping().pointer(range),
                Hold::Buffer(buffer) => buffer.bytes()[range].as_ptr(),
                Hold::Zeros => ZEROS[range].as_ptr(),
            };
            (pointer, length)
        })
    }

    /// Gives everything back.
    pub fn clear(&mut self) {
        self.slices.clear();
        self.block_ends.clear();
        self.holds.clear();
        self.credits = None;
    }

    /// Ends a block: what was pushed since the last one is all of it.
    pub(super) fn end_block(&mut self) {
        self.block_ends.push(number(self.slices.len()));
    }

    /// Lends a block without bytes, which only a test has.
    #[cfg(test)]
    pub(crate) fn end_empty_block(&mut self) {
        self.end_block();
    }

    /// Takes back what was pushed since the last block.
    pub(super) fn undo_block(&mut self) {
        self.slices.truncate(self.block_ends.last().map_or(0, |end| *end as usize));
        let held = self.slices.last().map_or(0, |slice| slice.hold as usize + 1);
        self.holds.truncate(held);
    }

    /// Keeps `credits` until the lease is cleared.
    pub(super) fn set_credits(&mut self, credits: OwnedSemaphorePermit) {
        self.credits = Some(credits);
    }

    /// Lends `length` bytes at `offset` of a mapped file.
    pub(super) fn push_mapped(&mut self, file: &Arc<OpenFile>, offset: usize, length: usize) {
        if !matches!(self.holds.last(), Some(Hold::Mapped(last)) if Arc::ptr_eq(last, file)) {
            self.holds.push(Hold::Mapped(Arc::clone(file)));
        }
        self.push(offset, length);
    }

    /// Lends a buffer.
    pub(super) fn push_buffer(&mut self, buffer: Buffer) {
        let length = buffer.bytes().len();
        self.holds.push(Hold::Buffer(buffer));
        self.push(0, length);
    }

    /// Lends `length` zeros.
    pub(super) fn push_zeros(&mut self, mut length: usize) {
        self.holds.push(Hold::Zeros);
        while length > 0 {
            let part = length.min(ZEROS.len());
            self.push(0, part);
            length -= part;
        }
    }

    fn push(&mut self, offset: usize, length: usize) {
        self.slices.push(Slice { hold: number(self.holds.len() - 1), length: number(length), offset });
    }
}

/// What is counted in a lease is far below 2^32: blocks are, and so are their bytes.
fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::buffer::Buffers;
    use super::*;

    fn lengths(lease: &Lease, block: usize) -> Vec<usize> {
        lease.memory(block).map(|(_, length)| length).collect()
    }

    #[test]
    fn blocks_are_lent_in_order_and_one_that_fails_is_undone() {
        let mut lease = Lease::default();
        lease.push_buffer(Buffers::new().take(10));
        lease.end_block();
        lease.push_zeros(ZEROS.len() + 5);
        lease.push_buffer(Buffers::new().take(3));
        lease.end_block();
        lease.push_zeros(1);
        lease.undo_block();
        assert_eq!(lengths(&lease, 0), [10]);
        assert_eq!(lengths(&lease, 1), [ZEROS.len(), 5, 3]);
        assert_eq!((lease.block_count(), lease.slice_count(), lease.holds.len()), (2, 4, 3));
        lease.clear();
        assert_eq!((lease.block_count(), lease.slice_count(), lease.holds.len()), (0, 0, 0));
    }
}
