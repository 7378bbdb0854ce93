//! Brings what was written to the disk, on a thread of its own, so that assembling goes on meanwhile.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use protocol::id::InfoHash;

use super::writer::Reporter;
use super::{Report, WriteError};
use crate::storage::file::PayloadFile;
use crate::storage::torrent::{Torrent, TorrentError};

/// Syncs that wait for the one under way; what comes on top is added to the next.
const MAX_QUEUED: usize = 4;

/// The pieces that survive a loss of power from now on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Durable {
    /// Torrent and piece, in the order in which they were reported verified.
    pub pieces: Vec<(InfoHash, u32)>,
}

/// A file that was written since it was last brought to the disk.
pub(super) type Written = (Arc<Torrent>, Arc<PayloadFile>);

/// What is to be brought to the disk, and who wants to know.
pub(super) struct SyncJob {
    pub(super) files: Vec<Written>,
    pub(super) pieces: Vec<(InfoHash, u32)>,
    pub(super) reply: Box<dyn FnOnce(Durable) + Send>,
}

impl fmt::Debug for SyncJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { files, pieces, .. } = self;
        f.debug_struct("SyncJob").field("files", &files.len()).field("pieces", &pieces.len()).finish()
    }
}

/// Starts the thread. It ends when the sender is dropped.
pub(super) fn start(report: Reporter) -> io::Result<(Sender<SyncJob>, JoinHandle<()>)> {
    let (jobs, queue) = bounded(MAX_QUEUED);
    let thread = std::thread::Builder::new().name("btd-sync".into());
    Ok((jobs, thread.spawn(move || run(&queue, &report))?))
}

fn run(queue: &Receiver<SyncJob>, report: &Reporter) {
    for SyncJob { files, mut pieces, reply } in queue {
        let mut failed = HashSet::new();
        // One that was withdrawn may have been deleted, or lie elsewhere.
        for (torrent, file) in files.iter().filter(|(torrent, _)| torrent.error().is_none()) {
            if let Err(error) = sync(file) {
                failed.insert(torrent.info_hash());
                fail(torrent, error, report);
            }
        }
        pieces.retain(|(info_hash, _)| !failed.contains(info_hash));
        reply(Durable { pieces });
    }
}

/// The data of an inode is what is synced, so any descriptor of it will do.
fn sync(file: &PayloadFile) -> Result<(), WriteError> {
    match file.open() {
        Ok(opened) => {
            opened.sync_data().map_err(|source| WriteError::Sync { path: file.path().into(), source })
        }
        Err(error) => Err(error.into()),
    }
}

/// Stops `torrent`, and says so.
pub(super) fn fail(torrent: &Torrent, error: WriteError, report: &Reporter) {
    let error = Arc::new(error);
    torrent.fail(TorrentError::Unwritable(Arc::clone(&error)));
    report(torrent.info_hash(), Report::Error(error));
}
