//! The one task that owns all schedules: takes commands, sends what is due, and hears how it went.
//!
//! Every announce is a task of its own that waits in its host's queue; those of a torrent are dropped with it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use protocol::announce::{Announce, Answer, Ask, Event, Failure, Reply, Schedule, TrackerStatus, TrackerUrl};
use protocol::id::InfoHash;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout, timeout_at};

use super::client::{AskError, Client};
use super::complaints::Complaints;
use super::{FoundPeers, Settings, Stats};

/// What the application wants.
#[derive(Debug)]
pub(super) enum Command {
    Add { info_hash: InfoHash, tiers: Vec<Vec<TrackerUrl>>, stats: Arc<Stats> },
    WantPeers(InfoHash),
    Completed(InfoHash),
    Remove(InfoHash),
    Status { info_hash: InfoHash, reply: SyncSender<Vec<TrackerStatus>> },
    Stop { deadline: Instant },
}

/// What became of an announce.
#[derive(Debug)]
struct Report {
    info_hash: InfoHash,
    /// Tells the torrent from one that was removed and added again.
    torrent: u64,
    ask: Ask,
    news: News,
}

#[derive(Debug)]
enum News {
    Sent,
    Over(Result<Reply, AskError>),
}

#[derive(Debug)]
struct Torrent {
    number: u64,
    schedule: Schedule,
    stats: Arc<Stats>,
    asks: JoinSet<()>,
    /// Of these, announces with `completed`.
    completions: usize,
    /// Its entry in the timetable.
    wake: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Actor {
    settings: Arc<Settings>,
    client: Arc<Client>,
    torrents: HashMap<InfoHash, Torrent>,
    timetable: BTreeSet<(Instant, InfoHash)>,
    added: u64,
    complaints: Complaints,
    /// Announces with `stopped` of torrents that were removed.
    farewells: JoinSet<()>,
    // As many reports as announces, whose number torrents and trackers bound.
    reports: UnboundedSender<Report>,
    reported: UnboundedReceiver<Report>,
}

impl Actor {
    pub(super) fn new(settings: Settings, client: Client) -> Self {
        let (reports, reported) = unbounded_channel();
        Self {
            settings: Arc::new(settings),
            client: Arc::new(client),
            torrents: HashMap::new(),
            timetable: BTreeSet::new(),
            added: 0,
            complaints: Complaints::default(),
            farewells: JoinSet::new(),
            reports,
            reported,
        }
    }

    /// Runs until it is told to stop, or nobody is left who could tell it.
    pub(super) async fn run(mut self, mut commands: UnboundedReceiver<Command>) {
        loop {
            let next = self.timetable.first().map(|(at, _)| *at);
            let alarm = async move {
                match next {
                    Some(at) => sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Stop { deadline }) => return self.say_goodbye(deadline).await,
                    Some(command) => self.obey(command),
                    None => return,
                },
                Some(report) = self.reported.recv() => self.hear(report),
                Some(_) = self.farewells.join_next() => {}
                () = alarm => self.wake(Instant::now()),
            }
        }
    }

    fn obey(&mut self, command: Command) {
        let now = Instant::now();
        match command {
            Command::Add { info_hash, tiers, stats } => self.add(info_hash, tiers, stats, now),
            Command::WantPeers(info_hash) => self.change(info_hash, |schedule| schedule.want_peers(now)),
            Command::Completed(info_hash) => self.change(info_hash, |schedule| schedule.completed(now)),
            Command::Remove(info_hash) => {
                if let Some(torrent) = self.take(info_hash) {
                    dismiss(info_hash, torrent, &self.settings, &self.client, &mut self.farewells);
                }
            }
            Command::Status { info_hash, reply } => {
                let torrent = self.torrents.get(&info_hash);
                reply.try_send(torrent.map(|torrent| torrent.schedule.status()).unwrap_or_default()).ok();
            }
            Command::Stop { .. } => {}
        }
    }

    fn add(&mut self, info_hash: InfoHash, tiers: Vec<Vec<TrackerUrl>>, stats: Arc<Stats>, now: Instant) {
        drop(self.take(info_hash));
        self.added += 1;
        let schedule = Schedule::new(tiers, now, &mut rand::rng());
        let torrent =
            Torrent { number: self.added, schedule, stats, asks: JoinSet::new(), completions: 0, wake: None };
        self.torrents.insert(info_hash, torrent);
        self.ask_due(info_hash, now);
    }

    /// Takes a torrent out, with its entry in the timetable.
    fn take(&mut self, info_hash: InfoHash) -> Option<Torrent> {
        let torrent = self.torrents.remove(&info_hash)?;
        if let Some(at) = torrent.wake {
            self.timetable.remove(&(at, info_hash));
        }
        Some(torrent)
    }

    fn change(&mut self, info_hash: InfoHash, change: impl FnOnce(&mut Schedule)) {
        if let Some(torrent) = self.torrents.get_mut(&info_hash) {
            change(&mut torrent.schedule);
            self.ask_due(info_hash, Instant::now());
        }
    }

    fn wake(&mut self, now: Instant) {
        while let Some(&(at, info_hash)) = self.timetable.first().filter(|(at, _)| *at <= now) {
            self.timetable.remove(&(at, info_hash));
            if let Some(torrent) = self.torrents.get_mut(&info_hash) {
                torrent.wake = None;
                self.ask_due(info_hash, now);
            }
        }
    }

