//! Opening the database and claiming torrents: everything that touches paths.

use std::fs::{DirBuilder, File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{AccessFlags, eaccess};
use protocol::id::InfoHash;
use rusqlite::{Connection, OpenFlags};

use super::{Claim, State, StateError, schema};

/// How long a transaction waits for those of other processes, which take milliseconds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// What torrents we are about is nobody else's business.
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

impl State {
    /// Opens the database at `path`, and makes it and its folder where there is none.
    ///
    /// # Errors
    /// When that fails, or what is there is not ours to write.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let unreachable = |source| StateError::Unreachable { path: path.into(), source };
        make_folder(folder(path))?;
        // Made before SQLite sees it, for the mode, which its journal inherits.
        make_private(path).map_err(unreachable)?;
        let connection = connect(path).map_err(|source| StateError::of_sqlite(path, source))?;
        let mut state = Self { path: path.into(), connection, boot_id: boot_id() };
        schema::prepare(&mut state)?;
        Ok(state)
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    // No SQLITE_OPEN_URI: a path is a path, whatever it looks like.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(connection)
}

/// Takes the lock of a torrent, a file beside the database. It is left there: to remove a file that somebody may be
/// about to lock would let two of them hold the lock.
pub(super) fn claim(path: &Path, info_hash: &InfoHash) -> Result<Claim, StateError> {
    let lock_path = folder(path).join(format!("{info_hash}.lock"));
    let lock = open_private(&lock_path).and_then(|file| match file.try_lock() {
        Ok(()) => Ok(Some(Claim { _lock: file })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    });
    match lock {
        Ok(Some(claim)) => Ok(claim),
        Ok(None) => Err(StateError::Claimed { info_hash: *info_hash, folder: payload_folder(path) }),
        Err(source) => Err(StateError::Unreachable { path: lock_path, source }),
    }
}

/// Opens the file at `path`, or makes one that only its owner may read.
pub(super) fn open_private(path: &Path) -> std::io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(false).mode(FILE_MODE).open(path)
}

/// Makes the file at `path`, private, if there is none. One that is there is not even opened: to close it again would
/// take away the locks that SQLite holds on it for all of this process (POSIX), and whoever else opened the database
/// then, and closed it, would take itself for the last and remove the log that we write to.
fn make_private(path: &Path) -> std::io::Result<()> {
    match File::options().write(true).create_new(true).mode(FILE_MODE).open(path) {
        // Where it may not be written, SQLite would be content with reading it.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            Ok(eaccess(path, AccessFlags::R_OK | AccessFlags::W_OK)?)
        }
        made => made.map(drop),
    }
}

/// Makes `folder`, private, and what is above it as the user has it by default.
pub(super) fn make_folder(folder: &Path) -> Result<(), StateError> {
    let unreachable = |source| StateError::Unreachable { path: folder.into(), source };
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent() {
        std::fs::create_dir_all(above).map_err(unreachable)?;
    }
    // Recursive, so that another process may have made it first.
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder).map_err(unreachable)
}

/// The folder that `path` is in.
pub(super) fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The folder beside the state, where the payload of `btd get` lies.
fn payload_folder(path: &Path) -> PathBuf {
    let folder = folder(path);
    folder.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new(".")).into()
}

fn boot_id() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned()).filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use nix::libc;

    use super::*;

    const TORRENT: InfoHash = InfoHash::new([7; 20]);

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn state_is_private_to_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("payload/.btd/state.sqlite");
        let state = State::open(&path).unwrap();
        let _claim = state.claim(&TORRENT).unwrap();
        assert_eq!(mode(path.parent().unwrap()), FOLDER_MODE);
        assert_ne!(mode(&folder.path().join("payload")), FOLDER_MODE, "the payload is not");
        for entry in path.parent().unwrap().read_dir().unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(mode(&path), FILE_MODE, "{}", path.display());
        }
    }

    #[test]
    fn a_second_state_leaves_the_locks_of_the_first_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.sqlite");
        let (_first, _second) = (State::open(&path).unwrap(), State::open(&path).unwrap());
        // As another process would that asks whether it is the last.
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let all = libc::flock {
            l_type: i16::try_from(libc::F_WRLCK).unwrap(),
            l_whence: i16::try_from(libc::SEEK_SET).unwrap(),
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        let locked = nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_OFD_SETLK(&all));
        assert_eq!(locked, Err(nix::errno::Errno::EAGAIN));
    }

    #[test]
    fn a_torrent_is_claimed_by_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".btd/state.sqlite");
        let (ours, theirs) = (State::open(&path).unwrap(), State::open(&path).unwrap());
        let claim = ours.claim(&TORRENT).unwrap();
        let error = theirs.claim(&TORRENT).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, StateError::Claimed { .. }));
        assert!(text.starts_with("another btd is downloading 0707"), "{text}");
        assert!(text.contains(&format!("to {}", folder.path().display())), "{text}");
        let _other = theirs.claim(&InfoHash::new([8; 20])).unwrap();
        drop(claim);
        let _claim = theirs.claim(&TORRENT).unwrap();
    }

    #[test]
    fn a_path_without_a_folder_lies_in_this_one() {
        assert_eq!(folder(Path::new("state.sqlite")), Path::new("."));
        assert_eq!(payload_folder(Path::new(".btd/state.sqlite")), Path::new("."));
        assert_eq!(payload_folder(Path::new("/data/.btd/state.sqlite")), Path::new("/data"));
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = State::open(&file.path().join(".btd/state.sqlite")).unwrap_err();
        assert!(error.to_string().contains(".btd"), "{error}");
        assert!(matches!(error, StateError::Unreachable { .. }));
    }
}
