//! The payload in memory, for the reference: the only unsafe code of the benchmarks.

use std::fs::File;
use std::io;
use std::path::Path;

use memmap2::{Mmap, MmapOptions};

/// Maps the whole of `path` for reading and makes its pages present, so that no send takes a fault.
///
/// # Errors
/// When the file cannot be opened or mapped.
pub fn map(path: &Path) -> io::Result<Mmap> {
    let file = File::open(path)?;
    // SAFETY: the file is a payload that `payload::prepare` wrote to its full length and then renamed into place;
    // nothing writes to it or truncates it afterwards, so the bytes stay as they are while they are borrowed.
    // A safe way (pread into a buffer) would be a copy, and the reference exists to show what is lost by one.
    unsafe { MmapOptions::new().populate().map(&file) }
}
