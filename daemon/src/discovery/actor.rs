//! The one task that owns all schedules: takes commands, sends what is due when its host takes it, and hears how it
//! went. A torrent that waits is an entry in tables; only what is under way is a task.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use protocol::announce::{Answer, Event, Failure, Reply, Schedule, TrackerStatus};
use protocol::id::InfoHash;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{sleep_until, timeout, timeout_at};

use super::client::{AskError, Client};
use super::complaints::Complaints;
use super::figures::Figures;
use super::flights::{Flights, Job, Landed};
use super::hosts::{Door, Hosts, News, Turn};
use super::line::Line;
use super::torrents::{Torrent, Torrents};
use super::{Found, FoundPeers, Settings, Tracked};

/// Announces that are sent, or turned away, before commands and answers are looked at again.
const MAX_TURNS: usize = 1_000;
/// Most announces with `stopped` that wait: more are hardly told in the two seconds there are at the end, and those
/// who hear nothing forget us after an interval or two.
const MAX_FAREWELLS: usize = 10_000;

/// Takes what is known about the trackers of a torrent.
pub(super) type Inform = Box<dyn FnOnce(Vec<TrackerStatus>) + Send>;

/// What the application wants.
pub(super) enum Command {
    Add(Tracked),
    WantPeers(InfoHash),
    Reannounce(InfoHash),
    Completed(InfoHash),
    Remove(InfoHash),
    Status { info_hash: InfoHash, inform: Inform },
    Stop { deadline: Instant },
}

pub(super) struct Actor {
    found: Found,
    figures: Arc<Figures>,
    complaints: Complaints,
    torrents: Torrents,
    hosts: Hosts<Job>,
    flights: Flights,
    /// Of torrents whose time has passed while we did not run.
    overdue: Line,
    /// Announces with `completed` that are not over.
    completions: usize,
    /// Announces with `stopped` that are not over.
    farewells: usize,
    is_ending: bool,
    /// Torrents whose end a tracker has heard of at our own end.
    dismissed: Vec<InfoHash>,
}

impl Actor {
    pub(super) fn new(settings: Settings, client: Client, figures: Arc<Figures>) -> Self {
        Self {
            found: Arc::clone(&settings.found),
            figures,
            complaints: Complaints::default(),
            torrents: Torrents::default(),
            hosts: Hosts::new(settings.per_host, settings.overall),
            flights: Flights::new(settings, client),
            overdue: Line::default(),
            completions: 0,
            farewells: 0,
            is_ending: false,
            dismissed: Vec::new(),
        }
    }

