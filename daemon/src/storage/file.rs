//! A payload file as it was when its pieces were hashed, and whether it still is.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use nix::libc;
use nix::sys::statfs::{self, FsType};

use super::open::OpenFile;

/// Files shorter than this are read, not mapped: a mapping would cost more than the copy.
const MIN_MAPPED_LENGTH: u64 = 16 * 1024;

/// What tells one state of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Bytes in the file.
    pub length: u64,
    /// Which file it is on its device.
    inode: u64,
    /// The device it lies on: what stalls together.
    pub device: u64,
    modified_s: i64,
    modified_ns: i64,
}

impl Stamp {
    /// The state that `metadata` describes.
    pub fn new(metadata: &Metadata) -> Self {
        Self {
            length: metadata.len(),
            inode: metadata.ino(),
            device: metadata.dev(),
            modified_s: metadata.mtime(),
            modified_ns: metadata.mtime_nsec(),
        }
    }

    /// The state of the file at `path`.
    ///
    /// # Errors
    /// When it is missing, out of reach, or not a regular file.
    pub fn of_path(path: &Path) -> Result<Self, FileError> {
        let metadata =
            path.metadata().map_err(|source| FileError::Unreadable { path: path.into(), source })?;
        if !metadata.is_file() {
            return Err(FileError::NotAFile(path.into()));
        }
        Ok(Self::new(&metadata))
    }
}

/// What is wrong with a payload file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be opened or read.
    #[error("{}: {source}", .path.display())]
    Unreadable {
        /// Its path.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// It is a folder, a socket or a device.
    #[error("{}: not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// Its size is not what it was.
    #[error("{}: changed from {before} to {now} bytes after it was hashed", .path.display())]
    Resized {
        /// Its path.
        path: PathBuf,
        /// Bytes when it was hashed.
        before: u64,
        /// Bytes now.
        now: u64,
    },
    /// Its modification time, or the file itself, is not what it was.
    #[error("{}: was modified after it was hashed", .0.display())]
    Modified(PathBuf),
}

impl FileError {
    /// Whether the machine had run out of something, which says nothing about the file.
    pub fn is_exhaustion(&self) -> bool {
        const EXHAUSTED: [i32; 5] = [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::EAGAIN, libc::EINTR];
        match self {
            Self::Unreadable { source, .. } => {
                source.raw_os_error().is_some_and(|code| EXHAUSTED.contains(&code))
            }
            _ => false,
        }
    }
}

/// A file of a torrent's payload.
#[derive(Debug)]
pub struct PayloadFile {
    /// Tells files apart for as long as the process runs.
    pub id: u64,
    /// Where it is.
    pub path: PathBuf,
    /// How it was when it was hashed.
    pub stamp: Stamp,
    /// The file opened and mapped, while somebody asks for it.
    pub opened: ArcSwapOption<OpenFile>,
}

impl PayloadFile {
    /// A file that nobody has asked for yet.
    pub fn new(path: PathBuf, stamp: Stamp) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Self { id, path, stamp, opened: ArcSwapOption::empty() }
    }

    /// Opens the file, which may have become anything since: a pipe in its place must not make us wait.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(&self) -> Result<File, FileError> {
        open(&self.path)
    }

    /// Whether mapping the file costs less than reading it.
    pub fn is_long_enough_to_map(&self) -> bool {
        self.stamp.length >= MIN_MAPPED_LENGTH
    }

    /// Fills `buffer` with the bytes from `offset`, of the very file that was hashed.
    ///
    /// # Errors
    /// When it cannot be read, or is no longer that file.
    pub fn read(&self, buffer: &mut [u8], offset: u64) -> Result<(), FileError> {
        let file = self.open()?;
        let result = file.read_exact_at(buffer, offset);
        // Looked at after it was read: what was read before a change is not lent.
        self.check_unchanged(&file)?;
        result.map_err(|source| FileError::Unreadable { path: self.path.clone(), source })
    }

    /// Whether `file`, which was opened at our path, is as it was when it was hashed.
    ///
    /// # Errors
    /// When it is not, saying what changed.
    pub fn check_unchanged(&self, file: &File) -> Result<(), FileError> {
        let metadata = file.metadata();
        let metadata =
            metadata.map_err(|source| FileError::Unreadable { path: self.path.clone(), source })?;
        compare(&self.path, &self.stamp, &Stamp::new(&metadata))
    }
}

