//! The torrents that are served, for every thread to look up. Read at each handshake, written when one is added.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use protocol::id::InfoHash;

use super::torrent::Torrent;

type Torrents = HashMap<InfoHash, Arc<Torrent>>;

/// All torrents by info-hash. Looking one up takes no lock.
#[derive(Debug, Default)]
pub struct Registry {
    torrents: ArcSwap<Torrents>,
}

impl Registry {
    /// The torrent `info_hash`, if it is here and may be served.
    pub fn get(&self, info_hash: &InfoHash) -> Option<Arc<Torrent>> {
        self.torrents.load().get(info_hash).filter(|torrent| torrent.error().is_none()).cloned()
    }

    /// Adds a torrent; false when one with its info-hash is already here, which stays.
    pub fn add(&self, torrent: Arc<Torrent>) -> bool {
        let mut is_new = false;
        self.torrents.rcu(|torrents| {
            is_new = !torrents.contains_key(&torrent.info_hash());
            let mut torrents = Torrents::clone(torrents);
            torrents.entry(torrent.info_hash()).or_insert_with(|| Arc::clone(&torrent));
            torrents
        });
        is_new
    }

    /// All of them, in no order.
    pub fn all(&self) -> Vec<Arc<Torrent>> {
        self.torrents.load().values().cloned().collect()
    }
}
