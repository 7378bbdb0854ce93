//! A part of all torrents, behind a lock of its own: found by info-hash, kept side by side without gaps, swept in slices.

use hashbrown::HashTable;
use protocol::id::InfoHash;

use super::homes::Homes;
use super::peers::Peers;
use super::rows::Rows;
use super::swarm::{Swarm, Tally, take_out};

/// How long a torrent without peers is remembered for the number of its downloads.
const FORGET_AFTER_S: u32 = 7 * 24 * 60 * 60;
/// What a slice of a sweep may cost: looking at a peer or a torrent counts one.
pub(super) const SLICE_COST: usize = 4_096;
/// What it counts to take out a peer or a torrent.
const REMOVAL_COST: usize = 8;

/// What a torrent without peers takes: itself, and its place in the table, of which about two in three are taken.
const TORRENT_BYTES: usize = size_of::<Swarm>() + 8;

/// Hashes an info-hash for all tables.
pub(super) type Hash<'a> = &'a dyn Fn(&InfoHash) -> u64;

/// The part.
#[derive(Debug, Default)]
pub(super) struct Shard {
    table: HashTable<u32>,
    swarms: Rows<Swarm>,
    tally: Tally,
}

/// How far a sweep has come in a shard.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cursor {
    swarm: usize,
    /// Peers of this torrent that were looked at: those of IPv4, then those of IPv6.
    v4: usize,
    v6: usize,
}

/// Who is swept out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sweep<'a> {
    pub(super) now_s: u32,
    /// Peers that have not announced for longer.
    pub(super) timeout_s: u32,
    pub(super) homes: &'a Homes,
}

impl Shard {
    pub(super) fn len(&self) -> usize {
        self.swarms.len()
    }

    pub(super) fn tally(&self) -> Tally {
        self.tally
    }

    pub(super) fn swarms(&self) -> &Rows<Swarm> {
        &self.swarms
    }

    /// What all of it takes, in bytes. Room for more torrents is not counted: it is not touched, and who is pushed out
    /// leaves it behind.
    pub(super) fn bytes(&self) -> u64 {
        (self.swarms.len() * TORRENT_BYTES) as u64 + self.tally.heap_bytes
    }

    pub(super) fn find(&self, hash: u64, info_hash: &InfoHash) -> Option<&Swarm> {
        self.position(hash, info_hash).map(|at| &self.swarms[at])
    }

    /// Where the swarm of `info_hash` is, for as long as the shard is locked.
    pub(super) fn position(&self, hash: u64, info_hash: &InfoHash) -> Option<usize> {
        let is_it = |at: &u32| self.swarms[position(*at)].info_hash() == info_hash;
        self.table.find(hash, is_it).map(|at| position(*at))
    }

    /// Works on the swarm of `info_hash`, made by `make` if it is not here; if nothing is in it afterwards it is gone
    /// again. `None` where it is not here and not made.
    pub(super) fn with<R>(
        &mut self,
        hash_of: Hash<'_>,
        info_hash: &InfoHash,
        make: impl FnOnce() -> Option<Swarm>,
        work: impl FnOnce(&mut Swarm) -> R,
    ) -> Option<R> {
        let hash = hash_of(info_hash);
        let found = self.position(hash, info_hash);
        let at = match found {
            Some(at) => at,
            None => self.insert(hash_of, hash, make()?),
        };
        let before = if found.is_some() { self.swarms[at].tally() } else { Tally::default() };
        let result = work(&mut self.swarms[at]);
        self.tally.change(before, self.swarms[at].tally());
        if self.swarms[at].len() == 0 && self.swarms[at].downloaded() == 0 {
            self.remove(hash_of, at);
        }
        Some(result)
    }

    fn insert(&mut self, hash_of: Hash<'_>, hash: u64, swarm: Swarm) -> usize {
        let at = self.swarms.len();
        let swarms = &self.swarms;
        let rehash = |at: &u32| hash_of(swarms[position(*at)].info_hash());
        self.table.insert_unique(hash, u32::try_from(at).unwrap_or(u32::MAX), rehash);
        self.swarms.push(swarm);
        at
    }

