//! .torrent files that btctl reads, to be added, and writes, as they were made or exported. What is in them it leaves to
//! the daemon.

use std::fs::{File, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use protocol::control::MAX_METAINFO_LENGTH;
use tempfile::{Builder, NamedTempFile};

use crate::failure::Failure;

/// Who may read and write a new file, less the umask.
const MODE: u32 = 0o666;

/// Reads a .torrent file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let unreadable = |source| Failure::Unreadable { path: path.into(), source };
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_dir() {
        return Err(unreadable(ErrorKind::IsADirectory.into()));
    }
    read_from(file).map_err(unreadable)
}

/// Reads a .torrent file that comes through stdin.
pub(crate) fn read_stdin() -> Result<Vec<u8>, Failure> {
    read_from(io::stdin().lock()).map_err(|source| Failure::Unreadable { path: "stdin".into(), source })
}

fn read_from(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(MAX_METAINFO_LENGTH as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_METAINFO_LENGTH {
        let message = format!("more than {MAX_METAINFO_LENGTH} bytes are too many for a torrent");
        return Err(io::Error::new(ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

/// Where a .torrent file is to be written. Whether that can be is found out before it is made.
#[derive(Debug)]
pub(crate) struct Destination {
    path: PathBuf,
    /// What takes the place of the file when it is whole; none for pipes and devices, which are written into.
    new: Option<NamedTempFile>,
}

impl Destination {
    /// Looks whether `path` can be written.
    pub(crate) fn new(path: &Path) -> Result<Self, Failure> {
        let unwritable = |source| Failure::Unwritable { path: path.into(), source };
        let new = match path.metadata() {
            Ok(metadata) if metadata.is_dir() => return Err(unwritable(ErrorKind::IsADirectory.into())),
            Ok(metadata) if !metadata.is_file() => None,
            Ok(_) | Err(_) => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                let folder = folder.unwrap_or(Path::new("."));
                let permissions = Permissions::from_mode(MODE);
                Some(Builder::new().permissions(permissions).tempfile_in(folder).map_err(unwritable)?)
            }
        };
        Ok(Self { path: path.into(), new })
    }

    /// Writes the file, in place of one that is there.
    pub(crate) fn write(self, bytes: &[u8]) -> Result<(), Failure> {
        let unwritable = |source| Failure::Unwritable { path: self.path.clone(), source };
        match self.new {
            Some(mut file) => {
                file.write_all(bytes).map_err(unwritable)?;
                file.persist(&self.path).map(drop).map_err(|error| unwritable(error.error))
            }
            None => std::fs::write(&self.path, bytes).map_err(unwritable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_a_place_that_cannot_be_written_is_known_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.torrent");
        for text in ["one", "other"] {
            let destination = Destination::new(&path).unwrap();
            destination.write(text.as_bytes()).unwrap();
            assert_eq!(read(&path).unwrap(), text.as_bytes());
        }
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o400, 0o400);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left");
        assert!(Destination::new(dir.path()).is_err());
        assert!(Destination::new(&dir.path().join("none/a.torrent")).is_err());
    }

    #[test]
    fn what_cannot_be_a_torrent_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap_err().exit_code(), 2);
        let path = dir.path().join("large");
        File::create(&path).unwrap().set_len(MAX_METAINFO_LENGTH as u64 + 1).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("too many"));
        File::create(&path).unwrap().set_len(MAX_METAINFO_LENGTH as u64).unwrap();
        assert_eq!(read(&path).unwrap().len(), MAX_METAINFO_LENGTH);
    }
}
