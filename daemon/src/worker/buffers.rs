//! Memory that connections borrow while they are busy and give back when they are not.

use std::cell::RefCell;

use crate::storage::write::{Chunk, Chunks};

use super::batch::Batch;
use super::gather::Gather;

/// Bytes read at a time from a peer that sends requests: 60 of them, for nearly 1 MiB. A thousand peers may be read at the
/// same time.
const BUFFER_LENGTH: usize = 1024;
/// Bytes read at a time from a peer that sends blocks: sixteen, most of which are cut out without a copy.
pub(super) const CHUNK_LENGTH: u32 = 256 * 1024;
/// Most of each kind that are kept for the next one to ask.
const MAX_KEPT: usize = 256;

/// What was given back, for the next one to ask.
#[derive(Debug)]
struct Pool<T>(RefCell<Vec<T>>);

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<T> Pool<T> {
    fn take(&self, make: impl FnOnce() -> T) -> T {
        let kept = self.0.borrow_mut().pop();
        kept.unwrap_or_else(make)
    }

    fn give(&self, thing: T) {
        let mut kept = self.0.borrow_mut();
        if kept.len() < MAX_KEPT {
            kept.push(thing);
        }
    }
}

/// The pools of one worker. Batches and gather lists are boxed: they travel with operations of the ring.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    receive: Pool<Box<[u8]>>,
    chunks: Chunks,
    batches: Pool<Box<Batch>>,
    gathers: Pool<Box<Gather>>,
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
        Landing::Small(self.receive.take(|| vec![0; BUFFER_LENGTH].into()))
    }

    /// Memory for blocks.
    pub(super) fn take_chunk(&self) -> Landing {
        Landing::Blocks(self.chunks.take(CHUNK_LENGTH as usize))
    }

    pub(super) fn give(&self, landing: Landing) {
        // A chunk finds its way back by itself.
        if let Landing::Small(buffer) = landing {
            self.receive.give(buffer);
        }
    }

    /// An empty batch.
    pub(super) fn take_batch(&self) -> Box<Batch> {
        self.batches.take(Box::default)
    }

    pub(super) fn give_batch(&self, mut batch: Box<Batch>) {
        batch.clear();
        if !batch.is_outsized() {
            self.batches.give(batch);
        }
    }

    /// A gather list, to be filled.
    pub(super) fn take_gather(&self) -> Box<Gather> {
        self.gathers.take(|| Box::new(Gather::new()))
    }

    pub(super) fn give_gather(&self, gather: Box<Gather>) {
        if !gather.is_outsized() {
            self.gathers.give(gather);
        }
    }
}
