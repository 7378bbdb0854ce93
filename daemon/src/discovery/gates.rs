//! How many requests go out at a time: few to one host, not too many in all. The rest waits in order.
//!
//! A request passes the gate of its host first, so that a slow host's queue takes no room from others. Whoever
//! stops waiting (its task is dropped) leaves the queue.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Hosts that may be remembered without anyone waiting for them.
const MAX_IDLE_HOSTS: usize = 256;
/// How many more may go out at a time to each host when everything ends: then there are seconds, and no later.
const MORE_AT_THE_END: usize = 28;

#[derive(Debug)]
pub(super) struct Gates {
    per_host: usize,
    hosts: Mutex<HashMap<String, Arc<Semaphore>>>,
    overall: Arc<Semaphore>,
}

/// The right to send one request; given back when dropped.
#[derive(Debug)]
pub(super) struct Pass {
    // Gates are never closed, so these are always there.
    _host: Option<OwnedSemaphorePermit>,
    _overall: Option<OwnedSemaphorePermit>,
}

impl Gates {
    pub(super) fn new(per_host: usize, overall: usize) -> Self {
        Self { per_host, hosts: Mutex::default(), overall: Arc::new(Semaphore::new(overall)) }
    }

    /// Waits for a turn at `host`.
    pub(super) async fn enter(&self, host: &str) -> Pass {
        let host = self.host(host).acquire_owned().await.ok();
        Pass { _host: host, _overall: Arc::clone(&self.overall).acquire_owned().await.ok() }
    }

    /// Lets more pass for the rest of the time.
    pub(super) fn open_for_the_end(&self) {
        let hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.values().for_each(|host| host.add_permits(MORE_AT_THE_END));
        self.overall.add_permits(MORE_AT_THE_END * hosts.len());
    }

    fn host(&self, name: &str) -> Arc<Semaphore> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.get(name) {
            return Arc::clone(host);
        }
        if hosts.len() >= MAX_IDLE_HOSTS {
            hosts.retain(|_, host| Arc::strong_count(host) > 1);
        }
        let host = Arc::new(Semaphore::new(self.per_host));
        hosts.insert(name.to_owned(), Arc::clone(&host));
        host
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes_now(gates: &Gates, host: &str) -> Option<Pass> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::pin!(gates.enter(host)).poll(&mut context) {
            std::task::Poll::Ready(pass) => Some(pass),
            std::task::Poll::Pending => None,
        }
    }

    #[test]
    fn a_host_has_few_at_a_time_and_takes_no_room_from_others() {
        let gates = Gates::new(2, 3);
        let first = passes_now(&gates, "a").unwrap();
        let _second = passes_now(&gates, "a").unwrap();
        assert!(passes_now(&gates, "a").is_none());
        let _other = passes_now(&gates, "b").unwrap();
        assert!(passes_now(&gates, "c").is_none(), "three in all");
        drop(first);
        assert!(passes_now(&gates, "a").is_some());
    }

    #[test]
    fn at_the_end_more_may_pass() {
        let gates = Gates::new(1, 1);
        let _first = passes_now(&gates, "a").unwrap();
        assert!(passes_now(&gates, "a").is_none());
        gates.open_for_the_end();
        let passes: Vec<Pass> = (0..MORE_AT_THE_END).filter_map(|_| passes_now(&gates, "a")).collect();
        assert_eq!(passes.len(), MORE_AT_THE_END);
        assert!(passes_now(&gates, "a").is_none());
    }

    #[test]
    fn hosts_that_nobody_waits_for_are_forgotten() {
        let gates = Gates::new(1, 9);
        let _pass = passes_now(&gates, "busy").unwrap();
        for n in 0..3 * MAX_IDLE_HOSTS {
            assert!(passes_now(&gates, &n.to_string()).is_some());
        }
        assert!(gates.hosts.lock().unwrap().len() <= MAX_IDLE_HOSTS);
        assert!(passes_now(&gates, "busy").is_none(), "one that is in use is not forgotten");
    }
}
