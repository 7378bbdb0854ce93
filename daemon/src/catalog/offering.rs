//! Letting peers come for a torrent: it stands in the registry, and trackers are told of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use protocol::id::InfoHash;
use protocol::swarm::candidates::Source;

use crate::bus::TorrentId;
use crate::bus::board::now_unix_s;
use crate::discovery::{Stats, Tracked};

use super::actor::Actor;
use super::chores::Done;
use super::entry::{Entry, Stage};

/// Longest that a torrent waits for its first announce, whatever an earlier run was told: a clock may have been wrong.
const MAX_WAIT_S: u64 = 24 * 60 * 60;
/// Answers of trackers that are kept for a torrent that is being loaded: enough to begin with.
const MAX_FOUND: usize = 16;

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
        let row = self.board.with(id, |row| (Arc::clone(&row.trackers), row.size.saturating_sub(row.have)));
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
            let first = entry.next_announce_s.take().map(time_of);
            let tracked = Tracked { info_hash: entry.info_hash, trackers, stats, first };
            self.engine.trackers().add(tracked);
        }
    }

    /// Turns peers away from now on, and takes leave of trackers.
    pub(super) fn withdraw(&mut self, id: TorrentId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        self.found.remove(&id);
        self.announces.remove(&id);
        self.engine.forget(entry.info_hash);
        if std::mem::take(&mut entry.marks.is_called_for) {
            // Those who wait for it are turned away.
            let (engine, info_hash) = (self.engine.clone(), entry.info_hash);
            self.tasks.spawn(async move {
                // Fails only when everything ends.
                let _ = engine.refuse(info_hash).await;
                Done::Nothing
            });
        }
        if std::mem::take(&mut entry.marks.is_offered) {
            entry.stats = None;
            self.engine.trackers().remove(entry.info_hash);
        }
    }

    /// A tracker has named peers of a torrent that is a row: it is loaded, and then they are dialled.
    pub(super) fn found(&mut self, info_hash: &InfoHash, addresses: Vec<SocketAddr>, source: Source) {
        let Some(id) = self.board.id_of(info_hash) else { return };
        self.called_for(id);
        let is_coming = |entry: &Entry| entry.marks.is_offered && !matches!(entry.stage, Stage::Loaded(_));
        if addresses.is_empty() || !self.entries.get(&id).is_some_and(is_coming) {
            return;
        }
        let found = self.found.entry(id).or_default();
        if found.len() < MAX_FOUND {
            found.push((addresses, source));
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
        if !entry.marks.is_offered {
            return;
        }
        if !matches!(entry.stage, Stage::Loaded(_)) {
            entry.marks.is_called_for = true;
        }
        self.advance(id);
    }
}

/// A time, in seconds since 1970, as the clock of this run has it. One that has passed lies a little back.
fn time_of(at_s: i64) -> Instant {
    let now = Instant::now();
    match u64::try_from(at_s.saturating_sub(now_unix_s())) {
        Ok(seconds) if seconds > 0 => now + Duration::from_secs(seconds.min(MAX_WAIT_S)),
        _ => now.checked_sub(Duration::from_secs(1)).unwrap_or(now),
    }
}