    /// Takes out the swarm at `at`; the last one takes its place.
    pub(super) fn remove(&mut self, hash_of: Hash<'_>, at: usize) -> Option<Swarm> {
        let last = self.swarms.len().checked_sub(1)?;
        let mut rename = |of: usize, to: Option<usize>| {
            let hash = hash_of(self.swarms[of].info_hash());
            if let Ok(mut found) = self.table.find_entry(hash, |found| position(*found) == of) {
                match to {
                    Some(to) => *found.get_mut() = u32::try_from(to).unwrap_or(u32::MAX),
                    None => drop(found.remove()),
                }
            }
        };
        rename(at, None);
        if at != last {
            rename(last, Some(at));
        }
        let gone = self.swarms.swap_remove(at);
        self.tally.change(gone.as_ref().map(Swarm::tally).unwrap_or_default(), Tally::default());
        gone
    }

    /// Sweeps on from `cursor`, for as long as a slice may take; true when the shard is done with. Who moves behind the
    /// cursor meanwhile is looked at the next time.
    pub(super) fn sweep(&mut self, hash_of: Hash<'_>, cursor: &mut Cursor, sweep: Sweep<'_>) -> bool {
        let mut budget = SLICE_COST;
        while budget > 0 {
            let Some(swarm) = self.swarms.get_mut(cursor.swarm) else {
                self.shrink(hash_of);
                return true;
            };
            let before = swarm.tally();
            let mut is_done = prune(swarm.v4_mut(), &mut cursor.v4, sweep, &mut budget);
            if let Some(peers) = swarm.v6_mut(false).filter(|_| is_done) {
                is_done = prune(peers, &mut cursor.v6, sweep, &mut budget);
            }
            if is_done {
                swarm.shrink();
            }
            self.tally.change(before, swarm.tally());
            if !is_done {
                return false;
            }
            (cursor.v4, cursor.v6) = (0, 0);
            let is_forgotten = swarm.len() == 0
                && (swarm.downloaded() == 0
                    || sweep.now_s.saturating_sub(swarm.announced_s()) > FORGET_AFTER_S);
            if is_forgotten {
                // Another is here now.
                self.remove(hash_of, cursor.swarm);
                budget = budget.saturating_sub(REMOVAL_COST);
            } else {
                cursor.swarm += 1;
                budget = budget.saturating_sub(1);
            }
        }
        false
    }

    /// Gives back memory, where there were many more torrents.
    fn shrink(&mut self, hash_of: Hash<'_>) {
        if self.swarms.len() * 4 > self.table.capacity() {
            return;
        }
        let swarms = &self.swarms;
        self.table.shrink_to_fit(|at| hash_of(swarms[position(*at)].info_hash()));
    }
}

/// Takes out peers that are silent for too long, from the one at `cursor` on; true when all were looked at.
fn prune<const N: usize>(
    peers: &mut Peers<N>,
    cursor: &mut usize,
    sweep: Sweep<'_>,
    budget: &mut usize,
) -> bool {
    while let Some(peer) = peers.list().get(*cursor) {
        if *budget == 0 {
            return false;
        }
        if sweep.now_s.saturating_sub(peer.seen_s()) > sweep.timeout_s {
            // Another is here now.
            take_out(peers, *cursor, sweep.homes);
            *budget = budget.saturating_sub(REMOVAL_COST);
        } else {
            *cursor += 1;
            *budget -= 1;
        }
    }
    true
}

impl Tally {
    /// What was `before` is `after` now.
    fn change(&mut self, before: Self, after: Self) {
        let change = |total: &mut u64, before: u64, after: u64| *total = *total + after - before;
        change(&mut self.v4, before.v4, after.v4);
        change(&mut self.v6, before.v6, after.v6);
        change(&mut self.seeds, before.seeds, after.seeds);
        change(&mut self.heap_bytes, before.heap_bytes, after.heap_bytes);
    }

    pub(super) fn add(&mut self, other: Self) {
        self.change(Self::default(), other);
    }
}

/// An index into the list of swarms: they are kept as 4 bytes.
fn position(at: u32) -> usize {
    at as usize
}
