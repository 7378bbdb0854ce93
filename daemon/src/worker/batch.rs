//! What leaves in one gathered send: small messages, then block after block, each a header and slices of payload.

use std::ptr;

use nix::libc::{iovec, msghdr};
use protocol::geometry::Block;
use protocol::wire::{PIECE_HEADER_LENGTH, piece_header};

use crate::storage::Lease;

/// Most blocks in a batch. More do not save anything that can be measured, and would let one peer have the socket
/// buffers to itself.
pub(super) const MAX_BLOCKS: usize = 64;
/// Bytes of small messages after which a batch is sent.
const MAX_CONTROL: usize = 64 * 1024;
/// Most parts that the kernel takes in one send (UIO_MAXIOV).
const MAX_PARTS: usize = 1_024;

/// A batch, owned by whoever fills or sends it. Its memory is reused: nothing is allocated per block.
///
/// All that the kernel reads lies behind a `Vec` or is held by the lease, so it stays put when the batch moves.
#[derive(Debug)]
pub(super) struct Batch {
    control: Vec<u8>,
    headers: Vec<[u8; PIECE_HEADER_LENGTH]>,
    /// For each block the number of its last slice, plus one.
    slice_ends: Vec<usize>,
    lease: Lease,
    payload_bytes: u64,
    parts: Vec<iovec>,
    /// The first part that is not sent as a whole.
    next_part: usize,
    /// The message of the send under way: always one. A `Vec`, since a `Box` may not be pointed into while it moves.
    message: Vec<msghdr>,
}

impl Batch {
    pub(super) fn new() -> Self {
        let message = msghdr {
            msg_name: ptr::null_mut(),
            msg_namelen: 0,
            msg_iov: ptr::null_mut(),
            msg_iovlen: 0,
            msg_control: ptr::null_mut(),
            msg_controllen: 0,
            msg_flags: 0,
        };
        Self {
            control: Vec::new(),
            headers: Vec::new(),
            slice_ends: Vec::new(),
            lease: Lease::default(),
            payload_bytes: 0,
            parts: Vec::new(),
            next_part: 0,
            message: vec![message],
        }
    }

    /// Empties the batch and gives back what it was lent.
    pub(super) fn clear(&mut self) {
        self.control.clear();
        self.headers.clear();
        self.slice_ends.clear();
        self.lease.clear();
        self.payload_bytes = 0;
        self.parts.clear();
        self.next_part = 0;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.control.is_empty() && self.headers.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.headers.len() >= MAX_BLOCKS || self.control.len() >= MAX_CONTROL
    }

    pub(super) fn block_count(&self) -> usize {
        self.headers.len()
    }

    pub(super) fn payload_bytes(&self) -> u64 {
        self.payload_bytes
    }

    /// Adds small messages. They go before all blocks of the batch.
    pub(super) fn push_control(&mut self, bytes: &[u8]) {
        self.control.extend_from_slice(bytes);
    }

    /// Where payload is lent to; follow with [`Batch::push_block`].
    pub(super) fn lease(&mut self) -> &mut Lease {
        &mut self.lease
    }

    /// Adds the block that was just lent.
    pub(super) fn push_block(&mut self, block: Block) {
        self.headers.push(piece_header(block));
        self.slice_ends.push(self.lease.slice_count());
        self.payload_bytes += u64::from(block.length);
    }

    /// Makes a batch of `blocks`, all of which `lease` holds in order.
    pub(super) fn fill(&mut self, blocks: &[Block], lease: Lease) {
        self.clear();
        self.lease = lease;
        let mut slices = 0;
        for block in blocks {
            let mut left = block.length as usize;
            let lengths = self.lease.memory(slices..self.lease.slice_count());
            slices += lengths
                .take_while(|(_, length)| {
                    let is_of_block = left > 0;
                    left = left.saturating_sub(*length);
                    is_of_block
                })
                .count();
            self.headers.push(piece_header(*block));
            self.slice_ends.push(slices);
            self.payload_bytes += u64::from(block.length);
        }
    }

    /// Lists the parts in memory. After that the batch is only sent, until it is cleared.
    pub(super) fn seal(&mut self) {
        let part =
            |pointer: *const u8, length| iovec { iov_base: pointer.cast_mut().cast(), iov_len: length };
        if !self.control.is_empty() {
            self.parts.push(part(self.control.as_ptr(), self.control.len()));
        }
        let mut slices = 0;
        for (header, end) in self.headers.iter().zip(&self.slice_ends) {
            self.parts.push(part(header.as_ptr(), header.len()));
            let memory = self.lease.memory(slices..*end);
            self.parts.extend(memory.map(|(pointer, length)| part(pointer, length)));
            slices = *end;
        }
    }

    /// The message for the parts that are not sent yet. Good until the batch is next changed, however it is moved.
    pub(super) fn message(&mut self) -> *const msghdr {
        let parts = &mut self.parts[self.next_part..];
        self.message[0].msg_iovlen = parts.len().min(MAX_PARTS);
        self.message[0].msg_iov = parts.as_mut_ptr();
        self.message.as_ptr()
    }

    /// Notes that `sent` more bytes have left; whether that was all.
    pub(super) fn advance(&mut self, mut sent: usize) -> bool {
        while let Some(part) = self.parts.get_mut(self.next_part) {
            if sent < part.iov_len {
                part.iov_base = part.iov_base.wrapping_byte_add(sent);
                part.iov_len -= sent;
                return false;
            }
            sent -= part.iov_len;
            self.next_part += 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed() -> Batch {
        let mut batch = Batch::new();
        batch.push_control(b"hello");
        batch.push_block(Block { piece: 1, begin: 2, length: 0 });
        batch.seal();
        batch
    }

    #[test]
    fn small_messages_go_before_blocks() {
        let batch = sealed();
        assert_eq!(batch.parts.iter().map(|part| part.iov_len).collect::<Vec<_>>(), [5, PIECE_HEADER_LENGTH]);
    }

    #[test]
    fn a_partial_send_goes_on_where_it_stopped() {
        let mut batch = sealed();
        let start = batch.parts[0].iov_base.addr();
        assert!(!batch.advance(2));
        assert_eq!((batch.parts[0].iov_base.addr(), batch.parts[0].iov_len), (start + 2, 3));
        assert!(!batch.advance(3 + 10));
        assert_eq!((batch.next_part, batch.parts[1].iov_len), (1, 3));
        batch.message();
        assert_eq!(batch.message[0].msg_iovlen, 1);
        assert!(batch.advance(3));
    }

    #[test]
    fn a_cleared_batch_is_empty() {
        let mut batch = sealed();
        batch.clear();
        assert!(batch.is_empty() && batch.parts.is_empty() && batch.payload_bytes() == 0);
        assert!(batch.advance(0), "nothing is left to send");
    }
}
