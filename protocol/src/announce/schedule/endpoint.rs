//! One tracker over one address family: what it was told, what it said, and when it may be asked again.
//!
//! The schedule decides whose turn it is; nothing here knows of other trackers. Every byte counts: of each idle
//! torrent there are a few of these.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Answer, Ask, Event, Failure, Family, Moment, PATIENCE, RetryIn, TrackerStatus, TrackerUrl};

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
    Asked { at: Moment },
    /// It is failing, and may be tried again then.
    Again { at: Moment },
    /// It is in charge, and is to be asked then.
    InCharge { at: Moment },
}

/// An announce that is not over.
#[derive(Debug, Clone, Copy)]
enum Asking {
    Queued,
    Sent(Moment),
}

/// What the tracker said last.
#[derive(Debug)]
struct Said {
    at: Moment,
    tracker_id: Option<Box<[u8]>>,
    warning: Option<Box<str>>,
    seeds: Option<u32>,
    leechers: Option<u32>,
    peers: usize,
}

#[derive(Debug)]
pub(super) struct Endpoint {
    tracker: u8,
    family: Family,
    has_no_address: bool,
    is_silenced: bool,
    /// The tracker answered, so it knows of the torrent.
    is_started: bool,
    owes_completed: bool,
    failures: u16,
    asking: Option<Asking>,
    /// When the next regular announce is due, or the next try.
    next: Moment,
    /// No early announce before this.
    earliest: Moment,
    /// Most torrents of a dead tracker share one.
    last_error: Option<Arc<str>>,
    /// `None` until it answered.
    said: Option<Box<Said>>,
}

impl Endpoint {
    pub(super) fn new(tracker: u8, family: Family, next: Moment) -> Self {
        Self {
            tracker,
            family,
            has_no_address: false,
            is_silenced: false,
            is_started: false,
            owes_completed: false,
            failures: 0,
            asking: None,
            next,
            earliest: Moment::default(),
            last_error: None,
            said: None,
        }
    }

    /// What the schedule finds it by.
    pub(super) fn key(&self) -> (Family, u8) {
        (self.family, self.tracker)
    }

