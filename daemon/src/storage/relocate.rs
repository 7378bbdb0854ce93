//! Moves the payload of a torrent to another folder, or deletes it. Files that are not the torrent's are never touched.
//!
//! Called on threads that may wait for disks, while nobody reads or writes the torrent. A move that fails or is
//! cancelled leaves everything where it was.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, RenameFlags, renameat2};
use nix::sys::stat::Mode;
use nix::unistd::{Whence, lseek};
use protocol::meta::{FileKind, Info};

use super::folder::{Folder, Kind};
use super::hint;
use super::state::FileRecord;
use super::task::{Cancelled, Task};

/// Bytes that are copied at a time: what is still done after a task was cancelled.
const CHUNK_LENGTH: u64 = 4 * 1024 * 1024;

/// A file that was moved, and how it looked. Who remembers it as `before` may remember it as `after`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relocated {
    /// Its number in the torrent.
    pub file: u32,
    /// How it looked where it was.
    pub before: FileRecord,
    /// How it looks where it is.
    pub after: FileRecord,
}

/// Why payload was not moved, or not all of it deleted.
#[derive(Debug, thiserror::Error)]
pub enum RelocateError {
    /// A file or folder cannot be read, made, moved or deleted.
    #[error("{}: {source}{}", .path.display(), hint::ending(.source, .path))]
    Io {
        /// Its path.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A symbolic link on the way leads out of the folder.
    #[error("{}: leads out of its folder through a symbolic link", .0.display())]
    Outside(PathBuf),
    /// Something else than a file lies there.
    #[error("{}: is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// The place where a file is to be moved is taken.
    #[error("{}: is there already, and is not overwritten", .0.display())]
    Taken(PathBuf),
    /// Somebody writes to the file.
    #[error("{}: was written to while it was copied", .0.display())]
    Changed(PathBuf),
    /// Nobody wants it any more.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// Moves the files of `info` that are there from the folder `from` to `to`, which is made. Those that are not complete
/// may have names that end in `suffix`. Within a file system they are renamed; to another they are copied, and go from
/// `from` once all of them are on disk. `task` counts their bytes.
///
/// # Errors
/// When a file cannot be moved, or its place is taken; then none is.
pub fn relocate(
    info: &Info,
    from: &Path,
    to: &Path,
    suffix: Option<&str>,
    task: &Task,
) -> Result<Vec<Relocated>, RelocateError> {
    relocate_with(info, (from, to), suffix, task, &rename)
}

/// Deletes the files of `info` below `dir`, and the folders that are left empty. Those that are not complete may have
/// names that end in `suffix`.
///
/// # Errors
/// The first file that could not be deleted, or is none. All others are.
pub fn delete(info: &Info, dir: &Path, suffix: Option<&str>) -> Result<(), RelocateError> {
    let folder = match Folder::open(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        folder => folder.map_err(|source| RelocateError::Io { path: dir.into(), source })?,
    };
    let mut result = Ok(());
    let mut folders = BTreeSet::new();
    for (_, relative) in paths(info) {
        let deleted = find(&folder, &relative, suffix).and_then(|found| {
            let Some(found) = found else { return Ok(()) };
            folder.unlink(&found).map_err(|error| refusal(&folder, &found, error))
        });
        result = result.and(deleted);
        folders.extend(folders_of(&relative));
    }
    remove_emptied(&folder, folders);
    result
}

type Rename<'a> = &'a dyn Fn((&File, &Path), (&File, &Path)) -> Result<(), Errno>;

fn rename(from: (&File, &Path), to: (&File, &Path)) -> Result<(), Errno> {
    renameat2(from.0, from.1, to.0, to.1, RenameFlags::RENAME_NOREPLACE)
}

fn relocate_with(
    info: &Info,
    (from, to): (&Path, &Path),
    suffix: Option<&str>,
    task: &Task,
    rename: Rename<'_>,
) -> Result<Vec<Relocated>, RelocateError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| RelocateError::Io { path, source }
    };
    let source = match Folder::open(from) {
        // Nothing was fetched yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        source => source.map_err(io(from))?,
    };
    let mut relocation = Relocation {
        from: source,
        to: Folder::make(to).map_err(io(to))?,
        task,
        rename,
        done: Vec::new(),
        made: Vec::new(),
    };
    let moved = relocation.plan(info, suffix).and_then(|files| relocation.run(files));
    match moved {
        Ok(moved) => {
            relocation.clear_away();
            Ok(moved)
        }
        Err(error) => {
            relocation.roll_back();
            Err(error)
        }
    }
}

/// A move under way.
struct Relocation<'a> {
    from: Folder,
    to: Folder,
    task: &'a Task,
    rename: Rename<'a>,
    /// Files that are at their new place, and whether they are still at the old one too.
    done: Vec<(PathBuf, bool)>,
    /// Folders that were made for them.
    made: Vec<PathBuf>,
}

