//! Asks trackers for peers, on an ordinary thread: HTTP, HTTPS and UDP, a queue for each host.
//!
//! The application starts one [`Discovery`] and adds torrents through its [`Handle`], a hundred thousand if need be.
//! What is asked when is decided by `protocol::announce::Schedule`; here it is sent, and the peers that come back go
//! to [`Settings::found`]. Nothing here knows of connections, pieces or files.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use protocol::announce::{Family, TrackerSet, TrackerStatus, UNKNOWN_LEFT};
use protocol::id::InfoHash;
use tokio::sync::{mpsc, oneshot};

use crate::bus::TrackerFigures;

mod actor;
mod client;
mod complaints;
mod dns;
mod fetch;
mod figures;
mod flights;
mod hosts;
mod http;
mod line;
mod settings;
#[cfg(test)]
mod tests;
mod torrents;
mod trouble;
mod udp;

use actor::{Actor, Command};
use client::Client;
pub use dns::{Lookup, Resolve};
pub use fetch::{FetchError, fetch};
use figures::Figures;
pub use settings::{Roots, Settings};

/// How long a caller waits for a status; the thread never blocks, so this is not reached while it lives.
const STATUS_TIMEOUT: Duration = Duration::from_secs(1);
/// Threads that look up names. The system's resolver blocks, and slow servers must not stop all others.
const MAX_RESOLVER_THREADS: usize = 8;

/// The bytes of a torrent, as they are told to trackers. Written by whoever moves them.
#[derive(Debug)]
pub struct Stats {
    /// Payload sent to peers since the torrent was added.
    pub uploaded: AtomicU64,
    /// Payload received since then.
    pub downloaded: AtomicU64,
    /// Payload that is missing; `u64::MAX` while the size is unknown.
    pub left: AtomicU64,
}

impl Default for Stats {
    /// Nothing moved, and a size that is unknown.
    fn default() -> Self {
        Self { uploaded: AtomicU64::new(0), downloaded: AtomicU64::new(0), left: AtomicU64::new(u64::MAX) }
    }
}

impl Stats {
    /// What is left, as trackers are told.
    fn announced_left(&self) -> u64 {
        match self.left.load(Ordering::Relaxed) {
            u64::MAX => UNKNOWN_LEFT,
            left => left,
        }
    }
}

/// A torrent to be announced.
#[derive(Debug, Clone)]
pub struct Tracked {
    /// Its name.
    pub info_hash: InfoHash,
    /// Its trackers, shared by torrents that have the same. [`read_trackers`] makes them.
    pub trackers: Arc<TrackerSet>,
    /// What to say about it.
    pub stats: Arc<Stats>,
    /// When to announce it first: when its next announce was due, as [`FoundPeers::next_in`] told before a restart.
    /// What is overdue comes one after the other. `None` for a torrent that is new, which is announced at once.
    pub first: Option<Instant>,
}

/// The trackers at the URLs of `tiers` (BEP 12), as a torrent or a magnet has them, without those that cannot be
/// asked.
pub fn read_trackers(tiers: &[Vec<String>]) -> Arc<TrackerSet> {
    Arc::new(TrackerSet::parse(tiers, |error| tracing::debug!("a tracker is left out: {error}")))
}

/// What one announce found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundPeers {
    /// Scheme, host and port of the tracker, without its path, which may be a secret.
    pub tracker: String,
    /// The family over which it was asked.
    pub family: Family,
    /// Peers, each once, at most 1,000.
    pub peers: Vec<SocketAddr>,
    /// Our address as the tracker sees it, if it says so (BEP 24).
    pub external_ip: Option<IpAddr>,
    /// Seeds that it knows.
    pub seeds: Option<u32>,
    /// Leechers that it knows.
    pub leechers: Option<u32>,
    /// How long until it is to be asked again.
    pub next_in: Duration,
}

/// Takes found peers. It is called on the thread of [`Discovery`] and must not block.
pub type Found = Arc<dyn Fn(InfoHash, FoundPeers) + Send + Sync>;

