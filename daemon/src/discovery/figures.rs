//! What announces came to, by host, for metrics: a few numbers that do not grow with the torrents.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use protocol::announce::Host;

use crate::bus::TrackerFigures;

/// Most hosts that are told apart. More would be too much for whoever draws them.
const MAX_HOSTS: usize = 256;
/// What stands for all the others; no host has a star in it.
const OTHER_HOSTS: &str = "*";

/// The figures of all hosts: written by the thread of [`super::Discovery`], read by anyone.
#[derive(Debug, Default)]
pub(super) struct Figures(Mutex<BTreeMap<String, TrackerFigures>>);

impl Figures {
    /// An announce to `host` is over.
    pub(super) fn count(&self, host: &Host, is_answered: bool) {
        let mut name = host.to_string();
        let mut hosts = self.lock();
        if hosts.len() >= MAX_HOSTS && !hosts.contains_key(&name) {
            name = OTHER_HOSTS.to_owned();
        }
        let new = TrackerFigures { host: name.clone(), ..TrackerFigures::default() };
        let figures = hosts.entry(name).or_insert(new);
        figures.announces += 1;
        figures.failures += u64::from(!is_answered);
        figures.is_working = is_answered;
    }

    /// All of them, by name.
    pub(super) fn all(&self) -> Vec<TrackerFigures> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, TrackerFigures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announces_are_counted_by_host_and_hosts_are_bounded() {
        let figures = Figures::default();
        for n in 0..2 * MAX_HOSTS {
            figures.count(&Host::Name(format!("t{n}")), true);
            figures.count(&Host::Name("t0".to_owned()), false);
        }
        let of = |name: &str, announces, failures, is_working| TrackerFigures {
            host: name.to_owned(),
            announces,
            failures,
            is_working,
        };
        let all = figures.all();
        assert_eq!(all.len(), MAX_HOSTS + 1);
        assert_eq!(all[..3], [of("*", 256, 0, true), of("t0", 513, 512, false), of("t1", 1, 0, true)]);
    }
}
