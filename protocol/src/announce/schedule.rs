//! When to announce one torrent, to which of its trackers, and with which event (BEP 3, 7, 12, 31).
//!
//! The owner asks [`Schedule::due`] at [`Schedule::next_due`], sends what it says, and reports how each announce
//! went. For each address family by itself, one tracker is in charge: the first, in the order of the tiers, that is
//! not failing. Those before it, which are failing, are tried again after a pause that grows. Nothing here sends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};

use super::response::{Answer, Refusal, RetryIn};
use super::{Event, Family, TrackerSet, TrackerUrl};

mod endpoint;
mod moment;

pub use endpoint::TrackerState;
use endpoint::{Endpoint, Turn};
use moment::Moment;

/// How long the tracker in charge may leave an announce unanswered before the next one is asked as well, so that
/// a dead tracker at the head of the list does not hold up the download. At the end it counts as silent after as long.
const PATIENCE: Duration = Duration::from_secs(6);

/// When the trackers of one torrent are asked. Some hundred bytes, for there may be a hundred thousand.
#[derive(Debug)]
pub struct Schedule {
    trackers: Arc<TrackerSet>,
    /// The trackers in the order in which they are asked, by tiers: over IPv4, and then over IPv6.
    order: Box<[u8]>,
    /// Of trackers that were asked, sorted by their keys.
    endpoints: Vec<Endpoint>,
    /// What moments are counted from.
    epoch: Instant,
    /// When trackers that were not asked yet are due, if they come to their turn.
    first: Moment,
    is_complete: bool,
    is_stopped: bool,
}

/// An announce to be sent now. It is given back with how it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Index of the tracker, for [`TrackerSet::url`].
    pub tracker: u8,
    /// The addresses to send it from and to.
    pub family: Family,
    /// What has happened.
    pub event: Event,
    /// What the tracker wants to be told again.
    pub tracker_id: Option<Vec<u8>>,
}

/// Why an announce failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The tracker has no address of the family, or this machine has none: nobody's fault.
    NoAddress,
    /// The tracker refused.
    Refused(Refusal),
    /// It could not be reached, or was not understood.
    Other(Arc<str>),
}

/// What is known about one tracker over one family, for reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackerStatus {
    /// Its URL, which may contain a passkey.
    pub url: TrackerUrl,
    /// Its tier, counted from 0.
    pub tier: usize,
    /// The family of addresses.
    pub family: Family,
    /// What it is doing.
    pub state: TrackerState,
    /// Failed announces since the last that was answered.
    pub failures: u32,
    /// Why the last announce failed; `None` once one was answered.
    pub last_error: Option<String>,
    /// The tracker's own message to the user.
    pub warning: Option<String>,
    /// When it last answered.
    pub last_answer: Option<Instant>,
    /// Seeds it knows.
    pub seeds: Option<u32>,
    /// Leechers it knows.
    pub leechers: Option<u32>,
    /// Peers in its last answer.
    pub peers: usize,
    /// When it may be asked again, if it comes to its turn; `None` while it is asked, and when it never is again.
    pub next: Option<Instant>,
}

impl Schedule {
    /// Asks `trackers` from `first` on, which may be past: a torrent that was announced before waits for its time.
    /// Each tier is shuffled once (BEP 12).
    pub fn new(trackers: Arc<TrackerSet>, first: Instant, now: Instant, rng: &mut impl Rng) -> Self {
        let mut order: Vec<u8> = trackers.indices().collect();
        for tier in order.chunk_by_mut(|a, b| trackers.tier(*a) == trackers.tier(*b)) {
            tier.shuffle(rng);
        }
        order.extend_from_within(..);
        let first = Moment::from(now, first);
        let order = order.into_boxed_slice();
        Self {
            trackers,
            order,
            endpoints: Vec::new(),
            epoch: now,
            first,
            is_complete: false,
            is_stopped: false,
        }
    }

    /// The trackers.
    pub fn trackers(&self) -> &Arc<TrackerSet> {
        &self.trackers
    }

