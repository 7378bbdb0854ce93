//! Torrents that lie elsewhere from now on, or nowhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::control::{ErrorCode, ErrorReply, EventKind, MoveRequest};

use crate::bus::TorrentId;
use crate::storage::relocate::{self, Relocated};
use crate::storage::state::{Change, FileRecord, Progress};

use super::acting::conflict;
use super::actor::Actor;
use super::chores::{self, ChoreError, Done};
use super::entry::{Busy, Chore, Entry, Relocation, Stage, Watch};
use super::hooks::Occasion;
use super::paths::path_hashes;

impl Actor {
    /// Moves the files of a torrent, or only looks for them elsewhere, as was wished.
    pub(super) fn relocate(&mut self, id: TorrentId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let Some(request) = entry.wish().relocation.as_ref().map(|it| it.request.clone()) else { return };
        self.withdraw(id);
        self.give_up_place(id);
        let from = self.lies_in(id);
        let to = PathBuf::from(&request.dir);
        let info = match self.info(id) {
            Ok(info) => info.filter(|_| !request.is_there),
            Err(error) => return self.end_relocation(id, Err(error)),
        };
        let watch = self.busy(id, Chore::Relocate);
        let desk = self.desks.of_folder(&from);
        let suffix = self.settings.placing.suffix.clone();
        let work = move || {
            let moved = match info.filter(|_| to != from) {
                Some(info) => relocate::relocate(&info, &from, &to, suffix.as_deref(), &watch.task)?,
                None => Vec::new(),
            };
            Ok((to, moved))
        };
        chores::spawn(&mut self.tasks, desk, work, move |result| Done::Relocated(id, result));
    }

