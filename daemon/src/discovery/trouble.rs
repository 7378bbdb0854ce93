//! What is known of a host that cannot be reached: thousands of torrents need not find it out each for itself.
//!
//! After a failure one announce is let through when the pause is over, the probe. The others are told what failed,
//! without a packet, and when to come again: one after the other. The pause grows until a probe comes through.

use std::time::{Duration, Instant};

use protocol::announce::Failure;

use super::line::Line;

/// Pause after a first failure, as that of one torrent; it doubles with each probe that fails.
const FIRST_PAUSE: Duration = Duration::from_secs(15);
/// Pause after the first look for an address that is not there.
const FIRST_PAUSE_WITHOUT_ADDRESS: Duration = Duration::from_secs(60);
/// Longest pause. A probe is one announce for all torrents, so it may come more often than each of them would.
const MAX_PAUSE: Duration = Duration::from_secs(15 * 60);

#[derive(Debug)]
pub(super) struct Trouble {
    failure: Failure,
    /// When it was seen last.
    seen: Instant,
    until: Instant,
    /// Pauses so far.
    pauses: u32,
    is_probed: bool,
    line: Line,
}

/// Whether an announce may go out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the probe.
    Probe,
    /// It would fail like this, and may come again then.
    Away { failure: Failure, again: Instant },
}

impl Trouble {
    pub(super) fn new(failure: Failure, now: Instant) -> Self {
        let line = Line::default();
        let mut trouble = Self { failure, seen: now, until: now, pauses: 0, is_probed: false, line };
        trouble.pause(now);
        trouble
    }

    pub(super) fn judge(&mut self, now: Instant) -> Verdict {
        if now >= self.until && !self.is_probed {
            self.is_probed = true;
            return Verdict::Probe;
        }
        let not_before = if self.is_probed { self.until.max(now + FIRST_PAUSE) } else { self.until };
        Verdict::Away { failure: self.failure.clone(), again: self.line.place(not_before) }
    }

    /// An announce has failed again. Those that were on their way before change nothing.
    pub(super) fn failed(&mut self, failure: Failure, now: Instant) {
        if now >= self.until {
            self.failure = failure;
            self.seen = now;
            self.pause(now);
        }
    }

    /// The probe is over, however it went.
    pub(super) fn probed(&mut self) {
        self.is_probed = false;
    }

    /// The user believes that it is over: there is a probe soon.
    pub(super) fn doubt(&mut self) {
        self.until = self.until.min(self.seen + FIRST_PAUSE);
    }

    /// Whether nobody needs to know of it any more.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        now >= self.until && !self.is_probed
    }

    fn pause(&mut self, now: Instant) {
        let is_without_address = self.failure == Failure::NoAddress;
        let first = if is_without_address { FIRST_PAUSE_WITHOUT_ADDRESS } else { FIRST_PAUSE };
        self.until = now + first.saturating_mul(1 << self.pauses.min(16)).min(MAX_PAUSE);
        self.pauses = self.pauses.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::PACE;
    use super::*;

    fn dead() -> Failure {
        Failure::Other("dead".into())
    }

    #[test]
    fn one_probe_goes_out_after_each_pause_and_pauses_grow() {
        let mut now = Instant::now();
        let mut trouble = Trouble::new(dead(), now);
        let mut pauses = Vec::new();
        for _ in 0..10 {
            let Verdict::Away { failure, again } = trouble.judge(now) else { panic!() };
            assert_eq!(failure, dead());
            pauses.push((trouble.until - now).as_secs());
            assert!(again >= trouble.until);
            trouble.failed(dead(), now);
            assert_eq!(trouble.until, now + Duration::from_secs(*pauses.last().unwrap()), "a latecomer");
            now = trouble.until;
            assert_eq!(trouble.judge(now), Verdict::Probe);
            let Verdict::Away { again, .. } = trouble.judge(now) else { panic!("a second probe") };
            assert!(again >= now + FIRST_PAUSE);
            trouble.failed(dead(), now);
            trouble.probed();
        }
        assert_eq!(pauses, [15, 30, 60, 120, 240, 480, 900, 900, 900, 900]);
    }

    #[test]
    fn those_who_are_turned_away_come_again_one_after_the_other() {
        let now = Instant::now();
        let mut trouble = Trouble::new(dead(), now);
        for place in 0..3 {
            let again = trouble.until + PACE * place;
            assert_eq!(trouble.judge(now), Verdict::Away { failure: dead(), again });
        }
    }

    #[test]
    fn a_user_who_knows_better_has_it_probed_soon() {
        let mut now = Instant::now();
        let mut trouble = Trouble::new(Failure::NoAddress, now);
        trouble.doubt();
        assert_eq!(trouble.until, now + FIRST_PAUSE);
        now += FIRST_PAUSE;
        assert!(trouble.is_over(now));
        assert_eq!(trouble.judge(now), Verdict::Probe);
        assert!(!trouble.is_over(now));
    }
}
