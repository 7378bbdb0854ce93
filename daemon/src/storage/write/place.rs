//! Makes the files of a torrent before it is downloaded: folders, files in their full length, room on the disk.
//!
//! Called once for each torrent, on an ordinary thread. Never shortens or empties a file that is there, and never
//! leaves the download folder: no path leads out of it through a symbolic link, whoever put it there.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, OFlag, OpenHow, fallocate};
use nix::sys::stat::Mode;
use nix::sys::statvfs::fstatvfs;
use protocol::meta::{FileEntry, FileKind, Info};

use crate::storage::file::{PayloadFile, Stamp};
use crate::storage::folder::Folder;

/// Bytes that `st_blocks` counts in (stat(2)).
const STAT_BLOCK_LENGTH: u64 = 512;

/// How files are made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placing {
    /// When the disk gives room to them.
    pub allocation: Allocation,
    /// What the names of files end in until they are complete, as `.part`.
    pub suffix: Option<String>,
}

/// When the disk gives room to a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Allocation {
    /// As its pieces are written.
    #[default]
    Sparse,
    /// Before the first one is.
    Full,
}

/// Why a torrent's files cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// A folder or file cannot be made, opened or extended.
    #[error("{}: cannot be made: {source}", .path.display())]
    Io {
        /// Its path.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A symbolic link lies where the file belongs.
    #[error("{}: is a symbolic link, and is not followed", .0.display())]
    Symlink(PathBuf),
    /// A symbolic link on the way leads out of the download folder.
    #[error("{}: leads out of the download folder through a symbolic link", .0.display())]
    Outside(PathBuf),
    /// Something else than a file lies there.
    #[error("{}: is there already, and is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// A file is there that is longer than the torrent says.
    #[error("{}: has {found} bytes instead of {expected}: refuses to cut it", .path.display())]
    Oversized {
        /// Its path.
        path: PathBuf,
        /// Bytes that the torrent says.
        expected: u64,
        /// Bytes that it has.
        found: u64,
    },
    /// The disk has no room for all of it.
    #[error("{}: {needed} bytes are needed and {free} are free", .folder.display())]
    NoRoom {
        /// The download folder.
        folder: PathBuf,
        /// Bytes of the wanted files that the disk has not given room to yet.
        needed: u64,
        /// Bytes that it has left.
        free: u64,
    },
}

/// The payload files of a torrent, one entry for each of its files.
type Files = Vec<Option<Arc<PayloadFile>>>;

/// Makes those files of `info` that are `wanted`, one `bool` for each, below `folder`, which is made too. A piece that
/// reaches from a wanted file into others needs a place for all of its bytes, so those neighbours are made as well,
/// but never given room beforehand. Padding and symbolic links are not made.
///
/// A file that is there is kept, and extended if it is short. All files are growing, but for empty ones.
///
/// # Errors
/// When a file cannot be made, or one is there that must not be touched. What was made until then stays.
pub fn place(info: &Info, folder: &Path, wanted: &[bool], placing: &Placing) -> Result<Files, PlaceError> {
    assert_eq!(wanted.len(), info.files().len(), "one entry for each file");
    let unmade = |source| PlaceError::Io { path: folder.into(), source };
    let site = Site(Folder::make(folder).map_err(unmade)?);
    let needed = with_neighbours(info, wanted);
    let mut files = Vec::with_capacity(wanted.len());
    for (entry, is_needed) in info.files().iter().zip(needed) {
        let is_made = is_needed && entry.kind == FileKind::Regular;
        files.push(is_made.then(|| site.place(entry, placing.suffix.as_deref())).transpose()?);
    }
    if placing.allocation == Allocation::Full {
        let wanted =
            files.iter().zip(wanted).filter_map(|(file, is_wanted)| file.as_ref().filter(|_| *is_wanted));
        site.allocate(&wanted.map(Arc::as_ref).collect::<Vec<_>>())?;
    }
    Ok(files)
}

/// The files that are `wanted`, and those that share a piece with one.
fn with_neighbours(info: &Info, wanted: &[bool]) -> Vec<bool> {
    let (geometry, layout) = (info.geometry(), info.layout());
    let mut needed = wanted.to_vec();
    // Pieces are gone through in order and once, however many files lie in one.
    let mut done = 0;
    for file in (0..wanted.len()).filter(|file| wanted[*file]) {
        let pieces = geometry.pieces_of(layout.file_range(file));
        let bytes = geometry.bytes_of(pieces.start.max(done)..pieces.end);
        layout.extents(bytes).for_each(|extent| needed[extent.file] = true);
        done = done.max(pieces.end);
    }
    needed
}

/// The folder that files are made in.
struct Site(Folder);