    pub(super) fn busy(&mut self, id: TorrentId, chore: Chore) -> Arc<Watch> {
        let watch = Arc::new(Watch::default());
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.stage = Stage::Busy(Box::new(Busy { chore, watch: Arc::clone(&watch), folder: None }));
        }
        watch
    }

    /// The files of a torrent were moved.
    pub(super) fn relocated(&mut self, id: TorrentId, result: Result<(PathBuf, Vec<Relocated>), ChoreError>) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.stage = Stage::Row;
        if matches!(result, Err(ChoreError::Cancelled)) {
            return self.advance(id);
        }
        let result = result.map_err(ErrorReply::from).and_then(|(to, moved)| {
            self.keep_records(id, &moved);
            self.lie(id, &to)
        });
        self.end_relocation(id, result);
    }

    /// What is remembered of files is true of their copies too.
    fn keep_records(&mut self, id: TorrentId, moved: &[Relocated]) {
        let Some(entry) = self.entries.get(&id) else { return };
        let Ok(Some(saved)) = self.state.load(&entry.info_hash) else { return };
        let is_known =
            |it: &&Relocated| saved.files.get(&it.file) == Some(&it.before) && it.before != it.after;
        let files: BTreeMap<u32, FileRecord> =
            moved.iter().filter(is_known).map(|it| (it.file, it.after)).collect();
        // After another boot only what was synced is trusted: to note it anew would trust the rest too.
        if files.is_empty() || !saved.is_same_boot {
            return;
        }
        let have_bytes = self.board.with(id, |row| row.have).unwrap_or_default();
        let progress = Progress {
            info_hash: entry.info_hash,
            have: saved.have,
            synced: saved.synced,
            files,
            have_bytes,
            uploaded: saved.uploaded,
            downloaded: saved.downloaded,
        };
        if let Err(error) = self.state.record([&progress]) {
            tracing::warn!("what was moved will be checked again: {error}");
        }
    }

    /// A torrent lies in `dir` from now on.
    fn lie(&mut self, id: TorrentId, dir: &Path) -> Result<(), ErrorReply> {
        let text = dir.to_str().ok_or_else(|| conflict("the path of the folder is not UTF-8"))?;
        let info = self.info(id)?;
        let paths = info.map(|info| path_hashes(&info, &[dir]));
        // Where nothing was moved it is not known what is there, and what was wrong before may be right there.
        let relocation = |entry: &Entry| {
            entry.wish.as_ref().and_then(|it| it.relocation.as_ref()).map(|it| it.request.is_there)
        };
        let is_there = self.entries.get(&id).and_then(relocation) == Some(true);
        let change = Change {
            dir: Some(text.to_owned()),
            lies_in: Some(None),
            paths,
            error: is_there.then_some(None),
            ..Change::default()
        };
        self.commit(id, &change)?;
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.lies_in = None;
            entry.marks.is_looked_at &= !is_there;
            entry.marks.is_failed &= !is_there;
        }
        let dir = self.interned.text(text);
        self.board.update(id, |row| row.dir = dir);
        self.board.announce(id, EventKind::Changed);
        Ok(())
    }

    fn end_relocation(&mut self, id: TorrentId, result: Result<(), ErrorReply>) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let relocation = entry.wish().relocation.take();
        entry.tidy();
        let owes_hook = result.is_ok() && std::mem::take(&mut entry.marks.owes_hook);
        match relocation.and_then(|it| it.reply) {
            Some(reply) => drop(reply.send(result)),
            // It went home by itself, because it was complete.
            None => match result {
                Ok(()) => {}
                Err(error) => return self.fail(id, format!("cannot be moved where it belongs: {error}")),
            },
        }
        if owes_hook {
            self.call_hook(id, Occasion::Completed);
        }
        self.advance(id);
    }

    /// Has a torrent that is complete moved to where it belongs, if it lies elsewhere.
    pub(super) fn move_home(&mut self, id: TorrentId) -> bool {
        let home = self.dir(id);
        let Some(entry) = self.entries.get_mut(&id) else { return false };
        let Some(dir) = home.to_str().filter(|_| entry.lies_in.is_some()) else { return false };
        let request = MoveRequest { dir: dir.to_owned(), is_there: false };
        entry.wish().relocation = Some(Relocation { request, reply: None });
        entry.marks.owes_hook |= entry.completed_at_s.is_some();
        true
    }

    /// Forgets a torrent, and deletes its files if that is wished.
    pub(super) fn delete(&mut self, id: TorrentId) {
        self.withdraw(id);
        let with_data =
            self.entries.get_mut(&id).and_then(|entry| Some(entry.wish().removal.as_ref()?.with_data));
        let info = match self.info(id) {
            Ok(info) => info.filter(|_| with_data == Some(true)),
            Err(_) if with_data != Some(true) => None,
            Err(error) => return self.end_removal(id, Err(error)),
        };
        let Some(info) = info else { return self.deleted(id, Ok(())) };
        // One that is cut short here, or fails, is not to fetch again what is deleted.
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.marks.is_paused = true;
        }
        self.write(id, &Change { is_paused: Some(true), ..Change::default() });
        let (dir, suffix) = (self.lies_in(id), self.settings.placing.suffix.clone());
        self.busy(id, Chore::Delete);
        let desk = self.desks.of_folder(&dir);
        let work = move || Ok(relocate::delete(&info, &dir, suffix.as_deref())?);
        chores::spawn(&mut self.tasks, desk, work, move |result| Done::Deleted(id, result));
    }

    /// The files of a torrent that is to be forgotten are gone, where that was wished.
    pub(super) fn deleted(&mut self, id: TorrentId, result: Result<(), ChoreError>) {
        let result = result.map_err(ErrorReply::from).and_then(|()| {
            self.state.delete(id.0).map_err(|error| ErrorReply::new(ErrorCode::Failed, error.to_string()))
        });
        self.end_removal(id, result);
    }

    fn end_removal(&mut self, id: TorrentId, result: Result<(), ErrorReply>) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.stage = Stage::Row;
        let removal = entry.wish().removal.take();
        entry.tidy();
        let relocation =
            entry.wish.as_mut().filter(|_| result.is_ok()).and_then(|wish| wish.relocation.take());
        let info_hash = entry.info_hash;
        if result.is_ok() {
            self.recorder.forget(&info_hash);
            self.entries.remove(&id);
            self.lively.remove(&id);
            self.announces.remove(&id);
            self.found.remove(&id);
            self.give_up_place(id);
            self.board.remove(id);
        }
        if let Some(reply) = relocation.and_then(|it| it.reply) {
            let _ = reply.send(Err(super::acting::gone()));
        }
        if let Some(removal) = removal {
            removal.answer(&result);
        }
        self.advance(id);
    }
}
