//! A moment in the life of one schedule, in a quarter of the bytes of an `Instant`: there may be a hundred thousand
//! schedules with several moments each.

use std::time::{Duration, Instant};

/// The unit of a [`Moment`]: a tenth of the least time between two announces.
const TENTH: Duration = Duration::from_millis(100);

/// Tenths of a second since the schedule began. It ends after 13 years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Moment(u32);

impl Moment {
    /// The last moment that is not after `at`.
    pub(super) fn until(epoch: Instant, at: Instant) -> Self {
        let tenths = at.saturating_duration_since(epoch).as_millis() / TENTH.as_millis();
        Self(u32::try_from(tenths).unwrap_or(u32::MAX))
    }

    /// The first moment that is not before `at`.
    pub(super) fn from(epoch: Instant, at: Instant) -> Self {
        Self::default().after(at.saturating_duration_since(epoch))
    }

    /// The first moment that is at least `time` after this one.
    pub(super) fn after(self, time: Duration) -> Self {
        let tenths = time.as_nanos().div_ceil(TENTH.as_nanos());
        Self(self.0.saturating_add(u32::try_from(tenths).unwrap_or(u32::MAX)))
    }

    /// When it is.
    pub(super) fn at(self, epoch: Instant) -> Instant {
        epoch + TENTH * self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_rounded_to_the_side_that_was_asked_for() {
        let epoch = Instant::now();
        let at = epoch + Duration::from_millis(250);
        let (until, from) = (Moment::until(epoch, at), Moment::from(epoch, at));
        assert_eq!((until.at(epoch) - epoch).as_millis(), 200);
        assert_eq!((from.at(epoch) - epoch).as_millis(), 300);
        assert_eq!(until.after(Duration::from_millis(1)), from);
        assert_eq!(Moment::from(epoch, from.at(epoch)), Moment::until(epoch, from.at(epoch)));
        let long = Duration::from_secs(1 << 40);
        assert_eq!(from.after(long), Moment(u32::MAX), "time ends, and nothing overflows");
    }
}
