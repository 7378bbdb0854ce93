//! Getting torrents ready: looked at, checked, loaded into a swarm, or fetched.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use protocol::control::State as Shown;
use protocol::meta::Info;
use protocol::swarm::picker::{PieceOrder, Priority};

use crate::bus::TorrentId;
use crate::engine::{Company, Member, ServerError};
use crate::storage::Torrent;
use crate::storage::keeper::Keeper;
use crate::storage::selection;
use crate::storage::state::Change;

use super::actor::Actor;
use super::chores::{ChoreError, Done, NewSwarm, Ready};
use super::entry::{Busy, Chore, Entry, Loaded, Marks, Pulse, Stage, Watch};
use super::job::{Job, Least};
use super::paths::placed;

/// How long what was noted may take to be written, before a torrent is looked at anew.
const NOTES_TIMEOUT: Duration = Duration::from_secs(1);

/// What to do about payload that is no longer what it was.
const REMEDY: &str = "put it back and `btctl resume`, or have what is missing fetched after `btctl verify`";
/// The same where nothing is to be fetched, and what to do if it never was there.
const REMEDY_OF_SEED: &str =
    "put it there and `btctl resume`, or `btctl move --already-there` to where it lies";

impl Actor {
    /// Finds out what of a torrent is on disk.
    pub(super) fn look(&mut self, id: TorrentId) {
        self.show(id, Shown::Checking);
        self.start_chore(id, Chore::Look);
    }

    /// Hashes everything.
    pub(super) fn verify(&mut self, id: TorrentId) {
        self.withdraw(id);
        self.give_up_place(id);
        self.show(id, Shown::Checking);
        self.start_chore(id, Chore::Verify);
    }

    /// Gets a torrent ready that a peer has come for.
    pub(super) fn load(&mut self, id: TorrentId) {
        self.start_chore(id, Chore::Load);
    }

    /// Gets the files of a download ready.
    pub(super) fn fetch(&mut self, id: TorrentId) {
        self.start_chore(id, Chore::Fetch);
    }

    fn start_chore(&mut self, id: TorrentId, chore: Chore) {
        let folder = self.lies_in(id);
        if !self.desks.enter(&folder, id) {
            // There may be thousands: it stays a row until it is its turn.
            return;
        }
        match self.job(id, chore) {
            Ok(job) => {
                let watch = Arc::clone(&job.watch);
                if let Some(entry) = self.entries.get_mut(&id) {
                    entry.stage = Stage::Busy(Box::new(Busy { chore, watch, folder: Some(folder) }));
                }
                self.lively.insert(id);
                self.spawn_job(job, move |result| Done::Ready(id, chore, result));
            }
            Err(error) => {
                self.desks.leave(&folder);
                self.fail(id, error);
            }
        }
    }

    pub(super) fn spawn_job(
        &mut self,
        job: Job,
        done: impl FnOnce(Result<Ready, ChoreError>) -> Done + Send + 'static,
    ) {
        let (folder, hashing) = (self.desks.of_folder(&job.dir), self.desks.of_hashing());
        self.tasks.spawn(async move { done(job.run(folder, hashing).await) });
    }

    /// What is to be looked at.
    pub(super) fn job(&mut self, id: TorrentId, chore: Chore) -> Result<Job, String> {
        let entry = self.entries.get(&id).ok_or("it is gone")?;
        let (info_hash, marks) = (entry.info_hash, entry.marks);
        let lies_elsewhere = entry.lies_in.is_some();
        let text = |error: &dyn ToString| error.to_string();
        // What was noted last is to be known here. Where it cannot be written, what is not known is hashed.
        if let Err(error) = self.recorder.flush(NOTES_TIMEOUT) {
            tracing::warn!("{error}");
        }
        let saved = self.state.load(&info_hash).map_err(|error| text(&error))?.unwrap_or_default();
        let raw = saved.info.clone().ok_or("its metadata is not in the state any more")?;
        let choices = self.state.choices(id.0).map_err(|error| text(&error))?;
        let info = Arc::new(Info::parse(raw.into()).map_err(|error| text(&error))?);
        let info = placed(info, &choices.file_paths).map_err(|error| text(&error))?;
        let is_download = matches!(chore, Chore::Fetch) && !marks.is_seed_only;
        let download = match is_download {
            true => {
                let wanted =
                    selection::wanted_files(&info, &choices.select, None).map_err(|error| text(&error))?;
                Some((wanted, self.settings.placing.clone()))
            }
            false => None,
        };
        let dir = self.lies_in(id);
        let is_check_skipped = marks.is_check_skipped;
        let was_whole = chore != Chore::Verify && marks.is_complete && choices.select.is_empty();
        let least = match (was_whole, marks.is_seed_only) {
            (true, _) => Least::All,
            (false, true) => Least::APiece,
            (false, false) => Least::Nothing,
        };
        Ok(Job {
            info,
            dir,
            saved,
            chore,
            is_check_skipped,
            least,
            download,
            home: (chore == Chore::Look && lies_elsewhere).then(|| self.dir(id)),
            is_home: false,
            suffix: self.settings.placing.suffix.clone(),
            watch: Arc::new(Watch::hashing(self.engine().lanes().meter())),
        })
    }

