//! Whom to dial: addresses that were heard of, tried, failed and banned.
//!
//! The swarm adds every address that it hears of, takes the next whenever it may dial, and says what became of it.
//! Nothing is dialled here, and no address is handed out that is dialled or connected already.

mod bans;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::time::{Duration, Instant};

use rand::{Rng, RngExt};

use bans::{Ban, Bans};

/// Addresses that are known of one torrent: far more than it ever connects to, and about half a megabyte.
pub const MAX_CANDIDATES: usize = 4_000;
/// Failures in a row after which an address is forgotten, unless the user named it: it has been tried for two hours.
pub const MAX_FAILURES: u8 = 8;
/// The wait after a first failure; each further one doubles it.
pub const FIRST_WAIT: Duration = Duration::from_secs(60);
/// The longest wait, also for a peer that made a mistake or is of no use.
pub const LONGEST_WAIT: Duration = Duration::from_secs(3_600);
/// The wait after a connection that ended normally: the peer may have been full.
pub const NORMAL_WAIT: Duration = Duration::from_secs(60);
/// The wait after a first failure of a peer that the user named, who is likely to be waiting for just this one.
pub const FIRST_USER_WAIT: Duration = Duration::from_secs(2);
/// The longest wait for such a peer.
pub const LONGEST_USER_WAIT: Duration = Duration::from_secs(60);
/// Waits are stretched by up to this much, lest all peers of a swarm that broke down come back at once.
const JITTER: f64 = 0.25;

/// Where an address was heard of, the most trustworthy first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The user, or the magnet link (`x.pe`) that the user gave. Never given up.
    User,
    /// The peer itself connected and said at which port it listens.
    Incoming,
    /// A tracker.
    Tracker,
    /// Another peer (BEP 11).
    Exchange,
}

/// Why a connection ended that had been made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Either side closed it, or the network did.
    Normal,
    /// It has everything and so have we.
    Seed,
    /// It broke the protocol.
    Mistake,
}

/// The addresses of one torrent.
#[derive(Debug, Default)]
pub struct Candidates {
    known: BTreeMap<SocketAddr, Entry>,
    /// One for each [`Source`].
    tiers: [Tier; 4],
    bans: Bans,
}

/// What is known of one address.
#[derive(Debug, Clone, Copy)]
struct Entry {
    source: Source,
    /// Failures in a row.
    failures: u8,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Not tried yet; the place in the tier's list.
    Fresh(usize),
    /// Not to be dialled before.
    Waiting(Instant),
    /// Being dialled, or connected.
    Active,
}

/// The addresses of one source that may be dialled now or later.
#[derive(Debug, Default)]
struct Tier {
    /// In no order: drawn at random.
    fresh: Vec<SocketAddr>,
    waiting: BTreeSet<(Instant, SocketAddr)>,
}

impl Candidates {
    /// No addresses.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many addresses are known, those that are connected among them.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Takes an address in; whether it is new. When there are too many, one that is not from a better source gives
    /// way to it: the one that has longest to wait, or any. An address that the user names is tried at once.
    pub fn add(&mut self, addr: SocketAddr, source: Source, rng: &mut impl Rng) -> bool {
        let addr = canonical(addr);
        if !is_dialable(addr) || self.bans.contains(addr) {
            return false;
        }
        if let Some(entry) = self.known.get(&addr) {
            if source < entry.source {
                self.change(addr, |entry| {
                    entry.source = source;
                    if source == Source::User && entry.phase != Phase::Active {
                        (entry.phase, entry.failures) = (Phase::Fresh(0), 0);
                    }
                });
            }
            return false;
        }
        if self.len() >= MAX_CANDIDATES && !self.evict_for(source, rng) {
            return false;
        }
        self.attach(addr, Entry { source, failures: 0, phase: Phase::Fresh(0) });
        true
    }

