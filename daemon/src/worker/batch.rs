//! What leaves together: small messages, then block after block, each a header and slices of payload.

use protocol::geometry::Block;
use protocol::wire::PIECE_HEADER_LENGTH;

use crate::storage::Lease;

use super::gather::MAX_PARTS;

/// Bytes of small messages after which a batch is sent.
const MAX_CONTROL: usize = 64 * 1024;

/// A batch, owned by whoever fills or sends it. Its memory is reused: nothing is allocated per block.
#[derive(Debug, Default)]
pub(super) struct Batch {
    control: Vec<u8>,
    blocks: Vec<Block>,
    lease: Lease,
    /// Bytes that have left.
    sent: usize,
}

impl Batch {
    /// Empties the batch and gives back what it was lent.
    pub(super) fn clear(&mut self) {
        self.control.clear();
        self.blocks.clear();
        self.lease.clear();
        self.sent = 0;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.control.is_empty() && self.blocks.is_empty()
    }

    /// Whether the batch has grown far beyond what blocks of large files need.
    pub(super) fn is_outsized(&self) -> bool {
        self.lease.capacity() > 2 * MAX_PARTS || self.control.capacity() > 2 * MAX_CONTROL
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
    }

    /// Makes a batch of `blocks`, all of which `lease` holds in order.
    pub(super) fn fill(&mut self, blocks: &[Block], lease: Lease) {
        self.clear();
        self.lease = lease;
        blocks.iter().for_each(|block| self.push_block(*block));
    }

    /// Gives back what was lent before it was all sent; whole blocks that have left are forgotten. The blocks that
    /// remain are to be lent again, with [`Batch::lend_again`].
    pub(super) fn give_back(&mut self) {
        self.lease.clear();
        if self.sent < self.control.len() {
            return;
        }
        self.sent -= self.control.len();
        self.control.clear();
        let mut done = 0;
        while let Some(block) = self.blocks.get(done)
            && self.sent >= length_of(block)
        {
            self.sent -= length_of(block);
            done += 1;
        }
        self.blocks.drain(..done);
    }

    /// Whether the batch is to be lent again before more of it can be sent.
    pub(super) fn is_given_back(&self) -> bool {
        self.lease.block_count() < self.blocks.len()
    }

    /// The small messages.
    pub(super) fn control(&self) -> &[u8] {
        &self.control
    }

    /// The blocks of the batch.
    pub(super) fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The payload of block number `block`.
    pub(super) fn memory(&self, block: usize) -> impl Iterator<Item = (*const u8, usize)> + '_ {
        self.lease.memory(block)
    }

    /// How many bytes have left.
    pub(super) fn sent(&self) -> usize {
        self.sent
    }

    /// Goes on with `lease` on all blocks that remain, where sending had stopped.
    pub(super) fn lend_again(&mut self, lease: Lease) {
        self.lease = lease;
    }

    /// Notes that `sent` more bytes have left; whether that was all.
    pub(super) fn advance(&mut self, sent: usize) -> bool {
        self.sent += sent;
        self.sent == self.control.len() + self.blocks.iter().map(length_of).sum::<usize>()
    }
}

/// Bytes of a block on the wire.
fn length_of(block: &Block) -> usize {
    PIECE_HEADER_LENGTH + block.length as usize
}

#[cfg(test)]
mod tests {
    use super::super::gather::tests::batch;

    #[test]
    fn a_cleared_batch_is_empty() {
        let mut batch = batch();
        assert!(!batch.is_empty() && !batch.is_given_back());
        batch.advance(7);
        batch.clear();
        assert!(batch.is_empty() && batch.sent() == 0);
        assert!(batch.advance(0), "nothing is left to send");
    }
}
