//! Memory that connections borrow while they are busy and give back when they are not.

use std::cell::RefCell;

use crate::storage::write::{Chunk, Chunks};

use super::batch::Batch;
use super::gather::Gather;

/// Bytes read at a time from a peer that sends requests: 120 of them, for 2 MiB. A thousand peers may be read at the same
/// time.
const BUFFER_LENGTH: usize = 2 * 1024;
/// Bytes read at a time from a peer that sends blocks: eight, most of which are cut out without a copy.
pub(super) const CHUNK_LENGTH: u32 = 128 * 1024;
/// Most of each kind that are kept for the next one to ask.
const MAX_KEPT: usize = 256;

/// The pools of one worker.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    receive: RefCell<Vec<Box<[u8]>>>,
    chunks: Chunks,
    // Boxed: batches travel with operations of the ring.
    #[expect(clippy::vec_box, reason = "a batch is handed out and taken back boxed")]
    batches: RefCell<Vec<Box<Batch>>>,
    #[expect(clippy::vec_box, reason = "as batches are")]
    gathers: RefCell<Vec<Box<Gather>>>,
}

/// Where a peer is read into. Its memory stays where it is when this moves.
#[derive(Debug)]
pub(super) enum Landing {
    /// For small messages.
    Small(Box<[u8]>),
    /// For blocks, which are cut out of it.
    Blocks(Chunk),
}

impl Landing {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Small(buffer) => buffer,
            Self::Blocks(chunk) => chunk.bytes(),
        }
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Small(buffer) => buffer,
            Self::Blocks(chunk) => chunk.bytes_mut(),
        }
    }
}

impl Buffers {
    pub(super) fn take(&self) -> Landing {
        let kept = self.receive.borrow_mut().pop();
        Landing::Small(kept.unwrap_or_else(|| vec![0; BUFFER_LENGTH].into()))
    }

    /// Memory for blocks.
    pub(super) fn take_chunk(&self) -> Landing {
        Landing::Blocks(self.chunks.take(CHUNK_LENGTH as usize))
    }

    pub(super) fn give(&self, landing: Landing) {
        // A chunk finds its way back by itself.
        let Landing::Small(buffer) = landing else { return };
        let mut kept = self.receive.borrow_mut();
        if kept.len() < MAX_KEPT {
            kept.push(buffer);
        }
    }

    /// An empty batch.
    pub(super) fn take_batch(&self) -> Box<Batch> {
        self.batches.borrow_mut().pop().unwrap_or_else(|| Box::new(Batch::new()))
    }

    pub(super) fn give_batch(&self, mut batch: Box<Batch>) {
        batch.clear();
        let mut kept = self.batches.borrow_mut();
        if kept.len() < MAX_KEPT && !batch.is_outsized() {
            kept.push(batch);
        }
    }

    /// A gather list, to be filled.
    pub(super) fn take_gather(&self) -> Box<Gather> {
        self.gathers.borrow_mut().pop().unwrap_or_else(|| Box::new(Gather::new()))
    }

    pub(super) fn give_gather(&self, gather: Box<Gather>) {
        let mut kept = self.gathers.borrow_mut();
        if kept.len() < MAX_KEPT && !gather.is_outsized() {
            kept.push(gather);
        }
    }
}
