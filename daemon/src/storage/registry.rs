//! The torrents that are here, for every thread to look up. Read at each handshake, written when one comes or goes.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use protocol::id::InfoHash;

use super::torrent::Torrent;

type Torrents = HashMap<InfoHash, Option<Arc<Torrent>>>;

/// All torrents by info-hash. Looking one up takes no lock.
#[derive(Debug, Default)]
pub struct Registry {
    /// `None` for those of which only the info-hash is known.
    torrents: ArcSwap<Torrents>,
}

/// What is here under an info-hash.
#[derive(Debug)]
pub enum Lookup {
    /// Nothing, or a torrent that has stopped.
    Nothing,
    /// A torrent whose metadata is awaited.
    Awaited,
    /// A torrent.
    Torrent(Arc<Torrent>),
}

impl Registry {
    /// What is here under `info_hash`, and may be served.
    pub fn find(&self, info_hash: &InfoHash) -> Lookup {
        match self.torrents.load().get(info_hash) {
            Some(Some(torrent)) if torrent.error().is_none() => Lookup::Torrent(Arc::clone(torrent)),
            Some(None) => Lookup::Awaited,
            _ => Lookup::Nothing,
        }
    }

    /// Expects a torrent of which only the info-hash is known; false when there is one.
    pub fn expect(&self, info_hash: InfoHash) -> bool {
        self.insert(info_hash, None)
    }

    /// Adds a torrent, which may have been expected; false when one with its info-hash is already here, which stays.
    pub fn add(&self, torrent: Arc<Torrent>) -> bool {
        self.insert(torrent.info_hash(), Some(torrent))
    }

    fn insert(&self, info_hash: InfoHash, torrent: Option<Arc<Torrent>>) -> bool {
        let mut is_new = false;
        self.torrents.rcu(|torrents| {
            let mut torrents = Torrents::clone(torrents);
            is_new = match torrents.get(&info_hash) {
                None => true,
                Some(here) => here.is_none() && torrent.is_some(),
            };
            if is_new {
                torrents.insert(info_hash, torrent.clone());
            }
            torrents
        });
        is_new
    }

    /// All of them, in no order.
    pub fn all(&self) -> Vec<Arc<Torrent>> {
        self.torrents.load().values().flatten().cloned().collect()
    }
}
