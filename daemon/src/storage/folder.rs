//! A folder that payload lies below: no path leads out of it through a symbolic link, whoever put it there.
//!
//! Whatever makes, moves or deletes payload goes through here. Paths are relative to the folder, as those of a
//! torrent are.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{FileStat, Mode, SFlag, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

/// A folder, open.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) file: File,
}

/// What lies at a path of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Nothing,
    File,
    /// A folder, a link, a pipe.
    Other,
}

impl Folder {
    /// Opens the folder at `path`, which may itself be a link to one.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.into(), file: File::open(path)? })
    }

    /// Makes the folder, and opens it.
    pub(super) fn make(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        Self::open(path)
    }

    /// Opens a path that no link leads out of the folder from.
    pub(super) fn open_at(&self, relative: &Path, how: OpenHow) -> Result<File, Errno> {
        openat2(self.file.as_fd(), relative, how.resolve(ResolveFlag::RESOLVE_BENEATH)).map(File::from)
    }

    /// Opens a folder below, as a place to find others from; itself for the empty path.
    pub(super) fn open_folder(&self, relative: &Path) -> Result<File, Errno> {
        let relative = if relative.as_os_str().is_empty() { Path::new(".") } else { relative };
        self.open_at(relative, OpenHow::new().flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC))
    }

    /// The folder that `relative` lies in, and its name there.
    pub(super) fn parent_of<'a>(&self, relative: &'a Path) -> Result<(File, &'a Path), Errno> {
        let name = relative.file_name().ok_or(Errno::EINVAL)?;
        Ok((self.open_folder(relative.parent().unwrap_or(Path::new("")))?, Path::new(name)))
    }

    /// What lies at `relative`. A link is not followed.
    pub(super) fn kind_of(&self, relative: &Path) -> Result<Kind, Errno> {
        let stat = || -> Result<FileStat, Errno> {
            let (parent, name) = self.parent_of(relative)?;
            fstatat(&parent, name, AtFlags::AT_SYMLINK_NOFOLLOW)
        };
        match stat() {
            Ok(stat) if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG => {
                Ok(Kind::File)
            }
            Ok(_) => Ok(Kind::Other),
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(Kind::Nothing),
            Err(error) => Err(error),
        }
    }

    /// Makes the folders that `relative` lies in; adds those that were not there to `made`.
    ///
    /// # Errors
    /// With the folder that cannot be made or entered.
    pub(super) fn make_parents(
        &self,
        relative: &Path,
        made: &mut Vec<PathBuf>,
    ) -> Result<(), (PathBuf, Errno)> {
        let mut parent = None;
        let mut path = PathBuf::new();
        for component in relative.parent().into_iter().flatten() {
            path.push(component);
            let below: &File = parent.as_ref().unwrap_or(&self.file);
            match mkdirat(below, component, Mode::from_bits_truncate(0o777)) {
                Ok(()) => made.push(path.clone()),
                Err(Errno::EEXIST) => {}
                Err(error) => return Err((path, error)),
            }
            parent = Some(self.open_folder(&path).map_err(|error| (path.clone(), error))?);
        }
        Ok(())
    }

    /// Removes the file, link or pipe at `relative`.
    pub(super) fn unlink(&self, relative: &Path) -> Result<(), Errno> {
        let (parent, name) = self.parent_of(relative)?;
        unlinkat(&parent, name, UnlinkatFlags::NoRemoveDir)
    }

    /// Removes the folder at `relative`, if it is one and empty.
    pub(super) fn remove_if_empty(&self, relative: &Path) {
        if let Ok((parent, name)) = self.parent_of(relative) {
            // One that is not empty belongs to others too.
            let _ = unlinkat(&parent, name, UnlinkatFlags::RemoveDir);
        }
    }
}