    /// A torrent was looked at, or is ready.
    pub(super) fn ready(&mut self, id: TorrentId, chore: Chore, result: Result<Ready, ChoreError>) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if let Stage::Busy(busy) = std::mem::replace(&mut entry.stage, Stage::Row)
            && let Some(folder) = busy.folder
        {
            self.desks.leave(&folder);
        }
        self.lively.remove(&id);
        match result {
            Err(ChoreError::Cancelled) => {}
            Err(error) => return self.not_ready(id, chore, &error),
            Ok(_) if entry.is_obsolete(chore) => {}
            Ok(ready) => return self.take_up(id, chore, ready),
        }
        self.advance(id);
    }

    /// A torrent was looked at in vain.
    fn not_ready(&mut self, id: TorrentId, chore: Chore, error: &ChoreError) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if chore == Chore::Verify {
            entry.wish().is_verification = false;
            entry.marks.is_failed = false;
            entry.tidy();
        }
        let had_to_be_there = entry.marks.is_complete || entry.marks.is_seed_only;
        let text = match (error, had_to_be_there) {
            (ChoreError::Load(error), true) => format!("{error}: {}", remedy(entry.marks)),
            (error, _) => error.to_string(),
        };
        self.fail(id, text);
    }

    fn take_up(&mut self, id: TorrentId, chore: Chore, ready: Ready) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let was_complete = entry.marks.is_complete;
        let remedy = remedy(entry.marks);
        if chore == Chore::Verify {
            entry.wish().is_verification = false;
            entry.marks.is_failed = false;
            entry.tidy();
        }
        // What was hashed is no longer taken on trust.
        entry.marks.is_check_skipped &= !ready.is_proven;
        if ready.is_home {
            entry.lies_in = None;
            self.write(id, &Change { lies_in: Some(None), ..Change::default() });
        }
        let priorities = match self.priorities(id, &ready.torrent) {
            Ok(priorities) => priorities,
            Err(error) => return self.fail(id, error),
        };
        let is_complete = self.note_found(id, chore, &ready, &priorities);
        self.complete_late(id, was_complete, is_complete);
        if self.entries.get(&id).is_some_and(Entry::must_leave) {
            return self.advance(id);
        }
        match chore {
            // What was whole and is not any more is not fetched again before the user has heard of it.
            Chore::Look | Chore::Load | Chore::Fetch if was_complete && !is_complete => {
                self.fail(id, format!("its payload is no longer whole: {remedy}"));
            }
            Chore::Load | Chore::Fetch => self.enroll(id, ready, priorities),
            _ => self.advance(id),
        }
    }

    /// A download that was ended between its last piece and its completion is completed now.
    fn complete_late(&mut self, id: TorrentId, was_complete: bool, is_complete: bool) {
        let is_first = self.entries.get(&id).is_some_and(|entry| entry.completed_at_s.is_none());
        let was_fetched = self.board.with(id, |row| row.downloaded > 0) == Some(true);
        if !was_complete && is_complete && is_first && was_fetched {
            self.complete(id);
        }
    }

    /// How much each piece of a torrent is wanted.
    pub(super) fn priorities(&mut self, id: TorrentId, torrent: &Torrent) -> Result<Vec<Priority>, String> {
        let choices = self.state.choices(id.0).map_err(|error| error.to_string())?;
        let wanted = selection::wanted_files(torrent.info(), &choices.select, None);
        Ok(selection::priorities(torrent.info(), &wanted.map_err(|error| error.to_string())?))
    }

    /// Has a swarm run for a torrent that is ready.
    fn enroll(&mut self, id: TorrentId, ready: Ready, priorities: Vec<Priority>) {
        let Ready { torrent, synced, .. } = ready;
        let left = missing(&torrent, &priorities);
        let Some(entry) = self.entries.get(&id) else { return };
        let is_fetching = left > 0 && !entry.marks.is_seed_only;
        // A seed that lacks something is not to ask for it.
        let asked = match is_fetching || left == 0 {
            true => priorities.clone(),
            false => vec![Priority::Skip; torrent.info().geometry().piece_count() as usize],
        };
        // What only serves has nothing to be remembered but what it has moved.
        let moved = self.board.with(id, |row| (row.uploaded, row.downloaded)).unwrap_or_default();
        let keeper = is_fetching.then(|| Keeper::new(Arc::clone(&torrent), synced, moved));
        let company = self.company(id);
        let engine = self.engine().clone();
        self.busy(id, Chore::Enroll);
        self.tasks.spawn(async move {
            let member = engine.add(Arc::clone(&torrent), asked, company).await;
            let swarm = NewSwarm { torrent: Some(torrent), keeper, priorities, left, is_fetching };
            Done::Enrolled(id, Box::new(swarm), member)
        });
    }

    /// How a torrent's peers are to be treated. Its trackers are told apart from that, also while no swarm runs.
    pub(super) fn company(&self, id: TorrentId) -> Company {
        let Some(entry) = self.entries.get(&id) else { return Company::default() };
        let mut settings = self.settings.swarm;
        if entry.marks.is_sequential {
            settings.piece_order = PieceOrder::Sequential;
        }
        let limits = entry.limits.as_deref().copied().unwrap_or_default();
        Company { settings, limits, ..Company::default() }
    }

    /// The swarm of a torrent runs.
    pub(super) fn enrolled(&mut self, id: TorrentId, swarm: NewSwarm, member: Result<Member, ServerError>) {
        let moved = self.board.with(id, |row| (row.uploaded, row.downloaded)).unwrap_or_default();
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.stage = Stage::Row;
        let member = match member {
            Ok(member) => member,
            Err(error) => return self.fail(id, error.to_string()),
        };
        let is_fetching = swarm.is_fetching;
        let state = match (is_fetching, &swarm.torrent) {
            (true, None) => Shown::Metadata,
            (true, Some(_)) => Shown::Downloading,
            (false, _) => Shown::Seeding,
        };
        entry.stage = Stage::Loaded(Box::new(Loaded::new(swarm, member, moved)));
        entry.marks.is_called_for = false;
        let has_metadata_waiting = entry.marks.has_info && entry.stage.is_awaiting();
        self.lively.insert(id);
        if !is_fetching {
            self.give_up_place(id);
        }
        self.announce(id);
        self.count_on(id);
        self.show(id, state);
        self.name_peers(id);
        self.pass_on_found(id);
        if has_metadata_waiting {
            // It came before it was known that the swarm runs.
            self.get_ready(id);
        }
        self.advance(id);
    }

    /// What trackers were told goes on from where it was.
    fn count_on(&mut self, id: TorrentId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if let (Stage::Loaded(loaded), Some(stats)) = (&mut entry.stage, &entry.stats) {
            let told = |count: &AtomicU64| count.load(Ordering::Relaxed);
            loaded.told_before = (told(&stats.uploaded), told(&stats.downloaded));
        }
    }
}

impl Loaded {
    fn new(swarm: NewSwarm, member: Member, moved_before: (u64, u64)) -> Self {
        let NewSwarm { torrent, keeper, priorities, left, is_fetching } = swarm;
        let (uploaded, downloaded) = moved_before;
        Self {
            torrent,
            standing: member.standing,
            keeper,
            notes: 0,
            has_left: false,
            // What was verified before it was known that the swarm runs counts too.
            has_news: true,
            priorities,
            left,
            is_fetching,
            beginning: None,
            moved_before,
            written: moved_before,
            told_before: (0, 0),
            pulse: Pulse { at: Instant::now(), uploaded, downloaded },
            received_at: Instant::now(),
            idle_since: None,
        }
    }
}

/// What to do about payload that is not there although it had to be.
fn remedy(marks: Marks) -> &'static str {
    if marks.is_seed_only { REMEDY_OF_SEED } else { REMEDY }
}

/// Bytes of wanted pieces that are not verified.
pub(super) fn missing(torrent: &Torrent, priorities: &[Priority]) -> u64 {
    torrent.missing_bytes(|piece| priorities.get(piece as usize).is_none_or(|it| *it != Priority::Skip))
}
