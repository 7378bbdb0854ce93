//! The thread of a writer: takes blocks in, hashes the pieces that are whole, writes those that match, and reports.
//!
//! All of its state is its own. It waits for blocks, for requests of the coordinator, for company of a lone piece
//! that is to be hashed, and for room on a full disk; and it waits in the kernel, for the disk.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{fmt, mem};

use crossbeam_channel::{Receiver, Sender, at, never, select};
use protocol::id::InfoHash;
use tokio::sync::Notify;

use super::credits::Credits;
use super::digest::{Whole, hash_blocks, hash_pieces};
use super::disk::Disk;
use super::download::{Added, Download};
use super::gathering::Gathering;
use super::piece::Parts;
use super::sync::{self, Durable, SyncJob};
use super::writer::{Control, Counters, Reporter};
use super::{BlockDigest, Deposit, Report, WriteError};
use crate::storage::torrent::Torrent;

/// How long the first block waits for others: they come by the dozen, and each that finds this thread asleep costs its
/// ring thread a system call.
const LINGER: Duration = Duration::from_micros(500);
/// How often a full disk is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// All that the thread owns.
#[derive(Debug)]
pub(super) struct WriterThread {
    ports: Ports,
    credits: Credits,
    disk: Disk,
    downloads: HashMap<InfoHash, Download>,
    /// Pieces that are to be hashed.
    whole: Gathering,
    /// Pieces that match and are to be written.
    matched: VecDeque<Matched>,
    /// Pieces that were written since the last sync.
    written: Vec<(InfoHash, u32)>,
    full: Option<Full>,
}

/// What the thread hears and says.
pub(super) struct Ports {
    pub(super) deposits: Receiver<Deposit>,
    /// Told when the queue of deposits was emptied.
    pub(super) drained: Arc<Notify>,
    pub(super) controls: Receiver<Control>,
    pub(super) syncs: Sender<SyncJob>,
    pub(super) counters: Arc<Counters>,
    pub(super) report: Reporter,
}

/// A piece that matches its hash.
#[derive(Debug)]
struct Matched {
    whole: Whole,
    digests: Option<Vec<BlockDigest>>,
}

/// A disk without room.
#[derive(Debug)]
struct Full {
    retry_at: Instant,
    /// The torrents that were told.
    told: HashSet<InfoHash>,
}

/// What did not fit.
#[derive(Debug)]
struct NoRoom {
    info_hash: InfoHash,
    needed: u64,
}

impl fmt::Debug for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ports").field("deposits", &self.deposits.len()).finish_non_exhaustive()
    }
}

impl WriterThread {
    pub(super) fn new(ports: Ports, credits: Credits, disk: Disk) -> Self {
        Self {
            ports,
            credits,
            disk,
            downloads: HashMap::new(),
            whole: Gathering::default(),
            matched: VecDeque::new(),
            written: Vec::new(),
            full: None,
        }
    }

    /// Runs until it is told to stop, or its handle is gone.
    pub(super) fn run(mut self) {
        while self.wait() {
            self.take_deposits();
            self.advance();
        }
        self.take_deposits();
        self.whole.end();
        // What does not fit now is fetched again.
        let _ = self.hash_and_write();
    }

    /// Waits for something to do; false at the end.
    fn wait(&mut self) -> bool {
        let (deposits, controls) = (self.ports.deposits.clone(), self.ports.controls.clone());
        let wake_at = self.full.as_ref().map_or(self.whole.due_at(), |full| Some(full.retry_at));
        let wake = wake_at.map_or_else(never, at);
        select! {
            recv(deposits) -> deposit => {
                let is_open = deposit.map(|deposit| self.accept(deposit)).is_ok();
                if is_open && self.ports.controls.is_empty() {
                    std::thread::sleep(LINGER);
                }
                is_open
            }
            recv(controls) -> control => control.is_ok_and(|control| self.obey(control)),
            recv(wake) -> _ => true,
        }
    }

    /// Takes in what is in the queue at this moment.
    fn take_deposits(&mut self) {
        for _ in 0..self.ports.deposits.len() {
            let Ok(deposit) = self.ports.deposits.try_recv() else { break };
            self.accept(deposit);
        }
        self.ports.drained.notify_waiters();
    }