/// Why trackers cannot be asked at all.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// The thread or its runtime does not start.
    #[error("the thread that asks trackers does not start: {0}")]
    Thread(#[from] io::Error),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// The thread that asks trackers. Dropping it ends the thread without a word to them.
#[derive(Debug)]
pub struct Discovery {
    handle: Handle,
    done: Receiver<Vec<InfoHash>>,
    thread: Option<JoinHandle<()>>,
}

impl Discovery {
    /// Starts the thread.
    ///
    /// # Errors
    /// When it cannot start, or TLS cannot be set up.
    pub fn start(settings: Settings) -> Result<Self, DiscoveryError> {
        let tls = http::tls_config(&settings.roots)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(MAX_RESOLVER_THREADS)
            .build()?;
        let (commands, inbox) = mpsc::unbounded_channel();
        let (finished, done) = sync_channel(1);
        let figures = Arc::new(Figures::default());
        let counted = Arc::clone(&figures);
        let work = move || {
            let dismissed = runtime.block_on(async move {
                let client = Client::new(&settings, tls);
                Actor::new(settings, client, counted).run(inbox).await
            });
            // A name that is being looked up must not hold up the end.
            runtime.shutdown_background();
            finished.send(dismissed).ok();
        };
        let thread = thread::Builder::new().name("discovery".to_owned()).spawn(work)?;
        Ok(Self { handle: Handle { commands, figures }, done, thread: Some(thread) })
    }

    /// The way to it for everyone else.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Says `stopped` to all trackers that were told `started`, in parallel, and returns when they have answered or
    /// `within` has passed. Of a hundred thousand torrents a part hears it. Returns those of which a tracker knows
    /// now that they are gone: their next announce is due at once.
    pub fn stop(mut self, within: Duration) -> Vec<InfoHash> {
        self.finish(within)
    }

    fn finish(&mut self, within: Duration) -> Vec<InfoHash> {
        let Some(thread) = self.thread.take() else { return Vec::new() };
        self.handle.send(Command::Stop { deadline: Instant::now() + within });
        let Ok(dismissed) = self.done.recv_timeout(within + Duration::from_millis(100)) else {
            return Vec::new();
        };
        thread.join().ok();
        dismissed
    }
}

impl Drop for Discovery {
    fn drop(&mut self) {
        self.finish(Duration::ZERO);
    }
}

/// Adds and removes torrents. After [`Discovery::stop`] it does nothing.
#[derive(Clone)]
pub struct Handle {
    // Unbounded, since a removal must not be lost and its sender must not wait: what comes in is a few commands for
    // each torrent of our own.
    commands: mpsc::UnboundedSender<Command>,
    figures: Arc<Figures>,
}

impl Handle {
    /// Begins to announce a torrent, in place of one with the same info-hash. Returns how many trackers it has that
    /// can be asked; with none it is not announced.
    pub fn add(&self, torrent: Tracked) -> usize {
        let count = torrent.trackers.len();
        if count > 0 {
            self.send(Command::Add(torrent));
        }
        count
    }

    /// Asks for more peers as soon as the tracker allows it.
    pub fn want_peers(&self, info_hash: InfoHash) {
        self.send(Command::WantPeers(info_hash));
    }

    /// The user wants an announce: the trackers in charge are asked as soon as their minimum interval allows it, and
    /// those that fail are tried again.
    pub fn reannounce(&self, info_hash: InfoHash) {
        self.send(Command::Reannounce(info_hash));
    }

    /// The download became complete while it ran.
    pub fn completed(&self, info_hash: InfoHash) {
        self.send(Command::Completed(info_hash));
    }

    /// Ends a torrent: what waits in queues is dropped, and trackers that were told `started` are told `stopped`.
    pub fn remove(&self, info_hash: InfoHash) {
        self.send(Command::Remove(info_hash));
    }

    /// What is known about the trackers of a torrent; empty when it is not announced. For threads that may wait.
    pub fn status(&self, info_hash: InfoHash) -> Vec<TrackerStatus> {
        let (reply, answer) = sync_channel(1);
        let inform = Box::new(move |status| reply.try_send(status).unwrap_or_default());
        self.send(Command::Status { info_hash, inform });
        answer.recv_timeout(STATUS_TIMEOUT).unwrap_or_default()
    }

    /// The same, for those who may not wait: what is known comes through the channel, which is closed when the
    /// thread has ended.
    pub fn ask_status(&self, info_hash: InfoHash) -> oneshot::Receiver<Vec<TrackerStatus>> {
        let (reply, answer) = oneshot::channel();
        let inform = Box::new(move |status| reply.send(status).unwrap_or_default());
        self.send(Command::Status { info_hash, inform });
        answer
    }

    /// What announces came to so far, by host in order of names; a bounded number of them.
    pub fn figures(&self) -> Vec<TrackerFigures> {
        self.figures.all()
    }

    fn send(&self, command: Command) {
        self.commands.send(command).ok();
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}
