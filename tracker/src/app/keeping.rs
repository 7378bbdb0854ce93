//! The state directory: torrents and peers of the last life, and who uses it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

use super::Failure;
use crate::desk::{Clock, Desk};
use crate::swarms::{Moment, SnapshotError, Swarms};

/// The file with torrents and peers.
const FILE_NAME: &str = "swarms.snapshot";
/// What a file is called that cannot be read.
const DAMAGED: &str = "swarms.snapshot.damaged";
/// Held by the bttracker that uses the folder.
const LOCK_NAME: &str = "lock";
/// Rest between two slices of a snapshot.
const REST: Duration = Duration::from_micros(100);

/// The folder, while it is ours.
#[derive(Debug)]
pub(super) struct Keeper {
    folder: PathBuf,
    /// Held until the end.
    _lock: File,
}

impl Keeper {
    /// Takes the folder, and makes it if it is missing.
    pub(super) fn take(folder: &Path) -> Result<Self, Failure> {
        let failed = |error: io::Error| format!("state_dir {}: {error}", folder.display());
        fs::create_dir_all(folder).map_err(failed)?;
        let path = folder.join(LOCK_NAME);
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { folder: folder.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                Err(format!("state_dir {} is in use by another bttracker", folder.display()).into())
            }
            Err(TryLockError::Error(error)) => Err(failed(error).into()),
        }
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Fills `swarms`, which are empty, with those of the last life. A file that cannot be read is put aside, and `false`
    /// says that others are needed, since some may be in these.
    pub(super) fn restore(&self, swarms: &Swarms, now_s: u32, timeout_s: u32) -> Result<bool, Failure> {
        let path = self.folder.join(FILE_NAME);
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            file => file.map_err(|error| format!("{}: {error}", path.display()))?,
        };
        let begin = Instant::now();
        let at = Moment { now_s, unix_s: Clock::unix_s() };
        match swarms.read_snapshot(&mut BufReader::with_capacity(1 << 20, file), at, timeout_s) {
            Ok(()) => {
                let totals = swarms.totals();
                let peers = totals.peers_v4 + totals.peers_v6;
                tracing::info!(
                    "restored {} torrents with {peers} peers in {:?}",
                    totals.torrents,
                    begin.elapsed()
                );
                Ok(true)
            }
            Err(SnapshotError::Io(error)) => Err(format!("{}: {error}", path.display()).into()),
            Err(error) => {
                let aside = self.folder.join(DAMAGED);
                fs::rename(&path, &aside).map_err(|error| format!("{}: {error}", path.display()))?;
                tracing::error!(
                    "{}: {error}; it is {} now, and no torrent is known",
                    path.display(),
                    aside.display()
                );
                Ok(false)
            }
        }
    }

    /// Writes all torrents down, in place of what was written before.
    pub(super) fn keep(&self, desk: &Desk) {
        let path = self.folder.join(FILE_NAME);
        let begin = Instant::now();
        match self.try_keep(&path, desk) {
            Ok(()) => tracing::info!("wrote {} in {:?}", path.display(), begin.elapsed()),
            Err(error) => tracing::error!("cannot write {}: {error}", path.display()),
        }
    }

    fn try_keep(&self, path: &Path, desk: &Desk) -> io::Result<()> {
        let file = NamedTempFile::new_in(&self.folder)?;
        let at = Moment { now_s: desk.clock().now().s, unix_s: Clock::unix_s() };
        let mut writer = BufWriter::with_capacity(1 << 20, file);
        desk.swarms().write_snapshot(&mut writer, at, || thread::sleep(REST))?;
        writer.flush()?;
        let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        File::open(&self.folder)?.sync_all()
    }
}

/// The thread that writes torrents down from time to time, and once more in the end.
#[derive(Debug)]
pub(super) struct Keeping {
    thread: JoinHandle<()>,
    stop: mpsc::Sender<()>,
}

impl Keeping {
    pub(super) fn start(keeper: Keeper, desk: Arc<Desk>, interval: Duration) -> io::Result<Self> {
        let (stop, stopping) = mpsc::channel();
        let thread = thread::Builder::new().name("keeper".into()).spawn(move || {
            while stopping.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                keeper.keep(&desk);
            }
            keeper.keep(&desk);
        })?;
        Ok(Self { thread, stop })
    }

    /// Whether the thread has ended on its own: our own mistake.
    pub(super) fn is_lost(&self) -> bool {
        self.thread.is_finished()
    }

    /// Has everything written down, and the folder is free.
    pub(super) fn stop(self) {
        drop(self.stop);
        // A panic was logged where it happened.
        let _ = self.thread.join();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_one_trackers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let keeper = Keeper::take(&path).unwrap();
        let error = Keeper::take(&path).unwrap_err().to_string();
        assert!(error.ends_with("is in use by another bttracker"), "{error}");
        drop(keeper);
        Keeper::take(&path).unwrap();
    }
}
