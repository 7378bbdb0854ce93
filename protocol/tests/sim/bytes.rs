//! Bytes that wait: of a socket, of a program, of a line. Keeps them as they came and copies them once, on the way out.

use std::collections::VecDeque;

/// A queue of bytes.
#[derive(Debug, Default)]
pub(super) struct Bytes {
    chunks: VecDeque<Vec<u8>>,
    /// Bytes of the first chunk that are gone.
    start: usize,
    length: usize,
}

impl Bytes {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub(super) fn push(&mut self, chunk: Vec<u8>) {
        self.length += chunk.len();
        if !chunk.is_empty() {
            self.chunks.push_back(chunk);
        }
    }

    /// The first `most` bytes, or all.
    pub(super) fn take(&mut self, most: usize) -> Vec<u8> {
        if self.start == 0
            && self.chunks.front().is_some_and(|chunk| chunk.len() <= most)
            && (self.chunks.len() == 1 || self.chunks[0].len() == most)
        {
            let chunk = self.chunks.pop_front().unwrap_or_default();
            self.length -= chunk.len();
            return chunk;
        }
        let mut taken = Vec::with_capacity(most.min(self.length));
        while taken.len() < most
            && let Some(chunk) = self.chunks.front()
        {
            let end = chunk.len().min(self.start + most - taken.len());
            taken.extend_from_slice(&chunk[self.start..end]);
            self.start = end;
            if end == chunk.len() {
                self.chunks.pop_front();
                self.start = 0;
            }
        }
        self.length -= taken.len();
        taken
    }
}
