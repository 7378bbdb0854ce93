//! The life of the daemon, between its start and its end: signals, reloads, signs of life for the service manager.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use protocol::control::State;
use service::heartbeats::Heartbeats;
use service::life::{End, Signals, Wish};
use service::log::Log;
use service::notify::Notifier;

use crate::args::RunArgs;
use crate::config::RunConfig;

use super::super::Failure;
use super::{Daemon, configure, settings};

/// How often the status line of the service manager is renewed, and threads that have ended are looked for.
const STATUS_INTERVAL: Duration = Duration::from_secs(30);
/// How much longer than usual the end may take.
const STOP_EXTENSION: Duration = Duration::from_secs(30);

/// What the daemon listens to while it lives.
pub(super) struct Life {
    args: RunArgs,
    config: RunConfig,
    notifier: Notifier,
    signals: Signals,
}

impl Life {
    pub(super) fn new(args: &RunArgs, config: RunConfig, notifier: Notifier) -> Result<Self, Failure> {
        Ok(Self { args: args.clone(), config, notifier, signals: Signals::listen()? })
    }

    pub(super) fn notifier(&self) -> &Notifier {
        &self.notifier
    }

    /// Lives until it is told to end, and ends everything.
    pub(super) async fn live(mut self, mut daemon: Daemon, log: &Log) -> Result<ExitCode, Failure> {
        self.notifier.ready(&status(&daemon));
        tracing::info!("serving; the control socket is {}", self.config.control_socket.display());
        if let Some(address) = daemon.control.metrics_address() {
            tracing::info!("metrics are at http://{address}/metrics");
        }
        let end = self.listen(&mut daemon, log).await;
        end.tell();
        self.notifier.stopping("Taking leave of trackers, writing the state");
        self.notifier.extend_timeout(STOP_EXTENSION);
        // Bounded: each part has its time.
        daemon.stop();
        end.result()?;
        Ok(ExitCode::SUCCESS)
    }

    async fn listen(&mut self, daemon: &mut Daemon, log: &Log) -> End {
        let mut looks = tokio::time::interval(STATUS_INTERVAL);
        let watchdog = self.notifier.watchdog().map(Heartbeats::interval);
        let mut signs = tokio::time::interval(watchdog.unwrap_or(STATUS_INTERVAL));
        loop {
            tokio::select! {
                wish = self.signals.next() => match wish {
                    Wish::End(end) => return end,
                    Wish::Reload => self.reload(daemon, log),
                },
                Some(()) = daemon.shutdown.recv() => return End::Told("a client asked for it"),
                _ = signs.tick(), if watchdog.is_some() => self.show_life(daemon),
                _ = looks.tick() => {
                    if daemon.catalog.is_lost() {
                        return End::Lost("the catalog");
                    }
                    self.notifier.status(&status(daemon));
                }
            }
        }
    }

    /// Tells the service manager that we live, if all threads do.
    fn show_life(&self, daemon: &mut Daemon) {
        let Some(heartbeats) = &mut daemon.heartbeats else { return };
        let stalled = heartbeats.stalled(Instant::now());
        match stalled.is_empty() {
            true => self.notifier.alive(),
            false => tracing::error!("standing still: {}", stalled.join(", ")),
        }
    }

    /// Reads the configuration anew, and takes over what can be changed while btd runs.
    fn reload(&mut self, daemon: &Daemon, log: &Log) {
        self.notifier.reloading();
        let reload = configure(&self.args).and_then(|new| Ok(self.config.reload(&new)?));
        match reload {
            Ok(reload) => {
                reload.tell();
                self.config = reload.config;
                log.set_level(self.config.log.level);
                daemon.catalog.reload(settings::catalog(&self.config));
            }
            Err(failure) => tracing::error!("the configuration stays as it is: {failure}"),
        }
        self.notifier.ready(&status(daemon));
    }
}

/// How the daemon stands, in one line.
fn status(daemon: &Daemon) -> String {
    let counts = daemon.board.counts();
    let shown = [State::Downloading, State::Seeding, State::Checking, State::Error];
    let parts: Vec<String> = shown
        .into_iter()
        .map(|state| (state, counts.of(state)))
        .filter(|(_, count)| *count > 0)
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    match parts.is_empty() {
        true => format!("{} torrents", counts.total()),
        false => format!("{} torrents: {}", counts.total(), parts.join(", ")),
    }
}
