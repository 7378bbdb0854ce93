//! What announces came to, by host, for metrics: a few numbers that do not grow with the torrents.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use protocol::announce::Host;

/// Most hosts that are counted; the others are left out. More would be too much for whoever draws them.
const MAX_HOSTS: usize = 256;

/// Figures of one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFigures {
    /// Its name or address.
    pub host: String,
    /// Announces that were sent to it and are over.
    pub announces: u64,
    /// Of these, those that it refused, or that did not reach it.
    pub failures: u64,
    /// When it last answered.
    pub last_answer: Option<Instant>,
}

/// The figures of all hosts: written by the thread of [`super::Discovery`], read by anyone.
#[derive(Debug, Default)]
pub(super) struct Figures(Mutex<BTreeMap<String, HostFigures>>);

impl Figures {
    /// An announce to `host` is over.
    pub(super) fn count(&self, host: &Host, is_answered: bool, now: Instant) {
        let name = host.to_string();
        let mut hosts = self.lock();
        if !hosts.contains_key(&name) {
            if hosts.len() >= MAX_HOSTS {
                return;
            }
            let host = name.clone();
            hosts.insert(name.clone(), HostFigures { host, announces: 0, failures: 0, last_answer: None });
        }
        let Some(figures) = hosts.get_mut(&name) else { return };
        figures.announces += 1;
        if is_answered {
            figures.last_answer = Some(now);
        } else {
            figures.failures += 1;
        }
    }

    /// All of them, by name.
    pub(super) fn all(&self) -> Vec<HostFigures> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, HostFigures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announces_are_counted_by_host_and_hosts_are_bounded() {
        let (figures, now) = (Figures::default(), Instant::now());
        for n in 0..2 * MAX_HOSTS {
            figures.count(&Host::Name(format!("t{n}")), true, now);
            figures.count(&Host::Name("t0".to_owned()), false, now);
        }
        let all = figures.all();
        assert_eq!(all.len(), MAX_HOSTS);
        let expected =
            HostFigures { host: "t0".to_owned(), announces: 513, failures: 512, last_answer: Some(now) };
        assert_eq!(all[0], expected);
    }
}
