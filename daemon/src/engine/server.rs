//! The running whole: torrents, workers, coordinator, storage threads and trackers, started and stopped together.
//!
//! Every command that talks to peers is a `Server` with another configuration.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use protocol::id::{InfoHash, PeerId};
use protocol::peer::Identity;
use protocol::swarm::candidates::Source;
use service::heartbeats::Heartbeats;
use service::listen::{self, ListenError, Listeners};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};

use crate::bus::{MAX_REPORTS, WorkerFigures};
use crate::config::{LISTEN_OPTION, ServeConfig, TrackerTable};
use crate::coordinator::{self, Coordinator, Instruction, Notice, Parts};
use crate::discovery::{Discovery, DiscoveryError, FoundPeers, Settings as TrackerSettings};
use crate::storage::Registry;
use crate::storage::lane::Lanes;
use crate::storage::write::{self, WRITE_CREDITS_KIB, Writer};
use crate::worker::{self, Shared, Worker, WorkerError};

use super::gauge::Gauge;
use super::{Engine, limits};

/// How long the workers may take to stop before they are left to the end of the process.
const STOP_TIMEOUT: Duration = Duration::from_millis(1_500);
/// How long trackers may take to hear that we go.
const STOPPED_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the coordinator may take to hear the last of what was written.
const COORDINATOR_TIMEOUT: Duration = Duration::from_millis(500);
/// Notices on their way to the command; more wait with the coordinator.
const MAX_NOTICES: usize = 1_024;

/// Workers that serve and fetch torrents.
#[derive(Debug)]
pub struct Server {
    engine: Engine,
    coordinator: Coordinator,
    discovery: Discovery,
    addresses: Vec<SocketAddr>,
    workers: Vec<Worker>,
    stop: watch::Sender<bool>,
}

/// What there is to say at the end.
#[derive(Debug)]
pub struct Farewell {
    /// What was done.
    pub totals: WorkerFigures,
    /// Torrents whose trackers have heard that we go.
    pub told: Vec<InfoHash>,
}

/// What the coordinator has to say to whoever started the server.
pub type Notices = mpsc::Receiver<Notice>;

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// No listener.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// No worker.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// No thread for trackers.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// No storage thread.
    #[error("cannot start a storage thread: {0}")]
    Storage(std::io::Error),
    /// No coordinator.
    #[error("cannot start the coordinator: {0}")]
    Coordinator(std::io::Error),
    /// The same torrent came twice.
    #[error("{name} was given twice: torrent {info_hash}")]
    Twice {
        /// Its name.
        name: String,
        /// Its info-hash.
        info_hash: InfoHash,
    },
    /// The coordinator takes nothing any more: our own mistake.
    #[error("the coordinator has ended")]
    Ended,
}

impl Server {
    /// Starts everything; peers can connect when it returns, and are turned away until there is a torrent.
    ///
    /// # Errors
    /// When a port is taken, or io_uring or a thread is refused.
    pub fn start(config: &ServeConfig) -> Result<(Self, Notices), ServerError> {
        let Listeners { by_worker, addresses } = listen::bind(&config.listen, config.workers, LISTEN_OPTION)?;
        let ours = Identity {
            peer_id: PeerId::ours(rand::random()),
            listen_port: addresses.first().map(SocketAddr::port),
        };
        let (instruct, instructions) = coordinator::instructions();
        let registry = Arc::new(Registry::default());
        let lanes = Arc::new(Lanes::start(&[], config.max_open_files).map_err(ServerError::Storage)?);
        let writer = match config.is_fetching {
            true => Some(Arc::new(start_writer(instruct.clone())?)),
            false => None,
        };
        let (notices, to_command) = mpsc::channel(MAX_NOTICES);
        let discovery = start_discovery(ours, instruct.clone(), notices.clone(), &config.trackers)?;
        let limits = Arc::new(limits(config.limits));
        let (reports, to_coordinator) = mpsc::channel(MAX_REPORTS);
        let (stop, is_stopped) = watch::channel(false);
        let shared = Shared {
            ours,
            registry: Arc::clone(&registry),
            lanes: Arc::clone(&lanes),
            writer: writer.clone(),
            reports,
            limits: Arc::clone(&limits),
            max_connections: config.max_connections,
            open_connections: Arc::new(AtomicUsize::new(0)),
            stop: is_stopped,
        };
        let workers: Result<Vec<Worker>, WorkerError> = by_worker
            .into_iter()
            .enumerate()
            .map(|(number, listeners)| worker::start(number, listeners, shared.clone()))
            .collect();
        let workers = workers?;
        let parts = Parts {
            our_id: ours.peer_id,
            reports: to_coordinator,
            dials: workers.iter().map(|worker| worker.dials.clone()).collect(),
            registry: Arc::clone(&registry),
            limits,
            notices,
            instructions,
        };
        let coordinator = Coordinator::start(parts, instruct.clone()).map_err(ServerError::Coordinator)?;
        let trackers = discovery.handle();
        let faults = Arc::default();
        let engine = Engine { registry, lanes, writer, instructions: instruct, trackers, faults };
        let server = Self { engine, coordinator, discovery, addresses, workers, stop };
        Ok((server, to_command))
    }

    /// What can be asked of it.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The addresses that are listened on, with real ports.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What has been done so far.
    pub fn totals(&self) -> WorkerFigures {
        self.workers.iter().map(|worker| worker.counters.figures()).sum()
    }

