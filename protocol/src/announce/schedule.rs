//! When to announce one torrent, to which of its trackers, and with which event (BEP 3, 7, 12, 31).
//!
//! The owner asks [`Schedule::due`] at [`Schedule::next_due`], sends what it says, and reports how each announce
//! went. For each address family by itself, one tracker is in charge: the first, in the order of the tiers, that is
//! not failing. Those before it, which are failing, are tried again after a pause that grows. Nothing here sends.

use std::time::{Duration, Instant};

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};

use super::response::{Answer, Refusal, RetryIn};
use super::{Event, Family, Host, TrackerUrl};

mod endpoint;

pub use endpoint::TrackerState;
use endpoint::{Endpoint, Turn};

/// Most trackers of one torrent that are ever asked; public lists have about a hundred.
const MAX_TRACKERS: usize = 128;
/// How long the tracker in charge may leave an announce unanswered before the next one is asked as well, so that
/// a dead tracker at the head of the list does not hold up the download.
const PATIENCE: Duration = Duration::from_secs(6);

/// The trackers of one torrent.
#[derive(Debug)]
pub struct Schedule {
    trackers: Vec<Tracker>,
    /// Per family: the tiers, each the indices of its trackers in the order in which they are asked.
    order: [Vec<Vec<usize>>; 2],
    is_complete: bool,
    is_stopped: bool,
}

#[derive(Debug)]
struct Tracker {
    url: TrackerUrl,
    tier: usize,
    /// Per family; `None` when the URL has an address of the other.
    endpoints: [Option<Endpoint>; 2],
}