impl Site {
    /// Makes one file, or takes the one that is there.
    fn place(&self, entry: &FileEntry, suffix: Option<&str>) -> Result<Arc<PayloadFile>, PlaceError> {
        let relative: PathBuf = entry.path.components().collect();
        let path = self.0.path.join(&relative);
        // An empty file is complete, and one that has its name already keeps it.
        let suffix = suffix.filter(|_| entry.length > 0 && path.symlink_metadata().is_err());
        let partial = suffix.map(|suffix| with_suffix(&relative, suffix));
        let at = partial.as_deref().unwrap_or(&relative);
        let stamp = self.make(at, entry)?;
        let partial = partial.as_deref().map(|partial| self.0.path.join(partial));
        Ok(Arc::new(match entry.length {
            0 => PayloadFile::new(path, stamp),
            _ => PayloadFile::growing(path, partial, stamp),
        }))
    }

    fn make(&self, relative: &Path, entry: &FileEntry) -> Result<Stamp, PlaceError> {
        let file = match self.open_file(relative, entry.executable) {
            Err(Errno::ENOENT) => {
                let made = self.0.make_parents(relative, &mut Vec::new());
                made.map_err(|(path, error)| self.refusal(&path, error))?;
                self.open_file(relative, entry.executable)
            }
            result => result,
        };
        let file = file.map_err(|error| self.refusal(relative, error))?;
        let unmade = |source| PlaceError::Io { path: self.0.path.join(relative), source };
        let metadata = file.metadata().map_err(unmade)?;
        if !metadata.is_file() {
            return Err(PlaceError::NotAFile(self.0.path.join(relative)));
        }
        let (found, expected) = (metadata.len(), entry.length);
        if found > expected {
            return Err(PlaceError::Oversized { path: self.0.path.join(relative), expected, found });
        }
        if found < expected {
            file.set_len(expected).map_err(unmade)?;
        }
        Ok(Stamp::new(&file.metadata().map_err(unmade)?))
    }

    /// Opens a file, or makes it. A pipe in its place does not make us wait.
    fn open_file(&self, relative: &Path, is_executable: bool) -> Result<File, Errno> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let mode = if is_executable { 0o777 } else { 0o666 };
        self.0.open_at(
            relative,
            OpenHow::new().flags(flags | OFlag::O_CLOEXEC).mode(Mode::from_bits_truncate(mode)),
        )
    }

    fn refusal(&self, relative: &Path, error: Errno) -> PlaceError {
        let path = self.0.path.join(relative);
        match error {
            Errno::ELOOP => PlaceError::Symlink(path),
            Errno::EXDEV => PlaceError::Outside(path),
            Errno::EISDIR => PlaceError::NotAFile(path),
            error => PlaceError::Io { path, source: error.into() },
        }
    }

    /// Has the disk give room to all of `files`, if it has it.
    fn allocate(&self, files: &[&PayloadFile]) -> Result<(), PlaceError> {
        let needed = || files.iter().map(|file| missing(file)).fold(0, u64::saturating_add);
        // Looked at beforehand, so that a disk that is too small is not filled to the brim first.
        if needed() > self.free() {
            return Err(self.no_room(needed()));
        }
        for file in files.iter().filter(|file| !file.is_settled()) {
            match allocate(file) {
                Ok(()) => {}
                Err(Errno::EOPNOTSUPP) => {
                    tracing::warn!(
                        "{}: no room can be given beforehand on this file system",
                        self.0.path.display()
                    );
                    return Ok(());
                }
                Err(Errno::ENOSPC | Errno::EDQUOT) => return Err(self.no_room(needed())),
                Err(error) => {
                    return Err(PlaceError::Io { path: file.path().into(), source: error.into() });
                }
            }
        }
        Ok(())
    }

    fn no_room(&self, needed: u64) -> PlaceError {
        PlaceError::NoRoom { folder: self.0.path.clone(), needed, free: self.free() }
    }

    /// Bytes that the disk has left; all there can be where it does not say.
    fn free(&self) -> u64 {
        fstatvfs(&self.0.file).map_or(u64::MAX, |system| system.blocks_available() * system.fragment_size())
    }
}

/// Has the disk give room to all of `file`. Not `posix_fallocate`, which writes to every block of the file where the
/// file system knows no better.
fn allocate(file: &PayloadFile) -> Result<(), Errno> {
    let length = i64::try_from(file.length()).map_err(|_| Errno::EFBIG)?;
    let flags = OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let opened = nix::fcntl::open(file.path(), flags, Mode::empty())?;
    fallocate(opened, FallocateFlags::empty(), 0, length)
}

