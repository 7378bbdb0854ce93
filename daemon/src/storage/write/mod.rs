//! Downloaded pieces on their way to disk: assembled from blocks, hashed, written, reported.
//!
//! A [`Writer`] is a thread, one for a whole process. Ring threads hand it blocks and never wait; it reports to the
//! coordinator, which alone sets have bits. No piece is reported before it was hashed and written; what an unverified
//! one leaves on disk is written over. [`place`](place::place) makes the files beforehand.

mod chunk;
mod credits;
mod digest;
mod disk;
mod download;
mod gathering;
mod piece;
pub mod place;
mod sync;
#[cfg(test)]
mod tests;
mod thread;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::{fmt, io};

use nix::libc;
use protocol::geometry::Block;
use protocol::swarm::PeerKey;
pub use protocol::swarm::suspects::BlockDigest;
use tokio::sync::OwnedSemaphorePermit;

use super::file::FileError;
use super::torrent::Torrent;
pub use chunk::{BlockData, Chunk, Chunks, Slice};
pub use credits::{Credits, WRITE_CREDITS_KIB};
pub use sync::Durable;
pub use writer::{Totals, Writer};

/// A block that a peer sent and that was asked for.
#[derive(Debug)]
pub struct Deposit {
    /// What it belongs to. Its file must have a place in this torrent.
    pub torrent: Arc<Torrent>,
    /// Which bytes these are.
    pub block: Block,
    /// Who sent them.
    pub source: PeerKey,
    /// The bytes, as many as `block` says.
    pub data: BlockData,
    /// Their share of the writer's memory, from [`Credits::acquire`]; given back once they are written or dropped.
    pub credits: OwnedSemaphorePermit,
}

/// What became of deposits.
#[derive(Debug)]
pub enum Report {
    /// A piece matches its hash and was written. Its have bit may be set.
    Verified {
        /// Which piece.
        piece: u32,
        /// Its blocks, if it had failed before: they tell who had sent other bytes then.
        digests: Option<Vec<BlockDigest>>,
    },
    /// A piece does not match its hash and was dropped: all of it must be fetched again.
    Failed {
        /// Which piece.
        piece: u32,
        /// Its blocks, in order.
        digests: Vec<BlockDigest>,
    },
    /// There is no room on the disk. What was received is kept, and tried again every two seconds and when
    /// [`Writer::retry`] is called.
    DiskFull {
        /// Bytes of the piece that did not fit.
        needed: u64,
    },
    /// There is room again.
    Room,
    /// The torrent has failed; see [`Torrent::error`].
    Error(Arc<WriteError>),
}

/// Why a piece cannot be stored.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A file cannot be opened, or is not the one that was made for it.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file cannot be written.
    #[error("{}: cannot be written: {source}", .path.display())]
    Write {
        /// Its path.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A part of a piece that was written early cannot be read back.
    #[error("{}: cannot be read back: {source}", .path.display())]
    ReadBack {
        /// Its path.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// What was written cannot be brought to the disk.
    #[error("{}: the disk did not take what was written: {source}", .path.display())]
    Sync {
        /// Its path.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A piece has bytes in a file that was not made: our own mistake.
    #[error("file {0} of the torrent has no place on disk")]
    NoFile(usize),
}

impl WriteError {
    /// Whether there was no room, on the disk or in the user's share of it.
    pub fn is_full(&self) -> bool {
        let Self::Write { source, .. } = self else { return false };
        matches!(source.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT))
    }
}

/// The queue to the writer is full, or the writer has ended. A block comes back in it, to be deposited later.
#[derive(Debug)]
pub struct Refused<T>(pub T);

impl<T> fmt::Display for Refused<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the writer takes nothing more at this moment")
    }
}

impl<T: fmt::Debug> std::error::Error for Refused<T> {}
