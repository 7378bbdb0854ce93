//! Memory that connections borrow while they are busy and give back when they are not.

use std::cell::RefCell;

use super::batch::Batch;

/// Bytes read at a time: the requests for 15 MiB.
const BUFFER_LENGTH: usize = 16 * 1024;
/// Most buffers, and most batches, that are kept for the next one to ask.
const MAX_KEPT: usize = 256;

/// The pools of one worker.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    receive: RefCell<Vec<Box<[u8]>>>,
    // Boxed: batches travel with operations of the ring.
    #[expect(clippy::vec_box, reason = "a batch is handed out and taken back boxed")]
    batches: RefCell<Vec<Box<Batch>>>,
}

impl Buffers {
    pub(super) fn take(&self) -> Box<[u8]> {
        self.receive.borrow_mut().pop().unwrap_or_else(|| vec![0; BUFFER_LENGTH].into())
    }

    pub(super) fn give(&self, buffer: Box<[u8]>) {
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
}
