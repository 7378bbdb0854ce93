//! Announces that are under way, each a task, and what they are made of while they wait for that.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use protocol::announce::{Announce, Ask, Event, Reply, TrackerSet, TrackerUrl};
use protocol::id::InfoHash;
use tokio::task::{AbortHandle, Id, JoinSet};

use super::client::{AskError, Client};
use super::hosts::Pass;
use super::{Settings, Stats};

/// An announce to be sent. It needs nothing of its torrent, which may be gone when it says `stopped`.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) info_hash: InfoHash,
    /// The number of its torrent.
    pub(super) torrent: u64,
    pub(super) trackers: Arc<TrackerSet>,
    pub(super) stats: Arc<Stats>,
    pub(super) ask: Ask,
}

impl Job {
    pub(super) fn url(&self) -> Option<&TrackerUrl> {
        self.trackers.url(self.ask.tracker)
    }

    /// Scheme, host and port of the tracker: its path may be a secret.
    pub(super) fn origin(&self) -> String {
        self.url().map(TrackerUrl::origin).unwrap_or_default()
    }

    pub(super) fn is_farewell(&self) -> bool {
        self.ask.event == Event::Stopped
    }

    /// What is true at this moment.
    fn announce(&self, settings: &Settings) -> Announce {
        Announce {
            info_hash: self.info_hash,
            peer_id: settings.our_id,
            port: settings.port,
            uploaded: self.stats.uploaded.load(Ordering::Relaxed),
            downloaded: self.stats.downloaded.load(Ordering::Relaxed),
            left: self.stats.announced_left(),
            event: self.ask.event,
            num_want: Some(if self.is_farewell() { 0 } else { settings.num_want }),
            key: Some(settings.key),
            tracker_id: self.ask.tracker_id.clone(),
        }
    }
}

/// An announce that is over.
#[derive(Debug)]
pub(super) struct Landed {
    pub(super) job: Job,
    pub(super) pass: Pass,
    /// `None` when it was given up.
    pub(super) outcome: Option<Result<Reply, AskError>>,
}

#[derive(Debug)]
pub(super) struct Flights {
    settings: Settings,
    client: Arc<Client>,
    tasks: JoinSet<Result<Reply, AskError>>,
    flights: HashMap<Id, Flight>,
}

#[derive(Debug)]
struct Flight {
    job: Job,
    pass: Pass,
    task: AbortHandle,
}

impl Flights {
    pub(super) fn new(settings: Settings, client: Client) -> Self {
        Self { settings, client: Arc::new(client), tasks: JoinSet::new(), flights: HashMap::new() }
    }

    /// Sends the announce of `job`.
    pub(super) fn send(&mut self, job: Job, pass: Pass) {
        let (client, trackers) = (Arc::clone(&self.client), Arc::clone(&job.trackers));
        let (announce, tracker, family) = (job.announce(&self.settings), job.ask.tracker, job.ask.family);
        let task = self.tasks.spawn(async move {
            match trackers.url(tracker) {
                Some(url) => client.ask(url, family, &announce).await,
                None => Err(AskError::NoAddress),
            }
        });
        self.flights.insert(task.id(), Flight { job, pass, task });
    }

    /// The next that is over; `None` when none is under way. It may be dropped and called again.
    pub(super) async fn landed(&mut self) -> Option<Landed> {
        loop {
            let (id, outcome) = match self.tasks.join_next_with_id().await? {
                Ok((id, outcome)) => (id, Some(outcome)),
                Err(error) => (error.id(), None),
            };
            if let Some(Flight { job, pass, .. }) = self.flights.remove(&id) {
                return Some(Landed { job, pass, outcome });
            }
        }
    }

    /// Gives up those that are `meant`. They land nevertheless.
    pub(super) fn abort(&self, meant: impl Fn(&Job) -> bool) {
        self.flights.values().filter(|flight| meant(&flight.job)).for_each(|flight| flight.task.abort());
    }
}
