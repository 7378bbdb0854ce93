//! What the lists refuse: a request, in the words that a client shows its user; and what is wrong with the lists, in
//! words for whoever runs the tracker, with the file and the line.

use std::io;
use std::path::PathBuf;

use super::entry::EntryError;
use super::file::{MAX_ENTRIES, MAX_LINE_LENGTH};

/// Why a request is not served, worded as a failure reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Denied {
    /// The torrent is not on the list of those that are tracked.
    #[error("this torrent is not registered with this tracker")]
    NotAllowed,
    /// The torrent is on the list of those that are not.
    #[error("this torrent is not served by this tracker")]
    Denied,
    /// The announce carries no passkey.
    #[error("this tracker needs a passkey: announce with the URL that was made for you")]
    NoPasskey,
    /// Nobody has this passkey.
    #[error("this passkey is not known to this tracker")]
    WrongPasskey,
}

/// Why the lists cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// A file.
    #[error("{}: {source}", .path.display())]
    Unreachable {
        /// Its path.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A line of a file is no entry.
    #[error("{}:{line}: {source}", .path.display())]
    Line {
        /// Its path.
        path: PathBuf,
        /// Which line, from 1.
        line: u64,
        /// What is wrong with it.
        source: EntryError,
    },
    /// A line of a file has no end.
    #[error("{}:{line}: longer than {} bytes", .path.display(), MAX_LINE_LENGTH)]
    LongLine {
        /// Its path.
        path: PathBuf,
        /// Which line, from 1.
        line: u64,
    },
    /// A file has more entries than any list should.
    #[error("{}: more than {} entries", .0.display(), MAX_ENTRIES)]
    TooMany(PathBuf),
    /// A database.
    #[error("{}: {source}", .path.display())]
    Database {
        /// Its path.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// A row of a database is no passkey.
    #[error("{}: row {row} of passkeys: {source}", .path.display())]
    Row {
        /// Its path.
        path: PathBuf,
        /// Which of those that are not NULL, from 1.
        row: u64,
        /// What is wrong with it.
        source: EntryError,
    },
}

/// Why an entry was not looked up or changed.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// There is no such list.
    #[error("no such list is configured")]
    NotConfigured,
    /// It is no entry.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// The list cannot be changed.
    #[error(transparent)]
    Access(#[from] AccessError),
}