    /// The announces to be sent now. Each must be reported by [`Schedule::sent`] when it leaves, and when it is over
    /// by [`Schedule::answered`], [`Schedule::failed`] or [`Schedule::turned_away`].
    pub fn due(&mut self, now: Instant) -> Vec<Ask> {
        let now = Moment::until(self.epoch, now);
        let mut asks = Vec::new();
        for family in Family::ALL {
            for (tracker, at) in self.plan(family) {
                if at <= now {
                    asks.push(self.endpoint_or_new(tracker, family).ask());
                }
            }
        }
        asks
    }

    /// When [`Schedule::due`] has something next; `None` while only a report can change that.
    pub fn next_due(&self) -> Option<Instant> {
        let plans = Family::ALL.into_iter().flat_map(|family| self.plan(family));
        plans.map(|(_, at)| at).min().map(|at| at.at(self.epoch))
    }

    /// When the tracker of `ask` is to be asked again.
    pub fn next_of(&self, ask: &Ask) -> Option<Instant> {
        self.endpoint(ask.tracker, ask.family).map(|endpoint| endpoint.next().at(self.epoch))
    }

    /// An announce has left the queue of its host: the tracker's time runs.
    pub fn sent(&mut self, ask: &Ask, now: Instant) {
        let now = Moment::from(self.epoch, now);
        if let Some(endpoint) = self.endpoint_mut(ask) {
            endpoint.sent(now);
        }
    }

    /// A tracker answered: it moves to the front of its tier (BEP 12) and is asked again at its interval.
    pub fn answered(&mut self, ask: &Ask, answer: &Answer, now: Instant, rng: &mut impl Rng) {
        let now = Moment::from(self.epoch, now);
        let jitter = rng.random_range(0.0..0.1);
        let Some(endpoint) = self.endpoint_mut(ask) else { return };
        endpoint.answered(ask.event, answer, now, jitter);
        let trackers = &self.trackers;
        let order = self.order.chunks_exact_mut(trackers.len()).nth(ask.family.index()).unwrap_or_default();
        for tier in order.chunk_by_mut(|a, b| trackers.tier(*a) == trackers.tier(*b)) {
            if let Some(at) = tier.iter().position(|tracker| *tracker == ask.tracker) {
                tier[..=at].rotate_right(1);
            }
        }
    }

    /// An announce failed: the next tracker is in charge, and this one is tried again later.
    pub fn failed(&mut self, ask: &Ask, failure: Failure, now: Instant, rng: &mut impl Rng) {
        let now = Moment::from(self.epoch, now);
        let jitter = rng.random_range(0.0..0.25);
        if let Some(endpoint) = self.endpoint_mut(ask) {
            endpoint.failed(failure, now, jitter);
        }
    }

    /// An announce was not sent, since all announces to its host fail with `failure`: the next tracker is in charge,
    /// and this one comes to its turn at `again`.
    pub fn turned_away(&mut self, ask: &Ask, failure: Failure, now: Instant, again: Instant) {
        let (now, again) = (Moment::from(self.epoch, now), Moment::from(self.epoch, again));
        if let Some(endpoint) = self.endpoint_mut(ask) {
            endpoint.turned_away(failure, now, again);
        }
    }

    /// The swarm would like more peers: the tracker in charge is asked early, though not before its minimum
    /// interval.
    pub fn want_peers(&mut self, now: Instant) {
        let now = Moment::until(self.epoch, now);
        for family in Family::ALL {
            let Some((tracker, _)) = self.plan(family).pop() else { continue };
            self.first = self.first.min(now);
            self.change(tracker, family, |endpoint| endpoint.hurry(now));
        }
    }

    /// The user wants an announce: the tracker in charge is asked as soon as its minimum interval allows it, and
    /// those before it that are failing are tried again.
    pub fn reannounce(&mut self, now: Instant) {
        let now = Moment::until(self.epoch, now);
        self.first = self.first.min(now);
        for family in Family::ALL {
            for (tracker, _) in self.plan(family) {
                self.change(tracker, family, |endpoint| endpoint.retry(now));
            }
        }
    }

