//! The torrents that are here, for every thread to look up. Read at each handshake, written when one comes or goes.
//!
//! The coordinator enters what it has loaded and takes it out again; whoever owns the list of all torrents enters
//! those that can be loaded. A hundred thousand of them cost some 50 bytes each.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use protocol::id::InfoHash;

use super::torrent::Torrent;

/// All torrents by info-hash. Locked for a look into the map, or for one change of it.
#[derive(Debug, Default)]
pub struct Registry {
    torrents: RwLock<HashMap<InfoHash, State>>,
}

#[derive(Debug)]
enum State {
    Known,
    Awaited,
    Loaded(Arc<Torrent>),
}

/// What is here under an info-hash.
#[derive(Debug)]
pub enum Lookup {
    /// Nothing, or a torrent that has stopped.
    Nothing,
    /// A torrent that is loaded when somebody wants it.
    Known,
    /// A torrent whose metadata is awaited.
    Awaited,
    /// A torrent.
    Torrent(Arc<Torrent>),
}

/// What stays of a torrent that is taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// Nothing: peers that come for it are turned away.
    Nothing,
    /// That it can be loaded again.
    Known,
}

impl Registry {
    /// What is here under `info_hash`, and may be served.
    pub fn find(&self, info_hash: &InfoHash) -> Lookup {
        match self.read().get(info_hash) {
            Some(State::Loaded(torrent)) if torrent.error().is_none() => Lookup::Torrent(Arc::clone(torrent)),
            Some(State::Known) => Lookup::Known,
            Some(State::Awaited) => Lookup::Awaited,
            Some(State::Loaded(_)) | None => Lookup::Nothing,
        }
    }

    /// Enters torrents that can be loaded. What is here already stays as it is.
    pub fn add_known(&self, info_hashes: impl IntoIterator<Item = InfoHash>) {
        let info_hashes = info_hashes.into_iter();
        let mut torrents = self.write();
        torrents.reserve(info_hashes.size_hint().0);
        for info_hash in info_hashes {
            torrents.entry(info_hash).or_insert(State::Known);
        }
    }

    /// Adds a torrent of which only the info-hash is known.
    pub fn add_awaited(&self, info_hash: InfoHash) {
        self.insert(info_hash, State::Awaited);
    }

    /// Adds a torrent, in place of one that was known or awaited.
    pub fn add(&self, torrent: Arc<Torrent>) {
        self.insert(torrent.info_hash(), State::Loaded(torrent));
    }

    /// Takes a torrent out, whatever is here of it.
    pub fn remove(&self, info_hash: InfoHash, leave: Leave) {
        match leave {
            Leave::Known => self.insert(info_hash, State::Known),
            Leave::Nothing => {
                let removed = self.write().remove(&info_hash);
                // Not under the lock: it may be the last who has it.
                drop(removed);
            }
        }
    }

    /// How many torrents are here, in whatever state.
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn insert(&self, info_hash: InfoHash, state: State) {
        let replaced = match self.write().entry(info_hash) {
            Entry::Occupied(mut entry) => Some(entry.insert(state)),
            Entry::Vacant(entry) => {
                entry.insert(state);
                None
            }
        };
        drop(replaced);
    }

    // The map is whole between any two statements; a panic elsewhere does not spoil it.
    fn read(&self) -> RwLockReadGuard<'_, HashMap<InfoHash, State>> {
        self.torrents.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<InfoHash, State>> {
        self.torrents.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::torrent::tests::torrent_of;
    use super::*;

    #[test]
    fn a_torrent_is_known_then_loaded_then_known_again_or_gone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "payload").unwrap();
        let torrent = torrent_of(folder.path());
        let info_hash = torrent.info_hash();
        let registry = Registry::default();
        assert!(matches!(registry.find(&info_hash), Lookup::Nothing));
        registry.add_known([info_hash]);
        assert!(matches!(registry.find(&info_hash), Lookup::Known));
        registry.add(Arc::clone(&torrent));
        assert!(matches!(registry.find(&info_hash), Lookup::Torrent(_)));
        registry.add_known([info_hash]);
        assert!(matches!(registry.find(&info_hash), Lookup::Torrent(_)), "what is loaded stays");
        registry.remove(info_hash, Leave::Known);
        assert!(matches!(registry.find(&info_hash), Lookup::Known));
        assert_eq!(Arc::strong_count(&torrent), 1, "it is let go of");
        registry.add_awaited(info_hash);
        assert!(matches!(registry.find(&info_hash), Lookup::Awaited));
        registry.remove(info_hash, Leave::Nothing);
        assert!(matches!(registry.find(&info_hash), Lookup::Nothing));
        registry.add(Arc::clone(&torrent));
        torrent.withdraw();
        assert!(matches!(registry.find(&info_hash), Lookup::Nothing), "one that has stopped is not served");
    }

    #[test]
    fn a_hundred_thousand_are_known_at_once() {
        let registry = Registry::default();
        let info_hash = |number: u32| InfoHash::of_info(&number.to_le_bytes());
        let all: Vec<InfoHash> = (0..100_000).map(info_hash).collect();
        registry.add_known(all.iter().copied());
        assert_eq!(registry.len(), all.len());
        assert!(all.iter().all(|info_hash| matches!(registry.find(info_hash), Lookup::Known)));
        let bytes = registry.read().capacity() * (size_of::<(InfoHash, State)>() + 1) * 8 / 7;
        assert!(bytes <= 80 * all.len(), "{bytes} bytes");
    }
}
