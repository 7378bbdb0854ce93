//! The handle of a writer: what ring threads and the coordinator may ask of it.

use std::fmt;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};
use protocol::id::InfoHash;
use tokio::sync::Notify;

use super::credits::{Credits, MIN_CREDITS_KIB};
use super::disk::Disk;
use super::sync::{self, Durable};
use super::thread::{Ports, WriterThread};
use super::{Deposit, Refused, Report};

/// Requests of the coordinator that wait for the writer; it makes one or two a second.
const MAX_CONTROLS: usize = 256;
/// Blocks that may wait in the queue before sockets are no longer read: 4 MiB, which processors have in their caches.
const MAX_BEHIND: usize = 256;
/// How long the end of the program waits for a disk.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// Takes what a writer has to say, on the writer's threads: must not wait.
pub(super) type Reporter = Arc<dyn Fn(InfoHash, Report) + Send + Sync>;

/// What the coordinator asks of a writer.
pub(super) enum Control {
    Forget(InfoHash, Box<dyn FnOnce() + Send>),
    Sync(Box<dyn FnOnce(Durable) + Send>),
    Retry,
    Stop,
}

/// The thread that assembles, hashes and writes what is downloaded.
pub struct Writer {
    deposits: Sender<Deposit>,
    controls: Sender<Control>,
    credits: Credits,
    /// The queue of deposits has become short, or nobody empties it any more.
    drained: Arc<Notify>,
    counters: Arc<Counters>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What a writer has done, for everyone to read.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) received_bytes: AtomicU64,
    pub(super) wasted_bytes: AtomicU64,
    pub(super) hashed_bytes: AtomicU64,
    pub(super) written_bytes: AtomicU64,
    pub(super) early_bytes: AtomicU64,
    pub(super) verified_pieces: AtomicU64,
    pub(super) failed_pieces: AtomicU64,
    pub(super) duplicate_blocks: AtomicU64,
}

/// What a writer has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Bytes of blocks that were new.
    pub received_bytes: u64,
    /// Bytes of blocks that were not wanted, and of pieces that did not match their hash.
    pub wasted_bytes: u64,
    /// Bytes hashed: those of a piece that failed count twice, since its blocks are hashed one by one, too.
    pub hashed_bytes: u64,
    /// Bytes written to files.
    pub written_bytes: u64,
    /// Of these, bytes of pieces that were not whole yet, written to make room in memory.
    pub early_bytes: u64,
    /// Pieces that matched their hash.
    pub verified_pieces: u64,
    /// Pieces that did not match their hash.
    pub failed_pieces: u64,
    /// Blocks that were already there.
    pub duplicate_blocks: u64,
}

impl Writer {
    /// Starts a writer that holds at most `credits_kib` KiB of blocks, usually [`WRITE_CREDITS_KIB`]. `report` is
    /// called on its threads and must not wait.
    ///
    /// [`WRITE_CREDITS_KIB`]: super::WRITE_CREDITS_KIB
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(
        credits_kib: u32,
        report: impl Fn(InfoHash, Report) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        Self::start_with(credits_kib, Arc::new(report), Disk::new())
    }

    pub(super) fn start_with(credits_kib: u32, report: Reporter, disk: Disk) -> io::Result<Self> {
        let credits = Credits::new(credits_kib);
        // A block holds this many credits at least, so the queue is never full.
        let (deposits, blocks) = bounded((credits.total_kib() / MIN_CREDITS_KIB) as usize);
        let (controls, orders) = bounded(MAX_CONTROLS);
        let counters = Arc::new(Counters::default());
        let (syncs, sync_thread) = sync::start(Arc::clone(&report))?;
        let drained = Arc::new(Notify::new());
        let ports = Ports {
            deposits: blocks,
            drained: Arc::clone(&drained),
            controls: orders,
            syncs,
            counters: Arc::clone(&counters),
            report,
        };
        let thread = WriterThread::new(ports, credits.clone(), disk);
        let thread = std::thread::Builder::new().name("btd-write".into()).spawn(move || thread.run())?;
        let threads = Mutex::new(vec![thread, sync_thread]);
        Ok(Self { deposits, controls, credits, drained, counters, threads })
    }