/// An announce to be sent now. It is given back with how it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Index of the tracker, for [`Schedule::url`].
    pub tracker: usize,
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
    Other(String),
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
    /// Trackers by tier, the best first; each tier is shuffled once (BEP 12).
    pub fn new(tiers: Vec<Vec<TrackerUrl>>, now: Instant, rng: &mut impl Rng) -> Self {
        let mut trackers: Vec<Tracker> = Vec::new();
        let mut order = Vec::new();
        for (tier, urls) in tiers.into_iter().enumerate() {
            let first = trackers.len();
            let room = MAX_TRACKERS - first;
            trackers.extend(urls.into_iter().take(room).map(|url| Tracker::new(url, tier, now)));
            let mut indices: Vec<usize> = (first..trackers.len()).collect();
            indices.shuffle(rng);
            order.push(indices);
        }
        Self { trackers, order: [order.clone(), order], is_complete: false, is_stopped: false }
    }

    /// Where the tracker of an [`Ask`] is.
    pub fn url(&self, tracker: usize) -> Option<&TrackerUrl> {
        self.trackers.get(tracker).map(|tracker| &tracker.url)
    }

    /// The announces to be sent now. Each must be reported by [`Schedule::sent`] when it leaves, and by
    /// [`Schedule::answered`] or [`Schedule::failed`] when it is over.
    pub fn due(&mut self, now: Instant) -> Vec<Ask> {
        let mut asks = Vec::new();
        for family in Family::ALL {
            for (tracker, at) in self.plan(family) {
                if at > now {
                    continue;
                }
                if let Some(endpoint) = self.endpoint_mut(tracker, family) {
                    asks.push(endpoint.ask(tracker, family));
                }
            }
        }
        asks
    }

    /// When [`Schedule::due`] has something next; `None` while only a report can change that.
    pub fn next_due(&self) -> Option<Instant> {
        Family::ALL.into_iter().flat_map(|family| self.plan(family)).map(|(_, at)| at).min()
    }

    /// An announce has left the queue of its host: the tracker's time runs.
    pub fn sent(&mut self, ask: &Ask, now: Instant) {
        if let Some(endpoint) = self.endpoint_mut(ask.tracker, ask.family) {
            endpoint.sent(now);
        }
    }

    /// A tracker answered: it moves to the front of its tier (BEP 12) and is asked again at its interval.
    pub fn answered(&mut self, ask: &Ask, answer: &Answer, now: Instant, rng: &mut impl Rng) {
        let jitter = rng.random_range(0.0..0.1);
        let Some(endpoint) = self.endpoint_mut(ask.tracker, ask.family) else { return };
        endpoint.answered(ask.event, answer, now, jitter);
        for tier in &mut self.order[ask.family.index()] {
            if let Some(at) = tier.iter().position(|tracker| *tracker == ask.tracker) {
                tier[..=at].rotate_right(1);
            }
        }
    }

    /// An announce failed: the next tracker is in charge, and this one is tried again later.
    pub fn failed(&mut self, ask: &Ask, failure: Failure, now: Instant, rng: &mut impl Rng) {
        let jitter = rng.random_range(0.0..0.25);
        if let Some(endpoint) = self.endpoint_mut(ask.tracker, ask.family) {
            endpoint.failed(failure, now, jitter);
        }
    }

    /// The swarm would like more peers: the tracker in charge is asked early, though not before its minimum
    /// interval.
    pub fn want_peers(&mut self, now: Instant) {
        for family in Family::ALL {
            let in_charge = self.plan(family).last().map(|(tracker, _)| *tracker);
            if let Some(endpoint) = in_charge.and_then(|tracker| self.endpoint_mut(tracker, family)) {
                endpoint.hurry(now);
            }
        }
    }

    /// The download became complete while it ran: trackers that know the torrent as a download are told, once and
    /// at once. Others never hear of it: to them it starts as a seed.
    pub fn completed(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.is_complete, true) {
            self.endpoints_mut().for_each(|endpoint| endpoint.completed(now));
        }
    }

    /// Ends the schedule: nothing is due any more but these announces, to all trackers that were told `started`.
    pub fn stop(&mut self) -> Vec<Ask> {
        self.is_stopped = true;
        let mut asks = Vec::new();
        for (index, tracker) in self.trackers.iter_mut().enumerate() {
            for family in Family::ALL {
                let endpoint = tracker.endpoints[family.index()].as_mut();
                asks.extend(endpoint.and_then(|endpoint| endpoint.stop(index, family)));
            }
        }
        asks
    }

    /// What is known about each tracker, in the order in which they are asked over IPv4 first.
    pub fn status(&self) -> Vec<TrackerStatus> {
        let of_family = |family: Family| {
            let indices = self.order[family.index()].iter().flatten();
            indices.filter_map(move |index| self.trackers.get(*index)?.status(family))
        };
        Family::ALL.into_iter().flat_map(of_family).collect()
    }

    /// Which trackers may be asked over `family`, and when: those that are failing, up to and with the one in charge.
    fn plan(&self, family: Family) -> Vec<(usize, Instant)> {
        let mut plan = Vec::new();
        let mut not_before: Option<Instant> = None;
        let order = if self.is_stopped { [].iter() } else { self.order[family.index()].iter() };
        for &index in order.flatten() {
            let Some(endpoint) = self.trackers.get(index).and_then(|tracker| tracker.endpoint(family)) else {
                continue;
            };
            match endpoint.turn() {
                Turn::Never => {}
                Turn::Waits => break,
                Turn::Asked { at } => not_before = not_before.max(Some(at + PATIENCE)),
                Turn::Again { at } => plan.push((index, not_before.map_or(at, |least| at.max(least)))),
                Turn::InCharge { at } => {
                    plan.push((index, not_before.map_or(at, |least| at.max(least))));
                    break;
                }
            }
        }
        plan
    }

    fn endpoint_mut(&mut self, tracker: usize, family: Family) -> Option<&mut Endpoint> {
        self.trackers.get_mut(tracker)?.endpoints[family.index()].as_mut()
    }

    fn endpoints_mut(&mut self) -> impl Iterator<Item = &mut Endpoint> {
        self.trackers.iter_mut().flat_map(|tracker| tracker.endpoints.iter_mut().flatten())
    }
}

impl Tracker {
    fn new(url: TrackerUrl, tier: usize, now: Instant) -> Self {
        let endpoints = Family::ALL.map(|family| {
            let is_of_other = matches!(url.host(), Host::Address(address) if Family::of(*address) != family);
            (!is_of_other).then(|| Endpoint::new(now))
        });
        Self { url, tier, endpoints }
    }

    fn endpoint(&self, family: Family) -> Option<&Endpoint> {
        self.endpoints[family.index()].as_ref()
    }

    fn status(&self, family: Family) -> Option<TrackerStatus> {
        Some(self.endpoint(family)?.status(self.url.clone(), self.tier, family))
    }
}

#[cfg(test)]
mod tests;
