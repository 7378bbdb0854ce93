//! Which torrents there are, and what becomes of each: one thread that owns their lives.
//!
//! It hears what clients ask for, what the coordinator notices, and what became of chores, and takes each torrent one
//! step further. It writes the state and the board. It touches no payload itself: that is done on threads that may wait
//! for disks.

mod acting;
mod actor;
mod adding;
mod awaiting;
mod chores;
mod creating;
mod desks;
mod entry;
mod filing;
mod goals;
mod hooks;
mod interned;
mod job;
mod loading;
mod offering;
mod paths;
mod queue;
mod record;
mod relocating;
mod roots;
mod running;
mod seeding;
mod stopping;
mod telling;
mod watch_folder;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use protocol::swarm;
use service::control::Caller;
use service::heartbeats::Pulse;
use tokio::sync::mpsc;

use crate::bus::{Board, RateLimits, Request, Requests};
use crate::engine::{Notices, Server};
use crate::storage::state::{Recorder, State, StateError};
use crate::storage::write::place::Placing;

pub use goals::Goals;
pub use hooks::Hooks;
pub use roots::Roots;

/// Threads that wait for disks at a time.
const MAX_BLOCKING_THREADS: usize = 128;

/// What the user has chosen for all torrents.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where torrents lie for which nothing else is said.
    pub data_dir: PathBuf,
    /// Where downloads lie until they are complete, if not where they belong.
    pub incomplete_dir: Option<PathBuf>,
    /// How files are made.
    pub placing: Placing,
    /// Which paths clients may name.
    pub roots: Roots,
    /// When a torrent has been seeded enough.
    pub goals: Goals,
    /// Commands that are run.
    pub hooks: Hooks,
    /// Most downloads at a time.
    pub max_active: Option<usize>,
    /// How swarms behave.
    pub swarm: swarm::Settings,
    /// What all torrents together may send and receive.
    pub limits: RateLimits,
    /// Where .torrent files are looked for.
    pub watch_dir: Option<PathBuf>,
}

/// What a catalog is made of.
#[derive(Debug)]
pub struct Parts {
    /// What runs torrents; ended with the catalog.
    pub server: Server,
    /// What the coordinator has to say.
    pub notices: Notices,
    /// Where rows are shown.
    pub board: Arc<Board>,
    /// The way to the catalog, for its own watch directory.
    pub requests: Requests,
    /// What comes along that way.
    pub inbox: mpsc::Receiver<Request>,
    /// What survives the process.
    pub state: State,
    /// Who writes down how downloads stand.
    pub recorder: Recorder,
    /// What the user has chosen.
    pub settings: Settings,
    /// Told when a client wants the daemon to end.
    pub on_shutdown: mpsc::Sender<()>,
    /// Shows that the thread moves.
    pub pulse: Pulse,
}

/// Why there is no catalog.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The state cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// The watch directory cannot be watched.
    #[error("{}: cannot be watched: {source}", .path.display())]
    WatchFolder {
        /// Its path.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// It got no thread.
    #[error("cannot start the catalog: {0}")]
    Thread(#[from] io::Error),
    /// It ended before it had begun: our own mistake.
    #[error("the catalog did not start")]
    Lost,
}

/// What a catalog is told by whoever started it.
#[derive(Debug)]
enum Instruction {
    Reload(Box<Settings>),
    Stop,
}

/// A catalog that runs.
#[derive(Debug)]
pub struct Catalog {
    instructions: mpsc::UnboundedSender<Instruction>,
    ended: Receiver<()>,
    thread: JoinHandle<()>,
}

impl Catalog {
    /// Starts the thread, and returns when all torrents of the state are on the board.
    ///
    /// # Errors
    /// When the state cannot be read, or it gets no thread.
    pub fn start(parts: Parts) -> Result<Self, CatalogError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(MAX_BLOCKING_THREADS)
            .build()?;
        let (instructions, inbox) = mpsc::unbounded_channel();
        let (started, is_started) = bounded(1);
        let (end, ended) = bounded(1);
        let work = move || {
            runtime.block_on(async move {
                let begun = stopping::Running::begin(parts);
                match begun {
                    Ok(running) => {
                        let _ = started.send(Ok(()));
                        running.run(inbox).await;
                    }
                    Err(error) => drop(started.send(Err(error))),
                }
            });
            // A disk that does not answer must not hold up the end.
            runtime.shutdown_background();
            let _ = end.send(());
        };
        let thread = std::thread::Builder::new().name("btd-catalog".into()).spawn(work)?;
        is_started.recv().unwrap_or(Err(CatalogError::Lost))?;
        Ok(Self { instructions, ended, thread })
    }

    /// Takes over what may be changed while btd runs.
    pub fn reload(&self, settings: Settings) {
        let _ = self.instructions.send(Instruction::Reload(Box::new(settings)));
    }

    /// Whether it has ended on its own, which is a mistake of ours.
    pub fn is_lost(&self) -> bool {
        self.thread.is_finished()
    }

    /// Ends all torrents and the engine, and writes the last notes; waits `timeout` at most.
    pub fn stop(self, timeout: Duration) {
        let _ = self.instructions.send(Instruction::Stop);
        let _ = self.ended.recv_timeout(timeout);
    }
}

/// This process, as a client of its own.
fn ourselves() -> Caller {
    Caller { uid: nix::unistd::geteuid().as_raw(), gid: nix::unistd::getegid().as_raw() }
}