    /// Works until it is stopped, and returns the torrents whose trackers have heard that.
    pub(super) async fn run(mut self, mut inbox: UnboundedReceiver<Command>) -> Vec<InfoHash> {
        loop {
            let due = self.torrents.next_due();
            let alarm = async {
                match due {
                    Some(at) => sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                command = inbox.recv() => match command {
                    Some(Command::Stop { deadline }) => return self.say_goodbye(deadline).await,
                    Some(command) => self.obey(command),
                    None => return Vec::new(),
                },
                Some(landed) = self.flights.landed() => self.hear(landed),
                () = alarm => self.wake(Instant::now()),
                () = std::future::ready(()), if self.hosts.has_turn() => {}
            }
            self.take_turns();
        }
    }

    fn obey(&mut self, command: Command) {
        let now = Instant::now();
        match command {
            Command::Add(torrent) => self.add(torrent, now),
            Command::WantPeers(info_hash) => self.change(info_hash, |schedule| schedule.want_peers(now)),
            Command::Completed(info_hash) => self.change(info_hash, |schedule| schedule.completed(now)),
            Command::Reannounce(info_hash) => self.reannounce(info_hash, now),
            Command::Remove(info_hash) => {
                if let Some(torrent) = self.torrents.take(info_hash) {
                    self.flights.abort(|job| job.torrent == torrent.number && !job.is_farewell());
                    self.dismiss(info_hash, *torrent, now);
                }
            }
            Command::Status { info_hash, inform } => {
                let torrent = self.torrents.get(info_hash);
                inform(torrent.map(|torrent| torrent.schedule.status()).unwrap_or_default());
            }
            Command::Stop { .. } => {}
        }
    }

    fn add(&mut self, torrent: Tracked, now: Instant) {
        let Tracked { info_hash, trackers, stats, first } = torrent;
        if let Some(replaced) = self.torrents.take(info_hash) {
            self.flights.abort(|job| job.torrent == replaced.number);
        }
        let first = match first {
            None => now,
            Some(first) if first <= now => self.overdue.place(now),
            Some(first) => first,
        };
        let schedule = Schedule::new(trackers, first, now, &mut rand::rng());
        self.torrents.add(info_hash, schedule, stats);
        self.ask_due(info_hash, now);
    }

    fn change(&mut self, info_hash: InfoHash, change: impl FnOnce(&mut Schedule)) {
        if let Some(torrent) = self.torrents.get_mut(info_hash) {
            change(&mut torrent.schedule);
            self.ask_due(info_hash, Instant::now());
        }
    }

    fn reannounce(&mut self, info_hash: InfoHash, now: Instant) {
        if let Some(torrent) = self.torrents.get(info_hash) {
            torrent.schedule.trackers().urls().for_each(|url| self.hosts.doubt(url.host()));
        }
        self.change(info_hash, |schedule| schedule.reannounce(now));
    }

    fn wake(&mut self, now: Instant) {
        while let Some(info_hash) = self.torrents.pop_due(now) {
            self.ask_due(info_hash, now);
        }
    }

    /// Has what is due of one torrent wait for its host, and notes when to look again.
    fn ask_due(&mut self, info_hash: InfoHash, now: Instant) {
        let Some(torrent) = self.torrents.get_mut(info_hash) else { return };
        for ask in torrent.schedule.due(now) {
            let is_completion = ask.event == Event::Completed;
            if self.is_ending && !is_completion {
                continue;
            }
            self.completions += usize::from(is_completion);
            let (trackers, stats) = (Arc::clone(torrent.schedule.trackers()), Arc::clone(&torrent.stats));
            queue(&mut self.hosts, Job { info_hash, torrent: torrent.number, trackers, stats, ask }, now);
        }
        self.torrents.note(info_hash);
    }

    /// Sends what waits as far as hosts let it, and tells what may not go out.
    fn take_turns(&mut self) {
        let now = Instant::now();
        for _ in 0..MAX_TURNS {
            match self.hosts.next(now) {
                None => return,
                Some(Turn::Go(job, pass)) if self.may_go(&job, now) => self.flights.send(job, pass),
                Some(Turn::Go(job, pass)) => {
                    self.forget(&job);
                    self.hosts.over(pass, News::Unknown, now);
                }
                Some(Turn::Away { job, failure, again }) => {
                    self.forget(&job);
                    if let Some(torrent) = self.torrent_of(&job) {
                        torrent.schedule.turned_away(&job.ask, failure, now, again);
                        self.ask_due(job.info_hash, now);
                    }
                }
            }
        }
    }

    /// Whether the torrent of `job` is still there, which learns that it is sent; farewells need none.
    fn may_go(&mut self, job: &Job, now: Instant) -> bool {
        if let Some(torrent) = self.torrent_of(job) {
            torrent.schedule.sent(&job.ask, now);
            self.torrents.note(job.info_hash);
            return true;
        }
        job.is_farewell()
    }

    /// The torrent of an announce, unless it was removed, or is only told to be.
    fn torrent_of(&mut self, job: &Job) -> Option<&mut Torrent> {
        self.torrents.get_mut(job.info_hash).filter(|torrent| torrent.number == job.torrent)
    }

    /// An announce is over, or will not be sent.
    fn forget(&mut self, job: &Job) {
        match job.ask.event {
            Event::Completed => self.completions = self.completions.saturating_sub(1),
            Event::Stopped => self.farewells = self.farewells.saturating_sub(1),
            Event::None | Event::Started | Event::Paused => {}
        }
    }

    fn hear(&mut self, landed: Landed) {
        let Landed { job, pass, outcome } = landed;
        let now = Instant::now();
        self.forget(&job);
        let news = match &outcome {
            None => News::Unknown,
            // Little time is given to it, so it says little.
            Some(Err(AskError::Timeout(_))) if job.is_farewell() => News::Unknown,
            Some(Err(error)) if error.is_of_host() => News::Unreachable(error.failure()),
            Some(_) => News::Reached,
        };
        if let Some(outcome) = outcome.as_ref().filter(|outcome| !matches!(outcome, Err(AskError::NoAddress)))
        {
            self.figures.count(&pass.host, matches!(outcome, Ok(Reply::Answer(_))));
        }
        self.hosts.over(pass, news, now);
        match outcome {
            None => {}
            Some(outcome) if job.is_farewell() => self.hear_of_farewell(&job, outcome),
            Some(outcome) => self.hear_of_torrent(&job, outcome, now),
        }
    }

    fn hear_of_torrent(&mut self, job: &Job, outcome: Result<Reply, AskError>, now: Instant) {
        let Job { info_hash, ask, .. } = job;
        let Some(torrent) = self.torrents.get_mut(*info_hash).filter(|torrent| torrent.number == job.torrent)
        else {
            return;
        };
        let (origin, rng) = (job.origin(), &mut rand::rng());
        match outcome {
            Ok(Reply::Answer(answer)) => {
                self.complaints.answered(&origin);
                torrent.schedule.answered(ask, &answer, now, rng);
                let next = torrent.schedule.next_of(ask).unwrap_or(now);
                (self.found)(*info_hash, found(job, answer, next.saturating_duration_since(now)));
            }
            Ok(Reply::Refusal(refusal)) => {
                self.complaints.refused(&origin, &refusal.reason);
                torrent.schedule.failed(ask, Failure::Refused(refusal), now, rng);
            }
            Err(error) => {
                self.complaints.error(&origin, &error);
                torrent.schedule.failed(ask, error.failure(), now, rng);
            }
        }
        self.ask_due(*info_hash, now);
    }

    fn hear_of_farewell(&mut self, job: &Job, outcome: Result<Reply, AskError>) {
        match outcome {
            Ok(_) if self.is_ending => self.dismissed.push(job.info_hash),
            Ok(_) => {}
            Err(error) => {
                let (tracker, info_hash) = (job.origin(), job.info_hash);
                tracing::debug!(tracker, %info_hash, "the end was not announced: {error}");
            }
        }
    }

    /// Has the trackers of a torrent told that it has stopped.
    fn dismiss(&mut self, info_hash: InfoHash, mut torrent: Torrent, now: Instant) {
        for ask in torrent.schedule.stop(now) {
            if self.farewells >= MAX_FAREWELLS {
                return;
            }
            self.farewells += 1;
            let (trackers, stats) = (Arc::clone(torrent.schedule.trackers()), Arc::clone(&torrent.stats));
            queue(&mut self.hosts, Job { info_hash, torrent: torrent.number, trackers, stats, ask }, now);
        }
    }

    /// Tells all trackers that we go, until they have heard it or the time is over. Before that they are to have
    /// heard of downloads that became complete: one that ends with that is to be counted.
    async fn say_goodbye(mut self, deadline: Instant) -> Vec<InfoHash> {
        self.is_ending = true;
        self.hosts.open_for_the_end();
        self.hosts.retain(|job| matches!(job.ask.event, Event::Completed | Event::Stopped));
        let half = deadline.saturating_duration_since(Instant::now()) / 2;
        let _ = timeout(half, self.work_until(|actor| actor.completions == 0)).await;
        self.flights.abort(|job| !job.is_farewell());
        let now = Instant::now();
        for (info_hash, torrent) in self.torrents.take_all() {
            self.dismiss(info_hash, *torrent, now);
        }
        if timeout_at(deadline.into(), self.work_until(|actor| actor.farewells == 0)).await.is_err() {
            tracing::debug!("{} announces of the end were not answered in time", self.farewells);
        }
        self.dismissed
    }

    /// Sends and hears, and takes no commands.
    async fn work_until(&mut self, is_enough: impl Fn(&Self) -> bool) {
        loop {
            self.take_turns();
            if is_enough(self) {
                return;
            }
            if self.hosts.has_turn() {
                tokio::task::yield_now().await;
            } else if let Some(landed) = self.flights.landed().await {
                self.hear(landed);
            } else {
                return;
            }
        }
    }
}

/// Puts an announce into the queue of its host.
fn queue(hosts: &mut Hosts<Job>, job: Job, now: Instant) {
    let Some(url) = job.url() else { return };
    let (host, door) = (url.host().clone(), Door::new(url, job.ask.family));
    hosts.push(&host, door, job, now);
}

/// What an answer found; `next_in` is when its tracker is asked again.
fn found(job: &Job, answer: Answer, next_in: Duration) -> FoundPeers {
    let Answer { peers, external_ip, seeds, leechers, warning, .. } = answer;
    let tracker = job.origin();
    if let Some(warning) = warning {
        tracing::debug!(tracker, "the tracker says: {warning}");
    }
    // All of them seeds, and of no use to one.
    let is_for_nothing = leechers == Some(0) && job.stats.left.load(Ordering::Relaxed) == 0;
    let peers = if is_for_nothing { Vec::new() } else { peers };
    FoundPeers { tracker, family: job.ask.family, peers, external_ip, seeds, leechers, next_in }
}
