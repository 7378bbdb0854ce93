//! A run of a file in memory, read-only. The one place that maps, and that gives advice about what is mapped.
//!
//! Nobody gets a `&[u8]` from here: the file may change or shrink under the mapping. The kernel reads it through a
//! raw pointer, where a missing page is an error of the call; user space reads it under [`super::guard`].

use std::fs::File;
use std::io;
use std::ops::Range;

use memmap2::{Advice, MmapOptions, MmapRaw};

/// Bytes that are asked for in one call of [`Mapping::prefetch`]. Of a longer range the kernel would read the start: as
/// much as the device takes in one request, or its `read_ahead_kb` if that is more.
const PREFETCH_LENGTH: usize = 256 * 1024;

/// A mapping of a file, or of a part of it. Mapping and unmapping take the process's `mmap_lock` and interrupt other
/// cores: neither ever happens on a ring thread.
#[derive(Debug)]
pub struct Mapping {
    memory: MmapRaw,
}

impl Mapping {
    /// Maps `length` bytes of `file` from `offset`, which need not lie on a page boundary.
    ///
    /// # Errors
    /// What `mmap` says.
    pub fn new(file: &File, offset: u64, length: usize) -> io::Result<Self> {
        let memory = MmapOptions::new().offset(offset).len(length).map_raw_read_only(file)?;
        Ok(Self { memory })
    }

    /// Bytes in the mapping.
    pub fn len(&self) -> usize {
        self.memory.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where `range` lies in memory. Asking beyond the end is our own mistake.
    ///
    /// The pointer is good while the mapping lives; the bytes behind it are good while the file keeps them.
    pub fn pointer(&self, range: Range<usize>) -> *const u8 {
        assert!(range.start <= range.end && range.end <= self.len(), "{range:?} of {} bytes", self.len());
        self.memory.as_ptr().wrapping_add(range.start)
    }

    /// Turns read-ahead by faults off: what is read is what [`Mapping::populate`] asks for.
    ///
    /// # Errors
    /// What `madvise` says.
    pub fn expect_random(&self) -> io::Result<()> {
        self.memory.advise(Advice::Random)
    }

    /// Starts reading `range` and does not wait for it.
    ///
    /// # Errors
    /// What `madvise` says.
    pub fn prefetch(&self, range: Range<usize>) -> io::Result<()> {
        let mut starts = range.clone().step_by(PREFETCH_LENGTH);
        starts.try_for_each(|start| {
            let length = PREFETCH_LENGTH.min(range.end - start);
            self.memory.advise_range(Advice::WillNeed, start, length)
        })
    }

    /// Reads `range` and enters it into the page table, waiting for the disk.
    ///
    /// # Errors
    /// EFAULT where a touch would be a SIGBUS: the file has shrunk, or the disk fails.
    pub fn populate(&self, range: Range<usize>) -> io::Result<()> {
        self.memory.advise_range(Advice::PopulateRead, range.start, range.len())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file_of(length: usize) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![7; length]).unwrap();
        file
    }

    #[test]
    fn a_file_that_shrank_is_an_error_of_populate_and_not_a_signal() {
        let file = file_of(1 << 20);
        let mapping = Mapping::new(&file, 0, 1 << 20).unwrap();
        mapping.populate(0..1 << 20).unwrap();
        file.set_len(10_000).unwrap();
        mapping.populate(0..4_096).unwrap();
        assert!(mapping.populate(0..1 << 20).is_err());
    }

    #[test]
    #[should_panic(expected = "of 100 bytes")]
    fn a_pointer_beyond_the_end_is_our_mistake() {
        Mapping::new(&file_of(100), 0, 100).unwrap().pointer(90..101);
    }
}
