//! Letting peers come for a torrent: it stands in the registry, and trackers are told of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use protocol::control::State as Shown;
use protocol::id::InfoHash;
use protocol::swarm::candidates::Source;

use crate::bus::TorrentId;
use crate::discovery::{Stats, Tracked};

use super::actor::Actor;
use super::chores::Done;
use super::entry::Stage;

impl Actor {
    /// Lets peers come for a torrent that is a row, and tells its trackers.
    pub(super) fn offer(&mut self, id: TorrentId) {
        self.announce(id);
        let Some(entry) = self.entries.get(&id) else { return };
        if matches!(entry.stage, Stage::Row) {
            self.engine().know([entry.info_hash]);
        }
    }

    /// Has a torrent announced from now on, if it is not.
    pub(super) fn announce(&mut self, id: TorrentId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let row = self.board.with(id, |row| (Arc::clone(&row.trackers), row.size - row.have));
        let Some((trackers, left)) = row else { return };
        if std::mem::replace(&mut entry.marks.is_offered, true) {
            return;
        }
        let stats = Arc::new(Stats::default());
        if entry.marks.is_looked_at {
            stats.left.store(left, Ordering::Relaxed);
        }
        entry.stats = Some(Arc::clone(&stats));
        if let Some(trackers) = self.interned.set(&trackers) {
            let next = entry.next_announce.take();
            self.engine().trackers().add(Tracked { info_hash: entry.info_hash, trackers, stats, next });
        }
    }

    /// Turns peers away from now on, and takes leave of trackers.
    pub(super) fn withdraw(&mut self, id: TorrentId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        self.engine().forget(entry.info_hash);
        if std::mem::take(&mut entry.marks.is_offered) {
            entry.stats = None;
            self.engine().trackers().remove(entry.info_hash);
        }
        entry.marks.is_called_for = false;
    }

    /// A tracker has named peers of a torrent that is a row: it is loaded, and then they are dialled.
    pub(super) fn found(&mut self, info_hash: &InfoHash, addresses: Vec<SocketAddr>, source: Source) {
        let Some(id) = self.board.id_of(info_hash) else { return };
        self.called_for(id);
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if matches!(entry.stage, Stage::Busy(_)) && !addresses.is_empty() {
            self.found.entry(id).or_default().push((addresses, source));
        }
    }

    /// Tells a swarm that runs of the peers that were found while it was being loaded.
    pub(super) fn pass_on_found(&mut self, id: TorrentId) {
        let Some(info_hash) = self.entries.get(&id).map(|entry| entry.info_hash) else { return };
        for (addresses, source) in self.found.remove(&id).unwrap_or_default() {
            let engine = self.engine().clone();
            self.tasks.spawn(async move {
                // Fails only when everything ends.
                let _ = engine.found(info_hash, addresses, source).await;
                Done::Nothing
            });
        }
    }

    /// A peer has come for a torrent.
    pub(super) fn called_for(&mut self, id: TorrentId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let is_offered = self.board.with(id, |row| row.state) == Some(Shown::Seeding);
        if is_offered && matches!(entry.stage, Stage::Row) {
            entry.marks.is_called_for = true;
            self.advance(id);
        }
    }
}
