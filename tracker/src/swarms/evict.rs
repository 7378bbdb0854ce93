//! What goes when there is too much: whole torrents, those with the fewest peers first, and of those the one that was
//! announced longest ago; chosen among a few that are looked at, beginning anywhere.
//!
//! So a flood of made-up torrents, which have one peer each, pushes itself out, and no swarm that is alive.

use std::sync::atomic::{AtomicU64, Ordering};

use protocol::id::InfoHash;
use rand::{Rng, RngExt};

use super::homes::Homes;
use super::peers::Peers;
use super::shard::Shard;
use super::swarm::take_out;
use super::{SHARDS, Swarms, lock};

/// Torrents that are looked at for one that goes.
const CANDIDATES: usize = 16;
/// Most torrents that one announce pushes out: it brings one, and memory comes in small amounts.
const MAX_EVICTED: usize = 4;

/// How much there may be in all; 0 is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capacity {
    /// Torrents.
    pub torrents: u64,
    /// Bytes of memory that torrents and peers take.
    pub bytes: u64,
}

/// How much there is, and may be.
#[derive(Debug)]
pub(super) struct Gauge {
    torrents: AtomicU64,
    bytes: AtomicU64,
    max_torrents: AtomicU64,
    max_bytes: AtomicU64,
    evicted: AtomicU64,
}

impl Gauge {
    pub(super) fn new(capacity: Capacity) -> Self {
        let zero = AtomicU64::default;
        let gauge = Self {
            torrents: zero(),
            bytes: zero(),
            max_torrents: zero(),
            max_bytes: zero(),
            evicted: zero(),
        };
        gauge.set(capacity);
        gauge
    }

    pub(super) fn set(&self, capacity: Capacity) {
        self.max_torrents.store(capacity.torrents, Ordering::Relaxed);
        self.max_bytes.store(capacity.bytes, Ordering::Relaxed);
    }

    /// A shard had so many torrents and bytes, and has others now. Whether there is too much of something.
    pub(super) fn change(&self, before: (usize, u64), after: (usize, u64)) -> bool {
        if before == after {
            return false;
        }
        let add = |to: &AtomicU64, before: u64, after: u64| {
            to.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
        };
        add(&self.torrents, before.0 as u64, after.0 as u64);
        add(&self.bytes, before.1, after.1);
        after > before && self.is_over()
    }

    fn is_over(&self) -> bool {
        let is_over = |there: &AtomicU64, max: &AtomicU64| match max.load(Ordering::Relaxed) {
            0 => false,
            max => there.load(Ordering::Relaxed) > max,
        };
        is_over(&self.torrents, &self.max_torrents) || is_over(&self.bytes, &self.max_bytes)
    }
}

impl Swarms {
    /// How many torrents were pushed out.
    pub fn evicted(&self) -> u64 {
        self.capacity.evicted.load(Ordering::Relaxed)
    }

    /// Has torrents go until there is not too much, or as many as one announce may push out.
    pub(super) fn evict(&self, rng: &mut impl Rng) {
        for _ in 0..MAX_EVICTED {
            if !self.capacity.is_over() || !self.evict_one(rng) {
                return;
            }
        }
    }

    /// Whether there was one to go.
    fn evict_one(&self, rng: &mut impl Rng) -> bool {
        let start = rng.random_range(0..SHARDS);
        let mut seen = 0;
        let mut best: Option<(usize, Candidate)> = None;
        for number in (0..SHARDS).map(|step| (start + step) % SHARDS) {
            let shard = lock(&self.shards[number]);
            for candidate in candidates(&shard, rng, CANDIDATES - seen) {
                seen += 1;
                if best.is_none_or(|(_, best)| candidate < best) {
                    best = Some((number, candidate));
                }
            }
            if seen >= CANDIDATES {
                break;
            }
        }
        let Some((number, candidate)) = best else { return false };
        self.remove(number, &candidate.info_hash);
        self.capacity.evicted.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Takes out a torrent that was found in that shard a moment ago.
    fn remove(&self, number: usize, info_hash: &InfoHash) {
        let mut shard = lock(&self.shards[number]);
        let before = (shard.len(), shard.bytes());
        let hash_of = |it: &InfoHash| self.hash(it);
        let at = shard.position(hash_of(info_hash), info_hash);
        if let Some(mut gone) = at.and_then(|at| shard.remove(&hash_of, at)) {
            self.capacity.change(before, (shard.len(), shard.bytes()));
            drop(shard);
            // Nobody else sees it any more.
            empty(gone.v4_mut(), &self.homes);
            gone.v6_mut(false).into_iter().for_each(|peers| empty(peers, &self.homes));
        }
    }
}

fn empty<const N: usize>(peers: &mut Peers<N>, homes: &Homes) {
    while let Some(last) = peers.len().checked_sub(1) {
        take_out(peers, last, homes);
    }
}

/// A torrent that may go; the lesser goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    peers: usize,
    announced_s: u32,
    info_hash: InfoHash,
}

/// Up to `count` torrents of a shard that follow each other, beginning anywhere.
fn candidates<'a, R: Rng>(
    shard: &'a Shard,
    rng: &mut R,
    count: usize,
) -> impl Iterator<Item = Candidate> + use<'a, R> {
    let swarms = shard.swarms();
    let start = if swarms.len() == 0 { 0 } else { rng.random_range(0..swarms.len()) };
    swarms.from(start).chain(swarms.from(0).take(start)).take(count).map(|swarm| Candidate {
        peers: swarm.len(),
        announced_s: swarm.announced_s(),
        info_hash: *swarm.info_hash(),
    })
}
