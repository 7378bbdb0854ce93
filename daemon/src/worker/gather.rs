//! The list of what one send gathers: headers and slices of payload, as the kernel takes them. Needed for as long as a
//! send takes, so that a connection which waits for its socket holds none.

use std::ptr;

use nix::libc::{iovec, msghdr};
use protocol::wire::{PIECE_HEADER_LENGTH, piece_header};

use super::batch::Batch;

/// Most parts that the kernel takes in one send (UIO_MAXIOV).
pub(super) const MAX_PARTS: usize = 1_024;

/// A gather list. Its memory is reused: nothing is allocated per block.
///
/// All that it points to lies behind a `Vec` or is held by the lease of its batch, so it stays put when either moves.
#[derive(Debug)]
pub(super) struct Gather {
    headers: Vec<[u8; PIECE_HEADER_LENGTH]>,
    parts: Vec<iovec>,
    /// Always one. A `Vec`, since a `Box` may not be pointed into while it moves.
    message: Vec<msghdr>,
}

impl Gather {
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
        Self { headers: Vec::new(), parts: Vec::new(), message: vec![message] }
    }

    /// Lists what is not sent of `batch`. Good until the batch changes, however both are moved.
    pub(super) fn list(&mut self, batch: &Batch) {
        self.parts.clear();
        self.headers.clear();
        // All of them before the first is pointed to.
        self.headers.extend(batch.blocks().iter().map(|block| piece_header(*block)));
        let mut sent = batch.sent();
        push(&mut self.parts, &mut sent, batch.control().as_ptr(), batch.control().len());
        for (number, header) in self.headers.iter().enumerate() {
            push(&mut self.parts, &mut sent, header.as_ptr(), header.len());
            for (pointer, length) in batch.memory(number) {
                push(&mut self.parts, &mut sent, pointer, length);
            }
        }
        self.message[0].msg_iovlen = self.parts.len().min(MAX_PARTS);
        self.message[0].msg_iov = self.parts.as_mut_ptr();
    }

    /// The message that sends what is listed.
    pub(super) fn message(&self) -> *const msghdr {
        self.message.as_ptr()
    }

    /// Whether it has grown far beyond what blocks of large files need.
    pub(super) fn is_outsized(&self) -> bool {
        self.parts.capacity() > 2 * MAX_PARTS
    }
}

/// Adds a part, without what is sent of it; `sent` counts from its first byte, and goes on to the next part.
fn push(parts: &mut Vec<iovec>, sent: &mut usize, pointer: *const u8, length: usize) {
    if *sent >= length {
        *sent -= length;
        return;
    }
    let pointer = pointer.wrapping_add(*sent).cast_mut().cast();
    parts.push(iovec { iov_base: pointer, iov_len: length - *sent });
    *sent = 0;
}

#[cfg(test)]
pub(super) mod tests {
    use protocol::geometry::Block;

    use super::*;
    use crate::storage::Lease;

    /// A batch of a small message and the headers of two blocks, which have no bytes: nothing needs lending.
    pub(in super::super) fn batch() -> Batch {
        let mut batch = Batch::default();
        batch.push_control(b"hello");
        for piece in [1, 2] {
            batch.lease().end_empty_block();
            batch.push_block(Block { piece, begin: 0, length: 0 });
        }
        batch
    }

    fn part_lengths(batch: &Batch) -> Vec<usize> {
        let mut gather = Gather::new();
        gather.list(batch);
        assert_eq!(gather.message[0].msg_iovlen, gather.parts.len());
        gather.parts.iter().map(|part| part.iov_len).collect()
    }

    #[test]
    fn small_messages_go_before_blocks() {
        assert_eq!(part_lengths(&batch()), [5, PIECE_HEADER_LENGTH, PIECE_HEADER_LENGTH]);
    }

    #[test]
    fn a_partial_send_goes_on_where_it_stopped() {
        let mut batch = batch();
        assert!(!batch.advance(2));
        let mut gather = Gather::new();
        gather.list(&batch);
        assert_eq!(gather.parts[0].iov_base.addr(), batch.control().as_ptr().addr() + 2);
        assert!(!batch.advance(3 + 10));
        assert_eq!(part_lengths(&batch), [3, PIECE_HEADER_LENGTH]);
        assert!(!batch.advance(3));
        assert!(batch.advance(PIECE_HEADER_LENGTH));
    }

    #[test]
    fn what_was_given_back_goes_on_where_it_stopped() {
        for sent in 0..5 + 2 * PIECE_HEADER_LENGTH {
            let mut batch = batch();
            batch.advance(sent);
            batch.give_back();
            let is_control_left = sent < 5;
            let blocks_left = if sent < 5 + PIECE_HEADER_LENGTH { 2 } else { 1 };
            assert_eq!(
                (batch.control().len(), batch.blocks().len()),
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
        let mut batch = Batch::default();
        batch.push_control(b"hello");
        batch.advance(2);
        batch.give_back();
        assert!(!batch.is_given_back(), "there is nothing to lend");
        assert_eq!(part_lengths(&batch), [3]);
    }
}
