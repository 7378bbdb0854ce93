//! What is counted: requests, refusals by reason, how long answers took. Each thread counts in a set of its own; whoever
//! wants to know adds them up.

mod histogram;
mod prometheus;
mod report;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use protocol::announce::Family;

pub use histogram::Histogram;
pub use prometheus::{Reading, text};
pub use report::Report;

/// How a request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// HTTP.
    Http,
    /// UDP.
    Udp,
}

impl Door {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Http, Self::Udp];

    /// Its name in figures.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Udp => "udp",
        }
    }
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It is no announce or scrape as they should be.
    Malformed,
    /// The torrent is not on the list of those that are tracked.
    NotAllowed,
    /// The torrent is on the list of those that are not.
    Denied,
    /// A passkey is needed, and there was none or another.
    Passkey,
    /// More requests from there than there may be.
    Rate,
    /// More peers from there in one torrent than there may be.
    PeersPerAddress,
    /// More torrents from there than there may be.
    TorrentsPerAddress,
    /// A proxy did not say who asks.
    Proxy,
    /// A connection id over UDP that is not its sender's, or too old.
    ConnectionId,
    /// More connections than there may be.
    Connections,
    /// No request to a tracker: another path or method, or longer than is read.
    NoTracker,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Malformed,
        Self::NotAllowed,
        Self::Denied,
        Self::Passkey,
        Self::Rate,
        Self::PeersPerAddress,
        Self::TorrentsPerAddress,
        Self::Proxy,
        Self::ConnectionId,
        Self::Connections,
        Self::NoTracker,
    ];

    /// Its name in figures.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::NotAllowed => "not_allowed",
            Self::Denied => "denied",
            Self::Passkey => "passkey",
            Self::Rate => "rate",
            Self::PeersPerAddress => "peers_per_address",
            Self::TorrentsPerAddress => "torrents_per_address",
            Self::Proxy => "proxy",
            Self::ConnectionId => "connection_id",
            Self::Connections => "connections",
            Self::NoTracker => "no_tracker",
        }
    }
}

/// What one thread counts.
#[derive(Debug)]
pub struct Counters {
    door: Door,
    announces: [AtomicU64; 2],
    scrapes: AtomicU64,
    connects: AtomicU64,
    peers: AtomicU64,
    refused: [AtomicU64; Reason::ALL.len()],
    latency: Histogram,
}

impl Counters {
    fn new(door: Door) -> Self {
        Self {
            door,
            announces: Default::default(),
            scrapes: AtomicU64::default(),
            connects: AtomicU64::default(),
            peers: AtomicU64::default(),
            refused: Default::default(),
            latency: Histogram::default(),
        }
    }

    /// An announce from an address of `family` was answered with `peers`.
    pub fn announced(&self, family: Family, peers: usize) {
        add(&self.announces[if family == Family::V4 { 0 } else { 1 }], 1);
        add(&self.peers, peers as u64);
    }

    /// A scrape was answered.
    pub fn scraped(&self) {
        add(&self.scrapes, 1);
    }

    /// A connection id was given out, or over HTTP a connection was accepted.
    pub fn connected(&self) {
        add(&self.connects, 1);
    }

    /// A request was refused.
    pub fn refused(&self, reason: Reason) {
        add(&self.refused[reason as usize], 1);
    }

    /// So many answers took so long, from the moment when their requests were read.
    pub fn answered(&self, after: Duration, answers: u64) {
        self.latency.add(after, answers);
    }
}

/// The counters of all threads.
#[derive(Debug, Default)]
pub struct Figures {
    threads: std::sync::Mutex<Vec<Arc<Counters>>>,
}

impl Figures {
    /// The counters of one more thread.
    pub fn counters(&self, door: Door) -> Arc<Counters> {
        let counters = Arc::new(Counters::new(door));
        self.threads.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(Arc::clone(&counters));
        counters
    }

    /// What was counted so far.
    pub fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        for counters in self.threads.lock().unwrap_or_else(std::sync::PoisonError::into_inner).iter() {
            let of_door = &mut sums.doors[counters.door as usize];
            for (sum, count) in of_door.announces.iter_mut().zip(&counters.announces) {
                *sum += get(count);
            }
            of_door.scrapes += get(&counters.scrapes);
            of_door.connects += get(&counters.connects);
            of_door.peers += get(&counters.peers);
            for (sum, count) in of_door.refused.iter_mut().zip(&counters.refused) {
                *sum += get(count);
            }
            of_door.latency.merge(&counters.latency);
        }
        sums
    }
}

/// What was counted at one door.
#[derive(Debug, Default)]
pub struct DoorSums {
    /// Announces that were answered, over IPv4 and IPv6.
    pub announces: [u64; 2],
    /// Scrapes that were answered.
    pub scrapes: u64,
    /// Connections, or connection ids.
    pub connects: u64,
    /// Peers that askers were told of.
    pub peers: u64,
    /// Refusals, in the order of [`Reason::ALL`].
    pub refused: [u64; Reason::ALL.len()],
    /// How long answers took.
    pub latency: Histogram,
}

/// What was counted at both.
#[derive(Debug, Default)]
pub struct Sums {
    doors: [DoorSums; 2],
}

impl Sums {
    /// What was counted at `door`.
    pub fn of(&self, door: Door) -> &DoorSums {
        &self.doors[door as usize]
    }

    /// What was refused for `reason`, at both doors.
    pub fn refused(&self, reason: Reason) -> u64 {
        self.doors.iter().map(|door| door.refused[reason as usize]).sum()
    }
}

fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}

fn get(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_threads_count_is_added_up() {
        let figures = Figures::default();
        let (http, udp, other) =
            (figures.counters(Door::Http), figures.counters(Door::Udp), figures.counters(Door::Udp));
        http.announced(Family::V6, 3);
        udp.announced(Family::V4, 50);
        other.announced(Family::V4, 1);
        other.scraped();
        other.connected();
        http.refused(Reason::Rate);
        udp.refused(Reason::Rate);
        udp.refused(Reason::Malformed);
        udp.answered(Duration::from_micros(3), 64);
        let sums = figures.sums();
        assert_eq!((sums.of(Door::Http).announces, sums.of(Door::Http).peers), ([0, 1], 3));
        let of_udp = sums.of(Door::Udp);
        assert_eq!((of_udp.announces, of_udp.scrapes, of_udp.connects, of_udp.peers), ([2, 0], 1, 1, 51));
        assert_eq!((sums.refused(Reason::Rate), sums.refused(Reason::Malformed)), (2, 1));
        assert_eq!(of_udp.latency.count(), 64);
    }

    #[test]
    fn each_reason_has_a_place_and_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = Reason::ALL.map(Reason::name).into();
        assert_eq!(names.len(), Reason::ALL.len());
        assert!(Reason::ALL.into_iter().enumerate().all(|(at, reason)| reason as usize == at));
        assert!(Door::ALL.into_iter().enumerate().all(|(at, door)| door as usize == at));
    }
}
