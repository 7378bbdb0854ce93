//! Compares payload on disk with what a torrent says it should be.

use std::path::Path;
use std::sync::Arc;

use protocol::bitfield::HaveBits;
use protocol::meta::{FileKind, Info};

use super::file::{FileError, PayloadFile, Stamp};
use super::hash::{Hashing, Source};
use super::task::Task;
use super::torrent::Torrent;

/// What became of a file of the torrent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileState {
    /// All its bytes are there and match.
    Ok,
    /// It is not there.
    Missing,
    /// It is shorter than it should be.
    Truncated {
        /// Bytes on disk.
        length: u64,
    },
    /// It is longer than it should be.
    Oversized {
        /// Bytes on disk.
        length: u64,
    },
    /// It has its size, but pieces that it is part of do not match.
    Damaged {
        /// Those pieces.
        bad_pieces: Vec<u32>,
    },
    /// It could not be read, or changed while it was.
    Unreadable {
        /// What happened.
        reason: String,
    },
}

/// What verifying found.
#[derive(Debug)]
pub struct Verification {
    /// The pieces that match.
    pub have: HaveBits,
    /// One for each file of the torrent; `None` for what is not on disk: padding and symlinks.
    pub files: Vec<Option<FileState>>,
    payload: Vec<Option<Arc<PayloadFile>>>,
}

impl Verification {
    /// Whether every piece matches and every file is there in its right size.
    pub fn is_complete(&self) -> bool {
        self.have.is_complete() && self.files.iter().flatten().all(|state| *state == FileState::Ok)
    }

    /// The pieces that do not match, or could not be read.
    pub fn bad_pieces(&self) -> Vec<u32> {
        (0..self.have.piece_count()).filter(|piece| !self.have.get(*piece)).collect()
    }

    /// The torrent, ready to serve the pieces that match.
    pub fn into_torrent(self, info: Arc<Info>) -> Torrent {
        Torrent::new(info, self.have, self.payload)
    }
}

/// Hashes the payload of `info`, whose files' paths start at `data`. `task` counts bytes as they are done; cancelled, it
/// leaves the rest unmatched.
pub fn verify(info: &Info, data: &Path, task: &Task) -> Verification {
    let found: Vec<Found> = info.files().iter().map(|file| Found::look(file, data)).collect();
    let sources: Vec<Source<'_>> = found.iter().map(Found::source).collect();
    let hashing = Hashing { geometry: info.geometry(), layout: info.layout(), sources: &sources, task };
    let hashes = hashing.what_is_there();
    let have = HaveBits::new(info.geometry().piece_count());
    hashes.matching(info).for_each(|piece| have.set(piece));
    let states = found
        .iter()
        .enumerate()
        .map(|(file, found)| found.state(info, file, &have, &hashes.errors))
        .collect();
    let payload = found.into_iter().map(Found::into_payload).collect();
    Verification { have, files: states, payload }
}

/// A file of the torrent as it was found.
enum Found {
    NotOnDisk { is_padding: bool },
    File { path: std::path::PathBuf, stamp: Stamp },
    Missing,
    Unreadable(FileError),
}

impl Found {
    fn look(file: &protocol::meta::FileEntry, data: &Path) -> Self {
        if file.kind != FileKind::Regular {
            return Self::NotOnDisk { is_padding: file.kind == FileKind::Padding };
        }
        let mut path = data.to_owned();
        path.extend(file.path.components());
        match Stamp::of_path(&path) {
            Ok(stamp) => Self::File { path, stamp },
            Err(FileError::Unreadable { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Self::Missing
            }
            Err(error) => Self::Unreadable(error),
        }
    }

    fn source(&self) -> Source<'_> {
        match self {
            Self::NotOnDisk { is_padding: true } => Source::Zeros,
            Self::File { path, stamp } => Source::File(path, *stamp),
            _ => Source::Missing,
        }
    }

    fn state(
        &self,
        info: &Info,
        file: usize,
        have: &HaveBits,
        errors: &[(usize, FileError)],
    ) -> Option<FileState> {
        let stamp = match self {
            Self::NotOnDisk { .. } => return None,
            Self::Missing => return Some(FileState::Missing),
            Self::Unreadable(error) => return Some(FileState::Unreadable { reason: error.to_string() }),
            Self::File { stamp, .. } => stamp,
        };
        let (length, expected) = (stamp.length, info.files()[file].length);
        if let Some((_, error)) = errors.iter().find(|(of, _)| *of == file) {
            return Some(FileState::Unreadable { reason: error.to_string() });
        }
        if length < expected {
            return Some(FileState::Truncated { length });
        }
        if length > expected {
            return Some(FileState::Oversized { length });
        }
        let pieces = info.geometry().pieces_of(info.layout().file_range(file));
        let bad_pieces: Vec<u32> = pieces.filter(|piece| !have.get(*piece)).collect();
        Some(if bad_pieces.is_empty() { FileState::Ok } else { FileState::Damaged { bad_pieces } })
    }

    fn into_payload(self) -> Option<Arc<PayloadFile>> {
        match self {
            Self::File { path, stamp } => Some(Arc::new(PayloadFile::new(path, stamp))),
            _ => None,
        }
    }
}
