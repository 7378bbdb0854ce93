//! Which answers are compared with the payload, and whether they are right.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use protocol::geometry::{Block, Geometry};

/// So many blocks are compared at the start of each connection.
const FIRST_BLOCKS: u64 = 8;
/// After those, one in so many: a share that the load's core does not feel.
const SAMPLE_EVERY: u64 = 256;

#[derive(Debug)]
pub(super) struct Judge {
    payload: File,
    geometry: Geometry,
    all: bool,
    expected: Vec<u8>,
    compared: u64,
}

impl Judge {
    pub(super) fn new(payload: &Path, geometry: Geometry, all: bool) -> io::Result<Self> {
        let payload = File::open(payload)?;
        // What is compared is not to be read ahead: a seeder that is to find its payload cold must not find it warm.
        posix_fadvise(&payload, 0, 0, PosixFadviseAdvice::POSIX_FADV_RANDOM)?;
        Ok(Self { payload, geometry, all, expected: Vec::new(), compared: 0 })
    }

    /// Whether a connection's answer number `index` is one to compare.
    pub(super) fn wants(&self, index: u64) -> bool {
        self.all || index < FIRST_BLOCKS || index.is_multiple_of(SAMPLE_EVERY)
    }

    /// Whether `bytes` are those of `block`.
    pub(super) fn is_right(&mut self, block: Block, bytes: &[u8]) -> io::Result<bool> {
        let Some(range) = self.geometry.block_range(block) else { return Ok(false) };
        self.expected.resize(bytes.len(), 0);
        self.payload.read_exact_at(&mut self.expected, range.start)?;
        self.compared += 1;
        Ok(self.expected == bytes)
    }

    pub(super) fn compared(&self) -> u64 {
        self.compared
    }
}
