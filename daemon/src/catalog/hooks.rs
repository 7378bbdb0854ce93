//! Commands of the user that are run when a torrent is complete, or has failed. Never through a shell; what they are
//! told stands in their environment.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use protocol::control::Torrent;
use tokio::process::Command;
use tokio::sync::Semaphore;

use crate::bus::{Fault, Faults};

/// Commands that run at a time; more wait.
const MAX_RUNNING: usize = 8;
/// Commands that wait; more are left out, with a word in the log.
const MAX_WAITING: usize = 1_000;
/// How long a command may run before it is killed: whoever needs longer detaches.
const RUN_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// What the service manager says to us alone: a child that answered for us would be believed.
const SERVICE_VARIABLES: [&str; 6] =
    ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"];

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    Completed,
    Failed,
}

/// A program and its arguments; none for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hooks {
    /// When all that was wanted of a torrent is here.
    pub on_complete: Vec<String>,
    /// When something is wrong with a torrent.
    pub on_error: Vec<String>,
}

/// Runs the commands.
#[derive(Debug, Clone)]
pub(super) struct Runner {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    faults: Arc<Faults>,
}

impl Runner {
    pub(super) fn new(faults: Arc<Faults>) -> Self {
        Self {
            running: Arc::new(Semaphore::new(MAX_RUNNING)),
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
            faults,
        }
    }

    /// Has the command for `occasion` run, if there is one. Does not wait for it.
    pub(super) fn run(&self, hooks: &Hooks, occasion: Occasion, torrent: Torrent) {
        let command = match occasion {
            Occasion::Completed => &hooks.on_complete,
            Occasion::Failed => &hooks.on_error,
        };
        let [program, arguments @ ..] = &command[..] else { return };
        let Ok(place) = Arc::clone(&self.waiting).try_acquire_owned() else {
            self.faults.count(Fault::Command);
            return tracing::warn!("{program} is not run for {}: too many wait already", torrent.name);
        };
        let mut command = Command::new(program);
        command.args(arguments).envs(environment(occasion, &torrent)).stdin(Stdio::null()).kill_on_drop(true);
        command.stdout(Stdio::null());
        for name in SERVICE_VARIABLES {
            command.env_remove(name);
        }
        let (running, faults, program) =
            (Arc::clone(&self.running), Arc::clone(&self.faults), program.clone());
        tokio::spawn(async move {
            let _turn = running.acquire().await;
            if !run(command, &program, &torrent.name).await {
                faults.count(Fault::Command);
            }
            drop(place);
        });
    }
}

/// Runs a command to its end; whether all went well.
async fn run(mut command: Command, program: &str, name: &str) -> bool {
    match tokio::time::timeout(RUN_TIMEOUT, command.status()).await {
        Ok(Ok(status)) if status.success() => {
            tracing::debug!("{program} was run for {name}");
            return true;
        }
        Ok(Ok(status)) => tracing::warn!("{program} for {name}: {status}"),
        Ok(Err(error)) => tracing::error!("{program} cannot be run: {error}"),
        Err(_) => tracing::error!("{program} for {name}: killed after {} s", RUN_TIMEOUT.as_secs()),
    }
    false
}

/// What a command is told: all variables are there each time, empty where there is nothing to say.
fn environment(occasion: Occasion, torrent: &Torrent) -> [(&'static str, String); 11] {
    let event = match occasion {
        Occasion::Completed => "completed",
        Occasion::Failed => "error",
    };
    [
        ("BTD_EVENT", event.to_owned()),
        ("BTD_INFO_HASH", torrent.info_hash.to_string()),
        ("BTD_NAME", torrent.name.replace('\0', "")),
        ("BTD_DIR", torrent.dir.clone()),
        ("BTD_LABEL", torrent.label.clone().unwrap_or_default()),
        ("BTD_SIZE", torrent.size.to_string()),
        ("BTD_DOWNLOADED", torrent.downloaded.to_string()),
        ("BTD_UPLOADED", torrent.uploaded.to_string()),
        ("BTD_RATIO", format!("{:.3}", torrent.ratio)),
        ("BTD_ADDED_AT", torrent.added_at.to_string()),
        ("BTD_ERROR", torrent.error.clone().unwrap_or_default()),
    ]
}