    /// Where to read what has been done so far, for as long as anybody wants to.
    pub fn gauge(&self) -> Gauge {
        let workers = self.workers.iter().map(|worker| Arc::clone(&worker.counters)).collect();
        Gauge::new(self.addresses.clone(), workers, self.engine.clone())
    }

    /// Has the threads watched that never wait for a disk or a peer: one that stands still is a mistake of ours.
    pub fn watch_over(&self, heartbeats: &mut Heartbeats, now: Instant) {
        for (number, worker) in self.workers.iter().enumerate() {
            heartbeats.watch(format!("worker {number}"), worker.pulse.clone(), now);
        }
        heartbeats.watch("the coordinator", self.coordinator.pulse().clone(), now);
    }

    /// Whether a worker, the writer or the coordinator has ended on its own, which is a mistake of ours.
    pub fn has_lost_a_thread(&self) -> bool {
        self.workers.iter().any(|worker| worker.thread.is_finished())
            || self.engine.writer.as_ref().is_some_and(|writer| writer.is_lost())
            || self.coordinator.is_lost()
    }

    /// Ends all connections, writes what is whole, tells trackers that we go, and tells what was done. Returns in
    /// bounded time, whatever a peer, a disk or a tracker does.
    pub fn stop(self) -> Farewell {
        let Self { engine, coordinator, discovery, workers, stop, .. } = self;
        stop.send_replace(true);
        let deadline = Instant::now() + STOP_TIMEOUT;
        let counters: Vec<_> = workers.iter().map(|worker| Arc::clone(&worker.counters)).collect();
        std::thread::scope(|scope| {
            // Trackers take their time, and need nothing of the others.
            let farewell = scope.spawn(move || discovery.stop(STOPPED_TIMEOUT));
            for worker in workers {
                while !worker.thread.is_finished() && Instant::now() < deadline {
                    std::thread::sleep(Duration::from_millis(2));
                }
                if worker.thread.is_finished() {
                    let _ = worker.thread.join();
                }
            }
            // In this order: what workers have received is written, and what was written counts.
            engine.writer.inspect(|writer| writer.stop());
            coordinator.stop(COORDINATOR_TIMEOUT);
            let told = farewell.join().unwrap_or_default();
            Farewell { totals: counters.iter().map(|counters| counters.figures()).sum(), told }
        })
    }
}

/// Starts the thread that writes. What it reports goes to the coordinator.
fn start_writer(instruct: mpsc::Sender<Instruction>) -> Result<Writer, ServerError> {
    let report = move |info_hash, report: write::Report| {
        // The writer may wait: the coordinator never waits for it.
        let _ = instruct.blocking_send(Instruction::Stored(info_hash, report));
    };
    Writer::start(WRITE_CREDITS_KIB, report).map_err(ServerError::Storage)
}

/// Starts the thread that asks trackers. What they name goes to the coordinator.
fn start_discovery(
    ours: Identity,
    instruct: mpsc::Sender<Instruction>,
    notices: mpsc::Sender<Notice>,
    chosen: &TrackerTable,
) -> Result<Discovery, ServerError> {
    let found = move |info_hash, found: FoundPeers| {
        // One that is missed costs an announce after the next start.
        let _ = notices.try_send(Notice::Announced { info_hash, next_in: found.next_in });
        if found.peers.is_empty() {
            return;
        }
        let instruction = Instruction::Found { info_hash, addresses: found.peers, source: Source::Tracker };
        if let Err(TrySendError::Full(_)) = instruct.try_send(instruction) {
            tracing::debug!(%info_hash, "peers of a tracker are left out: the coordinator is behind");
        }
    };
    let port = ours.listen_port.unwrap_or(0);
    let settings = TrackerSettings::new(ours.peer_id, port, rand::random(), Arc::new(found));
    Ok(Discovery::start(as_chosen(settings, chosen))?)
}

/// `settings` with what the user chose.
fn as_chosen(settings: TrackerSettings, chosen: &TrackerTable) -> TrackerSettings {
    let &TrackerTable {
        announce_port,
        numwant,
        http_timeout,
        udp_timeout,
        udp_attempts,
        requests,
        requests_per_host,
    } = chosen;
    let count = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    TrackerSettings {
        port: if announce_port == 0 { settings.port } else { announce_port },
        num_want: numwant,
        http_timeout,
        udp_base: udp_timeout,
        udp_attempts,
        overall: count(requests),
        per_host: count(requests_per_host),
        ..settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> TrackerSettings {
        TrackerSettings::new(PeerId::ours(rand::random()), 6_881, 0, Arc::new(|_, _| {}))
    }

    /// What can be chosen, of `settings`.
    fn chosen(s: &TrackerSettings) -> (u16, u32, [Duration; 2], u32, [usize; 2]) {
        (s.port, s.num_want, [s.http_timeout, s.udp_base], s.udp_attempts, [s.overall, s.per_host])
    }

    #[test]
    fn trackers_are_asked_as_chosen() {
        let table = TrackerTable {
            announce_port: 1,
            numwant: 2,
            http_timeout: Duration::from_secs(3),
            udp_timeout: Duration::from_secs(4),
            udp_attempts: 5,
            requests: 6,
            requests_per_host: 7,
        };
        let seconds = [3, 4].map(Duration::from_secs);
        assert_eq!(chosen(&as_chosen(settings(), &table)), (1, 2, seconds, 5, [6, 7]));
    }

    #[test]
    fn the_defaults_of_the_configuration_are_those_of_discovery() {
        assert_eq!(chosen(&as_chosen(settings(), &TrackerTable::default())), chosen(&settings()));
    }
}
