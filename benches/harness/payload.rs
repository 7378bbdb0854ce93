//! The payload that everybody serves: pseudo-random, every block different, the same in every run.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

const SEED: u64 = 0x6274_6420_6265_6e63;
const CHUNK_LENGTH: usize = 1 << 20;

/// Makes sure that `directory` holds a payload of `length` bytes and that it is in the page cache; returns its path.
///
/// # Errors
/// When it cannot be written or read.
pub fn prepare(directory: &Path, length: u64) -> io::Result<PathBuf> {
    prepare_number(directory, length, 0)
}

/// As [`prepare`], one of many payloads that have nothing in common.
///
/// # Errors
/// When it cannot be written or read.
pub fn prepare_number(directory: &Path, length: u64, number: u64) -> io::Result<PathBuf> {
    fs::create_dir_all(directory)?;
    let name = if number == 0 { format!("payload-{length}") } else { format!("payload-{length}-{number}") };
    let path = directory.join(&name);
    if fs::metadata(&path).is_ok_and(|found| found.len() == length) {
        warm(&path)?;
    } else {
        let partial = directory.join(format!("{name}.partial"));
        write(&partial, length, number)?;
        fs::rename(partial, &path)?;
    }
    Ok(path)
}

/// Has the kernel forget what it holds of the file at `path` that nobody has mapped.
///
/// # Errors
/// When it cannot be opened.
pub fn cool(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    // Pages that are still to be written are not forgotten.
    file.sync_all()?;
    Ok(posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?)
}

/// Drops the payload at `path` from the page cache and reads it again, so that it lies there as reading leaves it: what
/// writing leaves, in small pieces or large ones, differs from time to time, and with it what each access costs.
///
/// # Errors
/// When it cannot be read.
pub fn settle(path: &Path) -> io::Result<()> {
    cool(path)?;
    warm(path)
}

fn write(path: &Path, length: u64, number: u64) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(CHUNK_LENGTH, File::create(path)?);
    let mut noise = Noise(SEED ^ number << 32);
    let mut left = length;
    while left > 0 {
        let word = noise.next().to_le_bytes();
        let take = usize::try_from(left).map_or(word.len(), |left| left.min(word.len()));
        file.write_all(&word[..take])?;
        left -= take as u64;
    }
    // Written back now, not under the first contender.
    file.into_inner()?.sync_all()
}

/// Numbers that look random and are the same in every run (splitmix64).
#[derive(Debug)]
pub(crate) struct Noise(u64);

impl Default for Noise {
    fn default() -> Self {
        Self(SEED)
    }
}

impl Noise {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}

fn warm(path: &Path) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut chunk = vec![0; CHUNK_LENGTH];
    while file.read(&mut chunk)? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_payload_has_its_length_and_no_block_twice() {
        let directory = tempfile::tempdir().unwrap();
        let path = prepare(directory.path(), 100_003).unwrap();
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 100_003);
        let blocks: HashSet<_> = bytes.chunks(1024).collect();
        assert_eq!(blocks.len(), 98);
        assert_eq!(prepare(directory.path(), 100_003).unwrap(), path, "and is kept");
        let other = fs::read(prepare_number(directory.path(), 100_003, 1).unwrap()).unwrap();
        assert!(bytes.chunks(1024).zip(other.chunks(1024)).all(|(ours, theirs)| ours != theirs));
        cool(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), bytes, "what was forgotten is read again");
        settle(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), bytes);
        settle(&directory.path().join("none")).unwrap_err();
    }
}
