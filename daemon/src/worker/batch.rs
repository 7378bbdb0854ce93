//! What leaves in one gathered send: small messages, then block after block, each a header and slices of payload.

use std::ptr;

use nix::libc::{iovec, msghdr};
use protocol::geometry::Block;
use protocol::wire::{PIECE_HEADER_LENGTH, piece_header};

use crate::storage::Lease;

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
    blocks: Vec<Block>,
    headers: Vec<[u8; PIECE_HEADER_LENGTH]>,
    lease: Lease,
    parts: Vec<iovec>,
    /// Whether `parts` are those of the batch as it is.
    is_sealed: bool,
    /// The first part that is not sent as a whole.
    next_part: usize,
    /// Bytes that have left.
    sent: usize,
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
            blocks: Vec::new(),
            headers: Vec::new(),
            lease: Lease::default(),
            parts: Vec::new(),
            is_sealed: false,
            next_part: 0,
            sent: 0,
            message: vec![message],
        }
    }

    /// Empties the batch and gives back what it was lent.
    pub(super) fn clear(&mut self) {
        self.control.clear();
        self.blocks.clear();
        self.headers.clear();
        self.give_back();
        self.sent = 0;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.control.is_empty() && self.blocks.is_empty()
    }

    /// Whether the batch has grown far beyond what blocks of large files need.
    pub(super) fn is_outsized(&self) -> bool {
        self.parts.capacity() > 2 * MAX_PARTS || self.control.capacity() > 2 * MAX_CONTROL
    }

    /// Whether nothing more should go in, when `max_blocks` are enough.
    pub(super) fn is_full(&self, max_blocks: usize) -> bool {
        self.blocks.len() >= max_blocks
            || self.control.len() >= MAX_CONTROL
            || self.lease.slice_count() >= MAX_PARTS / 2
    }

    pub(super) fn block_count(&self) -> usize {
        self.blocks.len()
    }

    pub(super) fn payload_bytes(&self) -> u64 {
        self.blocks.iter().map(|block| u64::from(block.length)).sum()
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
        self.blocks.push(block);
        self.headers.push(piece_header(block));
    }

    /// Makes a batch of `blocks`, all of which `lease` holds in order.
    pub(super) fn fill(&mut self, blocks: &[Block], lease: Lease) {
        self.clear();
        self.lease = lease;
        blocks.iter().for_each(|block| self.push_block(*block));
    }

    /// Lists the parts in memory that are not sent yet. After that the batch is only sent, until it is cleared.
    pub(super) fn seal(&mut self) {
        assert_eq!(self.lease.block_count(), self.blocks.len(), "every block is lent");
        let part =
            |pointer: *const u8, length| iovec { iov_base: pointer.cast_mut().cast(), iov_len: length };
        if !self.control.is_empty() {
            self.parts.push(part(self.control.as_ptr(), self.control.len()));
        }
        for (number, header) in self.headers.iter().enumerate() {
            self.parts.push(part(header.as_ptr(), header.len()));
            self.parts.extend(self.lease.memory(number).map(|(pointer, length)| part(pointer, length)));
        }
        self.is_sealed = true;
        self.skip(self.sent);
    }

    /// Gives back what was lent before it was all sent; whole blocks that have left are forgotten. The blocks that
    /// remain are to be lent again, with [`Batch::lend_again`].
    pub(super) fn give_back(&mut self) {
        self.lease.clear();
        self.parts.clear();
        self.is_sealed = false;
        self.next_part = 0;
        if self.sent < self.control.len() {
            return;
        }
        self.sent -= self.control.len();
        self.control.clear();
        let mut done = 0;
        while let Some(block) = self.blocks.get(done)
            && self.sent >= PIECE_HEADER_LENGTH + block.length as usize
        {
            self.sent -= PIECE_HEADER_LENGTH + block.length as usize;
            done += 1;
        }
        self.blocks.drain(..done);
        self.headers.drain(..done);
    }

    /// Whether the batch is to be lent again before more of it can be sent.
    pub(super) fn is_given_back(&self) -> bool {
        !self.is_sealed
    }

    /// The blocks of the batch.
    pub(super) fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Goes on with `lease` on all blocks that remain, where sending had stopped.
    pub(super) fn lend_again(&mut self, lease: Lease) {
        self.lease = lease;
        self.seal();
    }

    /// The message for the parts that are not sent yet. Good until the batch is next changed, however it is moved.
    pub(super) fn message(&mut self) -> *const msghdr {
        let parts = &mut self.parts[self.next_part..];
        self.message[0].msg_iovlen = parts.len().min(MAX_PARTS);
        self.message[0].msg_iov = parts.as_mut_ptr();
        self.message.as_ptr()
    }

    /// Notes that `sent` more bytes have left; whether that was all.
    pub(super) fn advance(&mut self, sent: usize) -> bool {
        self.sent += sent;
        self.skip(sent)
    }

    /// Goes `bytes` further along the parts; whether that was all of them.
    fn skip(&mut self, mut bytes: usize) -> bool {
        while let Some(part) = self.parts.get_mut(self.next_part) {
            if bytes < part.iov_len {
                part.iov_base = part.iov_base.wrapping_byte_add(bytes);
                part.iov_len -= bytes;
                return false;
            }
            bytes -= part.iov_len;
            self.next_part += 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A batch of a small message and the headers of two blocks, which have no bytes: nothing needs lending.
    fn sealed() -> Batch {
        let mut batch = Batch::new();
        batch.push_control(b"hello");
        for piece in [1, 2] {
            batch.push_block(Block { piece, begin: 0, length: 0 });
            batch.lease.end_empty_block();
        }
        batch.seal();
        batch
    }

    fn part_lengths(batch: &Batch) -> Vec<usize> {
        batch.parts[batch.next_part..].iter().map(|part| part.iov_len).collect()
    }

    #[test]
    fn small_messages_go_before_blocks() {
        assert_eq!(part_lengths(&sealed()), [5, PIECE_HEADER_LENGTH, PIECE_HEADER_LENGTH]);
    }

    #[test]
    fn a_partial_send_goes_on_where_it_stopped() {
        let mut batch = sealed();
        let start = batch.parts[0].iov_base.addr();
        assert!(!batch.advance(2));
        assert_eq!((batch.parts[0].iov_base.addr(), batch.parts[0].iov_len), (start + 2, 3));
        assert!(!batch.advance(3 + 10));
        assert_eq!(part_lengths(&batch), [3, PIECE_HEADER_LENGTH]);
        batch.message();
        assert_eq!(batch.message[0].msg_iovlen, 2);
        assert!(!batch.advance(3));
        assert!(batch.advance(PIECE_HEADER_LENGTH));
    }

    #[test]
    fn what_was_given_back_goes_on_where_it_stopped() {
        for sent in 0..5 + 2 * PIECE_HEADER_LENGTH {
            let mut batch = sealed();
            batch.advance(sent);
            batch.give_back();
            let is_control_left = sent < 5;
            let blocks_left = if sent < 5 + PIECE_HEADER_LENGTH { 2 } else { 1 };
            assert_eq!(
                (batch.control.len(), batch.blocks.len()),
                (if is_control_left { 5 } else { 0 }, blocks_left)
            );
            assert!(batch.is_given_back());
            let mut lease = Lease::default();
            (0..blocks_left).for_each(|_| lease.end_empty_block());
            batch.lend_again(lease);
            let left: usize = part_lengths(&batch).iter().sum();
            assert_eq!(left, 5 + 2 * PIECE_HEADER_LENGTH - sent, "after {sent} bytes");
        }
    }

    #[test]
    fn small_messages_alone_go_on_where_they_stopped() {
        let mut batch = Batch::new();
        batch.push_control(b"hello");
        batch.seal();
        batch.advance(2);
        batch.give_back();
        assert!(batch.is_given_back());
        batch.lend_again(Lease::default());
        assert_eq!(part_lengths(&batch), [3]);
    }

    #[test]
    fn a_cleared_batch_is_empty() {
        let mut batch = sealed();
        batch.advance(7);
        batch.clear();
        assert!(batch.is_empty() && batch.parts.is_empty() && batch.sent == 0);
        assert!(batch.advance(0), "nothing is left to send");
    }
}