    fn accept(&mut self, deposit: Deposit) {
        let (torrent, block) = (Arc::clone(&deposit.torrent), deposit.block);
        let info_hash = torrent.info_hash();
        if torrent.error().is_some() {
            // Another of the same name may have come in its place.
            let is_it = |download: &Download| Arc::ptr_eq(download.torrent(), &torrent);
            if self.downloads.get(&info_hash).is_some_and(is_it) {
                self.forget(info_hash);
            }
            count(&self.ports.counters.wasted_bytes, block.length.into());
            return;
        }
        let download = self.downloads.entry(info_hash).or_insert_with(|| Download::new(Arc::clone(&torrent)));
        if !Arc::ptr_eq(download.torrent(), &torrent) {
            *download = Download::new(Arc::clone(&torrent));
        }
        let counters = &self.ports.counters;
        match download.add(deposit) {
            Added::Part => count(&counters.received_bytes, block.length.into()),
            Added::Duplicate => {
                count(&counters.duplicate_blocks, 1);
                count(&counters.wasted_bytes, block.length.into());
            }
            Added::Last => {
                count(&counters.received_bytes, block.length.into());
                let length = torrent.info().geometry().length_of(block.piece);
                self.whole.add(info_hash, block.piece, length, Instant::now());
                self.tell_full(info_hash, length.into());
            }
        }
    }

    /// Does what the coordinator asks; false when it is to stop.
    fn obey(&mut self, control: Control) -> bool {
        match control {
            Control::Forget(info_hash, done) => {
                // What is in the queue came before.
                self.take_deposits();
                self.forget(info_hash);
                self.disk.forget_written(info_hash);
                self.written.retain(|(of, _)| *of != info_hash);
                done();
            }
            Control::Sync(reply) => self.sync(reply),
            Control::Retry => {
                if let Some(full) = &mut self.full {
                    full.retry_at = Instant::now();
                }
            }
            Control::Stop => return false,
        }
        true
    }

    fn forget(&mut self, info_hash: InfoHash) {
        if let Some(download) = self.downloads.remove(&info_hash) {
            self.disk.close(download.torrent());
        }
        self.whole.forget(info_hash);
        self.matched.retain(|matched| matched.whole.torrent.info_hash() != info_hash);
        if let Some(full) = &mut self.full {
            full.told.remove(&info_hash);
        }
    }

    fn fail(&mut self, torrent: &Torrent, error: WriteError) {
        self.forget(torrent.info_hash());
        sync::fail(torrent, error, &self.ports.report);
    }

    fn sync(&mut self, reply: Box<dyn FnOnce(Durable) + Send>) {
        let job = SyncJob { files: self.disk.take_written(), pieces: mem::take(&mut self.written), reply };
        if let Err(refused) = self.ports.syncs.try_send(job) {
            // The disk is behind: nothing more is durable yet, and the next sync brings it all.
            let SyncJob { files, pieces, reply } = refused.into_inner();
            self.disk.put_back(files);
            self.written = pieces;
            reply(Durable::default());
        }
    }

    /// Does what is due, unless the disk is full and not yet to be tried again.
    fn advance(&mut self) {
        let is_waiting = |full: &Full| Instant::now() < full.retry_at;
        if self.full.as_ref().is_some_and(is_waiting) {
            return;
        }
        match self.hash_and_write().and_then(|()| self.make_room_in_memory()) {
            Ok(()) => {
                for info_hash in self.full.take().into_iter().flat_map(|full| full.told) {
                    (self.ports.report)(info_hash, Report::Room);
                }
            }
            Err(NoRoom { info_hash, needed }) => {
                let retry_at = Instant::now() + RETRY;
                self.full.get_or_insert_with(|| Full { retry_at, told: HashSet::new() }).retry_at = retry_at;
                self.tell_full(info_hash, needed);
            }
        }
    }

    /// Tells a torrent once that `needed` bytes of it do not fit, while the disk is full.
    fn tell_full(&mut self, info_hash: InfoHash, needed: u64) {
        if let Some(full) = &mut self.full
            && full.told.insert(info_hash)
        {
            (self.ports.report)(info_hash, Report::DiskFull { needed });
        }
    }

    fn hash_and_write(&mut self) -> Result<(), NoRoom> {
        self.write_matched()?;
        while let Some(batch) = self.whole.take_batch(Instant::now()) {
            let take = |(info_hash, piece)| self.downloads.get_mut(&info_hash)?.take_whole(piece);
            let batch = batch.into_iter().filter_map(take).collect();
            for (whole, hash) in hash_pieces(batch, &mut self.disk) {
                self.compare(whole, hash);
            }
            self.write_matched()?;
        }
        Ok(())
    }

