//! What clients ask to be done to torrents that are there.

use std::path::Path;

use protocol::control::{
    ErrorCode, ErrorReply, EventKind, MAX_LABEL_LENGTH, MoveRequest, Patch, State as Shown,
};

use crate::bus::board::now_unix_s;
use crate::bus::{Action, Reply, Request, TorrentId};
use crate::storage::selection;
use crate::storage::state::{Change, State};

use super::actor::Actor;
use super::chores::Done;
use super::entry::{Chore, Relocation, Removal, Stage};

impl Actor {
    /// Takes in a request.
    pub(super) fn request(&mut self, request: Request) {
        match request {
            Request::Add { request, caller, reply } => {
                tracing::debug!(uid = caller.uid, "asks to add a torrent");
                self.add(*request, reply);
            }
            Request::Act { id, action, caller, reply } => {
                tracing::debug!(uid = caller.uid, "asks to {action:?} torrent {}", id.0);
                self.act(id, action, reply);
            }
            Request::Create { request, caller, events } => {
                tracing::debug!(uid = caller.uid, "asks to make a torrent of {}", request.path);
                self.create(request, events);
            }
            Request::Backup { path, caller, reply } => {
                tracing::info!(uid = caller.uid, "asks for a copy of the state at {}", path.display());
                self.back_up(&path, reply);
            }
            Request::Shutdown(reply) => {
                // One is enough: whoever listens ends the daemon.
                let _ = self.on_shutdown.try_send(());
                let _ = reply.send(Ok(()));
            }
            Request::Detail(id, reply) => drop(reply.send(self.detail(id))),
            Request::Files(id, reply) => drop(reply.send(self.files(id))),
            Request::Peers(id, reply) => self.peers(id, reply),
            Request::Trackers(id, reply) => self.trackers(id, reply),
            Request::Pieces(id, reply) => drop(reply.send(self.pieces(id))),
            Request::Metainfo(id, reply) => drop(reply.send(self.metainfo(id))),
        }
    }

    fn act(&mut self, id: TorrentId, action: Action, reply: Reply<()>) {
        if !self.entries.contains_key(&id) {
            return drop(reply.send(Err(gone())));
        }
        let result = match action {
            Action::Pause => self.pause(id, true),
            Action::Resume => self.pause(id, false),
            Action::Verify => self.want_verification(id),
            Action::Reannounce => self.reannounce(id),
            Action::Change(patch) => self.change(id, &patch),
            Action::Move(request) => return self.move_to(id, request, reply),
            Action::Remove { with_data } => return self.want_removal(id, with_data, reply),
        };
        let _ = reply.send(result);
    }

    /// Stops a torrent, or has it go on: also one that has failed.
    fn pause(&mut self, id: TorrentId, is_paused: bool) -> Result<(), ErrorReply> {
        let Some(entry) = self.entries.get(&id) else { return Err(gone()) };
        let change = match is_paused {
            true => entry.pausing(now_unix_s()),
            false => Change { is_paused: Some(false), error: Some(None), ..Change::default() },
        };
        self.commit(id, &change)?;
        let Some(entry) = self.entries.get_mut(&id) else { return Err(gone()) };
        entry.marks.is_paused = is_paused;
        match is_paused {
            // Neither is it hashed on.
            true => {
                entry.wish().is_verification = false;
                entry.tidy();
            }
            // What was wrong is looked for again at once, and not only when a peer comes.
            false if std::mem::take(&mut entry.marks.is_failed) => entry.marks.is_looked_at = false,
            false => {}
        }
        self.advance(id);
        Ok(())
    }

    /// Stops a torrent by itself. It stops also where that cannot be written down.
    pub(super) fn pause_unasked(&mut self, id: TorrentId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.marks.is_paused = true;
        let change = entry.pausing(now_unix_s());
        self.write(id, &change);
        self.advance(id);
    }

    fn want_verification(&mut self, id: TorrentId) -> Result<(), ErrorReply> {
        let Some(entry) = self.entries.get_mut(&id) else { return Err(gone()) };
        if !entry.marks.has_info {
            return Err(conflict("there is nothing to verify before its metadata is here"));
        }
        entry.wish().is_verification = true;
        // From now on, also where something else comes first: who waits for it is to see when it is over.
        self.show(id, Shown::Checking);
        self.advance(id);
        Ok(())
    }

