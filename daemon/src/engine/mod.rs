//! What can be asked of a running server: torrents come, change and go. Commands and the catalog have one, and may clone
//! it; it never blocks, so that it can be used from async code.

mod gauge;
mod server;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use protocol::control::PeerRow;
use protocol::id::InfoHash;
use protocol::swarm::Settings;
use protocol::swarm::candidates::Source;
use protocol::swarm::picker::Priority;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::bus::{Faults, Limits, RateLimits};
use crate::coordinator::{Addition, Beginning, Instruction, Removal, Removed, Request, Standing};
use crate::discovery::{Handle, Stats, Tracked, read_trackers};
use crate::storage::lane::Lanes;
use crate::storage::write::Writer;
use crate::storage::{Leave, Registry, Torrent};

pub use gauge::Gauge;
pub use server::{Farewell, Notices, Server, ServerError};

/// How long the last connections of a torrent, and a write that is under way, may take to end before its removal goes on
/// without them.
const PARTING_TIMEOUT: Duration = Duration::from_secs(5);

/// The way to everything that talks to peers.
#[derive(Debug, Clone)]
pub struct Engine {
    registry: Arc<Registry>,
    lanes: Arc<Lanes>,
    writer: Option<Arc<Writer>>,
    instructions: mpsc::Sender<Instruction>,
    trackers: Handle,
    faults: Arc<Faults>,
}

/// Where the peers of a torrent are, and how they are to be treated.
#[derive(Debug, Default)]
pub struct Company {
    /// Announce URLs in tiers (BEP 12); none where somebody else has the torrent announced.
    pub tiers: Vec<Vec<String>>,
    /// Addresses that the user named.
    pub peers: Vec<SocketAddr>,
    /// What the user chose.
    pub settings: Settings,
    /// What this torrent alone may send and receive.
    pub limits: RateLimits,
}

/// A torrent of the server.
#[derive(Debug)]
pub struct Member {
    /// How it stands, as it changes.
    pub standing: watch::Receiver<Standing>,
    /// What trackers are told of it, to be kept true by whoever has it.
    pub stats: Arc<Stats>,
}

/// What became of a torrent that was to be unloaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unloaded {
    /// It has no connection and no open file any more. Its standing says what its swarm had counted.
    Done,
    /// It has peers, and stays.
    Busy,
    /// It was not loaded.
    Absent,
}

impl Engine {
    /// Lets peers come for torrents that are not loaded: [`Notice::Wanted`] says when one does. What is loaded already
    /// stays as it is.
    ///
    /// [`Notice::Wanted`]: crate::coordinator::Notice::Wanted
    pub fn know(&self, info_hashes: impl IntoIterator<Item = InfoHash>) {
        self.registry.add_known(info_hashes);
    }

    /// Has peers that come for a torrent that is not loaded turned away.
    pub fn forget(&self, info_hash: InfoHash) {
        self.registry.remove(info_hash, Leave::Nothing);
    }

    /// Has peers that wait for a torrent turned away: it is not loaded for them.
    ///
    /// # Errors
    /// When the coordinator has ended.
    pub async fn refuse(&self, info_hash: InfoHash) -> Result<(), ServerError> {
        self.instruct(Instruction::Refuse(info_hash)).await
    }

    /// Adds a torrent whose metadata is here. `priorities` has one for each piece, or is empty.
    ///
    /// # Errors
    /// When it is here already, or a storage thread cannot be started.
    pub async fn add(
        &self,
        torrent: Arc<Torrent>,
        priorities: Vec<Priority>,
        company: Company,
    ) -> Result<Member, ServerError> {
        let (info_hash, name) = (torrent.info_hash(), torrent.info().name().to_owned());
        self.lanes.add(&torrent).map_err(ServerError::Storage)?;
        let stats = Arc::new(Stats::default());
        stats.left.store(torrent.missing_bytes(|_| true), Ordering::Relaxed);
        self.enroll(info_hash, name, company, stats, Some(Beginning { torrent, priorities })).await
    }

    /// Adds a torrent of which only the info-hash is known. Answer its [`Notice::Metadata`] with [`Engine::begin`].
    ///
    /// [`Notice::Metadata`]: crate::coordinator::Notice::Metadata
    ///
    /// # Errors
    /// When it is here already.
    pub async fn add_awaited(&self, info_hash: InfoHash, company: Company) -> Result<Member, ServerError> {
        self.enroll(info_hash, "a magnet link".to_owned(), company, Arc::default(), None).await
    }

    /// The metadata of an awaited torrent is here, and its files are ready.
    ///
    /// # Errors
    /// When a storage thread cannot be started.
    pub async fn begin(&self, torrent: Arc<Torrent>, priorities: Vec<Priority>) -> Result<(), ServerError> {
        self.lanes.add(&torrent).map_err(ServerError::Storage)?;
        self.instruct(Instruction::Begin(Beginning { torrent, priorities })).await
    }

