//! What survives the end of the process: torrents, which pieces were verified, and how payload files looked then.
//!
//! An SQLite database. `btd get` has one beside the payload, which several processes may use at a time, each torrent
//! by the one that claimed it; the service has one of its own, and a lock on its folder. Every method is one
//! transaction, and returns after its commit. It only remembers: [`trust`] decides what a memory is worth, and a
//! [`Recorder`] keeps everyone from waiting for what changes by itself.

mod backup;
pub mod catalog;
pub mod change;
pub mod insert;
mod json;
pub mod lock;
mod open;
pub mod paths;
pub mod record;
pub mod recorder;
pub mod saved;
mod schema;
#[cfg(test)]
mod tests;
pub mod trackers;
pub mod trust;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use protocol::id::InfoHash;
use rusqlite::{Connection, Transaction, TransactionBehavior};

pub use catalog::Record;
pub use change::{Change, Choices};
pub use insert::{NewTorrent, RawMetainfo};
pub use lock::FolderLock;
pub use paths::path_hash;
pub use record::{FileRecord, Progress};
pub use recorder::Recorder;
pub use saved::Saved;
pub use trust::{OnDisk, Trust};

/// The database, open.
#[derive(Debug)]
pub struct State {
    path: PathBuf,
    connection: Connection,
    /// Names this run of the kernel; `None` where it cannot be told, and then no two runs are the same.
    boot_id: Option<String>,
}

/// The right to work on a torrent, for as long as this lives. The kernel takes it back when the process ends.
#[derive(Debug)]
#[must_use]
pub struct Claim {
    _lock: File,
}

/// What is wrong with the state.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A file or folder cannot be made, opened or locked.
    #[error("{}: {source}", .path.display())]
    Unreachable {
        /// Its path.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Another process works on the torrent.
    #[error("another btd is downloading {info_hash} to {}; wait for it, or choose another folder", .folder.display())]
    Claimed {
        /// The torrent.
        info_hash: InfoHash,
        /// Where the payload lies.
        folder: PathBuf,
    },
    /// Another process uses the folder.
    #[error("{}: in use by {holder}", .folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
        /// Which process, as far as it says.
        holder: String,
    },
    /// The torrent is there already.
    #[error("{0} was added before")]
    Exists(InfoHash),
    /// The file is something else, or was damaged.
    #[error("{}: not a database, or a damaged one; move it away to begin anew", .0.display())]
    NotADatabase(PathBuf),
    /// The database belongs to another program.
    #[error("{}: a database of another program", .0.display())]
    Foreign(PathBuf),
    /// The database was written by a later version.
    #[error("{}: written by a later btd (schema {found}, this one knows up to {known})", .path.display())]
    Newer {
        /// Its path.
        path: PathBuf,
        /// Version of its schema.
        found: i64,
        /// The latest that we know.
        known: i64,
    },
    /// SQLite failed: the disk is full or broken, or the database was busy for too long.
    #[error("{}: {source}", .path.display())]
    Sqlite {
        /// Path of the database.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// Notes could not be written; they are kept, and tried again.
    #[error("{0}")]
    Unwritten(String),
    /// The last notes were not written in the time there was.
    #[error("{}: progress was not written in time; it will be checked again", .0.display())]
    Late(PathBuf),
}

impl State {
    /// Claims the torrent `info_hash`: no other [`State`] at this path can, in this process or another, until the
    /// claim is dropped. Does not wait.
    ///
    /// # Errors
    /// [`StateError::Claimed`] when another one has it.
    pub fn claim(&self, info_hash: &InfoHash) -> Result<Claim, StateError> {
        open::claim(&self.path, info_hash)
    }

    /// Where the database is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `change` as one transaction, after those of others.
    fn write<T>(
        &mut self,
        change: impl FnOnce(&Transaction<'_>, Option<&str>) -> rusqlite::Result<T>,
    ) -> Result<T, StateError> {
        let error = self.error();
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let transaction = transaction.map_err(&error)?;
        let outcome = change(&transaction, self.boot_id.as_deref()).map_err(&error)?;
        transaction.commit().map_err(&error)?;
        Ok(outcome)
    }

    fn error(&self) -> impl Fn(rusqlite::Error) -> StateError + use<> {
        let path = self.path.clone();
        move |source| StateError::of_sqlite(&path, source)
    }
}

impl StateError {
    fn of_sqlite(path: &Path, source: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match source.sqlite_error_code() {
            Some(NotADatabase | DatabaseCorrupt) => Self::NotADatabase(path.into()),
            _ => Self::Sqlite { path: path.into(), source },
        }
    }
}

/// SQLite's integers are signed; no count of bytes gets that far.
fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