impl Relocation<'_> {
    /// The files to move, all of which can be as far as can be seen.
    fn plan(&self, info: &Info, suffix: Option<&str>) -> Result<Vec<(u32, PathBuf)>, RelocateError> {
        let mut files = Vec::new();
        for (file, relative) in paths(info) {
            let Some(found) = find(&self.from, &relative, suffix)? else { continue };
            // Not only the name that it has now: it will want its own when it is complete.
            for wanted in [&found, &relative] {
                let taken = self.to.kind_of(wanted).map_err(|error| refusal(&self.to, wanted, error))?;
                if taken != Kind::Nothing {
                    return Err(RelocateError::Taken(self.to.path.join(wanted)));
                }
            }
            files.push((file, found));
        }
        Ok(files)
    }

    fn run(&mut self, files: Vec<(u32, PathBuf)>) -> Result<Vec<Relocated>, RelocateError> {
        let mut moved = Vec::with_capacity(files.len());
        for (file, relative) in files {
            self.task.check()?;
            let before = record(&self.from, &relative)?;
            let made = self.to.make_parents(&relative, &mut self.made);
            made.map_err(|(path, error)| refusal(&self.to, &path, error))?;
            let is_copy = self.move_one(&relative, &before)?;
            let after = record(&self.to, &relative);
            self.done.push((relative, is_copy));
            moved.push(Relocated { file, before, after: after? });
        }
        self.sync_folders()?;
        Ok(moved)
    }

    /// Moves a file; true when it was copied.
    fn move_one(&self, relative: &Path, before: &FileRecord) -> Result<bool, RelocateError> {
        let (from, name) =
            self.from.parent_of(relative).map_err(|error| refusal(&self.from, relative, error))?;
        let (to, _) = self.to.parent_of(relative).map_err(|error| refusal(&self.to, relative, error))?;
        match (self.rename)((&from, name), (&to, name)) {
            Ok(()) => {
                self.task.add(before.length);
                Ok(false)
            }
            // Another file system, or one that cannot promise to overwrite nothing.
            Err(Errno::EXDEV | Errno::EINVAL) => self.copy(relative, before).map(|()| true),
            Err(error) => Err(refusal(&self.to, relative, error)),
        }
    }

    fn copy(&self, relative: &Path, before: &FileRecord) -> Result<(), RelocateError> {
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let source = self.from.open_at(relative, OpenHow::new().flags(flags));
        let source = source.map_err(|error| refusal(&self.from, relative, error))?;
        let new = flags | OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
        let mode = Mode::from_bits_truncate(0o666);
        let target = self.to.open_at(relative, OpenHow::new().flags(new).mode(mode));
        let target = target.map_err(|error| refusal(&self.to, relative, error))?;
        let result = self.fill(&source, &target, relative, before);
        if result.is_err() {
            let _ = self.to.unlink(relative);
        }
        result
    }

    /// Makes `target` what `source` is, its time included.
    fn fill(
        &self,
        source: &File,
        target: &File,
        relative: &Path,
        before: &FileRecord,
    ) -> Result<(), RelocateError> {
        let read = |source| RelocateError::Io { path: self.from.path.join(relative), source };
        let write = |source| RelocateError::Io { path: self.to.path.join(relative), source };
        let metadata = source.metadata().map_err(read)?;
        target.set_len(before.length).map_err(write)?;
        self.copy_data(source, target, before.length).map_err(|error| match error {
            CopyError::Io(source) => write(source),
            CopyError::Cancelled(cancelled) => cancelled.into(),
        })?;
        target.set_permissions(metadata.permissions()).map_err(write)?;
        target.set_modified(metadata.modified().map_err(read)?).map_err(write)?;
        target.sync_all().map_err(write)?;
        if FileRecord::new(&source.metadata().map_err(read)?) == *before {
            Ok(())
        } else {
            Err(RelocateError::Changed(self.from.path.join(relative)))
        }
    }

    /// Copies what is not a hole.
    fn copy_data(&self, mut source: &File, mut target: &File, length: u64) -> Result<(), CopyError> {
        let mut position = 0;
        while position < length {
            let run = next_data(source, position, length)?;
            self.task.add(run.start - position);
            position = run.start;
            while position < run.end {
                self.task.check()?;
                source.seek(SeekFrom::Start(position))?;
                target.seek(SeekFrom::Start(position))?;
                let part = CHUNK_LENGTH.min(run.end - position);
                let copied = io::copy(&mut source.take(part), &mut target)?;
                if copied == 0 {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                }
                self.task.add(copied);
                position += copied;
            }
        }
        Ok(())
    }

    /// Brings the names of copied files to disk, before the originals go.
    fn sync_folders(&self) -> Result<(), RelocateError> {
        let copied = self.done.iter().filter(|(_, is_copy)| *is_copy);
        let folders: BTreeSet<&Path> =
            copied.flat_map(|(relative, _)| relative.ancestors().skip(1)).collect();
        for folder in folders {
            let at = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            let opened = self.to.open_at(at, OpenHow::new().flags(OFlag::O_DIRECTORY | OFlag::O_CLOEXEC));
            let opened = opened.map_err(|error| refusal(&self.to, folder, error))?;
            let synced = opened.sync_all();
            synced.map_err(|source| RelocateError::Io { path: self.to.path.join(folder), source })?;
        }
        Ok(())
    }

    /// Removes from the old place what is at the new one.
    fn clear_away(&self) {
        for (relative, _) in self.done.iter().filter(|(_, is_copy)| *is_copy) {
            if let Err(error) = self.from.unlink(relative) {
                let path = self.from.path.join(relative);
                tracing::warn!("{}: was copied, and cannot be deleted: {error}", path.display());
            }
        }
        remove_emptied(&self.from, self.done.iter().flat_map(|(relative, _)| folders_of(relative)).collect());
    }

    /// Puts everything back.
    fn roll_back(&self) {
        for (relative, is_copy) in self.done.iter().rev() {
            let result = if *is_copy { self.to.unlink(relative) } else { self.bring_back(relative) };
            if let Err(error) = result {
                let path = self.to.path.join(relative);
                tracing::error!("{}: cannot be brought back: {error}", path.display());
            }
        }
        self.made.iter().rev().for_each(|folder| self.to.remove_if_empty(folder));
    }

    fn bring_back(&self, relative: &Path) -> Result<(), Errno> {
        let (from, name) = self.from.parent_of(relative)?;
        let (to, _) = self.to.parent_of(relative)?;
        rename((&to, name), (&from, name))
    }
}

