//! A line of torrents that would otherwise all come at the same time.

use std::time::{Duration, Instant};

/// Between two places: 200 torrents a second, so a hundred thousand have come after eight minutes, and at no time is
/// there more to do than hardly anything.
pub(super) const PACE: Duration = Duration::from_millis(5);

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Line {
    last: Option<Instant>,
}

impl Line {
    /// The next place that is free, at `not_before` or later.
    pub(super) fn place(&mut self, not_before: Instant) -> Instant {
        let free = self.last.map_or(not_before, |last| not_before.max(last + PACE));
        self.last = Some(free);
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_apart_and_those_that_passed_are_forgotten() {
        let (now, mut line) = (Instant::now(), Line::default());
        let places = [0, 0, 0].map(|_| line.place(now));
        assert_eq!(places, [now, now + PACE, now + 2 * PACE]);
        assert_eq!(line.place(now + 9 * PACE), now + 9 * PACE);
    }
}
