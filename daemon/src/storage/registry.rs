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

    /// Adds a torrent of which only the info-hash is known.
    pub fn add_awaited(&self, info_hash: InfoHash) {
        self.insert(info_hash, None);
    }

    /// Adds a torrent, in place of one that was awaited.
    pub fn add(&self, torrent: Arc<Torrent>) {
        self.insert(torrent.info_hash(), Some(torrent));
    }

    fn insert(&self, info_hash: InfoHash, torrent: Option<Arc<Torrent>>) {
        self.torrents.rcu(|torrents| {
            let mut torrents = Torrents::clone(torrents);
            torrents.insert(info_hash, torrent.clone());
            torrents
        });
    }
}