    /// The next address to dial, if one may be dialled now. What became of it must be told by [`Self::connected`],
    /// [`Self::failed`] or [`Self::ended`]; it is not handed out again before.
    pub fn next(&mut self, now: Instant, rng: &mut impl Rng) -> Option<SocketAddr> {
        let (user, others) = self.tiers.split_first()?;
        let addr = (user.draw_fresh(rng))
            .or_else(|| user.first_due(now))
            .or_else(|| others.iter().find_map(|tier| tier.draw_fresh(rng)))
            .or_else(|| others.iter().find_map(|tier| tier.first_due(now)))?;
        self.change(addr, |entry| entry.phase = Phase::Active);
        Some(addr)
    }

    /// When [`Self::next`] will have an address; `None` when not before something changes.
    pub fn next_due(&self, now: Instant) -> Option<Instant> {
        if self.tiers.iter().any(|tier| !tier.fresh.is_empty()) {
            return Some(now);
        }
        self.tiers.iter().filter_map(|tier| tier.waiting.first()).map(|(due, _)| now.max(*due)).min()
    }

    /// A connection with this address stands, whoever made it. Of an incoming one the address that counts is the one
    /// at which the peer listens, once it is known; an address that was never added is ignored.
    pub fn connected(&mut self, addr: SocketAddr) {
        self.change(canonical(addr), |entry| (entry.phase, entry.failures) = (Phase::Active, 0));
    }

    /// No connection could be made.
    pub fn failed(&mut self, addr: SocketAddr, now: Instant, rng: &mut impl Rng) {
        let addr = canonical(addr);
        let Some(mut entry) = self.detach(addr) else { return };
        entry.failures = entry.failures.saturating_add(1);
        if entry.failures < MAX_FAILURES || entry.source == Source::User {
            entry.phase = Phase::Waiting(now + stretched(entry.wait_after_failure(), rng));
            self.attach(addr, entry);
        }
    }

    /// A connection that stood has ended.
    pub fn ended(&mut self, addr: SocketAddr, now: Instant, reason: Ended, rng: &mut impl Rng) {
        let addr = canonical(addr);
        let Some(mut entry) = self.detach(addr) else { return };
        let wait = match reason {
            Ended::Normal if entry.source == Source::User => FIRST_USER_WAIT,
            Ended::Normal => NORMAL_WAIT,
            Ended::Mistake if entry.source == Source::User => LONGEST_USER_WAIT,
            Ended::Mistake | Ended::Seed => LONGEST_WAIT,
        };
        entry.phase = Phase::Waiting(now + stretched(wait, rng));
        self.attach(addr, entry);
    }

    /// There is something to be had again: whoever was parted from, and answered when it was dialled last, need not be
    /// waited for.
    pub fn recall(&mut self, now: Instant) {
        let is_parted = |entry: &Entry| entry.failures == 0 && matches!(entry.phase, Phase::Waiting(_));
        let parted: Vec<_> =
            self.known.iter().filter(|(_, entry)| is_parted(entry)).map(|(addr, _)| *addr).collect();
        parted.into_iter().for_each(|addr| self.change(addr, |entry| entry.phase = Phase::Waiting(now)));
    }

    /// Bans the host of `addr` with all its ports. Where many peers may share one address (loopback and private
    /// networks, RFC 6598), only this port of it is banned; an incoming connection from another port is then let in.
    pub fn ban(&mut self, addr: SocketAddr) {
        let addr = canonical(addr);
        self.drop_all(Ban::of(addr));
    }

    /// Whether `addr` is neither to be dialled nor to be let in.
    pub fn is_banned(&self, addr: SocketAddr) -> bool {
        self.bans.contains(canonical(addr))
    }

    /// This address turned out to be our own; it is never dialled again.
    pub fn ourselves(&mut self, addr: SocketAddr) {
        self.drop_all(Ban::Addr(canonical(addr)));
    }

    fn drop_all(&mut self, ban: Ban) {
        self.bans.insert(ban);
        let range = match ban {
            Ban::Addr(addr) => addr..=addr,
            Ban::Host(ip @ IpAddr::V4(_)) => SocketAddr::new(ip, 0)..=SocketAddr::new(ip, u16::MAX),
            Ban::Host(IpAddr::V6(ip)) => {
                let last = SocketAddrV6::new(ip, u16::MAX, u32::MAX, u32::MAX);
                SocketAddr::new(ip.into(), 0)..=SocketAddr::V6(last)
            }
        };
        let banned: Vec<_> = self.known.range(range).map(|(addr, _)| *addr).collect();
        for addr in banned {
            self.detach(addr);
        }
    }

