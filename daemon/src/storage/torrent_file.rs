//! .torrent files on disk: read with a limit, and written so that nothing is lost.
//!
//! A new file takes the place of an old one whole or not at all, and never that of a file whose payload it describes.
//! Whether it can be written is found out before hours are spent on hashing.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use protocol::meta::{Metainfo, MetainfoError};
use tempfile::NamedTempFile;

use super::file::Stamp;
use super::scan::Scan;

/// Largest .torrent file that is read, in bytes: what the scanner takes.
const MAX_LENGTH: u64 = protocol::bencode::MAX_INPUT_LENGTH as u64;

/// Why a .torrent file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TorrentFileError {
    /// It is not there, or out of reach.
    #[error("{}: {source}", .path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// A folder, a socket or a device.
    #[error("{}: not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// Nothing so large is a torrent.
    #[error("{}: {length} bytes are too many for a torrent", .path.display())]
    TooLong { path: PathBuf, length: u64 },
    /// It is no torrent.
    #[error("{}: {source}", .path.display())]
    Invalid { path: PathBuf, source: MetainfoError },
    /// It cannot be created or replaced.
    #[error("cannot write {}: {source}", .path.display())]
    Unwritable { path: PathBuf, source: io::Error },
    /// Writing it would destroy what it describes.
    #[error("cannot write the torrent to {}: that is one of the files to be shared", .0.display())]
    IsPayload(PathBuf),
}

/// Reads a .torrent file.
///
/// # Errors
/// When it cannot be read, is too long, or no torrent.
pub fn read(path: &Path) -> Result<Metainfo, TorrentFileError> {
    let bytes = read_bytes(path, MAX_LENGTH)?;
    Metainfo::parse(&bytes).map_err(|source| TorrentFileError::Invalid { path: path.into(), source })
}

/// Reads the bytes of a .torrent file, at most `max_length`.
///
/// # Errors
/// When it cannot be read, or is too long.
pub fn read_bytes(path: &Path, max_length: u64) -> Result<Vec<u8>, TorrentFileError> {
    let unreadable = |source| TorrentFileError::Unreadable { path: path.into(), source };
    let metadata = path.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(TorrentFileError::NotAFile(path.into()));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(max_length + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > max_length {
        return Err(TorrentFileError::TooLong { path: path.into(), length: metadata.len() });
    }
    Ok(bytes)
}

/// Where a new .torrent file is to be written.
#[derive(Debug)]
pub struct Output {
    /// As it was given.
    path: PathBuf,
    place: Place,
}

#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// A file, there already or not: replaced by one that is whole.
    File { folder: PathBuf, target: PathBuf },
    /// A pipe or a device: written into.
    Stream,
}

