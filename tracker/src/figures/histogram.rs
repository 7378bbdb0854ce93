//! How often something took how long, in buckets each twice as long as the one before: from a microsecond to a second.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets with a bound; what is longer than the last has one more.
const BOUNDED: usize = 21;

/// The counts. Any thread may add, and any may read meanwhile.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDED + 1],
    sum_ns: AtomicU64,
}

impl Histogram {
    /// The upper bound of each bucket that has one.
    pub fn bounds() -> impl Iterator<Item = Duration> {
        (0..BOUNDED).map(|bucket| Duration::from_micros(1 << bucket))
    }

    /// Something took so long, `times` times.
    pub fn add(&self, took: Duration, times: u64) {
        // What takes just as long as a bound is in its bucket.
        let micros = u64::try_from(took.as_nanos().div_ceil(1_000)).unwrap_or(u64::MAX);
        let bucket = micros.max(1).next_power_of_two().trailing_zeros() as usize;
        self.buckets[bucket.min(BOUNDED)].fetch_add(times, Ordering::Relaxed);
        let took_ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.sum_ns.fetch_add(took_ns.saturating_mul(times), Ordering::Relaxed);
    }

    /// Adds what another has counted.
    pub(super) fn merge(&mut self, other: &Self) {
        for (to, from) in self.buckets.iter_mut().zip(&other.buckets) {
            *to.get_mut() += from.load(Ordering::Relaxed);
        }
        *self.sum_ns.get_mut() += other.sum_ns.load(Ordering::Relaxed);
    }

    /// Each bound in seconds, and how often it took no longer than that but longer than the one before; at last infinity.
    pub(super) fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = Self::bounds().map(|bound| bound.as_secs_f64()).chain([f64::INFINITY]);
        bounds.zip(self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed))).collect()
    }

    /// How often it took no longer than each bound, and at last how often in all.
    pub fn cumulative(&self) -> Vec<u64> {
        let mut sum = 0;
        let below = |bucket: &AtomicU64| {
            sum += bucket.load(Ordering::Relaxed);
            sum
        };
        self.buckets.iter().map(below).collect()
    }

    /// How often in all.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }

    /// How long in all.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_ns.load(Ordering::Relaxed))
    }

    /// The bound below which `part` of them are, as 0.99; `None` where there are none, or it is above all bounds.
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        let cumulative = self.cumulative();
        let count = *cumulative.last()?;
        if count == 0 {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "a rank need not be exact")]
        let is_there = |below: u64| below as f64 >= part * count as f64;
        Self::bounds().zip(cumulative).find(|(_, below)| is_there(*below)).map(|(bound, _)| bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_is_in_the_bucket_that_holds_it() {
        let histogram = Histogram::default();
        let micros = Duration::from_micros;
        for took in
            [Duration::ZERO, micros(1), Duration::from_nanos(1_001), micros(2), micros(3), micros(1_024)]
        {
            histogram.add(took, 1);
        }
        histogram.add(Duration::from_secs(30), 4);
        let cumulative = histogram.cumulative();
        let below = |bound| cumulative[Histogram::bounds().position(|it| it == micros(bound)).unwrap()];
        assert_eq!((below(1), below(2), below(4), below(512), below(1_024)), (2, 4, 5, 5, 6));
        assert_eq!((below(1 << 20), histogram.count()), (6, 10));
        assert_eq!(
            histogram.sum(),
            Duration::from_nanos(4 * 30_000_000_000 + 1_000 + 1_001 + 2_000 + 3_000 + 1_024_000)
        );
    }

    #[test]
    fn quantiles_are_bounds() {
        let histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        histogram.add(Duration::from_micros(3), 990);
        histogram.add(Duration::from_micros(100), 9);
        histogram.add(Duration::from_secs(9), 1);
        assert_eq!(histogram.quantile(0.5), Some(Duration::from_micros(4)));
        assert_eq!(histogram.quantile(0.995), Some(Duration::from_micros(128)));
        assert_eq!(histogram.quantile(1.0), None, "who knows");
    }
}