    async fn enroll(
        &self,
        info_hash: InfoHash,
        name: String,
        company: Company,
        stats: Arc<Stats>,
        beginning: Option<Beginning>,
    ) -> Result<Member, ServerError> {
        let Company { tiers, peers, settings, limits: of_torrent } = company;
        let (standing, is_standing) = watch::channel(Standing::default());
        let limits = Arc::new(limits(of_torrent));
        let (is_added, added) = oneshot::channel();
        let addition = Addition { info_hash, settings, limits, peers, standing, beginning, is_added };
        self.instruct(Instruction::Add(addition)).await?;
        if !added.await.map_err(|_| ServerError::Ended)? {
            return Err(ServerError::Twice { name, info_hash });
        }
        if !tiers.is_empty() {
            let trackers = read_trackers(&tiers);
            self.trackers.add(Tracked { info_hash, trackers, stats: Arc::clone(&stats), first: None });
        }
        Ok(Member { standing: is_standing, stats })
    }

    /// Unloads a torrent: ends its connections, drops what was received of it and is not whole, and closes its files, so
    /// that they may be moved or deleted afterwards. Peers that wait for it are turned away, so this also refuses to
    /// load one. Trackers are not told. With `only_if_idle` it stays while it has a peer, or dials one.
    ///
    /// # Errors
    /// When the coordinator has ended.
    pub async fn remove(
        &self,
        info_hash: InfoHash,
        leave: Leave,
        only_if_idle: bool,
    ) -> Result<Unloaded, ServerError> {
        let (reply, removal) = oneshot::channel();
        self.instruct(Instruction::Remove(Request { info_hash, leave, only_if_idle, reply })).await?;
        match removal.await.map_err(|_| ServerError::Ended)? {
            Removal::Busy => Ok(Unloaded::Busy),
            Removal::Absent => Ok(Unloaded::Absent),
            Removal::Removed(removed) => Ok(self.release(info_hash, removed).await),
        }
    }

    /// Lets go of all that a torrent still has in memory.
    async fn release(&self, info_hash: InfoHash, removed: Removed) -> Unloaded {
        let Removed { torrent, parted } = removed;
        // At once: a reader may wait for just the memory that the writer gives back then.
        let (done, is_written) = oneshot::channel::<()>();
        let (writer, lanes) = (self.writer.clone(), Arc::clone(&self.lanes));
        let forgetting = tokio::task::spawn_blocking(move || match writer {
            Some(writer) => writer.forget(info_hash, move || drop(done)).is_ok(),
            None => true,
        });
        // Each ends when its other half is dropped.
        let ended = async { (forgetting.await, parted.await, is_written.await) };
        if timeout(PARTING_TIMEOUT, ended).await.is_err() {
            tracing::warn!(%info_hash, "removed while a connection or a disk holds on to it");
        }
        if let Some(torrent) = torrent {
            // Files are unmapped there, which takes its time.
            let _ = tokio::task::spawn_blocking(move || lanes.forget(&torrent)).await;
        }
        Unloaded::Done
    }

    /// Names addresses where peers of a torrent may be. Where it can be loaded and is not, they come back as
    /// [`Notice::Found`].
    ///
    /// [`Notice::Found`]: crate::coordinator::Notice::Found
    ///
    /// # Errors
    /// When the coordinator has ended.
    pub async fn found(
        &self,
        info_hash: InfoHash,
        addresses: Vec<SocketAddr>,
        source: Source,
    ) -> Result<(), ServerError> {
        self.instruct(Instruction::Found { info_hash, addresses, source }).await
    }

    /// Sets what a torrent, or all together where none is named, may send and receive from now on.
    ///
    /// # Errors
    /// When the coordinator has ended.
    pub async fn limit(&self, info_hash: Option<InfoHash>, limits: RateLimits) -> Result<(), ServerError> {
        let RateLimits { upload_bytes_per_s, download_bytes_per_s } = limits;
        self.instruct(Instruction::Limit { info_hash, upload_bytes_per_s, download_bytes_per_s }).await
    }

    /// Sets what the user chose for a torrent.
    ///
    /// # Errors
    /// When the coordinator has ended.
    pub async fn set(&self, info_hash: InfoHash, settings: Settings) -> Result<(), ServerError> {
        self.instruct(Instruction::Settings(info_hash, settings)).await
    }

    /// The peers of a torrent; none where it is not loaded.
    ///
    /// # Errors
    /// When the coordinator has ended.
    pub async fn peers(&self, info_hash: InfoHash) -> Result<Vec<PeerRow>, ServerError> {
        let (reply, peers) = oneshot::channel();
        self.instruct(Instruction::Peers(info_hash, reply)).await?;
        peers.await.map_err(|_| ServerError::Ended)
    }

    /// Who fetches payload from disk.
    pub fn lanes(&self) -> &Arc<Lanes> {
        &self.lanes
    }

    /// Who writes what is downloaded, if anything is.
    pub fn writer(&self) -> Option<&Arc<Writer>> {
        self.writer.as_ref()
    }

    /// Who asks trackers.
    pub fn trackers(&self) -> &Handle {
        &self.trackers
    }

    /// Where it is counted what goes wrong.
    pub fn faults(&self) -> &Arc<Faults> {
        &self.faults
    }

    /// Waits while the coordinator is far behind.
    async fn instruct(&self, instruction: Instruction) -> Result<(), ServerError> {
        self.instructions.send(instruction).await.map_err(|_| ServerError::Ended)
    }
}

/// The limits of both directions.
fn limits(rates: RateLimits) -> Limits {
    Limits::new(rates.upload_bytes_per_s, rates.download_bytes_per_s, Instant::now())
}
