//! Memory for blocks that are read instead of mapped, handed round between storage threads and ring threads.

use std::sync::Arc;

use crossbeam_queue::ArrayQueue;

/// Most buffers that wait to be used again: at most 32 MiB, when all were for the longest block.
const MAX_KEPT: usize = 256;

/// A pool of buffers. Giving one back takes no lock, so a ring thread may.
#[derive(Debug, Clone)]
pub struct Buffers {
    kept: Arc<ArrayQueue<Vec<u8>>>,
}

/// A buffer, which goes back to its pool when it is dropped.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    pool: Buffers,
}

impl Buffers {
    /// An empty pool.
    pub fn new() -> Self {
        Self { kept: Arc::new(ArrayQueue::new(MAX_KEPT)) }
    }

    /// A buffer of `length` bytes, to be written before it is read.
    pub fn take(&self, length: usize) -> Buffer {
        let mut bytes = self.kept.pop().unwrap_or_default();
        bytes.resize(length, 0);
        Buffer { bytes, pool: self.clone() }
    }
}

impl Default for Buffers {
    fn default() -> Self {
        Self::new()
    }
}

impl Buffer {
    /// What was written.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where to write.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // A pool that is full lets it go.
        let _ = self.pool.kept.push(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again() {
        let pool = Buffers::new();
        let first = pool.take(1_000);
        let address = first.bytes().as_ptr();
        drop(first);
        assert_eq!(pool.take(500).bytes().as_ptr(), address);
    }
}
