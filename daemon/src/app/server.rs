//! The serving side as a whole: torrents, lanes, listeners and workers, started and stopped together.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use protocol::id::PeerId;
use tokio::sync::watch;

use crate::config::ServeConfig;
use crate::storage::lane::Lanes;
use crate::storage::{Registry, Torrent};
use crate::sys::listen::{self, ListenError, Listeners};
use crate::worker::{self, Shared, Totals, Worker, WorkerError};

/// How long the workers may take to stop before they are left to the end of the process.
const STOP_TIMEOUT: Duration = Duration::from_millis(1_500);

/// Workers that serve torrents.
#[derive(Debug)]
pub struct Server {
    torrents: Vec<Arc<Torrent>>,
    addresses: Vec<SocketAddr>,
    workers: Vec<Worker>,
    stop: watch::Sender<bool>,
}

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// No listener.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// No worker.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// No storage thread.
    #[error("cannot start a storage thread: {0}")]
    Storage(std::io::Error),
    /// The same torrent came twice.
    #[error("{name} was given twice: torrent {info_hash}")]
    Twice {
        /// Its name.
        name: String,
        /// Its info-hash.
        info_hash: protocol::id::InfoHash,
    },
}

impl Server {
    /// Starts serving `torrents`; peers can connect when it returns.
    ///
    /// # Errors
    /// When a port is taken, io_uring is refused, or a torrent is given twice.
    pub fn start(config: &ServeConfig, torrents: Vec<Arc<Torrent>>) -> Result<Self, ServerError> {
        let registry = Arc::new(Registry::default());
        for torrent in &torrents {
            if !registry.add(Arc::clone(torrent)) {
                let (name, info_hash) = (torrent.info().name().to_owned(), torrent.info_hash());
                return Err(ServerError::Twice { name, info_hash });
            }
        }
        let Listeners { by_worker, addresses } = listen::bind(&config.listen, config.workers)?;
        let lanes = Lanes::start(&torrents, config.max_open_files).map_err(ServerError::Storage)?;
        let (stop, is_stopped) = watch::channel(false);
        let shared = Shared {
            our_id: PeerId::ours(rand::random()),
            registry,
            lanes: Arc::new(lanes),
            max_connections: config.max_connections,
            open_connections: Arc::new(AtomicUsize::new(0)),
            stop: is_stopped,
        };
        let workers: Result<Vec<Worker>, WorkerError> = by_worker
            .into_iter()
            .enumerate()
            .map(|(number, listeners)| worker::start(number, listeners, shared.clone()))
            .collect();
        Ok(Self { torrents, addresses, workers: workers?, stop })
    }

    /// The addresses that are listened on, with real ports.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What is served.
    pub fn torrents(&self) -> &[Arc<Torrent>] {
        &self.torrents
    }

    /// What has been done so far.
    pub fn totals(&self) -> Totals {
        self.workers.iter().map(|worker| worker.counters.totals()).sum()
    }

    /// Whether a worker has ended on its own, which is a mistake of ours.
    pub fn has_lost_a_worker(&self) -> bool {
        self.workers.iter().any(|worker| worker.thread.is_finished())
    }

    /// Ends all connections and the workers, and tells what was done. Returns in bounded time, whatever a peer or a
    /// disk does.
    pub fn stop(self) -> Totals {
        self.stop.send_replace(true);
        let deadline = Instant::now() + STOP_TIMEOUT;
        let counters: Vec<_> = self.workers.iter().map(|worker| Arc::clone(&worker.counters)).collect();
        for worker in self.workers {
            while !worker.thread.is_finished() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(2));
            }
            if worker.thread.is_finished() {
                let _ = worker.thread.join();
            }
        }
        counters.iter().map(|counters| counters.totals()).sum()
    }
}
