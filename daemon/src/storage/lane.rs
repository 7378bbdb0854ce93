//! The cold lanes: threads that fetch from disk what is not known to be in memory, so that no ring thread waits.
//!
//! Each device has a lane of its own, so one that stalls holds up nothing but itself. A lane opens and maps files,
//! looks whether they are still what was hashed, reads windows into memory, and hands back a lease.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use protocol::geometry::{Block, Extent};
use tokio::sync::oneshot;

use super::file::{FileError, PayloadFile};
use super::lease::Lease;
use super::open::{OpenFile, OpenFiles};
use super::torrent::{Torrent, TorrentError, in_memory};
use super::watch::Watch;
use super::window::{self, Windows};

/// Threads of a lane: enough to keep a disk's queue filled, few enough for a spinning one.
const LANE_THREADS: usize = 4;

/// The device that a lane reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LaneId(pub u64);

/// Why blocks were not lent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LaneError {
    /// The torrent has an error and is no longer served.
    #[error("the torrent has stopped")]
    Stopped,
    /// The blocks lie on no device that has a lane: our own mistake.
    #[error("no lane reads these blocks")]
    NoLane,
    /// More wait than there may be connections: our own mistake.
    #[error("the lane is full")]
    Full,
}

/// Blocks on their way; resolves to the lease on all of them, in order.
pub type Ticket = oneshot::Receiver<Result<Lease, LaneError>>;

#[derive(Debug)]
struct Job {
    torrent: Arc<Torrent>,
    blocks: Vec<Block>,
    reply: oneshot::Sender<Result<Lease, LaneError>>,
}

/// What the threads of all lanes share.
#[derive(Debug)]
struct Shared {
    files: OpenFiles,
    watch: Option<Watch>,
}

/// The lanes of all devices that hold payload.
#[derive(Debug)]
pub struct Lanes {
    queues: HashMap<LaneId, Sender<Job>>,
}

impl Lanes {
    /// Starts a lane for each device that `torrents` lie on. At most `max_open_files` are held open, and at most
    /// `max_jobs` wait in a lane: one for each connection is enough.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(torrents: &[Arc<Torrent>], max_open_files: usize, max_jobs: usize) -> io::Result<Self> {
        let watch =
            Watch::start().inspect_err(|error| tracing::warn!("changes are noticed late: {error}")).ok();
        let shared = Arc::new(Shared { files: OpenFiles::new(max_open_files), watch });
        let mut queues = HashMap::new();
        // Lane 0 answers for blocks that touch no file.
        let devices =
            torrents.iter().flat_map(|torrent| torrent.payload_files()).map(|file| file.stamp.device);
        for id in devices.chain([0]).map(LaneId) {
            if let Entry::Vacant(entry) = queues.entry(id) {
                entry.insert(start_lane(&shared, max_jobs)?);
            }
        }
        Ok(Self { queues })
    }

    /// Has `blocks` of `torrent` fetched. Never waits.
    ///
    /// # Errors
    /// When the lane takes no more.
    pub fn fetch(&self, torrent: &Arc<Torrent>, blocks: Vec<Block>) -> Result<Ticket, LaneError> {
        let lane = blocks.first().and_then(|block| torrent.lane_of(*block));
        let queue = lane.and_then(|id| self.queues.get(&id)).ok_or(LaneError::NoLane)?;
        let (reply, ticket) = oneshot::channel();
        match queue.try_send(Job { torrent: Arc::clone(torrent), blocks, reply }) {
            Ok(()) => Ok(ticket),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(LaneError::Full),
        }
    }
}

/// Starts the threads of one lane. They end when the lanes are dropped.
fn start_lane(shared: &Arc<Shared>, max_jobs: usize) -> io::Result<Sender<Job>> {
    let (queue, jobs) = bounded(max_jobs);
    for _ in 0..LANE_THREADS {
        let (shared, jobs) = (Arc::clone(shared), jobs.clone());
        std::thread::Builder::new().name("btd-storage".into()).spawn(move || run(&shared, &jobs))?;
    }
    Ok(queue)
}

fn run(shared: &Shared, jobs: &Receiver<Job>) {
    for Job { torrent, blocks, reply } in jobs {
        // Nobody waits any more when the connection has gone.
        if reply.is_closed() {
            continue;
        }
        let result = if torrent.error().is_some() {
            Err(LaneError::Stopped)
        } else {
            fetch(shared, &torrent, &blocks).map_err(|error| {
                torrent.fail(error);
                LaneError::Stopped
            })
        };
        let _ = reply.send(result);
    }
}

/// Lends `blocks`, reading what is not in memory; then looks whether the files are still what was hashed, so that
/// what was read before a change is never lent.
fn fetch(shared: &Shared, torrent: &Arc<Torrent>, blocks: &[Block]) -> Result<Lease, TorrentError> {
    let mut lease = Lease::default();
    let mut touched: Vec<(usize, Arc<OpenFile>)> = Vec::new();
    for extent in blocks.iter().flat_map(|block| torrent.extents(*block)) {
        if torrent.is_padding(extent.file) {
            lease.push_zeros(in_memory(extent.length));
            continue;
        }
        if touched.last().is_none_or(|(file, _)| *file != extent.file) {
            touched.push((extent.file, open(shared, torrent, extent.file)?));
        }
        if let Some((_, opened)) = touched.last() {
            fetch_extent(torrent.payload(extent.file)?, opened, extent, &mut lease)?;
        }
    }
    for (file, opened) in &touched {
        torrent.payload(*file)?.check_unchanged(opened.file())?;
    }
    Ok(lease)
}

fn open(shared: &Shared, torrent: &Arc<Torrent>, file: usize) -> Result<Arc<OpenFile>, TorrentError> {
    let payload = torrent.payload(file)?;
    // Watched before it is looked at, so that no change falls in between.
    if let (Some(watch), None) = (&shared.watch, &*payload.opened.load()) {
        watch.add(torrent, payload);
    }
    Ok(shared.files.open(payload)?)
}

fn fetch_extent(
    payload: &PayloadFile,
    opened: &Arc<OpenFile>,
    extent: Extent,
    lease: &mut Lease,
) -> Result<(), TorrentError> {
    let Extent { offset, length, .. } = extent;
    let unreadable = |source| FileError::Unreadable { path: payload.path.clone(), source };
    let Some((mapping, windows)) = opened.mapped() else {
        let mut buffer = vec![0; in_memory(length)].into_boxed_slice();
        opened.read(&mut buffer, offset).map_err(unreadable)?;
        lease.push_buffer(buffer);
        return Ok(());
    };
    let now_s = window::seconds(Instant::now());
    if !windows.are_warm(offset..offset + length, now_s) {
        let wide = Windows::widen(offset..offset + length, payload.stamp.length);
        let range = in_memory(wide.start)..in_memory(wide.end);
        mapping.prefetch(range.clone()).and_then(|()| mapping.populate(range)).map_err(unreadable)?;
        windows.set_warm(wide, now_s);
    }
    lease.push_mapped(opened, in_memory(offset), in_memory(length));
    Ok(())
}