impl Output {
    /// Looks whether `path` can be written, and is none of the files of `scan`.
    pub fn new(path: &Path, scan: &Scan) -> Result<Self, TorrentFileError> {
        let unwritable = |source| TorrentFileError::Unwritable { path: path.into(), source };
        let place = match path.metadata() {
            Ok(metadata) if metadata.is_dir() => return Err(unwritable(ErrorKind::IsADirectory.into())),
            Ok(metadata) if !metadata.is_file() => Place::Stream,
            Ok(metadata) if is_in(scan, &metadata) => return Err(TorrentFileError::IsPayload(path.into())),
            Ok(_) => {
                // A file that may not be written is not replaced either.
                OpenOptions::new().write(true).open(path).map_err(unwritable)?;
                // What a link leads to is replaced, not the link.
                Place::file(path.canonicalize().map_err(unwritable)?)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Place::file(path.into()),
            Err(error) => return Err(unwritable(error)),
        };
        if let Place::File { folder, target } = &place {
            if target.as_os_str().as_encoded_bytes().ends_with(b"/") {
                return Err(unwritable(ErrorKind::IsADirectory.into()));
            }
            // Gone again at once: hashing may be interrupted, and is to leave nothing behind.
            temporary(folder).map_err(unwritable)?;
        }
        Ok(Self { path: path.into(), place })
    }

    /// Where the file is to be, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the file; an older one is replaced.
    pub fn write(&self, bytes: &[u8]) -> Result<(), TorrentFileError> {
        let result = match &self.place {
            Place::File { folder, target } => temporary(folder).and_then(|mut file| {
                file.write_all(bytes)?;
                file.as_file().sync_all()?;
                file.persist(target).map(drop).map_err(|error| error.error)
            }),
            Place::Stream => {
                OpenOptions::new().write(true).open(&self.path).and_then(|mut file| file.write_all(bytes))
            }
        };
        result.map_err(|source| TorrentFileError::Unwritable { path: self.path.clone(), source })
    }
}

impl Place {
    fn file(target: PathBuf) -> Self {
        let folder = match target.parent() {
            Some(folder) if folder != Path::new("") => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        Self::File { folder, target }
    }
}

/// A file in `folder` that is gone when it is dropped; readable for whoever may read any other new file.
fn temporary(folder: &Path) -> io::Result<NamedTempFile> {
    let mut cause = None;
    let create = |path: &Path| {
        let result = OpenOptions::new().write(true).create_new(true).open(path);
        result.inspect_err(|error| cause = error.raw_os_error())
    };
    let result = tempfile::Builder::new().prefix(".btd-").make_in(folder, create);
    // Without the name of the temporary file, which means nothing to anybody.
    result.map_err(|error| cause.map_or(error, io::Error::from_raw_os_error))
}

/// Whether `metadata` is that of a file of `scan`. One that changed since it was scanned has another stamp, but of
/// that no torrent is made.
fn is_in(scan: &Scan, metadata: &Metadata) -> bool {
    let stamp = Stamp::new(metadata);
    scan.files.iter().any(|file| file.stamp == stamp)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::storage::scan::scan;

    /// A folder `shared` with two files, and what else is there.
    fn fixture() -> (tempfile::TempDir, PathBuf, Scan) {
        let folder = tempfile::tempdir().unwrap();
        let shared = folder.path().join("shared");
        fs::create_dir(&shared).unwrap();
        fs::write(shared.join("a"), "payload a").unwrap();
        fs::write(shared.join("b"), "payload b").unwrap();
        let scan = scan(&shared).unwrap();
        (folder, shared, scan)
    }

    #[test]
    fn payload_is_never_overwritten_under_whatever_name() {
        let (folder, shared, scan) = fixture();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(shared.join("a"), &link).unwrap();
        let hard = folder.path().join("hard");
        fs::hard_link(shared.join("b"), &hard).unwrap();
        for path in [shared.join("a"), shared.join("../shared/b"), link, hard] {
            let error = Output::new(&path, &scan).unwrap_err();
            assert!(matches!(error, TorrentFileError::IsPayload(_)), "{}: {error}", path.display());
        }
        assert_eq!(fs::read(shared.join("a")).unwrap(), b"payload a");
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_else_is_left() {
        let (folder, shared, scan) = fixture();
        let target = folder.path().join("t");
        let plain = folder.path().join("plain");
        fs::write(&plain, "").unwrap();
        let output = Output::new(&target, &scan).unwrap();
        assert!(!target.exists());
        output.write(b"one").unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode();
        assert_eq!(mode(&target), mode(&plain), "as any new file");
        Output::new(&target, &scan).unwrap().write(b"two").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"two");
        // A new file beside the payload harms nobody.
        Output::new(&shared.join("new.torrent"), &scan).unwrap().write(b"three").unwrap();
        let count = |folder: &Path| fs::read_dir(folder).unwrap().count();
        assert_eq!((count(folder.path()), count(&shared)), (3, 3));
    }

    #[test]
    fn what_a_link_leads_to_is_replaced_and_a_device_is_written_into() {
        let (folder, _, scan) = fixture();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, "old").unwrap();
        std::os::unix::fs::symlink("target", &link).unwrap();
        Output::new(&link, &scan).unwrap().write(b"new").unwrap();
        assert!(link.is_symlink() && fs::read(&target).unwrap() == b"new");
        let null = Output::new(Path::new("/dev/null"), &scan).unwrap();
        assert_eq!(null.place, Place::Stream);
        null.write(b"lost").unwrap();
    }

    #[test]
    fn what_cannot_be_written_is_refused_before_any_work() {
        let (folder, shared, scan) = fixture();
        for path in
            [shared, folder.path().join("none/t"), folder.path().join("none/"), PathBuf::from("/proc/t")]
        {
            let error = Output::new(&path, &scan).unwrap_err();
            assert!(matches!(error, TorrentFileError::Unwritable { .. }), "{}: {error}", path.display());
            assert!(!error.to_string().contains(".btd-"), "{error}");
        }
    }

    #[test]
    fn what_is_no_torrent_is_refused_by_name() {
        let (folder, shared, _) = fixture();
        for (path, word) in [
            (shared.clone(), "regular"),
            (shared.join("a"), "byte 0"),
            (folder.path().join("none"), "No such file"),
        ] {
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(word) && error.contains(path.to_str().unwrap()), "{error}");
        }
    }
}
