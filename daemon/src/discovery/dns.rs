//! Names of trackers to addresses, remembered for a while, so that thousands of torrents ask for a name once.
//!
//! The system's resolver tells no times to live; five minutes is what trackers that move can bear.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper_util::client::legacy::connect::dns::Name;
use protocol::announce::{Family, Host};
use tokio::sync::OnceCell;
use tower_service::Service;

/// How long addresses are used.
const LIFETIME: Duration = Duration::from_secs(5 * 60);
/// How long a failed lookup is not repeated.
const FAILURE_LIFETIME: Duration = Duration::from_secs(30);
/// Most time for one lookup; resolvers give up on one server after 5 s and try the next.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(12);
/// Most names that are remembered.
const MAX_NAMES: usize = 1024;
/// Most addresses of one name that are used.
const MAX_ADDRESSES: usize = 32;

/// A lookup that runs.
pub type Lookup = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;
/// Looks up all addresses of a name.
pub type Resolve = Arc<dyn Fn(String) -> Lookup + Send + Sync>;

/// A name that has no addresses now.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{name} cannot be looked up: {reason}")]
pub(super) struct LookupError {
    name: String,
    reason: Arc<str>,
}

/// The cache; clones share it.
#[derive(Clone)]
pub(super) struct Dns {
    resolve: Resolve,
    entries: Arc<Mutex<HashMap<String, Entry>>>,
}

/// Filled by the first who asks; the others wait for it.
type Entry = Arc<OnceCell<Known>>;

#[derive(Debug, Clone)]
struct Known {
    until: Instant,
    addresses: Result<Vec<IpAddr>, Arc<str>>,
}

impl Dns {
    pub(super) fn new(resolve: Resolve) -> Self {
        Self { resolve, entries: Arc::default() }
    }

    /// The addresses of `host` in `family`; none when it has only others.
    pub(super) async fn addresses(&self, host: &Host, family: Family) -> Result<Vec<IpAddr>, LookupError> {
        let mut addresses = match host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => self.lookup(name).await?,
        };
        addresses.retain(|address| Family::of(*address) == family);
        Ok(addresses)
    }

    async fn lookup(&self, name: &str) -> Result<Vec<IpAddr>, LookupError> {
        let entry = self.entry(name, Instant::now());
        let known = entry.get_or_init(|| self.ask(name)).await;
        known.addresses.clone().map_err(|reason| LookupError { name: name.to_owned(), reason })
    }

    async fn ask(&self, name: &str) -> Known {
        let answer = tokio::time::timeout(LOOKUP_TIMEOUT, (self.resolve)(name.to_owned())).await;
        let answer = answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let lifetime = if answer.is_ok() { LIFETIME } else { FAILURE_LIFETIME };
        let mut addresses = answer.map_err(|error| Arc::from(error.to_string()));
        if let Ok(addresses) = &mut addresses {
            addresses.truncate(MAX_ADDRESSES);
        }
        Known { until: Instant::now() + lifetime, addresses }
    }

    /// What is known of `name`, or being found out, or an empty entry.
    fn entry(&self, name: &str, now: Instant) -> Entry {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = |entry: &Entry| entry.get().is_none_or(|known| now < known.until);
        if let Some(entry) = entries.get(name).filter(|entry| is_fresh(entry)) {
            return Arc::clone(entry);
        }
        if entries.len() >= MAX_NAMES {
            entries.retain(|_, entry| is_fresh(entry));
        }
        if entries.len() >= MAX_NAMES {
            entries.clear();
        }
        let entry = Entry::default();
        entries.insert(name.to_owned(), Arc::clone(&entry));
        entry
    }
}

impl fmt::Debug for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dns").finish_non_exhaustive()
    }
}

/// The cache as hyper asks it: one family alone.
#[derive(Debug, Clone)]
pub(super) struct FamilyResolver {
    pub(super) dns: Dns,
    pub(super) family: Family,
}

impl Service<Name> for FamilyResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = LookupError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let Self { dns, family } = self.clone();
        Box::pin(async move {
            let addresses = dns.addresses(&Host::Name(name.as_str().to_owned()), family).await?;
            // The port is the URL's; hyper puts it in.
            let addresses: Vec<SocketAddr> =
                addresses.into_iter().map(|address| SocketAddr::new(address, 0)).collect();
            Ok(addresses.into_iter())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A cache that counts lookups; names that begin with `x` do not exist.
    fn counting() -> (Dns, Arc<AtomicUsize>) {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let resolve = move |name: String| -> Lookup {
            counted.fetch_add(1, Ordering::Relaxed);
            Box::pin(async move {
                tokio::task::yield_now().await;
                if name.starts_with('x') {
                    Err(io::Error::other("no such name"))
                } else {
                    Ok(vec![[1, 2, 3, 4].into()])
                }
            })
        };
        (Dns::new(Arc::new(resolve)), count)
    }

    #[tokio::test]
    async fn a_name_is_looked_up_once_even_by_many_at_a_time() {
        let (dns, count) = counting();
        let (first, second) = tokio::join!(dns.lookup("t"), dns.lookup("t"));
        assert_eq!(first.unwrap(), second.unwrap());
        assert!(dns.lookup("t").await.is_ok());
        assert_eq!(count.load(Ordering::Relaxed), 1);
        for _ in 0..2 {
            let error = dns.lookup("x").await.unwrap_err();
            assert_eq!(error.to_string(), "x cannot be looked up: no such name");
        }
        assert_eq!(count.load(Ordering::Relaxed), 2, "a failure is remembered too");
    }

    #[tokio::test]
    async fn what_is_old_is_looked_up_again() {
        let (dns, count) = counting();
        for name in ["t", "x"] {
            dns.lookup(name).await.ok();
            let age = |seconds| dns.entry(name, Instant::now() + Duration::from_secs(seconds)).initialized();
            assert_eq!((age(29), age(31), age(299)), (true, name == "t", name == "t"));
            assert!(!age(301));
        }
        dns.lookup("t").await.unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn names_do_not_pile_up_and_families_are_kept_apart() {
        let (dns, _) = counting();
        for n in 0..2 * MAX_NAMES {
            dns.lookup(&format!("t{n}")).await.unwrap();
        }
        assert!(dns.entries.lock().unwrap().len() <= MAX_NAMES);
        let host = Host::Name("t".to_owned());
        assert_eq!(dns.addresses(&host, Family::V4).await.unwrap().len(), 1);
        assert!(dns.addresses(&host, Family::V6).await.unwrap().is_empty());
    }
}