/// Bytes of `file` that the disk has not given room to.
fn missing(file: &PayloadFile) -> u64 {
    let given = file.path().metadata().map_or(0, |metadata| metadata.blocks() * STAT_BLOCK_LENGTH);
    file.length().saturating_sub(given)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::super::tests::{PIECE, info_of};
    use super::*;

    fn place_all(files: &[(&str, u64)], folder: &Path, placing: &Placing) -> Result<Files, PlaceError> {
        place(&info_of(files, PIECE).0, folder, &vec![true; files.len()], placing)
    }

    fn length(path: &Path) -> Option<u64> {
        Some(path.metadata().ok()?.len())
    }

    #[test]
    fn files_are_made_in_their_full_length_and_what_is_there_is_kept() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("not/there/yet");
        fs::create_dir_all(folder.join("t")).unwrap();
        fs::write(folder.join("t/short"), "begun").unwrap();
        fs::write(folder.join("t/done"), "done").unwrap();
        let files = [("a/b/c", 100), ("short", 1_000), ("done", 4), ("pad", 64_432), ("empty", 0)];
        let placed = place_all(&files, &folder, &Placing::default()).unwrap();
        let settled: Vec<_> = placed.iter().map(|file| Some(file.as_ref()?.is_settled())).collect();
        assert_eq!(settled, [Some(false), Some(false), Some(false), None, Some(true)]);
        assert_eq!(length(&folder.join("t/a/b/c")), Some(100));
        assert_eq!(fs::read(folder.join("t/short")).unwrap()[..6], *b"begun\0");
        assert_eq!(length(&folder.join("t/short")), Some(1_000));
        assert_eq!(fs::read(folder.join("t/done")).unwrap(), b"done");
        assert_eq!((length(&folder.join("t/pad")), length(&folder.join("t/empty"))), (None, Some(0)));
    }

    #[test]
    fn only_wanted_files_and_those_that_share_their_pieces_are_made() {
        let folder = tempfile::tempdir().unwrap();
        let piece = u64::from(PIECE);
        let files = [("a", piece), ("b", piece / 2), ("c", piece), ("d", piece), ("empty", 0), ("e", piece)];
        let (info, _) = info_of(&files, PIECE);
        let wanted = [false, false, true, false, false, false];
        let placed = place(&info, folder.path(), &wanted, &Placing::default()).unwrap();
        let made: Vec<bool> = placed.iter().map(Option::is_some).collect();
        assert_eq!(made, [false, true, true, true, false, false]);
        let on_disk = files.map(|(name, _)| folder.path().join("t").join(name).exists());
        assert_eq!(on_disk.to_vec(), made);
    }

    #[test]
    fn a_longer_file_is_not_cut() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("t")).unwrap();
        fs::write(folder.path().join("t/a"), vec![7; 101]).unwrap();
        let error = place_all(&[("a", 100)], folder.path(), &Placing::default()).unwrap_err();
        assert!(matches!(error, PlaceError::Oversized { expected: 100, found: 101, .. }), "{error}");
        assert_eq!(length(&folder.path().join("t/a")), Some(101));
    }

    #[test]
    fn links_are_not_followed_out_of_the_folder() {
        let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let place = |files: &[(&str, u64)]| place_all(files, folder.path(), &Placing::default());
        symlink(outside.path(), folder.path().join("t")).unwrap();
        assert!(matches!(place(&[("a", 5)]), Err(PlaceError::Outside(_))));
        assert!(matches!(place(&[("a/b", 5)]), Err(PlaceError::Outside(_))));
        fs::remove_file(folder.path().join("t")).unwrap();
        fs::create_dir(folder.path().join("t")).unwrap();
        symlink(outside.path(), folder.path().join("t/a")).unwrap();
        symlink(outside.path().join("new"), folder.path().join("t/b")).unwrap();
        assert!(matches!(place(&[("a/b/c", 5)]), Err(PlaceError::Outside(_))));
        assert!(matches!(place(&[("b", 5)]), Err(PlaceError::Symlink(_))));
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_or_a_pipe_is_no_place_for_a_file() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("t/a")).unwrap();
        nix::unistd::mkfifo(&folder.path().join("t/b"), Mode::S_IRWXU).unwrap();
        for file in ["a", "b"] {
            let error = place_all(&[(file, 5)], folder.path(), &Placing::default()).unwrap_err();
            assert!(matches!(error, PlaceError::NotAFile(_)), "{error}");
        }
    }

    #[test]
    fn a_disk_that_is_too_small_for_all_of_it_is_not_filled() {
        let folder = tempfile::tempdir().unwrap();
        // 8 TiB in pieces of 512 MiB.
        let (length, hashes) = (8_u64 << 40, 16_384 * 20);
        let head = format!("d6:lengthi{length}e4:name1:t12:piece lengthi{}e6:pieces{hashes}:", 512 << 20);
        let raw = [head.as_bytes(), &vec![0; hashes], b"e"].concat();
        let info = Info::parse(raw.into()).unwrap();
        let placing = Placing { allocation: Allocation::Full, suffix: None };
        let error = place(&info, folder.path(), &[true], &placing).unwrap_err();
        assert!(
            matches!(error, PlaceError::NoRoom { needed, free, .. } if needed == length && free < length)
        );
        assert_eq!(folder.path().join("t").metadata().unwrap().blocks(), 0);
    }

    #[test]
    fn room_is_given_beforehand_where_it_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let placing = Placing { allocation: Allocation::Full, suffix: None };
        let files = place_all(&[("a", 500_000), ("empty", 0)], folder.path(), &placing).unwrap();
        assert!(files.iter().flatten().all(|file| missing(file) == 0));
        let files = place_all(&[("b", 500_000)], folder.path(), &Placing::default()).unwrap();
        assert!(files.iter().flatten().all(|file| missing(file) == 500_000), "sparse otherwise");
    }
}
