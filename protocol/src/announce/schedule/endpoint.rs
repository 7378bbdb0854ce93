//! One tracker over one address family: what it was told, what it said, and when it may be asked again.
//!
//! The schedule decides whose turn it is; nothing here knows of other trackers.

use std::time::{Duration, Instant};

use super::{Answer, Ask, Event, Failure, Family, RetryIn, TrackerStatus, TrackerUrl};

/// When to announce again if the tracker does not say (BEP 3 leaves it open; trackers mean about this).
const DEFAULT_INTERVAL: Duration = Duration::from_secs(30 * 60);
/// Least time between announces if the tracker does not say.
const DEFAULT_MIN_INTERVAL: Duration = Duration::from_secs(60);
/// Least time between announces whatever the tracker says.
const LEAST_INTERVAL: Duration = Duration::from_secs(1);
/// Longest time between announces whatever the tracker says: it may be wrong, and peers come and go.
const MAX_INTERVAL: Duration = Duration::from_secs(3 * 60 * 60);
/// Pause after a first failure; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_secs(15);
/// Pause after the first look for an address that is not there.
const FIRST_PAUSE_WITHOUT_ADDRESS: Duration = Duration::from_secs(60);
/// Longest such pause.
const MAX_PAUSE: Duration = Duration::from_secs(30 * 60);
/// Longest pause that a tracker can ask for by `retry in`.
const MAX_RETRY_IN: Duration = Duration::from_secs(24 * 60 * 60);

/// What a tracker is doing, for reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrackerState {
    /// It was not asked yet.
    Untried,
    /// An announce is on its way.
    Asking,
    /// Its last announce was answered.
    Working,
    /// Its last announce failed.
    Failing,
    /// There is no address of the family, here or there.
    NoAddress,
    /// It said that it must not be asked again (BEP 31).
    Silenced,
}

/// Where an endpoint stands when the schedule looks for the tracker in charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is passed over for good, or is being tried again.
    Never,
    /// It is in charge, and its announce waits in a queue.
    Waits,
    /// It is in charge, and was asked at this time.
    Asked { at: Instant },
    /// It is failing, and may be tried again then.
    Again { at: Instant },
    /// It is in charge, and is to be asked then.
    InCharge { at: Instant },
}

/// An announce that is not over.
#[derive(Debug, Clone, Copy)]
enum Asking {
    Queued,
    Sent(Instant),
}

#[derive(Debug)]
pub(super) struct Endpoint {
    asking: Option<Asking>,
    /// When the next regular announce is due, or the next try.
    next: Instant,
    /// No early announce before this.
    earliest: Instant,
    failures: u32,
    has_no_address: bool,
    is_silenced: bool,
    /// The tracker answered, so it knows of the torrent.
    is_started: bool,
    owes_completed: bool,
    tracker_id: Option<Vec<u8>>,
    last_error: Option<String>,
    last_answer: Option<Instant>,
    warning: Option<String>,
    seeds: Option<u32>,
    leechers: Option<u32>,
    peers: usize,
}

