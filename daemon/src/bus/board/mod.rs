//! The rows of all torrents, where everybody can read them: written by the catalog, read by the control API.
//!
//! Each change has a number, its revision, so that a reader can ask for what has changed since. Reading holds a lock
//! for as long as one page takes.

mod find;
mod list;
mod page;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use protocol::control::{Event, EventKind, State, StateCounts, Stats};
use protocol::id::InfoHash;
use tokio::sync::broadcast;

use super::row::Row;

/// Removals that are remembered: who asks for changes since before them is told everything.
const MAX_REMOVALS: usize = 10_000;
/// Events that a reader may be behind.
const MAX_EVENTS: usize = 16_384;

/// Names a torrent inside the process and in the state; they grow in the order of addition and are never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TorrentId(pub i64);

/// The rows.
#[derive(Debug)]
pub struct Board {
    rows: RwLock<Rows>,
    events: broadcast::Sender<Event>,
}

/// What lies on the board.
#[derive(Debug, Default)]
struct Rows {
    rows: BTreeMap<TorrentId, Numbered>,
    by_info_hash: BTreeMap<InfoHash, TorrentId>,
    by_revision: BTreeMap<u64, TorrentId>,
    /// What was removed, and the revision of that.
    removed: VecDeque<(u64, InfoHash)>,
    /// The revision of the latest removal that is no longer remembered.
    forgotten: u64,
    /// The revision of the latest change.
    revision: u64,
    counts: StateCounts,
}

#[derive(Debug)]
struct Numbered {
    row: Row,
    revision: u64,
}

impl Default for Board {
    fn default() -> Self {
        Self { rows: RwLock::default(), events: broadcast::Sender::new(MAX_EVENTS) }
    }
}

impl Board {
    /// Puts up a torrent that is new; `is_news` where readers are to hear of it as added.
    pub fn insert(&self, id: TorrentId, row: Row, is_news: bool) {
        let (info_hash, name) = (row.info_hash, row.name.to_string());
        let revision = self.write().insert(id, row);
        if is_news {
            self.tell(revision, Some((info_hash, name)), EventKind::Added);
        }
    }

    /// Changes the row of a torrent, and tells of another state and of an error.
    pub fn update(&self, id: TorrentId, change: impl FnOnce(&mut Row)) {
        let mut rows = self.write();
        let Some(before) = rows.rows.get(&id).map(|it| (it.row.state, it.row.error.is_some())) else {
            return;
        };
        let revision = rows.update(id, change);
        let Some(Numbered { row, .. }) = rows.rows.get(&id) else { return };
        let about = || Some((row.info_hash, row.name.to_string()));
        let (from, had_error) = before;
        if let Some(message) = row.error.as_deref().filter(|_| !had_error) {
            self.tell(revision, about(), EventKind::Error { message: message.to_owned() });
        }
        if from != row.state {
            self.tell(revision, about(), EventKind::State { from, to: row.state });
        }
    }

    /// Takes a torrent down.
    pub fn remove(&self, id: TorrentId) {
        let Some((revision, row)) = self.write().remove(id) else { return };
        self.tell(revision, Some((row.info_hash, row.name.into())), EventKind::Removed);
    }

    /// Tells readers of something that happened to a torrent.
    pub fn announce(&self, id: TorrentId, kind: EventKind) {
        let rows = self.read();
        let Some(Numbered { row, .. }) = rows.rows.get(&id) else { return };
        self.tell(rows.revision, Some((row.info_hash, row.name.to_string())), kind);
    }

    /// Tells readers of something that is about all torrents.
    pub fn announce_to_all(&self, kind: EventKind) {
        self.tell(self.read().revision, None, kind);
    }

    fn tell(&self, revision: u64, about: Option<(InfoHash, String)>, kind: EventKind) {
        let (info_hash, name) = about.unzip();
        // Nobody may be listening.
        let _ = self.events.send(Event { revision, at: now_unix_s(), info_hash, name, kind });
    }

    /// What happens from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// What `read` makes of the row of a torrent.
    pub fn with<T>(&self, id: TorrentId, read: impl FnOnce(&Row) -> T) -> Option<T> {
        self.read().rows.get(&id).map(|it| read(&it.row))
    }

    /// All torrents, in the order of their addition.
    pub fn ids(&self) -> Vec<TorrentId> {
        self.read().rows.keys().copied().collect()
    }

    /// The number of the latest change.
    pub fn revision(&self) -> u64 {
        self.read().revision
    }

    /// How many torrents are in each state.
    pub fn counts(&self) -> StateCounts {
        self.read().counts
    }

    /// What the rows add up to; the rest of the statistics is left to others.
    pub fn totals(&self) -> Stats {
        let rows = self.read();
        let mut stats = Stats { torrents: rows.counts, revision: rows.revision, ..Stats::default() };
        for Numbered { row, .. } in rows.rows.values() {
            stats.uploaded_total += row.uploaded;
            stats.downloaded_total += row.downloaded;
            stats.size += row.size;
            stats.have += row.have;
            if let Some(live) = &row.live {
                stats.upload_rate += live.upload_rate;
                stats.download_rate += live.download_rate;
                stats.peers += u64::from(live.peers);
            }
        }
        stats
    }

    fn read(&self) -> RwLockReadGuard<'_, Rows> {
        // A change is a few moves of whole values: rows are whole, whatever panicked.
        self.rows.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Rows> {
        self.rows.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rows {
    fn insert(&mut self, id: TorrentId, row: Row) -> u64 {
        self.revision += 1;
        let revision = self.revision;
        *self.counts.of_mut(row.state) += 1;
        self.by_info_hash.insert(row.info_hash, id);
        self.by_revision.insert(revision, id);
        self.rows.insert(id, Numbered { row, revision });
        revision
    }

    fn update(&mut self, id: TorrentId, change: impl FnOnce(&mut Row)) -> u64 {
        let Some(Numbered { row, revision }) = self.rows.get_mut(&id) else { return self.revision };
        self.revision += 1;
        self.by_revision.remove(revision);
        *revision = self.revision;
        self.by_revision.insert(*revision, id);
        let from: State = row.state;
        change(row);
        let to = row.state;
        *self.counts.of_mut(from) -= 1;
        *self.counts.of_mut(to) += 1;
        self.revision
    }

    fn remove(&mut self, id: TorrentId) -> Option<(u64, Row)> {
        let Numbered { row, revision } = self.rows.remove(&id)?;
        self.by_revision.remove(&revision);
        self.by_info_hash.remove(&row.info_hash);
        *self.counts.of_mut(row.state) -= 1;
        self.revision += 1;
        self.removed.push_back((self.revision, row.info_hash));
        if self.removed.len() > MAX_REMOVALS
            && let Some((revision, _)) = self.removed.pop_front()
        {
            self.forgotten = revision;
        }
        Some((self.revision, row))
    }
}

/// Now, in seconds since 1970.
pub fn now_unix_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