    /// The download became complete while it ran: trackers that know the torrent as a download are told, once and
    /// at once. Others never hear of it: to them it starts as a seed.
    pub fn completed(&mut self, now: Instant) {
        let now = Moment::until(self.epoch, now);
        if !std::mem::replace(&mut self.is_complete, true) {
            self.endpoints.iter_mut().for_each(|endpoint| endpoint.completed(now));
        }
    }

    /// Ends the schedule: nothing is due any more but these announces, to all trackers that were told `started`, and
    /// to those that may be hearing it right now.
    pub fn stop(&mut self, now: Instant) -> Vec<Ask> {
        let now = Moment::until(self.epoch, now);
        self.is_stopped = true;
        self.endpoints.iter_mut().filter_map(|endpoint| endpoint.stop(now)).collect()
    }

    /// What is known about each tracker, in the order in which they are asked over IPv4 first.
    pub fn status(&self) -> Vec<TrackerStatus> {
        let of_family =
            |family| self.order(family).filter_map(move |tracker| self.status_of(tracker, family));
        Family::ALL.into_iter().flat_map(of_family).collect()
    }

    fn status_of(&self, tracker: u8, family: Family) -> Option<TrackerStatus> {
        let (url, tier) = (self.trackers.url(tracker)?.clone(), self.trackers.tier(tracker)?);
        let untried = Endpoint::new(tracker, family, self.first);
        Some(self.endpoint(tracker, family).unwrap_or(&untried).status(url, tier, self.epoch))
    }

    /// Which trackers may be asked over `family`, and when: those that are failing, up to and with the one in charge.
    fn plan(&self, family: Family) -> Vec<(u8, Moment)> {
        let mut plan = Vec::new();
        let mut not_before = Moment::default();
        if self.is_stopped {
            return plan;
        }
        for tracker in self.order(family) {
            let untried = Turn::InCharge { at: self.first };
            match self.endpoint(tracker, family).map_or(untried, Endpoint::turn) {
                Turn::Never => {}
                Turn::Waits => break,
                Turn::Asked { at } => not_before = not_before.max(at.after(PATIENCE)),
                Turn::Again { at } => plan.push((tracker, at.max(not_before))),
                Turn::InCharge { at } => {
                    plan.push((tracker, at.max(not_before)));
                    break;
                }
            }
        }
        plan
    }

    /// The trackers in the order in which they are asked over `family`.
    fn order(&self, family: Family) -> impl Iterator<Item = u8> {
        let order = self.order.iter().skip(family.index() * self.trackers.len()).take(self.trackers.len());
        order.copied().filter(move |tracker| self.trackers.may_have(*tracker, family))
    }

    fn position(&self, tracker: u8, family: Family) -> Result<usize, usize> {
        self.endpoints.binary_search_by_key(&(family, tracker), Endpoint::key)
    }

    fn endpoint(&self, tracker: u8, family: Family) -> Option<&Endpoint> {
        self.endpoints.get(self.position(tracker, family).ok()?)
    }

    fn endpoint_mut(&mut self, ask: &Ask) -> Option<&mut Endpoint> {
        let at = self.position(ask.tracker, ask.family).ok()?;
        self.endpoints.get_mut(at)
    }

    fn change(&mut self, tracker: u8, family: Family, change: impl FnOnce(&mut Endpoint)) {
        if let Ok(at) = self.position(tracker, family) {
            change(&mut self.endpoints[at]);
        }
    }

    fn endpoint_or_new(&mut self, tracker: u8, family: Family) -> &mut Endpoint {
        let at = self.position(tracker, family).unwrap_or_else(|at| {
            // Hardly ever are there more: no room is left for them.
            self.endpoints.reserve_exact(1);
            self.endpoints.insert(at, Endpoint::new(tracker, family, self.first));
            at
        });
        &mut self.endpoints[at]
    }
}

#[cfg(test)]
mod tests;
