//! In how many torrents each home has peers, so that nobody fills the tracker from one address.
//!
//! A home is kept as 32 bits of a keyed hash: of a million homes a hundred share a count with another, which matters to
//! nobody whose limit is in the thousands.

use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::peer::Home;

/// Locks for the counts: more than there are threads by far.
const SHARDS: usize = 64;

/// A home, and how many torrents it has peers in.
#[derive(Debug, Clone, Copy)]
struct Count {
    print: u32,
    torrents: u32,
}

/// The counts, and how high one may be.
#[derive(Debug)]
pub(super) struct Homes {
    /// 0: nothing is counted.
    max_torrents: u32,
    shards: Vec<Mutex<HashTable<Count>>>,
    hasher: RandomState,
}

/// A home is in as many torrents as it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooManyTorrents;

impl Homes {
    pub(super) fn new(max_torrents: u32) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { max_torrents, shards, hasher: RandomState::default() }
    }

    /// Whether there is anything to count.
    pub(super) fn is_counting(&self) -> bool {
        self.max_torrents > 0
    }

    /// The first peer of `home` comes into a torrent.
    pub(super) fn enter(&self, home: &Home) -> Result<(), TooManyTorrents> {
        if !self.is_counting() {
            return Ok(());
        }
        let (print, mut counts) = self.find(home);
        match counts.entry(spread(print), |count| count.print == print, |count| spread(count.print)) {
            Entry::Occupied(found) if found.get().torrents >= self.max_torrents => Err(TooManyTorrents),
            Entry::Occupied(mut found) => {
                found.get_mut().torrents += 1;
                Ok(())
            }
            Entry::Vacant(place) => {
                place.insert(Count { print, torrents: 1 });
                Ok(())
            }
        }
    }

    /// The last peer of `home` has left a torrent.
    pub(super) fn leave(&self, home: &Home) {
        if !self.is_counting() {
            return;
        }
        let (print, mut counts) = self.find(home);
        let Ok(mut found) = counts.find_entry(spread(print), |count| count.print == print) else { return };
        found.get_mut().torrents -= 1;
        if found.get().torrents == 0 {
            found.remove();
        }
    }

    /// How many homes have peers.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap().len()).sum()
    }

    fn find(&self, home: &Home) -> (u32, MutexGuard<'_, HashTable<Count>>) {
        let hash = self.hasher.hash_one(home);
        let [a, b, c, d, shard, ..] = hash.to_le_bytes();
        let shard = &self.shards[usize::from(shard) % SHARDS];
        (u32::from_le_bytes([a, b, c, d]), shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A hash of what is one already, but for its upper half.
fn spread(print: u32) -> u64 {
    u64::from(print).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_may_be_in_so_many_torrents_and_no_more() {
        let homes = Homes::new(2);
        let home = |n: u8| [n, 0, 0, 0, 0, 0, 0, 0];
        homes.enter(&home(1)).unwrap();
        homes.enter(&home(1)).unwrap();
        assert_eq!(homes.enter(&home(1)), Err(TooManyTorrents));
        homes.enter(&home(2)).unwrap();
        homes.leave(&home(1));
        homes.enter(&home(1)).unwrap();
        assert_eq!(homes.len(), 2);
        for _ in 0..2 {
            homes.leave(&home(1));
        }
        homes.leave(&home(2));
        assert_eq!(homes.len(), 0, "who is gone is forgotten");
        homes.leave(&home(2));
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let homes = Homes::new(0);
        for _ in 0..10 {
            homes.enter(&[1; 8]).unwrap();
        }
        assert_eq!(homes.len(), 0);
    }
}