    fn compare(&mut self, whole: Whole, hash: Result<[u8; 20], WriteError>) {
        let (torrent, piece) = (Arc::clone(&whole.torrent), whole.piece);
        let length = torrent.info().geometry().length_of(piece).into();
        let matches = hash.map(|hash| hash == *torrent.info().piece_hash(piece));
        let needs_digests = whole.has_failed || !matches!(matches, Ok(true));
        let digests = matches.and_then(|matches| {
            count(&self.ports.counters.hashed_bytes, length);
            let digests = needs_digests.then(|| hash_blocks(&whole, &mut self.disk)).transpose()?;
            count(&self.ports.counters.hashed_bytes, digests.as_ref().map_or(0, |_| length));
            Ok((matches, digests))
        });
        let download = self.downloads.get_mut(&torrent.info_hash());
        match (digests, download) {
            (Err(error), _) => self.fail(&torrent, error),
            // Another piece of the batch has failed its torrent.
            (Ok(_), None) => {}
            (Ok((true, digests)), Some(download)) => {
                download.set_matched(piece);
                count(&self.ports.counters.verified_pieces, 1);
                self.matched.push_back(Matched { whole, digests });
            }
            (Ok((false, digests)), Some(download)) => {
                download.set_failed(piece);
                count(&self.ports.counters.failed_pieces, 1);
                count(&self.ports.counters.wasted_bytes, length);
                let digests = digests.unwrap_or_default();
                (self.ports.report)(torrent.info_hash(), Report::Failed { piece, digests });
            }
        }
    }

    fn write_matched(&mut self) -> Result<(), NoRoom> {
        while let Some(Matched { whole, digests }) = self.matched.pop_front() {
            let Whole { torrent, piece, parts, .. } = &whole;
            let (info_hash, piece) = (torrent.info_hash(), *piece);
            match write(torrent, piece, parts, &mut self.disk, &self.ports.counters) {
                Ok(_) => {
                    self.written.push((info_hash, piece));
                    (self.ports.report)(info_hash, Report::Verified { piece, digests });
                }
                Err(error) if error.is_full() => {
                    let needed = torrent.info().geometry().length_of(piece).into();
                    self.matched.push_front(Matched { whole, digests });
                    return Err(NoRoom { info_hash, needed });
                }
                Err(error) => {
                    let torrent = Arc::clone(torrent);
                    self.fail(&torrent, error);
                }
            }
        }
        Ok(())
    }

    /// Writes incomplete pieces early, the largest first, while they hold more than half of the memory: else they
    /// could hold all of it, and none could ever be completed.
    fn make_room_in_memory(&mut self) -> Result<(), NoRoom> {
        let total_kib = self.credits.total_kib() as usize;
        let limit_kib = total_kib / 2;
        // Else not even all blocks together hold as much.
        while total_kib - self.credits.free_kib() > limit_kib {
            let open = self.downloads.values().flat_map(|download| {
                let info_hash = download.torrent().info_hash();
                download.incomplete().map(move |(held_kib, piece)| (held_kib, info_hash, piece))
            });
            let (held_kib, largest) =
                open.fold((0, None), |(sum, largest), next| (sum + next.0, largest.max(Some(next))));
            let Some((_, info_hash, piece)) = largest.filter(|_| held_kib > limit_kib) else { break };
            self.write_early(info_hash, piece)?;
        }
        Ok(())
    }

    fn write_early(&mut self, info_hash: InfoHash, piece: u32) -> Result<(), NoRoom> {
        let Some(download) = self.downloads.get_mut(&info_hash) else { return Ok(()) };
        let torrent = Arc::clone(download.torrent());
        let Some(parts) = download.parts_mut(piece) else { return Ok(()) };
        match write(&torrent, piece, parts, &mut self.disk, &self.ports.counters) {
            Ok(written) => {
                parts.release();
                count(&self.ports.counters.early_bytes, written);
            }
            Err(error) if error.is_full() => {
                let needed = parts.slices().map(|slice| slice.len() as u64).sum();
                return Err(NoRoom { info_hash, needed });
            }
            Err(error) => self.fail(&torrent, error),
        }
        Ok(())
    }
}

/// Writes what is in memory of `piece`.
fn write(
    torrent: &Arc<Torrent>,
    piece: u32,
    parts: &Parts,
    disk: &mut Disk,
    counters: &Counters,
) -> Result<u64, WriteError> {
    let mut written = 0;
    for run in parts.runs() {
        written += disk.write(torrent, piece, run)?;
    }
    count(&counters.written_bytes, written);
    Ok(written)
}

fn count(counter: &AtomicU64, number: u64) {
    counter.fetch_add(number, Ordering::Relaxed);
}