    fn reannounce(&mut self, id: TorrentId) -> Result<(), ErrorReply> {
        let Some(entry) = self.entries.get(&id) else { return Err(gone()) };
        if !entry.marks.is_offered {
            return Err(conflict("it is not announced while it is not running"));
        }
        self.engine().trackers().reannounce(entry.info_hash);
        Ok(())
    }

    fn want_removal(&mut self, id: TorrentId, with_data: bool, reply: Reply<()>) {
        let Some(entry) = self.entries.get_mut(&id) else { return drop(reply.send(Err(gone()))) };
        let wish = entry.wish();
        let removal = wish.removal.get_or_insert(Removal { with_data, replies: Vec::new() });
        removal.with_data |= with_data;
        removal.replies.push(reply);
        self.advance(id);
    }

    /// Has a torrent moved, if the place may be named. That is found out on a thread that may wait: links are looked up.
    fn move_to(&mut self, id: TorrentId, mut request: MoveRequest, reply: Reply<()>) {
        let roots = self.settings.roots.clone();
        self.tasks.spawn(async move {
            let work = move || {
                let dir = roots.admit(&request.dir)?.into_os_string().into_string();
                request.dir = dir.map_err(|_| conflict("the path of the folder is not UTF-8"))?;
                Ok(request)
            };
            let admitted = tokio::task::spawn_blocking(work).await;
            let admitted = admitted.unwrap_or_else(|_| Err(conflict("a mistake of ours")));
            Done::Admitted(id, admitted, reply)
        });
    }

    /// It is known whether the place where a torrent is to be moved may be named. It may be taken, too.
    pub(super) fn admitted(
        &mut self,
        id: TorrentId,
        admitted: Result<MoveRequest, ErrorReply>,
        reply: Reply<()>,
    ) {
        let free = admitted.and_then(|request| {
            self.refuse_while_moving(id)?;
            if let Some(info) = self.info(id)? {
                let only_reads = !self.may_write(id);
                self.refuse_taken_paths(Some(id), &info, &[request.dir.as_ref()], only_reads)?;
                self.hold_paths(id, &info, Some(request.dir.as_ref()))?;
            }
            Ok(request)
        });
        match free {
            Ok(request) => self.want_relocation(id, Relocation { request, reply: Some(reply) }),
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    fn refuse_while_moving(&self, id: TorrentId) -> Result<(), ErrorReply> {
        let entry = self.entries.get(&id).ok_or_else(gone)?;
        match &entry.stage {
            Stage::Busy(busy) if busy.chore == Chore::Relocate => Err(conflict("it is being moved already")),
            _ => Ok(()),
        }
    }

    fn want_relocation(&mut self, id: TorrentId, relocation: Relocation) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return drop(relocation.reply.map(|reply| reply.send(Err(gone()))));
        };
        let before = entry.wish().relocation.replace(relocation);
        if let Some(reply) = before.and_then(|before| before.reply) {
            let _ = reply.send(Err(conflict("it was asked to be moved elsewhere meanwhile")));
        }
        self.advance(id);
    }

    /// Changes what the user chose.
    fn change(&mut self, id: TorrentId, patch: &Patch) -> Result<(), ErrorReply> {
        if let Some(Some(label)) = &patch.label {
            check_label(label)?;
        }
        if let Some(select) = &patch.select {
            self.check_selection(id, select)?;
        }
        if patch.ratio_limit.flatten().is_some_and(|ratio| !ratio.is_finite() || ratio < 0.0) {
            return Err(ErrorReply::new(ErrorCode::BadRequest, "a ratio is 0 or more"));
        }
        self.commit(id, &change_of(patch))?;
        self.apply(id, patch);
        self.board.announce(id, EventKind::Changed);
        Ok(())
    }

    fn check_selection(&mut self, id: TorrentId, select: &[String]) -> Result<(), ErrorReply> {
        let bad = |error: &dyn ToString| ErrorReply::new(ErrorCode::BadRequest, error.to_string());
        match self.info(id)? {
            Some(info) => selection::wanted_files(&info, select, None).map(drop).map_err(|error| bad(&error)),
            None => selection::check(select).map_err(|error| bad(&error)),
        }
    }

