//! A payload file as it was when its pieces were hashed, and whether it still is.
//!
//! A file that we are downloading *grows*: we write it, so its time says nothing and nobody watches it. Once its last
//! piece was verified it is *settled*, and from then on must stay as it is.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::libc;
use nix::sys::statfs::{self, FsType};

use super::open::OpenFile;
use super::state::FileRecord;

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

    /// What is remembered of it.
    pub fn record(&self) -> FileRecord {
        FileRecord {
            length: self.length,
            inode: self.inode,
            modified_s: self.modified_s,
            modified_ns: self.modified_ns,
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
    /// Another file has taken its place while it was being written.
    #[error("{}: was replaced while it was being downloaded", .0.display())]
    Replaced(PathBuf),
    /// It is complete, or only served: nothing is to be written to it.
    #[error("{}: is not to be written to", .0.display())]
    Settled(PathBuf),
    /// It is complete and cannot be given its name.
    #[error("{}: cannot be renamed to {}: {source}", .from.display(), .to.display())]
    Rename {
        /// Its path so far.
        from: PathBuf,
        /// Its name.
        to: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
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
    /// Where it is once it is settled.
    path: PathBuf,
    /// Where it is while it grows, if elsewhere.
    partial: Option<PathBuf>,
    /// How it was when it was hashed, or made to be written: which file it is, where, and its full length.
    found: Stamp,
    /// How it was when all its pieces had been hashed; unset while it grows.
    settled: OnceLock<Stamp>,
    /// The file opened and mapped, while somebody asks for it.
    pub opened: ArcSwapOption<OpenFile>,
}

impl PayloadFile {
    /// A settled file that nobody has asked for yet.
    pub fn new(path: PathBuf, stamp: Stamp) -> Self {
        Self { settled: OnceLock::from(stamp), ..Self::growing(path, None, stamp) }
    }

    /// A file that has its full length and is being written. It lies at `partial`, if that is given, and is moved to
    /// `path` when it is settled.
    pub fn growing(path: PathBuf, partial: Option<PathBuf>, found: Stamp) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Self { id, path, partial, found, settled: OnceLock::new(), opened: ArcSwapOption::empty() }
    }

    /// Where it is now.
    pub fn path(&self) -> &Path {
        if self.is_settled() { &self.path } else { self.partial.as_deref().unwrap_or(&self.path) }
    }

    /// Its bytes, those that are still to be written included.
    pub fn length(&self) -> u64 {
        self.found.length
    }

    /// The device it lies on.
    pub fn device(&self) -> u64 {
        self.found.device
    }

    /// What tells it from every other file on disk: its device, and its number there.
    pub fn identity(&self) -> (u64, u64) {
        (self.found.device, self.found.inode)
    }

    /// Whether nobody writes it any more.
    pub fn is_settled(&self) -> bool {
        self.settled.get().is_some()
    }

    /// How it was when all its pieces had been hashed; `None` while it grows.
    pub fn stamp(&self) -> Option<Stamp> {
        self.settled.get().copied()
    }

    /// Ends its growth: gives it its name, and notes how it is now. Called after the last write to it, by one thread
    /// at a time, which then has it opened anew.
    ///
    /// # Errors
    /// When it cannot be renamed, or is not the file that was written, in its full length.
    pub(super) fn settle(&self) -> Result<(), FileError> {
        if self.is_settled() {
            return Ok(());
        }
        if let Some(partial) = &self.partial {
            rename(partial, &self.path).map_err(|source| FileError::Rename {
                from: partial.clone(),
                to: self.path.clone(),
                source,
            })?;
        }
        let now = Stamp::of_path(&self.path)?;
        self.check_growing(&now)?;
        if now.length != self.length() {
            return Err(self.resized(now.length));
        }
        // Nobody else sets it.
        let _ = self.settled.set(now);
        Ok(())
    }

    /// Opens the file, which may have become anything since: a pipe in its place must not make us wait.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(&self) -> Result<File, FileError> {
        self.open_with(File::options().read(true), 0)
    }

    /// Opens the file, which grows, to be written and read back; never through a symbolic link.
    ///
    /// # Errors
    /// When it cannot be opened, or is not the file that was made.
    pub(super) fn open_to_write(&self) -> Result<File, FileError> {
        if self.is_settled() {
            return Err(FileError::Settled(self.path.clone()));
        }
        let file = self.open_with(File::options().read(true).write(true), libc::O_NOFOLLOW)?;
        self.check_unchanged(&file)?;
        Ok(file)
    }

    fn open_with(&self, options: &mut OpenOptions, flags: i32) -> Result<File, FileError> {
        match open_with(self.path(), options, flags) {
            // It may be getting its name at this moment.
            Err(FileError::Unreadable { source, .. })
                if source.kind() == io::ErrorKind::NotFound && self.partial.is_some() =>
            {
                open_with(&self.path, options, flags)
            }
            result => result,
        }
    }

    /// Whether mapping the file costs less than reading it.
    pub fn is_long_enough_to_map(&self) -> bool {
        self.length() >= MIN_MAPPED_LENGTH
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
        result.map_err(|source| self.unreadable(source))
    }

    /// Whether `file`, which was opened at our path, is as it was when it was hashed, or, while it grows, is still the
    /// file that we write and has its full length.
    ///
    /// # Errors
    /// When it is not, saying what changed.
    pub fn check_unchanged(&self, file: &File) -> Result<(), FileError> {
        let look = || Ok(Stamp::new(&file.metadata().map_err(|source| self.unreadable(source))?));
        self.check(look)
    }

    /// As [`PayloadFile::check_unchanged`], for what is found at our path.
    ///
    /// # Errors
    /// When it is not as it was, saying what changed.
    pub fn check_path(&self) -> Result<(), FileError> {
        self.check(|| Stamp::of_path(self.path()))
    }

    fn check(&self, look: impl FnOnce() -> Result<Stamp, FileError>) -> Result<(), FileError> {
        // Asked before looking: a file that is settled in between was looked at before its last write.
        let settled = self.settled.get();
        let now = look()?;
        settled.map_or_else(|| self.check_growing(&now), |stamp| compare(&self.path, stamp, &now))
    }

    fn check_growing(&self, now: &Stamp) -> Result<(), FileError> {
        if (now.inode, now.device) != (self.found.inode, self.found.device) {
            Err(FileError::Replaced(self.path().into()))
        } else if now.length < self.length() {
            Err(self.resized(now.length))
        } else {
            Ok(())
        }
    }

    fn resized(&self, now: u64) -> FileError {
        FileError::Resized { path: self.path().into(), before: self.length(), now }
    }

    /// The error of a file that could not be opened, mapped or read.
    pub(super) fn unreadable(&self, source: io::Error) -> FileError {
        FileError::Unreadable { path: self.path().into(), source }
    }
}

/// Opens the regular file at `path` for reading. Does not wait where a pipe has taken its place.
///
/// # Errors
/// When it cannot be opened.
pub fn open(path: &Path) -> Result<File, FileError> {
    open_with(path, File::options().read(true), 0)
}

fn open_with(path: &Path, options: &mut OpenOptions, flags: i32) -> Result<File, FileError> {
    options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | flags);
    options.open(path).map_err(|source| FileError::Unreadable { path: path.into(), source })
}

/// Renames a file, and never over another where the file system can tell.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
        Err(Errno::EINVAL) => std::fs::rename(from, to),
        result => Ok(result?),
    }
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
