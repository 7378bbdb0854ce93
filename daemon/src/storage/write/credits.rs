//! What a writer's memory may hold: permits in KiB that go with each block, from the socket to the disk.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// KiB of blocks that a writer may hold: some seconds of what a fast line and a slow disk differ by.
pub const WRITE_CREDITS_KIB: u32 = 64 * 1024;
/// What the smallest block takes of them, so that the queue of deposits has a bound.
pub(super) const MIN_CREDITS_KIB: u32 = 16;

/// The memory of a writer, to be asked for before a block is read from its socket.
#[derive(Debug, Clone)]
pub struct Credits {
    free_kib: Arc<Semaphore>,
    total_kib: u32,
}

impl Credits {
    /// Memory for `total_kib` KiB of blocks, for at least one block in any case.
    pub(super) fn new(total_kib: u32) -> Self {
        let total_kib = total_kib.max(MIN_CREDITS_KIB);
        Self { free_kib: Arc::new(Semaphore::new(total_kib as usize)), total_kib }
    }

    /// KiB in all, free or not.
    pub(super) fn total_kib(&self) -> u32 {
        self.total_kib
    }

    /// What a block of `length` bytes takes: a whole number of KiB, and never less than 16, so that one permit may be
    /// split between blocks.
    pub fn needed_kib(&self, length: u32) -> u32 {
        length.div_ceil(1024).clamp(MIN_CREDITS_KIB, self.total_kib)
    }

    /// Waits until there is memory for a block of `length` bytes. `None` once the writer has ended. A future that is
    /// dropped costs nothing.
    pub async fn acquire(&self, length: u32) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free_kib).acquire_many_owned(self.needed_kib(length)).await.ok()
    }

    /// As [`Credits::acquire`], without waiting.
    pub fn try_acquire(&self, length: u32) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free_kib).try_acquire_many_owned(self.needed_kib(length)).ok()
    }

    /// KiB that are free.
    pub fn free_kib(&self) -> usize {
        self.free_kib.available_permits()
    }

    /// Whether the writer has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.free_kib.is_closed()
    }

    /// Ends all waiting.
    pub(super) fn close(&self) {
        self.free_kib.close();
    }
}
