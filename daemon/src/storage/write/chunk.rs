//! Memory that is received into, and the blocks that are cut out of it without a copy.
//!
//! A worker takes a [`Chunk`] from its pool, receives into it while it is its own, then shares it: each block that
//! lies in it holds a reference. The last one gives the memory back to the pool, on whatever thread.

use std::ops::Range;
use std::sync::Arc;

use crossbeam_queue::ArrayQueue;

/// Most chunks that wait to be used again; one that is too many is freed.
const MAX_KEPT: usize = 128;

/// A pool of chunks. Taking one and giving one back takes no lock.
#[derive(Debug, Clone)]
pub struct Chunks {
    kept: Arc<ArrayQueue<Vec<u8>>>,
}

/// Memory to receive into, which goes back to its pool when it is dropped.
#[derive(Debug)]
pub struct Chunk {
    /// At least `length` bytes: what a shorter use leaves over is not cleared again for a longer one.
    memory: Vec<u8>,
    length: usize,
    kept: Arc<ArrayQueue<Vec<u8>>>,
}

/// A run of bytes in a shared chunk.
#[derive(Debug, Clone)]
pub struct Slice {
    chunk: Arc<Chunk>,
    range: Range<usize>,
}

/// The bytes of a block: in one piece, or in the several receives that it came in.
#[derive(Debug)]
pub enum BlockData {
    /// Memory of its own.
    Owned(Vec<u8>),
    /// All in one chunk.
    Whole(Slice),
    /// In several chunks, in order.
    Split(Vec<Slice>),
}

impl Chunks {
    /// An empty pool.
    pub fn new() -> Self {
        Self { kept: Arc::new(ArrayQueue::new(MAX_KEPT)) }
    }

    /// A chunk of `length` bytes with anything in them.
    pub fn take(&self, length: usize) -> Chunk {
        let mut memory = self.kept.pop().unwrap_or_default();
        if memory.len() < length {
            memory.resize(length, 0);
        }
        Chunk { memory, length, kept: Arc::clone(&self.kept) }
    }
}

impl Default for Chunks {
    fn default() -> Self {
        Self::new()
    }
}

impl Chunk {
    /// What is in it.
    pub fn bytes(&self) -> &[u8] {
        &self.memory[..self.length]
    }

    /// Where to receive. The memory stays where it is when the chunk moves.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[..self.length]
    }

    /// Ends receiving: from now on blocks are cut out of it.
    pub fn share(self) -> Arc<Self> {
        Arc::new(self)
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // A pool that is full lets it go.
        let _ = self.kept.push(std::mem::take(&mut self.memory));
    }
}

impl Slice {
    /// The bytes of `range` in `chunk`. Asking beyond its end is our own mistake.
    pub fn new(chunk: Arc<Chunk>, range: Range<usize>) -> Self {
        let length = chunk.bytes().len();
        assert!(range.start <= range.end && range.end <= length, "{range:?} of {length} bytes");
        Self { chunk, range }
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.chunk.bytes()[self.range.clone()]
    }
}

impl BlockData {
    /// The bytes, in order.
    pub fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let (owned, shared) = match self {
            Self::Owned(bytes) => (Some(bytes.as_slice()), [].as_slice()),
            Self::Whole(slice) => (None, std::slice::from_ref(slice)),
            Self::Split(slices) => (None, slices.as_slice()),
        };
        owned.into_iter().chain(shared.iter().map(Slice::bytes))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.slices().map(<[u8]>::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<Vec<u8>> for BlockData {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Owned(bytes)
    }
}

impl From<Slice> for BlockData {
    fn from(slice: Slice) -> Self {
        Self::Whole(slice)
    }
}

impl FromIterator<Slice> for BlockData {
    fn from_iter<I: IntoIterator<Item = Slice>>(slices: I) -> Self {
        Self::Split(slices.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_goes_back_to_its_pool_with_the_last_block_in_it() {
        let pool = Chunks::new();
        let mut chunk = pool.take(100);
        chunk.bytes_mut().copy_from_slice(&[7; 100]);
        let address = chunk.bytes().as_ptr();
        let chunk = chunk.share();
        let blocks = [Slice::new(Arc::clone(&chunk), 0..60), Slice::new(chunk, 60..100)];
        assert!(pool.kept.is_empty());
        let [first, second] = blocks.map(BlockData::from);
        drop(first);
        assert!(pool.kept.is_empty());
        assert_eq!((second.len(), second.slices().next()), (40, Some([7; 40].as_slice())));
        drop(second);
        assert_eq!(pool.take(50).bytes(), [7; 50]);
        let again = pool.take(100);
        assert_eq!((again.bytes().as_ptr(), again.bytes().len()), (address, 100));
    }

    #[test]
    fn a_block_may_lie_in_several_chunks() {
        let pool = Chunks::new();
        let slice = |byte, range| {
            let mut chunk = pool.take(4);
            chunk.bytes_mut().fill(byte);
            Slice::new(chunk.share(), range)
        };
        let data: BlockData = [slice(1, 2..4), slice(2, 0..4), slice(3, 0..1)].into_iter().collect();
        assert_eq!(data.slices().collect::<Vec<_>>().concat(), [1, 1, 2, 2, 2, 2, 3]);
        assert_eq!(data.len(), 7);
    }

    #[test]
    #[should_panic(expected = "of 4 bytes")]
    fn a_slice_beyond_its_chunk_is_our_mistake() {
        Slice::new(Chunks::new().take(4).share(), 3..5);
    }
}