    /// Sends what is due of one torrent, and notes when to look again.
    fn ask_due(&mut self, info_hash: InfoHash, now: Instant) {
        let Some(torrent) = self.torrents.get_mut(&info_hash) else { return };
        while torrent.asks.try_join_next().is_some() {}
        for ask in torrent.schedule.due(now) {
            let Some(url) = torrent.schedule.url(ask.tracker).cloned() else { continue };
            let (settings, client) = (Arc::clone(&self.settings), Arc::clone(&self.client));
            let (stats, reports) = (Arc::clone(&torrent.stats), self.reports.clone());
            let number = torrent.number;
            torrent.completions += usize::from(ask.event == Event::Completed);
            torrent.asks.spawn(async move {
                let report = |news| {
                    let ask = ask.clone();
                    reports.send(Report { info_hash, torrent: number, ask, news }).ok();
                };
                let announce = || {
                    report(News::Sent);
                    announce(info_hash, &ask, &stats, &settings)
                };
                let outcome = client.ask(&url, ask.family, announce).await;
                report(News::Over(outcome));
            });
        }
        let wake = torrent.schedule.next_due();
        if torrent.wake != wake {
            if let Some(at) = std::mem::replace(&mut torrent.wake, wake) {
                self.timetable.remove(&(at, info_hash));
            }
            self.timetable.extend(wake.map(|at| (at, info_hash)));
        }
    }

    fn hear(&mut self, report: Report) {
        let Report { info_hash, torrent: number, ask, news } = report;
        let now = Instant::now();
        let torrent = self.torrents.get_mut(&info_hash).filter(|torrent| torrent.number == number);
        let Some(torrent) = torrent else { return };
        let origin = torrent.schedule.url(ask.tracker).map(TrackerUrl::origin).unwrap_or_default();
        let rng = &mut rand::rng();
        if matches!(news, News::Over(_)) && ask.event == Event::Completed {
            torrent.completions = torrent.completions.saturating_sub(1);
        }
        match news {
            News::Sent => torrent.schedule.sent(&ask, now),
            News::Over(Ok(Reply::Answer(answer))) => {
                self.complaints.answered(&origin);
                torrent.schedule.answered(&ask, &answer, now, rng);
                let answered = found(origin, &ask, answer);
                (self.settings.found)(info_hash, answered);
            }
            News::Over(Ok(Reply::Refusal(refusal))) => {
                self.complaints.refused(&origin, &refusal.reason);
                torrent.schedule.failed(&ask, Failure::Refused(refusal), now, rng);
            }
            News::Over(Err(error)) => {
                self.complaints.error(&origin, &error);
                let failure = match error {
                    AskError::NoAddress => Failure::NoAddress,
                    error => Failure::Other(error.to_string()),
                };
                torrent.schedule.failed(&ask, failure, now, rng);
            }
        }
        self.ask_due(info_hash, now);
    }

    /// Waits until trackers have heard of downloads that became complete: one that ends with that is to be counted.
    async fn let_completions_out(&mut self) {
        while self.torrents.values().any(|torrent| torrent.completions > 0) {
            let Some(report) = self.reported.recv().await else { return };
            self.hear(report);
        }
    }

    /// Tells all trackers that we go, until they have heard it or the time is over.
    async fn say_goodbye(mut self, deadline: Instant) {
        self.client.hurry();
        let half = deadline.saturating_duration_since(Instant::now()) / 2;
        let _ = timeout(half, self.let_completions_out()).await;
        let mut farewells = std::mem::take(&mut self.farewells);
        for (info_hash, torrent) in self.torrents.drain() {
            dismiss(info_hash, torrent, &self.settings, &self.client, &mut farewells);
        }
        let all = async { while farewells.join_next().await.is_some() {} };
        if timeout_at(deadline.into(), all).await.is_err() {
            tracing::debug!("{} announces of the end were not answered in time", farewells.len());
        }
    }
}

/// Drops the announces of a torrent and tells its trackers that it has stopped.
fn dismiss(
    info_hash: InfoHash,
    mut torrent: Torrent,
    settings: &Arc<Settings>,
    client: &Arc<Client>,
    farewells: &mut JoinSet<()>,
) {
    torrent.asks.abort_all();
    for ask in torrent.schedule.stop() {
        let Some(url) = torrent.schedule.url(ask.tracker).cloned() else { continue };
        let (settings, client, stats) =
            (Arc::clone(settings), Arc::clone(client), Arc::clone(&torrent.stats));
        farewells.spawn(async move {
            let announce = || announce(info_hash, &ask, &stats, &settings);
            if let Err(error) = client.ask(&url, ask.family, announce).await {
                tracing::debug!(tracker = url.origin(), %info_hash, "the end was not announced: {error}");
            }
        });
    }
}

/// What is true at this moment.
fn announce(info_hash: InfoHash, ask: &Ask, stats: &Stats, settings: &Settings) -> Announce {
    Announce {
        info_hash,
        peer_id: settings.our_id,
        port: settings.port,
        uploaded: stats.uploaded.load(Ordering::Relaxed),
        downloaded: stats.downloaded.load(Ordering::Relaxed),
        left: stats.announced_left(),
        event: ask.event,
        num_want: Some(if ask.event == Event::Stopped { 0 } else { settings.num_want }),
        key: Some(settings.key),
        tracker_id: ask.tracker_id.clone(),
    }
}

fn found(tracker: String, ask: &Ask, answer: Answer) -> FoundPeers {
    let Answer { peers, external_ip, seeds, leechers, warning, .. } = answer;
    if let Some(warning) = warning {
        tracing::debug!(tracker, "the tracker says: {warning}");
    }
    FoundPeers { tracker, family: ask.family, peers, external_ip, seeds, leechers }
}