    /// The memory that a block takes, to be acquired before it is read from its socket.
    pub fn credits(&self) -> &Credits {
        &self.credits
    }

    /// Waits while the writer is behind. What is received only to lie in its queue is no longer in the processor's cache
    /// when its turn comes, and would be fetched from memory twice, to be hashed and to be written.
    pub async fn keep_up(&self) {
        loop {
            let mut drained = pin!(self.drained.notified());
            drained.as_mut().enable();
            if self.deposits.len() <= MAX_BEHIND || self.credits.is_closed() {
                return;
            }
            drained.await;
        }
    }

    /// Hands a block over. For ring threads: it neither waits nor locks. A block that is not as long as it says, or
    /// lies outside of its torrent, is our own mistake.
    ///
    /// # Errors
    /// Gives the block back when the writer has ended, or when it came with fewer credits than it needs and the queue
    /// is full.
    pub fn deposit(&self, deposit: Deposit) -> Result<(), Refused<Deposit>> {
        let Deposit { block, torrent, data, .. } = &deposit;
        assert_eq!(data.len(), block.length as usize, "the bytes of {block:?}");
        assert!(torrent.info().geometry().block_range(*block).is_some(), "{block:?} lies in its torrent");
        self.deposits.try_send(deposit).map_err(|refused| Refused(refused.into_inner()))
    }

    /// Drops what is held for a torrent, and all that is known of it, then calls `done`: nothing of it is being written
    /// any more, and its files are closed. What is deposited later counts as new, unless the torrent was withdrawn. Waits
    /// while the writer is behind: not for ring threads.
    ///
    /// # Errors
    /// When the writer has ended; `done` is not called then.
    pub fn forget(
        &self,
        info_hash: InfoHash,
        done: impl FnOnce() + Send + 'static,
    ) -> Result<(), Refused<()>> {
        self.controls.send(Control::Forget(info_hash, Box::new(done))).map_err(|_| Refused(()))
    }

    /// Has everything written so far brought to the disk, then calls `reply`, on a thread of its own, with the pieces
    /// that were reported verified before and are durable now.
    ///
    /// # Errors
    /// When the writer is too far behind to take it; `reply` is not called then.
    pub fn sync(&self, reply: impl FnOnce(Durable) + Send + 'static) -> Result<(), Refused<()>> {
        self.control(Control::Sync(Box::new(reply)))
    }

    /// Tries at once whether a full disk has room again.
    ///
    /// # Errors
    /// When the writer is too far behind to take it.
    pub fn retry(&self) -> Result<(), Refused<()>> {
        self.control(Control::Retry)
    }

    /// Whether one of its threads has ended before it was told to, which is a mistake of ours.
    pub fn is_lost(&self) -> bool {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.iter().any(JoinHandle::is_finished)
    }

    /// What has been done so far.
    pub fn totals(&self) -> Totals {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &*self.counters;
        Totals {
            received_bytes: read(&counters.received_bytes),
            wasted_bytes: read(&counters.wasted_bytes),
            hashed_bytes: read(&counters.hashed_bytes),
            written_bytes: read(&counters.written_bytes),
            early_bytes: read(&counters.early_bytes),
            verified_pieces: read(&counters.verified_pieces),
            failed_pieces: read(&counters.failed_pieces),
            duplicate_blocks: read(&counters.duplicate_blocks),
        }
    }

    /// Ends the writer: pieces that are whole are hashed, written and reported, the rest is dropped. Returns in
    /// bounded time, whatever the disk does.
    pub fn stop(&self) {
        let deadline = Instant::now() + STOP_TIMEOUT;
        let _ = self.controls.send_deadline(Control::Stop, deadline);
        self.credits.close();
        self.drained.notify_waiters();
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            while !thread.is_finished() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(2));
            }
            if thread.is_finished() {
                let _ = thread.join();
            }
        }
    }

    fn control(&self, control: Control) -> Result<(), Refused<()>> {
        self.controls.try_send(control).map_err(|_| Refused(()))
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("totals", &self.totals()).finish_non_exhaustive()
    }
}
