//! The life of the tracker, between its start and its end: signals, reloads, signs of life for the service manager.

use std::io;
use std::time::Duration;

use service::life::{End, Signals, Wish};
use service::log::Log;
use service::notify::Notifier;
use tokio::time::interval;

use super::serve::Tracker;
use super::{Failure, configure};
use crate::args::RunArgs;
use crate::config::Config;

/// How often the status line of the service manager is renewed.
const STATUS_INTERVAL: Duration = Duration::from_secs(30);
/// How often threads that have ended, and passkeys that others have changed, are looked for.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// How much longer than usual the end may take: a hundred million peers are written down.
const STOP_EXTENSION: Duration = Duration::from_secs(60);

/// What the tracker listens to while it lives.
pub(super) struct Life {
    args: RunArgs,
    config: Config,
    notifier: Notifier,
    signals: Signals,
}

impl Life {
    pub(super) fn new(args: &RunArgs, config: Config, notifier: Notifier) -> io::Result<Self> {
        Ok(Self { args: args.clone(), config, notifier, signals: Signals::listen()? })
    }

    /// Lives until it is told to end, and ends everything.
    pub(super) async fn live(mut self, tracker: Tracker, log: &Log) -> Result<(), Failure> {
        self.notifier.ready(&status(&tracker));
        if let Some(address) = tracker.metrics_address() {
            tracing::info!("metrics are at http://{address}/metrics");
        }
        let end = self.listen(&tracker, log).await;
        end.tell();
        self.notifier.stopping("Writing the state");
        self.notifier.extend_timeout(STOP_EXTENSION);
        tracker.stop();
        Ok(end.result()?)
    }

    async fn listen(&mut self, tracker: &Tracker, log: &Log) -> End {
        let (mut statuses, mut looks) = (interval(STATUS_INTERVAL), interval(LOOK_INTERVAL));
        // A third of what it waits for, so that one may come late.
        let watchdog = self.notifier.watchdog().map(|timeout| timeout / 3);
        let mut signs = interval(watchdog.unwrap_or(STATUS_INTERVAL));
        loop {
            tokio::select! {
                wish = self.signals.next() => match wish {
                    Wish::End(end) => return end,
                    Wish::Reload => self.reload(tracker, log),
                },
                _ = signs.tick(), if watchdog.is_some() => self.notifier.alive(),
                _ = statuses.tick() => self.notifier.status(&status(tracker)),
                _ = looks.tick() => {
                    if let Some(what) = tracker.lost() {
                        return End::Lost(what);
                    }
                    refresh(tracker);
                }
            }
        }
    }

    /// Reads the configuration and the lists anew, and takes over what can be changed while bttracker runs.
    fn reload(&mut self, tracker: &Tracker, log: &Log) {
        self.notifier.reloading();
        let reload = configure(&self.args).and_then(|new| Ok(self.config.reload(&new)?));
        // All or nothing: a list that cannot be read leaves everything as it is.
        match reload.and_then(|reload| tracker.reload(&reload.config).map(|()| reload)) {
            Ok(reload) => {
                reload.tell();
                self.config = reload.config;
                log.set_level(self.config.log.level);
            }
            Err(failure) => tracing::error!("the configuration stays as it is: {failure}"),
        }
        self.notifier.ready(&status(tracker));
    }
}

/// Takes in passkeys that another program has put into the database.
fn refresh(tracker: &Tracker) {
    match tracker.desk().access().refresh() {
        Ok(true) => tracing::info!("passkeys have changed"),
        Ok(false) => {}
        Err(error) => tracing::warn!("{error}"),
    }
}

/// How the tracker stands, in one line.
fn status(tracker: &Tracker) -> String {
    let totals = tracker.desk().swarms().totals();
    format!("{} torrents, {} peers", totals.torrents, totals.peers_v4 + totals.peers_v6)
}
