//! `btd run`: the daemon. Starts everything, in the order in which it is needed, and ends it the other way round.

mod life;
mod settings;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::stat::{Mode, umask};
use service::control::Control;
use service::heartbeats::{Heartbeats, Pulse};
use service::log::Log;
use service::notify::Notifier;
use service::{inherit, limits, memory};
use tokio::sync::mpsc;

use crate::PROGRAM;
use crate::args::RunArgs;
use crate::bus::{Board, Figures, Requests};
use crate::catalog::{self, Catalog};
use crate::config::RunConfig;
use crate::control;
use crate::engine::Server;
use crate::storage::hash;
use crate::storage::state::{FolderLock, Recorder, State};
use crate::sys::probe;

use super::Failure;

use life::Life;

/// The database in the state directory.
const STATE_FILE: &str = "state.sqlite";
/// How long all torrents together may take to end: trackers, disks and the state have two seconds each, and go side by
/// side where they can.
const CATALOG_TIMEOUT: Duration = Duration::from_secs(8);
/// How long replies of the control API that are on their way may take.
const CONTROL_GRACE: Duration = Duration::from_millis(500);

/// What file and command line come to.
pub(super) fn configure(args: &RunArgs) -> Result<RunConfig, Failure> {
    Ok(RunConfig::load(args, limits::raise_open_files()?)?)
}

/// A daemon that serves.
struct Daemon {
    catalog: Catalog,
    control: Control,
    board: Arc<Board>,
    /// Watched for a service manager that wants to know that we live.
    heartbeats: Option<Heartbeats>,
    /// Tells when a client wants the daemon to end.
    shutdown: mpsc::Receiver<()>,
    /// Held until the end: nobody else may use the state.
    _lock: FolderLock,
}

/// Serves until a signal or a client ends it.
pub(super) fn run(args: &RunArgs, config: RunConfig, log: &Log) -> Result<ExitCode, Failure> {
    // Before there is another thread: it takes variables out of the environment.
    let inherited = inherit::control_listener(PROGRAM)?;
    memory::return_large();
    let notifier = Notifier::from_env();
    probe::io_uring()?;
    hash::give_way()?;
    if let Some(bits) = config.umask {
        umask(Mode::from_bits_truncate(bits));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _guard = runtime.enter();
    // From here on a signal ends the daemon in order.
    let life = Life::new(args, config.clone(), notifier)?;
    let daemon = Daemon::start(&config, inherited, life.notifier())?;
    runtime.block_on(life.live(daemon, log))
}

impl Daemon {
    fn start(
        config: &RunConfig,
        inherited: Option<std::os::unix::net::UnixListener>,
        notifier: &Notifier,
    ) -> Result<Self, Failure> {
        let lock = FolderLock::take(&config.state_dir)?;
        std::fs::create_dir_all(&config.data_dir)
            .map_err(|error| format!("data_dir {}: {error}", config.data_dir.display()))?;
        let path = config.state_dir.join(STATE_FILE);
        let (state, recorder) = (State::open(&path)?, Recorder::start(State::open(&path)?)?);
        let (server, notices) = Server::start(&config.serve.usable()?)?;
        let pulse = Pulse::default();
        let mut heartbeats = notifier.watchdog().map(Heartbeats::new);
        if let Some(heartbeats) = &mut heartbeats {
            server.watch_over(heartbeats, Instant::now());
            heartbeats.watch("the catalog", pulse.clone(), Instant::now());
        }
        let gauge = server.gauge();
        let board = Arc::<Board>::default();
        let (requests, inbox) = Requests::channel();
        let (on_shutdown, shutdown) = mpsc::channel(1);
        let parts = catalog::Parts {
            server,
            notices,
            board: Arc::clone(&board),
            requests: requests.clone(),
            inbox,
            state,
            recorder,
            settings: settings::catalog(config),
            on_shutdown,
            pulse,
        };
        let catalog = Catalog::start(parts)?;
        let figures = Arc::new(move || -> Figures { gauge.read() });
        let control =
            control::start(settings::control(config, inherited), Arc::clone(&board), requests, figures);
        let control = match control {
            Ok(control) => control,
            Err(error) => {
                catalog.stop(CATALOG_TIMEOUT);
                return Err(error.into());
            }
        };
        Ok(Self { catalog, control, board, heartbeats, shutdown, _lock: lock })
    }

    /// Ends everything: first the door, then the torrents.
    fn stop(self) {
        self.control.stop(CONTROL_GRACE);
        self.catalog.stop(CATALOG_TIMEOUT);
    }
}
