//! What the catalog writes into the state, and what it reads of it when it starts.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use protocol::control::{ErrorCode, ErrorReply};
use protocol::meta::Info;
use protocol::swarm::picker::Priority;

use crate::bus::{Fault, TorrentId, Trackers};
use crate::storage::state::{Change, Progress, StateError};

use super::actor::Actor;
use super::chores::Ready;
use super::entry::{Chore, Entry, Stage};
use super::loading::missing;
use super::record::{entry, row};

impl Actor {
    /// Puts all torrents of the state on the board, and has each do what it did.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub(super) fn take_up_all(&mut self) -> Result<(), StateError> {
        let sets = self.state.tracker_sets()?;
        let interned = &mut self.interned;
        let sets: HashMap<i64, Arc<Trackers>> =
            sets.into_iter().map(|(id, tiers)| (id, interned.trackers(tiers))).collect();
        let (board, entries) = (&self.board, &mut self.entries);
        self.state.records(|record| {
            let id = TorrentId(record.id);
            let trackers = record.tracker_set.and_then(|set| sets.get(&set).cloned()).unwrap_or_default();
            let row = row(&record, interned, trackers);
            board.insert(id, row, false);
            // What is not known is overdue: all at once would be too much for a tracker.
            let next_announce_s = Some(record.next_announce_s.unwrap_or(0));
            entries.insert(id, Entry { next_announce_s, ..entry(&record) });
        })?;
        let ids: Vec<TorrentId> = self.entries.keys().copied().collect();
        ids.into_iter().for_each(|id| self.advance(id));
        Ok(())
    }

    /// Writes down what has changed of a torrent. A state that cannot be written is told of, and what is in memory
    /// stays true for as long as btd runs.
    pub(super) fn write(&mut self, id: TorrentId, change: &Change) {
        let written = self.state.change(id.0, change);
        self.tell_unwritten(written);
    }

    /// Tells of a state that could not be written.
    pub(super) fn tell_unwritten<T>(&self, written: Result<T, StateError>) {
        if let Err(error) = written {
            self.engine().faults().count(Fault::State);
            tracing::error!("{error}");
        }
    }

    /// Writes down what a client wants changed.
    ///
    /// # Errors
    /// When that cannot be written: nothing is changed then.
    pub(super) fn commit(&mut self, id: TorrentId, change: &Change) -> Result<(), ErrorReply> {
        self.state.change(id.0, change).map_err(|error| {
            self.engine.faults().count(Fault::State);
            ErrorReply::new(ErrorCode::Failed, error.to_string())
        })
    }

    pub(super) fn remember_error(&mut self, id: TorrentId, error: Option<&str>) {
        let change = Change { error: Some(error.map(str::to_owned)), ..Change::default() };
        self.write(id, &change);
    }

    /// Writes down what was found of a torrent, and shows it; whether all that is wanted is there.
    pub(super) fn note_found(
        &mut self,
        id: TorrentId,
        chore: Chore,
        ready: &Ready,
        priorities: &[Priority],
    ) -> bool {
        let Some(entry) = self.entries.get_mut(&id) else { return false };
        let torrent = &ready.torrent;
        let left = missing(torrent, priorities);
        let size: u64 = wanted_size(torrent.info(), priorities);
        (entry.marks.is_looked_at, entry.marks.is_complete) = (true, left == 0);
        let change = Change {
            size: Some(size),
            is_looked_at: Some(true),
            is_check_skipped: Some(entry.marks.is_check_skipped),
            error: (chore == Chore::Verify).then_some(None),
            ..Change::default()
        };
        // What is only taken for whole is not remembered as verified.
        let proven = if entry.marks.is_check_skipped { Vec::new() } else { torrent.view().have.to_wire() };
        let (uploaded, downloaded) =
            self.board.with(id, |row| (row.uploaded, row.downloaded)).unwrap_or_default();
        let progress = Progress {
            info_hash: entry.info_hash,
            have: proven,
            synced: ready.synced.to_wire(),
            files: ready.files.iter().copied().collect(),
            have_bytes: size - left,
            uploaded,
            downloaded,
        };
        let written = self.state.found(id.0, &progress, &change);
        self.tell_unwritten(written);
        self.board.update(id, |row| (row.size, row.have) = (size, size - left));
        left == 0
    }

    /// Where the files of a torrent are: until it is complete that may be another folder than it is meant for.
    pub(super) fn lies_in(&self, id: TorrentId) -> PathBuf {
        let entry = self.entries.get(&id);
        entry.and_then(|entry| entry.lies_in.as_deref().map(PathBuf::from)).unwrap_or_else(|| self.dir(id))
    }

    /// Writes down what was moved by torrents whose swarms run.
    pub(super) fn write_counters(&mut self) {
        for id in &self.lively {
            let Some(entry) = self.entries.get_mut(id) else { continue };
            if let Stage::Loaded(loaded) = &mut entry.stage {
                let (uploaded, downloaded) = loaded.moved();
                if std::mem::replace(&mut loaded.written, (uploaded, downloaded)) == (uploaded, downloaded) {
                    continue;
                }
                let change =
                    Change { uploaded: Some(uploaded), downloaded: Some(downloaded), ..Change::default() };
                self.recorder.change(entry.info_hash, change);
            }
        }
    }

    /// Writes down changes of many torrents at once.
    pub(super) fn write_all(&mut self, changes: &[(i64, Change)]) {
        if changes.is_empty() {
            return;
        }
        let written = self.state.change_all(changes.iter().map(|(id, change)| (*id, change)));
        self.tell_unwritten(written);
    }

    /// Writes down when torrents are to be announced next.
    pub(super) fn write_announces(&mut self) {
        let announces = std::mem::take(&mut self.announces);
        let changes: Vec<(i64, Change)> = announces
            .into_iter()
            .map(|(id, at_s)| (id.0, Change { next_announce_s: Some(Some(at_s)), ..Change::default() }))
            .collect();
        self.write_all(&changes);
    }
}

/// Bytes of the pieces that are wanted.
fn wanted_size(info: &Info, priorities: &[Priority]) -> u64 {
    let geometry = info.geometry();
    if priorities.is_empty() {
        return geometry.length();
    }
    let wanted = (0..).zip(priorities).filter(|(_, priority)| **priority != Priority::Skip);
    wanted.map(|(piece, _)| u64::from(geometry.length_of(piece))).sum()
}
