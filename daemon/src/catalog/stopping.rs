//! The beginning and the end of the catalog: what is taken up, and what is written down last.

use std::sync::Arc;
use std::time::Duration;

use protocol::control::EventKind;
use protocol::id::InfoHash;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinSet, spawn_blocking};

use crate::bus::{Request, TorrentId};
use crate::engine::{Notices, Server};
use crate::storage::state::{Change, Progress};

use super::actor::Actor;
use super::entry::{Chore, Entry, Stage};
use super::{CatalogError, Instruction, Parts, watch_folder};

/// How long files may take to be looked at for the last notes.
const NOTES_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the last notes may take to be written.
const STATE_TIMEOUT: Duration = Duration::from_secs(2);

/// A catalog whose torrents are on the board.
pub(super) struct Running {
    actor: Actor,
    inbox: mpsc::Receiver<Request>,
    notices: Notices,
}

impl Running {
    /// Takes up what the state has, and begins to watch the watch directory.
    pub(super) fn begin(parts: Parts) -> Result<Self, CatalogError> {
        let (mut actor, inbox, notices) = Actor::new(parts);
        actor.take_up_all()?;
        actor.watch_folder()?;
        Ok(Self { actor, inbox, notices })
    }

    /// Runs until it is told to stop, and ends everything.
    pub(super) async fn run(self, instructions: mpsc::UnboundedReceiver<Instruction>) {
        let Self { actor, inbox, mut notices } = self;
        let actor = actor.run(inbox, &mut notices, instructions).await;
        actor.end(notices).await;
    }
}

impl Actor {
    /// Watches the watch directory that the settings name, and no other.
    pub(super) fn watch_folder(&mut self) -> Result<(), CatalogError> {
        if let Some(task) = self.watch_folder.take() {
            task.abort();
        }
        if let Some(path) = &self.settings.watch_dir {
            let watching =
                watch_folder::watch(path.clone(), self.requests.clone(), Arc::clone(self.engine().faults()));
            let watching =
                watching.map_err(|source| CatalogError::WatchFolder { path: path.clone(), source })?;
            self.watch_folder = Some(tokio::spawn(watching).abort_handle());
        }
        Ok(())
    }

    /// Ends all torrents, and writes down how they stand.
    async fn end(mut self, mut notices: Notices) {
        self.board.announce_to_all(EventKind::Shutdown);
        for entry in self.entries.values() {
            if let Stage::Busy(busy) = &entry.stage {
                busy.watch.task.cancel();
            }
        }
        let lanes = Arc::clone(self.engine().lanes());
        let server = self.server.take();
        // What is whole is written, hashed and counted by this; and trackers are told.
        // On a thread of its own: disks that do not answer may have all the others.
        let (told, is_told) = oneshot::channel();
        std::thread::spawn(move || told.send(server.map(Server::stop)));
        let told = is_told.await.ok().flatten();
        while let Ok(notice) = notices.try_recv() {
            self.hear(notice);
        }
        // After the last of what trackers had said before.
        self.forget_announces(told.map(|farewell| farewell.told).unwrap_or_default());
        self.finish_moves().await;
        for id in self.lively.iter().copied().collect::<Vec<_>>() {
            self.reckon(id);
        }
        self.write_counters();
        self.write_seed_times(|_| true);
        self.write_announces();
        let mut notes = JoinSet::new();
        for (id, entry) in &mut self.entries {
            let (Stage::Loaded(loaded) | Stage::Leaving(loaded)) = &mut entry.stage else { continue };
            let have_bytes = self.board.with(*id, |row| row.have).unwrap_or_default();
            if let Some(note) = loaded.last_note() {
                let (lanes, recorder) = (Arc::clone(&lanes), Arc::clone(&self.recorder));
                notes.spawn_blocking(move || recorder.record(Progress { have_bytes, ..note.look(&lanes) }));
            }
        }
        let all = async { while notes.join_next().await.is_some() {} };
        if tokio::time::timeout(NOTES_TIMEOUT, all).await.is_err() {
            tracing::warn!("a disk does not answer: what was fetched last will be checked again");
        }
        let recorder = self.recorder;
        if let Ok(Err(error)) = spawn_blocking(move || recorder.flush(STATE_TIMEOUT)).await {
            tracing::error!("{error}");
        }
    }

    /// Waits for files that are being moved or deleted: where they are is to be remembered.
    async fn finish_moves(&mut self) {
        let is_moving = |entry: &Entry| matches!(&entry.stage, Stage::Busy(busy) if matches!(busy.chore, Chore::Relocate | Chore::Delete));
        let deadline = tokio::time::Instant::now() + NOTES_TIMEOUT;
        while self.entries.values().any(is_moving) {
            match tokio::time::timeout_at(deadline, self.tasks.join_next()).await {
                Ok(Some(Ok(done))) => self.done(done),
                Ok(Some(Err(_))) => {}
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// Trackers have forgotten these torrents: they are to hear of them as soon as btd runs again.
    fn forget_announces(&mut self, told: Vec<InfoHash>) {
        let ids: Vec<TorrentId> = told.iter().filter_map(|info_hash| self.board.id_of(info_hash)).collect();
        for id in &ids {
            self.announces.remove(id);
        }
        let change = Change { next_announce_s: Some(None), ..Change::default() };
        let changes: Vec<(i64, Change)> = ids.into_iter().map(|id| (id.0, change.clone())).collect();
        self.write_all(&changes);
    }
}
