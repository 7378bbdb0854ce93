//! What time it is, in the three ways in which the tracker counts.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What announces are stamped with when the tracker starts, in seconds: enough that what is restored is older.
const START_S: u32 = 1 << 24;

/// The time since the tracker was started; it never goes back.
#[derive(Debug)]
pub struct Clock {
    started: Instant,
}

/// A moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since the start, for rates.
    pub ms: u64,
    /// Seconds, as announces are stamped.
    pub s: u32,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// This moment.
    pub fn now(&self) -> Now {
        self.at(Instant::now())
    }

    /// That moment.
    pub fn at(&self, instant: Instant) -> Now {
        let since = instant.saturating_duration_since(self.started);
        let s = u32::try_from(since.as_secs()).unwrap_or(u32::MAX);
        Now { ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX), s: START_S.saturating_add(s) }
    }

    /// How long it has been since the start.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Seconds since 1970, as other machines and other lives of the tracker know them.
    pub fn unix_s() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_milliseconds_go_together() {
        let clock = Clock::start();
        let now = clock.at(clock.started + Duration::from_millis(2_500));
        assert_eq!(now, Now { ms: 2_500, s: START_S + 2 });
        assert_eq!(clock.at(clock.started - Duration::from_secs(1)).ms, 0, "a time before the first");
    }
}