    /// When the next regular announce is due, or the next try.
    pub(super) fn next(&self) -> Moment {
        self.next
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

    pub(super) fn ask(&mut self) -> Ask {
        debug_assert!(self.asking.is_none(), "a tracker is asked once at a time");
        self.asking = Some(Asking::Queued);
        self.asks(match (self.is_started, self.owes_completed) {
            (false, _) => Event::Started,
            (true, true) => Event::Completed,
            (true, false) => Event::None,
        })
    }

    fn asks(&self, event: Event) -> Ask {
        let tracker_id = self.said.as_ref().and_then(|said| said.tracker_id.as_deref());
        Ask { tracker: self.tracker, family: self.family, event, tracker_id: tracker_id.map(<[u8]>::to_vec) }
    }

    pub(super) fn sent(&mut self, now: Moment) {
        if self.asking.is_some() {
            self.asking = Some(Asking::Sent(now));
        }
    }

    /// `jitter` is the part of the interval that is added to it, so that torrents added together drift apart.
    pub(super) fn answered(&mut self, event: Event, answer: &Answer, now: Moment, jitter: f64) {
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
        self.earliest = now.after(min);
        self.next = if self.owes_completed { now } else { now.after(interval + interval.mul_f64(jitter)) };
        let before = self.said.take();
        let before = before.as_deref();
        let id = answer.tracker_id.as_deref().or(before.and_then(|said| said.tracker_id.as_deref()));
        self.said = Some(Box::new(Said {
            at: now,
            tracker_id: id.map(Box::from),
            warning: answer.warning.as_deref().map(Box::from),
            seeds: answer.seeds.or(before.and_then(|said| said.seeds)),
            leechers: answer.leechers.or(before.and_then(|said| said.leechers)),
            peers: answer.peers.len(),
        }));
    }

    pub(super) fn failed(&mut self, failure: Failure, now: Moment, jitter: f64) {
        let is_without_address = failure == Failure::NoAddress;
        let first = if is_without_address { FIRST_PAUSE_WITHOUT_ADDRESS } else { FIRST_PAUSE };
        let doubled = first.saturating_mul(1 << self.failures.min(16)).min(MAX_PAUSE);
        let mut pause = doubled + doubled.mul_f64(jitter);
        let mut least = FIRST_PAUSE;
        if let Failure::Refused(refusal) = &failure {
            let asked_for = refusal.interval.max(refusal.min_interval).unwrap_or_default();
            pause = match refusal.retry_in {
                Some(RetryIn::After(time)) => pause.max(time.min(MAX_RETRY_IN)),
                Some(RetryIn::Never) | None => pause.max(asked_for.min(MAX_INTERVAL)),
            };
            self.is_silenced = refusal.retry_in == Some(RetryIn::Never);
            least = pause;
        }
        self.failures = self.failures.saturating_add(1);
        self.next = now.after(pause);
        self.earliest = now.after(least);
        self.blame(failure);
    }

    /// It was not even asked, since its host is known to be out of reach until `again`.
    pub(super) fn turned_away(&mut self, failure: Failure, now: Moment, again: Moment) {
        self.failures = self.failures.max(1);
        self.next = again;
        self.earliest = now;
        self.blame(failure);
    }

    fn blame(&mut self, failure: Failure) {
        self.asking = None;
        self.has_no_address = failure == Failure::NoAddress;
        self.last_error = match failure {
            Failure::NoAddress => None,
            Failure::Refused(refusal) => Some(refusal.reason.into()),
            Failure::Other(error) => Some(error),
        };
    }

    /// The next regular announce comes as early as the tracker allows. One that is failing is left alone.
    pub(super) fn hurry(&mut self, now: Moment) {
        if self.failures == 0 {
            self.retry(now);
        }
    }

    /// The next announce, or try, comes as early as the tracker allows.
    pub(super) fn retry(&mut self, now: Moment) {
        if self.asking.is_none() {
            self.next = self.next.min(self.earliest.max(now));
        }
    }

    pub(super) fn completed(&mut self, now: Moment) {
        let knows_download = self.is_started || self.asking.is_some();
        self.owes_completed |= knows_download;
        if knows_download && self.failures == 0 {
            self.next = now;
        }
    }

    /// A tracker that was asked a moment ago may have heard it before its answer comes.
    pub(super) fn stop(&mut self, now: Moment) -> Option<Ask> {
        let may_know = matches!(self.asking.take(), Some(Asking::Sent(at)) if now < at.after(PATIENCE));
        let knows = std::mem::take(&mut self.is_started) || may_know;
        (knows && !self.is_silenced).then(|| self.asks(Event::Stopped))
    }

    /// `epoch` is when its schedule began.
    pub(super) fn status(&self, url: TrackerUrl, tier: usize, epoch: Instant) -> TrackerStatus {
        let state = match self.asking {
            _ if self.is_silenced => TrackerState::Silenced,
            Some(_) => TrackerState::Asking,
            None if self.has_no_address => TrackerState::NoAddress,
            None if self.failures > 0 => TrackerState::Failing,
            None if self.said.is_some() => TrackerState::Working,
            None => TrackerState::Untried,
        };
        let said = self.said.as_deref();
        TrackerStatus {
            url,
            tier,
            family: self.family,
            state,
            failures: u32::from(self.failures),
            last_error: self.last_error.as_deref().map(str::to_owned),
            warning: said.and_then(|said| said.warning.as_deref()).map(str::to_owned),
            last_answer: said.map(|said| said.at.at(epoch)),
            seeds: said.and_then(|said| said.seeds),
            leechers: said.and_then(|said| said.leechers),
            peers: said.map_or(0, |said| said.peers),
            next: (self.asking.is_none() && !self.is_silenced).then(|| self.next.at(epoch)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_small() {
        assert!(size_of::<Endpoint>() <= 48, "{} bytes", size_of::<Endpoint>());
        assert!(size_of::<Said>() <= 64, "{} bytes", size_of::<Said>());
    }
}
