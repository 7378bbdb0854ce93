//! Payload lent to a sender: slices of mappings, buffers and zeros that stay put while the lease lives.

use std::ops::Range;
use std::sync::Arc;

use super::open::OpenFile;

/// What padding files are made of (BEP 47): they do not exist on disk.
static ZEROS: [u8; 16 * 1024] = [0; 16 * 1024];

/// Bytes of one or more blocks, in the order in which they were lent. Reused from batch to batch without allocating.
#[derive(Debug, Default)]
pub struct Lease {
    slices: Vec<Slice>,
    /// What keeps the memory of the slices alive. Neighbours in one file share an entry.
    holds: Vec<Hold>,
}

/// A run of bytes, and the entry of `holds` that it lies in.
#[derive(Debug, Clone, Copy)]
struct Slice {
    hold: u32,
    offset: usize,
    length: usize,
}

#[derive(Debug)]
enum Hold {
    Mapped(Arc<OpenFile>),
    Buffer(Box<[u8]>),
    Zeros,
}

impl Lease {
    /// How many slices were lent.
    pub fn slice_count(&self) -> usize {
        self.slices.len()
    }

    /// The memory of the slices in `range`: pointer and length of each, good while the lease is kept and not cleared.
    pub fn memory(&self, range: Range<usize>) -> impl Iterator<Item = (*const u8, usize)> + '_ {
        self.slices[range].iter().map(|slice| {
            let end = slice.offset + slice.length;
            let pointer = match &self.holds[slice.hold as usize] {
                Hold::Mapped(file) => match file.mapped() {
                    Some((mapping, _)) => mapping.pointer(slice.offset..end),
                    None => unreachable!("only a mapped file is lent as a mapping"),
                },
                Hold::Buffer(bytes) => bytes[slice.offset..end].as_ptr(),
                Hold::Zeros => ZEROS[slice.offset..end].as_ptr(),
            };
            (pointer, slice.length)
        })
    }

    /// Gives everything back.
    pub fn clear(&mut self) {
        self.slices.clear();
        self.holds.clear();
    }

    /// Takes back the slices from number `count` on.
    pub(super) fn truncate(&mut self, count: usize) {
        self.slices.truncate(count);
        let held = self.slices.last().map_or(0, |slice| slice.hold as usize + 1);
        self.holds.truncate(held);
    }

    /// Lends `length` bytes at `offset` of a mapped file.
    pub(super) fn push_mapped(&mut self, file: &Arc<OpenFile>, offset: usize, length: usize) {
        if !matches!(self.holds.last(), Some(Hold::Mapped(last)) if Arc::ptr_eq(last, file)) {
            self.holds.push(Hold::Mapped(Arc::clone(file)));
        }
        self.push(offset, length);
    }

    /// Lends a buffer.
    pub(super) fn push_buffer(&mut self, bytes: Box<[u8]>) {
        let length = bytes.len();
        self.holds.push(Hold::Buffer(bytes));
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
        let hold = u32::try_from(self.holds.len() - 1).unwrap_or(u32::MAX);
        self.slices.push(Slice { hold, offset, length });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_lent_in_order_and_taken_back_with_what_held_them() {
        let mut lease = Lease::default();
        lease.push_buffer(vec![1; 10].into());
        lease.push_zeros(ZEROS.len() + 5);
        let lengths: Vec<usize> = lease.memory(0..lease.slice_count()).map(|(_, length)| length).collect();
        assert_eq!(lengths, [10, ZEROS.len(), 5]);
        lease.truncate(1);
        assert_eq!((lease.slices.len(), lease.holds.len()), (1, 1));
        lease.clear();
        assert_eq!((lease.slices.len(), lease.holds.len()), (0, 0));
    }
}
