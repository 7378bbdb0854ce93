//! When a load that has a pace of its own asks for the next block.

use std::time::{Duration, Instant};

/// Requests at a steady rate.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    due: Instant,
    count: usize,
}

impl Pace {
    /// So many requests a second.
    pub(super) fn new(rate: f64) -> Self {
        let interval = Duration::try_from_secs_f64(1.0 / rate).unwrap_or(Duration::MAX);
        Self { interval, due: Instant::now(), count: 0 }
    }

    /// The first request is due now.
    pub(super) fn start(&mut self, now: Instant) {
        self.due = now;
    }

    /// The number of the next request, if it is due.
    pub(super) fn next(&mut self, now: Instant) -> Option<usize> {
        if now < self.due {
            return None;
        }
        self.due += self.interval;
        self.count += 1;
        Some(self.count - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_late_is_caught_up_with() {
        let mut pace = Pace::new(1_000.0);
        let start = Instant::now();
        pace.start(start);
        let mut due = |after_us| {
            let now = start + Duration::from_micros(after_us);
            std::iter::from_fn(|| pace.next(now)).collect::<Vec<_>>()
        };
        assert_eq!(due(0), [0]);
        assert!(due(999).is_empty());
        assert_eq!(due(3_000), [1, 2, 3]);
    }
}
