//! Torrents of which only the info-hash is known: peers are asked what they are.

use std::path::Path;
use std::sync::Arc;

use protocol::control::{EventKind, State as Shown};
use protocol::meta::Info;
use protocol::swarm::candidates::Source;

use crate::bus::TorrentId;
use crate::storage::keeper::Keeper;
use crate::storage::state::{Change, RawMetainfo};

use super::actor::Actor;
use super::chores::{ChoreError, Done, NewSwarm, Ready};
use super::entry::{Chore, Stage};
use super::loading::missing;
use super::paths::{path_hashes, placed};

impl Actor {
    /// Has peers asked what a torrent is.
    pub(super) fn await_metadata(&mut self, id: TorrentId) {
        let Some(info_hash) = self.entries.get(&id).map(|entry| entry.info_hash) else { return };
        let company = self.company(id);
        let engine = self.engine().clone();
        self.busy(id, Chore::Enroll);
        self.tasks.spawn(async move {
            let member = engine.add_awaited(info_hash, company).await;
            let swarm =
                NewSwarm { torrent: None, keeper: None, priorities: Vec::new(), left: 0, is_fetching: true };
            Done::Enrolled(id, Box::new(swarm), member)
        });
    }

    /// Tells the swarm of a torrent of the peers that its magnet link names.
    pub(super) fn name_peers(&mut self, id: TorrentId) {
        let Some(info_hash) = self.entries.get(&id).map(|entry| entry.info_hash) else { return };
        let peers = self.state.choices(id.0).map(|choices| choices.peers).unwrap_or_default();
        let engine = self.engine().clone();
        if peers.is_empty() {
            return;
        }
        self.tasks.spawn(async move {
            let mut addresses = Vec::new();
            for peer in peers {
                match tokio::net::lookup_host(&peer).await {
                    Ok(found) => addresses.extend(found),
                    Err(error) => tracing::warn!("peer {peer}: {error}"),
                }
            }
            let _ = engine.found(info_hash, addresses, Source::User).await;
            Done::Nothing
        });
    }

    /// The metadata of a torrent came from peers.
    pub(super) fn metadata(&mut self, id: TorrentId, raw: &[u8]) {
        match self.save_metadata(id, raw) {
            Ok(()) => self.get_ready(id),
            Err(error) => self.fail(id, error),
        }
    }

    /// Gets the files of a torrent ready whose swarm has waited for its metadata. One that is only served, or has no
    /// place among those that are fetched, goes on from its row.
    pub(super) fn get_ready(&mut self, id: TorrentId) {
        if self.is_ending() {
            return;
        }
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if entry.marks.is_seed_only || !self.queue.enter(id) {
            entry.wish().is_restart = true;
            return self.advance(id);
        }
        if !entry.stage.is_awaiting() {
            return;
        }
        match self.job(id, Chore::Fetch) {
            Ok(job) => {
                if let Some(Stage::Loaded(loaded)) = self.entries.get_mut(&id).map(|entry| &mut entry.stage) {
                    loaded.beginning = Some(Arc::clone(&job.watch));
                    // Nothing is known to be here until its files were looked at.
                    loaded.left = job.info.geometry().length();
                    self.spawn_job(job, move |result| Done::Begun(id, result));
                }
            }
            Err(error) => self.fail(id, error),
        }
    }

    /// The files of a torrent whose metadata came from peers are ready.
    pub(super) fn begun(&mut self, id: TorrentId, result: Result<Ready, ChoreError>) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let (Stage::Loaded(loaded) | Stage::Leaving(loaded)) = &mut entry.stage else { return };
        loaded.beginning = None;
        if matches!(entry.stage, Stage::Leaving(_)) {
            return self.close(id);
        }
        if entry.must_leave() {
            return self.advance(id);
        }
        let ready = match result {
            Ok(ready) => ready,
            Err(ChoreError::Cancelled) => return,
            Err(error) => return self.fail(id, error.to_string()),
        };
        let priorities = match self.priorities(id, &ready.torrent) {
            Ok(priorities) => priorities,
            Err(error) => return self.fail(id, error),
        };
        self.note_found(id, Chore::Fetch, &ready, &priorities);
        let Ready { torrent, synced, .. } = ready;
        let (engine, beginning) = (self.engine().clone(), (Arc::clone(&torrent), priorities.clone()));
        self.tasks.spawn(async move {
            let (torrent, priorities) = beginning;
            // Fails only when everything ends.
            let _ = engine.begin(torrent, priorities).await;
            Done::Nothing
        });
        if let Some(Stage::Loaded(loaded)) = self.entries.get_mut(&id).map(|entry| &mut entry.stage) {
            loaded.left = missing(&torrent, &priorities);
            loaded.keeper = Some(Keeper::new(Arc::clone(&torrent), synced, loaded.moved_before));
            (loaded.torrent, loaded.priorities) = (Some(torrent), priorities);
        }
        self.show(id, Shown::Downloading);
    }

    /// Writes down the metadata of a torrent that came from peers.
    pub(super) fn save_metadata(&mut self, id: TorrentId, raw: &[u8]) -> Result<(), String> {
        let info = Arc::new(Info::parse(raw.into()).map_err(|error| format!("its metadata: {error}"))?);
        let choices = self.state.choices(id.0).map_err(|error| error.to_string())?;
        let info = placed(info, &choices.file_paths).map_err(|error| error.to_string())?;
        let (dir, lies_in) = (self.dir(id), self.lies_in(id));
        let folders: [&Path; 2] = [&dir, &lies_in];
        let only_reads = self.entries.get(&id).is_some_and(|entry| entry.marks.is_seed_only);
        self.refuse_taken_paths(Some(id), &info, &folders, only_reads).map_err(|error| error.message)?;
        let change = Change {
            name: Some(info.name().to_owned()),
            size: Some(info.geometry().length()),
            paths: Some(path_hashes(&info, &folders)),
            ..Change::default()
        };
        let metainfo = RawMetainfo::of_info(raw);
        self.state.set_info(id.0, &metainfo, &change).map_err(|error| error.to_string())?;
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.marks.has_info = true;
        }
        let size = info.geometry().length();
        self.board.update(id, |row| (row.name, row.size) = (info.name().into(), size));
        self.board.announce(id, EventKind::Metadata);
        Ok(())
    }
}
