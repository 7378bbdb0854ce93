//! One service to a state folder: a lock file in it, which names who holds it. `btd get` claims torrents instead.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use super::StateError;
use super::open::{make_folder, open_private};

/// The lock file.
const NAME: &str = "btd.lock";
/// More than the digits of any process id, and little of what else may be there.
const MAX_PID_LENGTH: u64 = 32;

/// The right to use a state folder, for as long as this lives. The kernel takes it back when the process ends; the file
/// stays, for to remove one that somebody may be about to lock would let two of them hold it.
#[derive(Debug)]
#[must_use]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes `folder`, which is made if it is not there. Does not wait.
    ///
    /// # Errors
    /// [`StateError::InUse`] when another process has it, with its number and name; or when it cannot be written.
    pub fn take(folder: &Path) -> Result<Self, StateError> {
        make_folder(folder)?;
        let path = folder.join(NAME);
        let unreachable = |source| StateError::Unreachable { path: path.clone(), source };
        let mut file = open_private(&path).map_err(unreachable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StateError::InUse { folder: folder.into(), holder: holder(file) });
            }
            Err(TryLockError::Error(source)) => return Err(unreachable(source)),
        }
        let text = format!("{}\n", std::process::id());
        let written =
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text.as_bytes()));
        written.map_err(unreachable)?;
        Ok(Self { _file: file })
    }
}

/// Whoever wrote its number into `file`.
fn holder(file: File) -> String {
    let mut text = String::new();
    let pid = file
        .take(MAX_PID_LENGTH)
        .read_to_string(&mut text)
        .ok()
        .and_then(|_| text.trim().parse::<u32>().ok());
    let Some(pid) = pid else { return "another process".to_owned() };
    match std::fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => format!("{} (process {pid})", name.trim()),
        Err(_) => format!("process {pid}"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_folder_is_taken_by_one_at_a_time_who_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("state");
        let lock = FolderLock::take(&folder).unwrap();
        let error = FolderLock::take(&folder).unwrap_err();
        assert!(matches!(error, StateError::InUse { .. }));
        let (text, pid) = (error.to_string(), std::process::id());
        let name = std::fs::read_to_string("/proc/self/comm").unwrap();
        let holder = format!("{}: in use by {} (process {pid})", folder.display(), name.trim());
        assert_eq!(text, holder);
        drop(lock);
        let _lock = FolderLock::take(&folder).unwrap();
        let path = folder.join(NAME);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{pid}\n"));
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_another_process_left_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(NAME), "4194304 and more than that\n").unwrap();
        let _lock = FolderLock::take(folder.path()).unwrap();
        let text = std::fs::read_to_string(folder.path().join(NAME)).unwrap();
        assert_eq!(text, format!("{}\n", std::process::id()));
    }

    #[test]
    fn a_holder_that_has_not_said_its_name_is_another_process() {
        let folder = tempfile::tempdir().unwrap();
        let file = open_private(&folder.path().join(NAME)).unwrap();
        file.try_lock().unwrap();
        let error = FolderLock::take(folder.path()).unwrap_err();
        assert!(error.to_string().ends_with("in use by another process"), "{error}");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = FolderLock::take(&file.path().join("state")).unwrap_err();
        assert!(error.to_string().contains(file.path().to_str().unwrap()), "{error}");
    }
}