/// Opens the regular file at `path` for reading. Does not wait where a pipe has taken its place.
///
/// # Errors
/// When it cannot be opened.
pub fn open(path: &Path) -> Result<File, FileError> {
    let mut options = File::options();
    options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    options.open(path).map_err(|source| FileError::Unreadable { path: path.into(), source })
}

/// Compares two states of the file at `path`.
///
/// # Errors
/// When they differ, saying how.
pub fn compare(path: &Path, before: &Stamp, now: &Stamp) -> Result<(), FileError> {
    if before == now {
        Ok(())
    } else if before.length != now.length {
        Err(FileError::Resized { path: path.into(), before: before.length, now: now.length })
    } else {
        Err(FileError::Modified(path.into()))
    }
}

/// Whether `length` bytes of `file` may be mapped: not when they are few, nor where a page can be lost behind the
/// kernel's back, as on FUSE and network file systems. There, and where we cannot tell, they are read.
pub fn may_be_mapped(file: &File, length: u64) -> bool {
    const LOCAL: [FsType; 8] = [
        statfs::EXT4_SUPER_MAGIC,
        statfs::XFS_SUPER_MAGIC,
        statfs::BTRFS_SUPER_MAGIC,
        statfs::TMPFS_MAGIC,
        statfs::OVERLAYFS_SUPER_MAGIC,
        statfs::F2FS_SUPER_MAGIC,
        statfs::HOSTFS_SUPER_MAGIC,
        // ZFS, which libc has no name for.
        FsType(0x2fc1_2fc1),
    ];
    length >= MIN_MAPPED_LENGTH
        && statfs::fstatfs(file).is_ok_and(|system| LOCAL.contains(&system.filesystem_type()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_change_of_size_or_time_is_told() {
        let mut named = tempfile::NamedTempFile::new().unwrap();
        named.write_all(b"payload").unwrap();
        let payload = PayloadFile::new(named.path().into(), Stamp::of_path(named.path()).unwrap());
        payload.check_unchanged(named.as_file()).unwrap();

        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
        named.as_file().set_modified(later).unwrap();
        assert!(matches!(payload.check_unchanged(named.as_file()), Err(FileError::Modified(_))));

        named.as_file().set_len(3).unwrap();
        let error = payload.check_unchanged(named.as_file()).unwrap_err();
        assert!(matches!(error, FileError::Resized { before: 7, now: 3, .. }), "{error}");
    }

    #[test]
    fn a_folder_is_no_payload_file() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Stamp::of_path(folder.path()), Err(FileError::NotAFile(_))));
        assert!(matches!(Stamp::of_path(&folder.path().join("none")), Err(FileError::Unreadable { .. })));
    }

    #[test]
    fn a_pipe_in_place_of_a_file_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "payload").unwrap();
        let payload = PayloadFile::new(path.clone(), Stamp::of_path(&path).unwrap());
        payload.read(&mut [0; 7], 0).unwrap();
        std::fs::remove_file(&path).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR).unwrap();
        assert!(payload.read(&mut [0; 7], 0).is_err());
    }

    #[test]
    fn want_of_descriptors_says_nothing_about_a_file() {
        let error =
            |code| FileError::Unreadable { path: "x".into(), source: io::Error::from_raw_os_error(code) };
        assert!(error(libc::EMFILE).is_exhaustion() && error(libc::ENOMEM).is_exhaustion());
        assert!(!error(libc::EIO).is_exhaustion() && !FileError::NotAFile("x".into()).is_exhaustion());
    }

    #[test]
    fn long_files_are_mapped_and_short_ones_read() {
        let stamp = |length| Stamp { length, inode: 0, device: 0, modified_s: 0, modified_ns: 0 };
        let file = |length| PayloadFile::new("x".into(), stamp(length));
        assert!(!file(MIN_MAPPED_LENGTH - 1).is_long_enough_to_map());
        assert!(file(MIN_MAPPED_LENGTH).is_long_enough_to_map());
        let local = tempfile::tempfile().unwrap();
        assert!(may_be_mapped(&local, MIN_MAPPED_LENGTH) && !may_be_mapped(&local, MIN_MAPPED_LENGTH - 1));
    }
}