enum CopyError {
    Io(io::Error),
    Cancelled(Cancelled),
}

impl From<io::Error> for CopyError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Cancelled> for CopyError {
    fn from(cancelled: Cancelled) -> Self {
        Self::Cancelled(cancelled)
    }
}

/// The next bytes from `position` on that the file system has stored; all where it does not tell.
fn next_data(file: &File, position: u64, length: u64) -> io::Result<std::ops::Range<u64>> {
    let seek = |position: u64, whence| {
        let position = i64::try_from(position).map_err(|_| Errno::EOVERFLOW)?;
        lseek(file, position, whence).map(|found| u64::try_from(found).unwrap_or(length).min(length))
    };
    match seek(position, Whence::SeekData) {
        Ok(start) => Ok(start..seek(start, Whence::SeekHole).unwrap_or(length)),
        Err(Errno::ENXIO) => Ok(length..length),
        Err(Errno::EINVAL | Errno::EOPNOTSUPP) => Ok(position..length),
        Err(error) => Err(error.into()),
    }
}

/// The files of `info` that may be on disk: numbers and paths.
fn paths(info: &Info) -> impl Iterator<Item = (u32, PathBuf)> + '_ {
    let files = (0..).zip(info.files()).filter(|(_, entry)| entry.kind == FileKind::Regular);
    files.map(|(file, entry)| (file, entry.path.components().collect()))
}

/// Where the file `relative` is: under its own name, or the one that it has until it is complete.
fn find(folder: &Folder, relative: &Path, suffix: Option<&str>) -> Result<Option<PathBuf>, RelocateError> {
    let partial = suffix.map(|suffix| {
        let mut partial = relative.as_os_str().to_owned();
        partial.push(suffix);
        PathBuf::from(partial)
    });
    for path in [Some(relative.to_owned()), partial].into_iter().flatten() {
        match folder.kind_of(&path).map_err(|error| refusal(folder, &path, error))? {
            Kind::File => return Ok(Some(path)),
            Kind::Other => return Err(RelocateError::NotAFile(folder.path.join(path))),
            Kind::Nothing => {}
        }
    }
    Ok(None)
}

fn record(folder: &Folder, relative: &Path) -> Result<FileRecord, RelocateError> {
    let open =
        folder.open_at(relative, OpenHow::new().flags(OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC));
    let file = open.map_err(|error| refusal(folder, relative, error))?;
    let metadata = file.metadata();
    let metadata =
        metadata.map_err(|source| RelocateError::Io { path: folder.path.join(relative), source })?;
    Ok(FileRecord::new(&metadata))
}

/// The folders that `relative` lies in, below the one that it starts from.
fn folders_of(relative: &Path) -> impl Iterator<Item = PathBuf> + '_ {
    relative.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()).map(Path::to_owned)
}

/// Removes those of `folders` that are empty.
fn remove_emptied(folder: &Folder, folders: BTreeSet<PathBuf>) {
    // A folder comes before those in it.
    folders.iter().rev().for_each(|emptied| folder.remove_if_empty(emptied));
}

fn refusal(folder: &Folder, relative: &Path, error: Errno) -> RelocateError {
    let path = folder.path.join(relative);
    match error {
        Errno::EXDEV | Errno::ELOOP => RelocateError::Outside(path),
        Errno::EEXIST => RelocateError::Taken(path),
        error => RelocateError::Io { path, source: error.into() },
    }
}

#[cfg(test)]
mod tests;