impl Endpoint {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            asking: None,
            next: now,
            earliest: now,
            failures: 0,
            has_no_address: false,
            is_silenced: false,
            is_started: false,
            owes_completed: false,
            tracker_id: None,
            last_error: None,
            last_answer: None,
            warning: None,
            seeds: None,
            leechers: None,
            peers: 0,
        }
    }

    pub(super) fn turn(&self) -> Turn {
        match self.asking {
            _ if self.is_silenced => Turn::Never,
            Some(_) if self.failures > 0 => Turn::Never,
            Some(Asking::Queued) => Turn::Waits,
            Some(Asking::Sent(at)) => Turn::Asked { at },
            None if self.failures > 0 => Turn::Again { at: self.next },
            None => Turn::InCharge { at: self.next },
        }
    }

    pub(super) fn ask(&mut self, tracker: usize, family: Family) -> Ask {
        debug_assert!(self.asking.is_none(), "a tracker is asked once at a time");
        let event = match (self.is_started, self.owes_completed) {
            (false, _) => Event::Started,
            (true, true) => Event::Completed,
            (true, false) => Event::None,
        };
        self.asking = Some(Asking::Queued);
        Ask { tracker, family, event, tracker_id: self.tracker_id.clone() }
    }

    pub(super) fn sent(&mut self, now: Instant) {
        if self.asking.is_some() {
            self.asking = Some(Asking::Sent(now));
        }
    }

    /// `jitter` is the part of the interval that is added to it, so that torrents added together drift apart.
    pub(super) fn answered(&mut self, event: Event, answer: &Answer, now: Instant, jitter: f64) {
        let min = answer.min_interval.unwrap_or(DEFAULT_MIN_INTERVAL).clamp(LEAST_INTERVAL, MAX_INTERVAL);
        let interval = answer.interval.unwrap_or(DEFAULT_INTERVAL).clamp(min, MAX_INTERVAL);
        self.asking = None;
        self.is_started = true;
        self.failures = 0;
        self.has_no_address = false;
        self.last_error = None;
        if event == Event::Completed {
            self.owes_completed = false;
        }
        self.earliest = now + min;
        self.next = if self.owes_completed { now } else { now + interval + interval.mul_f64(jitter) };
        self.last_answer = Some(now);
        if answer.tracker_id.is_some() {
            self.tracker_id.clone_from(&answer.tracker_id);
        }
        self.warning.clone_from(&answer.warning);
        self.seeds = answer.seeds.or(self.seeds);
        self.leechers = answer.leechers.or(self.leechers);
        self.peers = answer.peers.len();
    }

    pub(super) fn failed(&mut self, failure: Failure, now: Instant, jitter: f64) {
        self.asking = None;
        self.has_no_address = failure == Failure::NoAddress;
        let first = if self.has_no_address { FIRST_PAUSE_WITHOUT_ADDRESS } else { FIRST_PAUSE };
        let doubled = first.saturating_mul(1 << self.failures.min(16)).min(MAX_PAUSE);
        let mut pause = doubled + doubled.mul_f64(jitter);
        self.failures = self.failures.saturating_add(1);
        self.last_error = match failure {
            Failure::NoAddress => None,
            Failure::Other(error) => Some(error),
            Failure::Refused(refusal) => {
                let asked_for = refusal.interval.max(refusal.min_interval).unwrap_or_default();
                pause = match refusal.retry_in {
                    Some(RetryIn::After(time)) => pause.max(time.min(MAX_RETRY_IN)),
                    Some(RetryIn::Never) | None => pause.max(asked_for.min(MAX_INTERVAL)),
                };
                self.is_silenced = refusal.retry_in == Some(RetryIn::Never);
                Some(refusal.reason)
            }
        };
        self.next = now + pause;
        self.earliest = self.next;
    }

    pub(super) fn hurry(&mut self, now: Instant) {
        if self.failures == 0 && self.asking.is_none() {
            self.next = self.next.min(self.earliest.max(now));
        }
    }

    pub(super) fn completed(&mut self, now: Instant) {
        let knows_download = self.is_started || self.asking.is_some();
        self.owes_completed |= knows_download;
        if knows_download && self.failures == 0 {
            self.next = now;
        }
    }

    pub(super) fn stop(&mut self, tracker: usize, family: Family) -> Option<Ask> {
        let is_told = std::mem::take(&mut self.is_started) && !self.is_silenced;
        let tracker_id = self.tracker_id.clone();
        is_told.then_some(Ask { tracker, family, event: Event::Stopped, tracker_id })
    }

    pub(super) fn status(&self, url: TrackerUrl, tier: usize, family: Family) -> TrackerStatus {
        let state = match self.asking {
            _ if self.is_silenced => TrackerState::Silenced,
            Some(_) => TrackerState::Asking,
            None if self.has_no_address => TrackerState::NoAddress,
            None if self.failures > 0 => TrackerState::Failing,
            None if self.last_answer.is_some() => TrackerState::Working,
            None => TrackerState::Untried,
        };
        TrackerStatus {
            url,
            tier,
            family,
            state,
            failures: self.failures,
            last_error: self.last_error.clone(),
            warning: self.warning.clone(),
            last_answer: self.last_answer,
            seeds: self.seeds,
            leechers: self.leechers,
            peers: self.peers,
            next: (self.asking.is_none() && !self.is_silenced).then_some(self.next),
        }
    }
}
