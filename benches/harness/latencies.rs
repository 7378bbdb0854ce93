//! How long answers took, each of them: no buckets, so that p99.9 is one that was seen.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Times from a request to its answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Latencies {
    /// Those above four seconds count as that.
    nanos: Vec<u32>,
}

/// How long answers took: the least times within which so many of them came, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Half of them.
    pub p50_us: f64,
    /// 99 of 100.
    pub p99_us: f64,
    /// 999 of 1,000.
    pub p999_us: f64,
    /// All.
    pub max_us: f64,
}

impl Latencies {
    pub(crate) fn add(&mut self, latency: Duration) {
        self.nanos.push(u32::try_from(latency.as_nanos()).unwrap_or(u32::MAX));
    }

    pub(crate) fn len(&self) -> usize {
        self.nanos.len()
    }

    pub(crate) fn append(&mut self, mut other: Self) {
        self.nanos.append(&mut other.nanos);
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.nanos.clear();
    }

    pub(crate) fn quantiles(&mut self) -> Quantiles {
        let [p50_us, p99_us, p999_us, max_us] =
            [500, 990, 999, 1000].map(|thousandths| self.quantile_us(thousandths));
        Quantiles { p50_us, p99_us, p999_us, max_us }
    }

    /// The least time within which so many thousandths of all answers came, in microseconds; 0 for none.
    pub(crate) fn quantile_us(&mut self, thousandths: usize) -> f64 {
        let rank = (self.nanos.len() * thousandths).div_ceil(1000).max(1);
        match rank <= self.nanos.len() {
            true => f64::from(*self.nanos.select_nth_unstable(rank - 1).1) / 1e3,
            false => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_times() {
        let mut latencies = Latencies::default();
        assert!(latencies.quantile_us(500) == 0.0);
        (1..=2000).rev().for_each(|us| latencies.add(Duration::from_micros(us)));
        let found = [1, 500, 990, 999, 1000].map(|thousandths| latencies.quantile_us(thousandths));
        assert_eq!(found, [2.0, 1000.0, 1980.0, 1998.0, 2000.0]);
        latencies.add(Duration::from_secs(60));
        assert!(latencies.quantile_us(1000) > 4e6);
        let mut one = Latencies::default();
        one.add(Duration::from_micros(7));
        assert_eq!([1, 500, 999].map(|thousandths| one.quantile_us(thousandths)), [7.0; 3]);
        latencies.append(one);
        assert_eq!(latencies.len(), 2002);
    }
}
