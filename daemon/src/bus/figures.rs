//! What the daemon has done so far, in plain numbers: filled by `engine`, which knows all rooms that count; shown by the control API.
//!
//! Counts are since the start of the process, and only ever grow.

use std::net::SocketAddr;

/// Everything that rows do not tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// Addresses that are listened on.
    pub listen: Vec<SocketAddr>,
    /// Each worker, in their order.
    pub workers: Vec<WorkerFigures>,
    /// Payload bytes that peers gave and that were new.
    pub downloaded: u64,
    /// Payload bytes that were not wanted any more, or were in pieces that failed their hash.
    pub wasted: u64,
    /// What went wrong, and how often: a word for each kind, such as `state`. A few kinds: those of [`super::Fault`],
    /// pieces that did not match, and announces that failed.
    pub errors: Vec<(&'static str, u64)>,
    /// Hashing and files.
    pub disk: DiskFigures,
    /// Each host of trackers; a bounded number, the others together as `*`.
    pub trackers: Vec<TrackerFigures>,
}

/// What one or more workers have done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WorkerFigures {
    /// Connections that are open now.
    pub connections: u64,
    /// Bytes given to sockets, with all headers and small messages.
    pub bytes_sent: u64,
    /// Bytes of blocks that were sent whole.
    pub payload_bytes_sent: u64,
    /// Blocks that were sent whole.
    pub blocks_sent: u64,
    /// SENDMSG operations that moved bytes.
    pub sends: u64,
    /// Bytes taken from sockets, with all headers and small messages.
    pub bytes_received: u64,
    /// Connections that peers opened and that were let in.
    pub accepted: u64,
    /// Connections that peers opened and that were turned away, since there were as many as allowed.
    pub refused: u64,
    /// Connections that we began to open.
    pub dialled: u64,
}

/// What was done to files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskFigures {
    /// Bytes hashed: of downloads, of verification, of new torrents, of pieces that are first asked for.
    pub bytes_hashed: u64,
    /// Bytes written to payload files.
    pub bytes_written: u64,
    /// Pieces that were downloaded and matched their hash.
    pub pieces_verified: u64,
    /// Pieces that did not.
    pub pieces_failed: u64,
    /// Batches of blocks that were not in memory and went through a lane.
    pub lane_jobs: u64,
    /// Payload files that are open now.
    pub open_files: u64,
}

/// What announces to one host came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrackerFigures {
    /// Its name or address.
    pub host: String,
    /// Announces that were sent to it and are over.
    pub announces: u64,
    /// Of these, those that it refused, or that did not reach it.
    pub failures: u64,
    /// Whether it answered the latest.
    pub is_working: bool,
}

impl std::iter::Sum for WorkerFigures {
    fn sum<I: Iterator<Item = Self>>(workers: I) -> Self {
        workers.fold(Self::default(), |sum, one| Self {
            connections: sum.connections + one.connections,
            bytes_sent: sum.bytes_sent + one.bytes_sent,
            payload_bytes_sent: sum.payload_bytes_sent + one.payload_bytes_sent,
            blocks_sent: sum.blocks_sent + one.blocks_sent,
            sends: sum.sends + one.sends,
            bytes_received: sum.bytes_received + one.bytes_received,
            accepted: sum.accepted + one.accepted,
            refused: sum.refused + one.refused,
            dialled: sum.dialled + one.dialled,
        })
    }
}

impl Figures {
    /// Payload bytes that peers got.
    pub fn uploaded(&self) -> u64 {
        self.workers.iter().map(|worker| worker.payload_bytes_sent).sum()
    }
}
