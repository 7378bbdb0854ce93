//! Finds a peer in a long list by its endpoint or its identity, and counts those of a home.
//!
//! Short lists have none: to read through them is faster, and most torrents have two peers. Whoever moves a peer in its
//! list says so here. Endpoints differ, and so do identities that have a key; the others are not kept, or whoever came
//! as the same from many ports could make a chain of them.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashTable};

use super::peer::{Endpoint, Home, Identity, Peer};

/// Positions in one list of peers.
#[derive(Debug, Default)]
pub(super) struct Index {
    by_endpoint: HashTable<u32>,
    by_identity: HashTable<u32>,
    homes: HashMap<Home, u32, RandomState>,
}

impl Index {
    /// The index of `list`.
    pub(super) fn of<const N: usize>(list: &[Peer<N>]) -> Self {
        let mut index = Self::default();
        for at in 0..list.len() {
            index.add(list, at);
        }
        index
    }

    pub(super) fn find<const N: usize>(&self, list: &[Peer<N>], endpoint: &Endpoint<N>) -> Option<usize> {
        let is_it = |at: &u32| list[position(*at)].endpoint() == endpoint;
        self.by_endpoint.find(self.hash(endpoint), is_it).map(|at| position(*at))
    }

    pub(super) fn find_identity<const N: usize>(
        &self,
        list: &[Peer<N>],
        identity: &Identity,
    ) -> Option<usize> {
        let is_it = |at: &u32| list[position(*at)].identity() == identity;
        self.by_identity.find(self.hash(identity), is_it).map(|at| position(*at))
    }

    /// How many are of `home`.
    pub(super) fn at_home(&self, home: &Home) -> u32 {
        self.homes.get(home).copied().unwrap_or(0)
    }

    /// The peer at `at` was added to `list`.
    pub(super) fn add<const N: usize>(&mut self, list: &[Peer<N>], at: usize) {
        let peer = &list[at];
        let hash = self.hash(peer.endpoint());
        let hasher = self.homes.hasher().clone();
        let kept = u32::try_from(at).unwrap_or(u32::MAX);
        self.by_endpoint.insert_unique(hash, kept, |at| hasher.hash_one(list[position(*at)].endpoint()));
        self.learn_identity(list, at);
        *self.homes.entry(peer.home()).or_default() += 1;
    }

    /// The peer at `at` is about to leave `list`.
    pub(super) fn remove<const N: usize>(&mut self, list: &[Peer<N>], at: usize) {
        let peer = &list[at];
        self.forget_identity(list, at);
        let hash = self.hash(peer.endpoint());
        if let Ok(entry) = self.by_endpoint.find_entry(hash, |found| position(*found) == at) {
            entry.remove();
        }
        let home = peer.home();
        if let Some(count) = self.homes.get_mut(&home) {
            *count -= 1;
            if *count == 0 {
                self.homes.remove(&home);
            }
        }
    }

    /// The identity of the peer at `at` is about to change.
    pub(super) fn forget_identity<const N: usize>(&mut self, list: &[Peer<N>], at: usize) {
        let hash = self.hash(list[at].identity());
        if let Ok(entry) = self.by_identity.find_entry(hash, |found| position(*found) == at) {
            entry.remove();
        }
    }

    /// It has changed.
    pub(super) fn learn_identity<const N: usize>(&mut self, list: &[Peer<N>], at: usize) {
        if !list[at].identity().has_key() {
            return;
        }
        let hash = self.hash(list[at].identity());
        let hasher = self.homes.hasher().clone();
        let at = u32::try_from(at).unwrap_or(u32::MAX);
        self.by_identity.insert_unique(hash, at, |at| hasher.hash_one(list[position(*at)].identity()));
    }

    /// The peers at `one` and `other` are about to change places in `list`.
    pub(super) fn swap<const N: usize>(&mut self, list: &[Peer<N>], one: usize, other: usize) {
        let hasher = self.homes.hasher();
        let endpoints = [one, other].map(|at| hasher.hash_one(list[at].endpoint()));
        exchange(&mut self.by_endpoint, endpoints, one, other);
        let identities = [one, other].map(|at| hasher.hash_one(list[at].identity()));
        exchange(&mut self.by_identity, identities, one, other);
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.by_endpoint.allocation_size() + self.by_identity.allocation_size() + self.homes.allocation_size()
    }

    /// Gives back what a list that was longer needed.
    pub(super) fn shrink<const N: usize>(&mut self, list: &[Peer<N>]) {
        let hasher = self.homes.hasher().clone();
        self.by_endpoint.shrink_to_fit(|at| hasher.hash_one(list[position(*at)].endpoint()));
        self.by_identity.shrink_to_fit(|at| hasher.hash_one(list[position(*at)].identity()));
        self.homes.shrink_to_fit();
    }

    fn hash(&self, key: &impl std::hash::Hash) -> u64 {
        self.homes.hasher().hash_one(key)
    }
}

/// Has what stands for `one` stand for `other`, and the other way round, where they are there.
fn exchange(table: &mut HashTable<u32>, hashes: [u64; 2], one: usize, other: usize) {
    let mut rename = |hash, from: usize, to: usize| {
        if let Some(found) = table.find_mut(hash, |found| position(*found) == from) {
            *found = u32::try_from(to).unwrap_or(u32::MAX);
        }
    };
    // No list is that long.
    let nowhere = position(u32::MAX);
    rename(hashes[0], one, nowhere);
    rename(hashes[1], other, one);
    rename(hashes[0], nowhere, other);
}

/// An index into a list: they are kept as 4 bytes.
fn position(at: u32) -> usize {
    at as usize
}
