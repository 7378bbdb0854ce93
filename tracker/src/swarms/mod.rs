//! Who shares what: all torrents and their peers, in memory, shared by all threads.
//!
//! Torrents are spread over shards by their info-hash, each behind a lock that is held for one announce, or for a slice
//! of a sweep or a snapshot. The desk asks; the application sweeps and takes snapshots. Nothing here knows of sockets,
//! and time and chance are arguments.

mod evict;
mod homes;
mod index;
mod peer;
mod peers;
mod pick;
mod rows;
mod shard;
mod snapshot;
mod swarm;
#[cfg(test)]
mod tests;

use std::hash::BuildHasher;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;
use protocol::announce::{Event, ScrapeEntry};
use protocol::id::{InfoHash, PeerId};
use rand::Rng;

use homes::Homes;
use shard::{Cursor, Shard, Sweep};
use swarm::{Surroundings, Swarm, Tally};

pub use evict::Capacity;
pub use peer::State;
pub use pick::MAX_PICKS;
pub use snapshot::{Moment, SnapshotError};
pub use swarm::{Asked, Chosen, Refused, Rules};

/// Locks for the torrents: enough that threads seldom meet, and that a shard of ten million torrents is small.
const SHARDS: usize = 256;

/// All torrents.
#[derive(Debug)]
pub struct Swarms {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    homes: Homes,
    capacity: evict::Gauge,
    min_interval_s: AtomicU32,
    peers_per_home: AtomicU32,
}

/// How much there is of everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Torrents.
    pub torrents: u64,
    /// Peers at IPv4 addresses.
    pub peers_v4: u64,
    /// Peers at IPv6 addresses.
    pub peers_v6: u64,
    /// Those of both that are seeds.
    pub seeds: u64,
    /// What they take, in bytes.
    pub bytes: u64,
}

/// A peer, as the operator sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerRow {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its name for itself.
    pub peer_id: PeerId,
    /// What it has.
    pub state: State,
    /// For how long it is silent, in seconds.
    pub idle_s: u32,
}

impl Swarms {
    /// None yet. A home may be in so many torrents; 0 is no limit.
    pub fn new(rules: Rules, torrents_per_home: u32, capacity: Capacity) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::default(),
            homes: Homes::new(torrents_per_home),
            capacity: evict::Gauge::new(capacity),
            min_interval_s: AtomicU32::new(rules.min_interval_s),
            peers_per_home: AtomicU32::new(rules.peers_per_home),
        }
    }

    /// Goes by other rules from now on.
    pub fn set_rules(&self, rules: Rules, capacity: Capacity) {
        self.min_interval_s.store(rules.min_interval_s, Ordering::Relaxed);
        self.peers_per_home.store(rules.peers_per_home, Ordering::Relaxed);
        self.capacity.set(capacity);
    }

    fn rules(&self) -> Rules {
        Rules {
            min_interval_s: self.min_interval_s.load(Ordering::Relaxed),
            peers_per_home: self.peers_per_home.load(Ordering::Relaxed),
        }
    }

    /// Takes note of an announce at `now_s`, adds the peers that the asker is told of to `chosen`, and returns how many
    /// there are.
    ///
    /// # Errors
    /// When somebody new is one too many.
    pub fn announce(
        &self,
        asked: &Asked,
        now_s: u32,
        rng: &mut impl Rng,
        chosen: &mut Chosen,
    ) -> Result<ScrapeEntry, Refused> {
        let around = Surroundings { now_s, rules: self.rules(), homes: &self.homes };
        let hash = self.hash(&asked.info_hash);
        let mut shard = self.shard(hash);
        let before = (shard.len(), shard.bytes());
        let make = || (asked.event != Event::Stopped).then(|| Swarm::new(asked.info_hash, 0, now_s));
        let answer = shard.with(&|it| self.hash(it), &asked.info_hash, make, |swarm| {
            swarm.announce(asked, around, rng, chosen)
        });
        let is_over = self.capacity.change(before, (shard.len(), shard.bytes()));
        drop(shard);
        if is_over {
            self.evict(rng);
        }
        // Who leaves what nobody shares is told so.
        answer.unwrap_or(Ok(ScrapeEntry::default()))
    }

    /// How many peers a torrent has; zeros where it is not known.
    pub fn scrape(&self, info_hash: &InfoHash) -> ScrapeEntry {
        let hash = self.hash(info_hash);
        let unknown = ScrapeEntry { downloaders: Some(0), ..ScrapeEntry::default() };
        self.shard(hash).find(hash, info_hash).map_or(unknown, Swarm::numbers)
    }

    /// The numbers of a torrent, and up to `limit` of its peers; `None` where it is not known.
    pub fn look_up(
        &self,
        info_hash: &InfoHash,
        now_s: u32,
        limit: usize,
    ) -> Option<(ScrapeEntry, Vec<PeerRow>)> {
        let hash = self.hash(info_hash);
        let shard = self.shard(hash);
        let swarm = shard.find(hash, info_hash)?;
        let v4 = swarm.v4().list().iter().map(|peer| row(peer, now_s));
        let v6 = swarm.v6().into_iter().flat_map(|peers| peers.list()).map(|peer| row(peer, now_s));
        Some((swarm.numbers(), v4.chain(v6).take(limit).collect()))
    }

    /// How much there is of everything.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        let mut tally = Tally::default();
        for shard in &self.shards {
            let shard = lock(shard);
            totals.torrents += shard.len() as u64;
            totals.bytes += shard.bytes();
            tally.add(shard.tally());
        }
        Totals { peers_v4: tally.v4, peers_v6: tally.v6, seeds: tally.seeds, ..totals }
    }

    /// Takes out all peers that are silent for longer than `timeout_s`. Calls `rest` between slices, in which nothing is
    /// locked; a slice takes a fraction of a millisecond.
    pub fn sweep(&self, now_s: u32, timeout_s: u32, mut rest: impl FnMut()) {
        let sweep = Sweep { now_s, timeout_s, homes: &self.homes };
        for shard in &self.shards {
            let mut cursor = Cursor::default();
            loop {
                let mut shard = lock(shard);
                let before = (shard.len(), shard.bytes());
                let is_done = shard.sweep(&|it| self.hash(it), &mut cursor, sweep);
                self.capacity.change(before, (shard.len(), shard.bytes()));
                drop(shard);
                rest();
                if is_done {
                    break;
                }
            }
        }
    }

    fn hash(&self, info_hash: &InfoHash) -> u64 {
        self.hasher.hash_one(info_hash.as_bytes())
    }

    /// The shard of a hash, by bits that its table does not look at.
    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard> {
        let [.., byte, _, _, _] = hash.to_le_bytes();
        lock(&self.shards[usize::from(byte) % SHARDS])
    }
}

/// A thread that panicked has harmed one announce at most.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn row<const N: usize>(peer: &peer::Peer<N>, now_s: u32) -> PeerRow {
    PeerRow {
        address: peer::address_of(peer.endpoint()),
        peer_id: PeerId::new(peer.identity().id),
        state: peer.state(),
        idle_s: now_s.saturating_sub(peer.seen_s()),
    }
}
