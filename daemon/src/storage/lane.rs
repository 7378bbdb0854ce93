//! The cold lanes: threads that fetch from disk what is not known to be in memory, so that no ring thread waits.
//!
//! Each device has a lane of its own, so one that stalls holds up only what lies on it. A lane opens and maps files,
//! reads windows into memory, looks whether the files are still what was hashed, and hands back a lease.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, Sender, bounded};
use protocol::geometry::Block;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::buffer::Buffers;
use super::fetch::Fetching;
use super::file::FileError;
use super::lease::Lease;
use super::open::OpenFiles;
use super::task::Meter;
use super::torrent::{Lent, Torrent, TorrentError};
use super::watch::Watch;

/// Threads of a lane: enough to keep a disk's queue filled, few enough for a spinning one.
const LANE_THREADS: usize = 4;
/// Bytes that a lane may have on the way, from being asked for to being sent: what a thousand fast peers keep
/// moving, and the most memory that slow ones can pin.
const LANE_CREDITS_KIB: u32 = 64 * 1024;
/// What the smallest job takes of them, so that a lane's queue has a bound.
const MIN_JOB_CREDITS_KIB: u32 = 16;

/// The device that a lane reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LaneId(pub u64);

/// Why blocks were not lent.
#[derive(Debug, thiserror::Error)]
pub enum LaneError {
    /// The torrent has an error and is no longer served.
    #[error("the torrent has stopped")]
    Stopped,
    /// The machine has run out of something; the torrent goes on.
    #[error("{0}")]
    Exhausted(FileError),
    /// The blocks lie on no device that has a lane: our own mistake.
    #[error("no lane reads these blocks")]
    NoLane,
}

type Outcome = Result<Lease, LaneError>;

#[derive(Debug)]
struct Job {
    torrent: Arc<Torrent>,
    blocks: Vec<Block>,
    /// Whether the first block begins where the connection had stopped before.
    goes_on: bool,
    credits: OwnedSemaphorePermit,
    reply: oneshot::Sender<Outcome>,
}

/// The threads of one device.
#[derive(Debug, Clone)]
struct Lane {
    queue: Sender<Job>,
    credits: Arc<Semaphore>,
}

/// What the threads of all lanes share.
#[derive(Debug)]
struct Shared {
    files: OpenFiles,
    buffers: Buffers,
    jobs: AtomicU64,
    meter: Meter,
}

/// What lanes have done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Batches of blocks that were fetched, or could not be.
    pub jobs: u64,
    /// Payload files that are open now, to be sent from.
    pub open_files: usize,
}

/// The lanes of all devices that hold payload.
#[derive(Debug)]
pub struct Lanes {
    /// Read by ring threads, written when a torrent is added.
    lanes: ArcSwap<HashMap<LaneId, Lane>>,
    shared: Arc<Shared>,
}