    fn apply(&mut self, id: TorrentId, patch: &Patch) {
        if let Some(label) = &patch.label {
            let label =
                label.as_deref().filter(|label| !label.is_empty()).map(|label| self.interned.text(label));
            self.board.update(id, |row| row.label = label);
        }
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let mut limits = entry.limits.as_deref().copied().unwrap_or_default();
        let mut goals = entry.goals.as_deref().copied().unwrap_or_default();
        let before = limits;
        limits.upload_bytes_per_s =
            patch.upload_limit.unwrap_or(limits.upload_bytes_per_s).filter(|it| *it > 0);
        limits.download_bytes_per_s =
            patch.download_limit.unwrap_or(limits.download_bytes_per_s).filter(|it| *it > 0);
        goals.ratio = patch.ratio_limit.unwrap_or(goals.ratio);
        goals.seed_time_s = patch.seed_time_limit_s.unwrap_or(goals.seed_time_s);
        entry.limits = (limits != Default::default()).then(|| Box::new(limits));
        entry.goals = (goals != Default::default()).then(|| Box::new(goals));
        let was_sequential = entry.marks.is_sequential;
        entry.marks.is_sequential = patch.sequential.unwrap_or(was_sequential);
        if (limits, entry.marks.is_sequential) != (before, was_sequential) {
            self.set_company(id);
        }
        self.pause_at_goal(id);
        let Some(entry) = self.entries.get_mut(&id).filter(|_| patch.select.is_some()) else { return };
        // Other files may be wanted now: it is looked at again what of them is there.
        (entry.marks.is_looked_at, entry.marks.is_complete) = (false, false);
        entry.wish().is_restart = true;
        self.advance(id);
    }

    fn back_up(&mut self, path: &Path, reply: Reply<()>) {
        let admitted =
            path.to_str().ok_or_else(|| ErrorReply::new(ErrorCode::BadRequest, "its path is not UTF-8"));
        let admitted = admitted.map(str::to_owned);
        let (roots, state) = (self.settings.roots.clone(), self.state.path().to_owned());
        let work = move || {
            let path = roots.admit(&admitted?)?;
            let copied = State::open(&state).and_then(|mut state| state.backup(&path));
            copied.map_err(|error| conflict(&error.to_string()))
        };
        // It takes its time where there is much, and nobody else waits for it.
        self.tasks.spawn(async move {
            let result = tokio::task::spawn_blocking(work).await;
            let _ = reply
                .send(result.unwrap_or_else(|_| Err(conflict("the copy has ended by a mistake of ours"))));
            Done::Nothing
        });
    }
}

/// What of a patch is to be remembered.
fn change_of(patch: &Patch) -> Change {
    let label = patch.label.clone().map(|label| label.filter(|label| !label.is_empty()));
    Change {
        label,
        upload_limit: patch.upload_limit.map(|limit| limit.filter(|limit| *limit > 0)),
        download_limit: patch.download_limit.map(|limit| limit.filter(|limit| *limit > 0)),
        ratio_limit: patch.ratio_limit,
        seed_time_limit_s: patch.seed_time_limit_s,
        select: patch.select.clone(),
        is_sequential: patch.sequential,
        is_looked_at: patch.select.as_ref().map(|_| false),
        ..Change::default()
    }
}

/// Refuses a label that would make lists hard to read.
pub(super) fn check_label(label: &str) -> Result<(), ErrorReply> {
    if label.len() > MAX_LABEL_LENGTH || label.chars().any(char::is_control) {
        let message = format!("a label has at most {MAX_LABEL_LENGTH} bytes and no control characters");
        return Err(ErrorReply::new(ErrorCode::BadRequest, message));
    }
    Ok(())
}

pub(super) fn gone() -> ErrorReply {
    ErrorReply::new(ErrorCode::NotFound, "the torrent has been removed")
}

pub(super) fn conflict(message: &str) -> ErrorReply {
    ErrorReply::new(ErrorCode::Conflict, message)
}
