//! A copy of the payload with one wrong byte: whoever verifies must find it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::torrent::Torrent;

/// The copy, under the name of the payload in a folder of its own; gone when it is dropped.
#[derive(Debug)]
pub(super) struct Damage {
    /// The folder.
    pub(super) folder: PathBuf,
    /// The piece that does not match.
    pub(super) piece: u32,
}

impl Damage {
    /// Copies the payload of `torrent` into the new folder `folder`, and flips one byte in the middle of it.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub(super) fn new(torrent: &Torrent, folder: &Path) -> io::Result<Self> {
        fs::create_dir(folder)?;
        let position = torrent.geometry.length() / 2;
        let piece = torrent.geometry.pieces_of(position..position + 1).start;
        let damage = Self { folder: folder.to_owned(), piece };
        let copy = folder.join(torrent.payload.file_name().unwrap_or_default());
        fs::copy(&torrent.payload, &copy)?;
        let file = File::options().read(true).write(true).open(copy)?;
        let mut byte = [0];
        file.read_exact_at(&mut byte, position)?;
        byte[0] ^= 1;
        file.write_all_at(&byte, position)?;
        Ok(damage)
    }
}

impl Drop for Damage {
    /// What is left is removed with the folder around it.
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torrent;

    #[test]
    fn one_byte_of_one_piece_is_another() {
        let directory = tempfile::tempdir().unwrap();
        let payload = directory.path().join("payload");
        let bytes: Vec<u8> = (0..100).collect();
        fs::write(&payload, &bytes).unwrap();
        let torrent = torrent::create(&payload, 16).unwrap();
        let folder = directory.path().join("damaged");
        let damage = Damage::new(&torrent, &folder).unwrap();
        let copy = fs::read(folder.join("payload")).unwrap();
        let different: Vec<usize> = (0..100).filter(|i| copy[*i] != bytes[*i]).collect();
        assert_eq!((copy.len(), different), (100, vec![50]));
        assert_eq!(damage.piece, 3);
        drop(damage);
        assert!(!folder.exists());
    }
}