    /// Makes room for an address from `source`; whether there is some.
    fn evict_for(&mut self, source: Source, rng: &mut impl Rng) -> bool {
        let tiers = self.tiers.iter().skip((source as usize).max(1)).rev();
        let mut worst =
            tiers.filter_map(|tier| tier.waiting.last().map(|(_, addr)| *addr).or(tier.draw_fresh(rng)));
        let Some(addr) = worst.next() else { return false };
        self.detach(addr).is_some()
    }

    /// Changes the entry of `addr`, if it is known, and its place with it.
    fn change(&mut self, addr: SocketAddr, change: impl FnOnce(&mut Entry)) {
        if let Some(mut entry) = self.detach(addr) {
            change(&mut entry);
            self.attach(addr, entry);
        }
    }

    /// Puts an address where its phase wants it.
    fn attach(&mut self, addr: SocketAddr, mut entry: Entry) {
        let tier = &mut self.tiers[entry.source as usize];
        match &mut entry.phase {
            Phase::Fresh(place) => {
                *place = tier.fresh.len();
                tier.fresh.push(addr);
            }
            Phase::Waiting(due) => {
                tier.waiting.insert((*due, addr));
            }
            Phase::Active => {}
        }
        self.known.insert(addr, entry);
    }

    /// Takes an address out of everything.
    fn detach(&mut self, addr: SocketAddr) -> Option<Entry> {
        let entry = self.known.remove(&addr)?;
        let tier = &mut self.tiers[entry.source as usize];
        match entry.phase {
            Phase::Fresh(place) => {
                tier.fresh.swap_remove(place);
                if let Some(moved) = tier.fresh.get(place).and_then(|addr| self.known.get_mut(addr)) {
                    moved.phase = Phase::Fresh(place);
                }
            }
            Phase::Waiting(due) => {
                tier.waiting.remove(&(due, addr));
            }
            Phase::Active => {}
        }
        Some(entry)
    }
}

impl Entry {
    fn wait_after_failure(&self) -> Duration {
        let (first, longest) = match self.source {
            Source::User => (FIRST_USER_WAIT, LONGEST_USER_WAIT),
            _ => (FIRST_WAIT, LONGEST_WAIT),
        };
        let doublings = u32::from(self.failures.saturating_sub(1));
        first.saturating_mul(2_u32.saturating_pow(doublings)).min(longest)
    }
}

impl Tier {
    fn draw_fresh(&self, rng: &mut impl Rng) -> Option<SocketAddr> {
        (!self.fresh.is_empty()).then(|| self.fresh[rng.random_range(0..self.fresh.len())])
    }

    fn first_due(&self, now: Instant) -> Option<SocketAddr> {
        self.waiting.first().filter(|(due, _)| *due <= now).map(|(_, addr)| *addr)
    }
}

/// The one spelling of an address: IPv4 is IPv4 even if mapped into IPv6, and the flow label names nobody.
fn canonical(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V6(addr) => match addr.ip().to_ipv4_mapped() {
            Some(ip) => SocketAddr::new(ip.into(), addr.port()),
            None => SocketAddrV6::new(*addr.ip(), addr.port(), 0, addr.scope_id()).into(),
        },
        SocketAddr::V4(_) => addr,
    }
}

/// Whether a peer can be at `addr`.
fn is_dialable(addr: SocketAddr) -> bool {
    let is_broadcast = matches!(addr.ip(), IpAddr::V4(ip) if ip.is_broadcast());
    addr.port() != 0 && !addr.ip().is_unspecified() && !addr.ip().is_multicast() && !is_broadcast
}

/// `wait` and a random part of it more.
fn stretched(wait: Duration, rng: &mut impl Rng) -> Duration {
    wait.mul_f64(rng.random_range(1.0..1.0 + JITTER))
}