impl Lanes {
    /// Starts a lane for each device that `torrents` lie on. At most `max_open_files` are held open for whoever
    /// asks next, and as many again for whoever is still sending from them.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(torrents: &[Arc<Torrent>], max_open_files: usize) -> io::Result<Self> {
        let watch =
            Watch::start().inspect_err(|error| tracing::warn!("changes are noticed late: {error}")).ok();
        let files = OpenFiles::new(max_open_files, watch);
        let (buffers, jobs, meter) = (Buffers::new(), AtomicU64::new(0), Meter::default());
        let shared = Arc::new(Shared { files, buffers, jobs, meter });
        let lanes = Self { lanes: ArcSwap::default(), shared };
        torrents.iter().try_for_each(|torrent| lanes.add(torrent))?;
        Ok(lanes)
    }

    /// Starts a lane for each device that `torrent` lies on and that has none yet.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn add(&self, torrent: &Torrent) -> io::Result<()> {
        for file in torrent.payload_files() {
            let id = LaneId(file.device());
            if !self.lanes.load().contains_key(&id) {
                let lane = Lane::start(&self.shared)?;
                // Whoever came first has started it; another ends at once.
                self.lanes.rcu(|lanes| {
                    let mut lanes = HashMap::clone(lanes);
                    lanes.entry(id).or_insert_with(|| lane.clone());
                    lanes
                });
            }
        }
        Ok(())
    }

    /// Settles the files of `torrent` that `pieces` complete, once their have bits are set and with them the last
    /// write is done; from then on they are watched. Stops the torrent if one is not what was written. Looks at disks:
    /// not for ring threads.
    pub fn settle(&self, torrent: &Torrent, pieces: Range<u32>) {
        for payload in torrent.completed_files(pieces) {
            match payload.settle() {
                Ok(()) => self.shared.files.close(payload),
                Err(error) => torrent.fail(error.into()),
            }
        }
    }

    /// Closes the files of `torrent`, which was withdrawn; those that somebody still sends from a little later. Unmaps: not
    /// for ring threads.
    pub fn forget(&self, torrent: &Torrent) {
        torrent.payload_files().for_each(|payload| self.shared.files.close(payload));
        self.shared.files.has_room();
    }

    /// Whether nothing that is mapped has changed since it was lent, as far as the kernel knows now. If it has, what
    /// was lent must be fetched anew before it is sent. For ring threads: it neither waits nor locks.
    pub fn is_quiet(&self) -> bool {
        self.shared.files.is_quiet()
    }

    /// What has been done so far.
    pub fn totals(&self) -> Totals {
        let Shared { files, jobs, .. } = &*self.shared;
        Totals { jobs: jobs.load(Ordering::Relaxed), open_files: files.count() }
    }

    /// Counts the bytes that are hashed before they are lent; others may count with it.
    pub fn meter(&self) -> &Meter {
        &self.shared.meter
    }

    /// Has `blocks` of `torrent`, which all begin on one device or are padding, fetched; `goes_on` says that the first of
    /// them begins where whoever asks had stopped before, so that more is read ahead. Waits while the lane has as
    /// much on the way as it may; a future that is dropped costs nothing more.
    ///
    /// # Errors
    /// When they cannot be served.
    pub async fn fetch(&self, torrent: &Arc<Torrent>, blocks: &[Block], goes_on: bool) -> Outcome {
        let Some(id) = blocks.iter().find_map(|block| torrent.lane_of(*block)) else {
            return lend_padding(torrent, blocks);
        };
        let Some(lane) = self.lanes.load().get(&id).cloned() else { return Err(LaneError::NoLane) };
        let length: u64 = blocks.iter().map(|block| u64::from(block.length)).sum();
        let wanted = u32::try_from(length.div_ceil(1024)).unwrap_or(u32::MAX);
        let wanted = wanted.clamp(MIN_JOB_CREDITS_KIB, LANE_CREDITS_KIB);
        let credits = lane.credits.acquire_many_owned(wanted).await;
        let credits = credits.map_err(|_| LaneError::Stopped)?;
        let (reply, ticket) = oneshot::channel();
        let job = Job { torrent: Arc::clone(torrent), blocks: blocks.to_vec(), goes_on, credits, reply };
        // The queue holds as many jobs as there are credits for, so it is never full.
        lane.queue.try_send(job).map_err(|_| LaneError::Stopped)?;
        ticket.await.unwrap_or(Err(LaneError::Stopped))
    }
}

impl Lane {
    /// Starts the threads of a lane. They end when it is dropped.
    fn start(shared: &Arc<Shared>) -> io::Result<Self> {
        let (queue, jobs) = bounded((LANE_CREDITS_KIB / MIN_JOB_CREDITS_KIB) as usize);
        for _ in 0..LANE_THREADS {
            let (shared, jobs) = (Arc::clone(shared), jobs.clone());
            std::thread::Builder::new().name("btd-storage".into()).spawn(move || run(&shared, &jobs))?;
        }
        Ok(Self { queue, credits: Arc::new(Semaphore::new(LANE_CREDITS_KIB as usize)) })
    }
}

/// Lends blocks that lie on no device, for which there is nothing to do.
fn lend_padding(torrent: &Torrent, blocks: &[Block]) -> Outcome {
    let mut lease = Lease::default();
    let all_lent = blocks.iter().all(|block| torrent.lend(*block, 0, &mut lease) == Lent::Warm);
    if all_lent { Ok(lease) } else { Err(LaneError::NoLane) }
}

fn run(shared: &Shared, jobs: &Receiver<Job>) {
    for Job { torrent, blocks, goes_on, credits, reply } in jobs {
        // Nobody waits any more when the connection has gone.
        if reply.is_closed() {
            continue;
        }
        shared.jobs.fetch_add(1, Ordering::Relaxed);
        let mut lease = Lease::default();
        lease.set_credits(credits);
        let result = if torrent.error().is_some() {
            Err(LaneError::Stopped)
        } else {
            let Shared { files, buffers, meter, .. } = shared;
            let fetching = Fetching { files, buffers, meter, torrent: &torrent };
            fetching.run(&blocks, goes_on, &mut lease).map_err(|error| refuse(&torrent, error))
        };
        let _ = reply.send(result.map(|()| lease));
    }
}

/// Payload that is not what it was stops its torrent; a machine that has run out of something does not.
fn refuse(torrent: &Torrent, error: TorrentError) -> LaneError {
    match error {
        TorrentError::File(error) if error.is_exhaustion() => LaneError::Exhausted(error),
        error => {
            torrent.fail(error);
            LaneError::Stopped
        }
    }
}
