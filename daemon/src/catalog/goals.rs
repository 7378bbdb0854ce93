//! When a torrent has been seeded enough: a decision, made of numbers.

use std::time::Duration;

/// What is enough. `None` for never.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Goals {
    /// Payload that peers got, in parts of what was downloaded.
    pub ratio: Option<f64>,
    /// How long it has been seeded.
    pub seed_time: Option<Duration>,
}

/// What a user has set for one torrent: nothing, for the goals of all; 0, for never.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct OwnGoals {
    pub(super) ratio: Option<f64>,
    pub(super) seed_time_s: Option<u64>,
}

impl OwnGoals {
    /// The goals that hold, where `of_all` are those of all torrents.
    pub(super) fn over(self, of_all: Goals) -> Goals {
        Goals {
            ratio: self.ratio.map_or(of_all.ratio, |ratio| Some(ratio).filter(|ratio| *ratio > 0.0)),
            seed_time: self.seed_time_s.map_or(of_all.seed_time, |seconds| {
                Some(Duration::from_secs(seconds)).filter(|time| !time.is_zero())
            }),
        }
    }
}

impl Goals {
    /// Why it is enough, if it is.
    pub(super) fn reached(&self, ratio: f64, seeded: Duration) -> Option<&'static str> {
        match self {
            Self { ratio: Some(goal), .. } if ratio >= *goal => Some("its ratio is as high as was wanted"),
            Self { seed_time: Some(goal), .. } if seeded >= *goal => {
                Some("it was seeded as long as was wanted")
            }
            _ => None,
        }
    }

    /// Whether there are any.
    pub(super) fn is_empty(&self) -> bool {
        self.ratio.is_none() && self.seed_time.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn either_goal_is_enough() {
        let goals = Goals { ratio: Some(2.0), seed_time: Some(HOUR) };
        assert_eq!(goals.reached(1.9, HOUR / 2), None);
        assert!(goals.reached(2.0, Duration::ZERO).is_some() && goals.reached(0.0, HOUR).is_some());
        assert_eq!(Goals::default().reached(1e9, 1_000 * HOUR), None);
    }

    #[test]
    fn what_a_torrent_has_of_its_own_comes_first_and_zero_is_never() {
        let of_all = Goals { ratio: Some(2.0), seed_time: Some(HOUR) };
        assert_eq!(OwnGoals::default().over(of_all), of_all);
        let own = OwnGoals { ratio: Some(0.0), seed_time_s: Some(5) };
        assert_eq!(own.over(of_all), Goals { ratio: None, seed_time: Some(Duration::from_secs(5)) });
        assert!(OwnGoals { ratio: Some(0.0), seed_time_s: Some(0) }.over(of_all).is_empty());
    }
}
