//! What goes on while swarms run: figures, notes for the state, completion, goals, and the end of those nobody needs.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use protocol::control::{EventKind, State as Shown};

use crate::bus::board::now_unix_s;
use crate::bus::{Fault, Live, TorrentId};
use crate::coordinator::Notice;
use crate::engine::{ServerError, Unloaded};
use crate::storage::keeper::Note;
use crate::storage::state::{Change, Progress};
use crate::storage::{Leave, TorrentError};

use super::actor::Actor;
use super::chores::{self, Done};
use super::entry::{Loaded, Pulse, Stage, Step};
use super::hooks::Occasion;
use super::loading::missing;

/// How long a torrent without a peer stays loaded: long enough for one that comes back.
const IDLE_TIME: Duration = Duration::from_secs(60);
/// How long nothing comes for a download before another one may run beside it.
const STALLED_TIME: Duration = Duration::from_secs(10 * 60);
/// How often what was written is brought to the disk: what a machine that loses power may have to hash again.
const SYNC_INTERVAL: Duration = Duration::from_secs(30);

/// What is wrong with a download that goes on by itself when there is room again.
const FULL_DISK: &str = "there is no room left on the disk; waiting for some";

impl Actor {
    /// Looks after the torrents that are doing something.
    pub(super) fn tick(&mut self, now: Instant) {
        for id in self.lively.iter().copied().collect::<Vec<_>>() {
            match self.entries.get(&id).map(|entry| &entry.stage) {
                Some(Stage::Busy(busy)) => {
                    if let Some(part) = busy.watch.part() {
                        self.show_checking(id, part);
                    }
                }
                Some(Stage::Loaded(_)) => self.look_after(id, now),
                _ => {}
            }
        }
        if now.saturating_duration_since(self.synced_at) >= SYNC_INTERVAL {
            self.synced_at = now;
            self.sync();
        }
    }

    /// Looks at all torrents, writes down what has gathered, and forgets what nobody needs any more.
    pub(super) fn go_round(&mut self) {
        self.rounds += 1;
        self.check_seed_times();
        self.write_some_seed_times(self.rounds);
        self.interned.forget_unused();
        self.write_announces();
        self.write_counters();
    }

    fn show_checking(&mut self, id: TorrentId, part: f32) {
        self.show(id, Shown::Checking);
        if self.board.with(id, |row| (row.checked - part).abs() > f32::EPSILON) == Some(true) {
            self.board.update(id, |row| row.checked = part);
        }
    }

    /// Looks after one whose swarm runs.
    fn look_after(&mut self, id: TorrentId, now: Instant) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let Stage::Loaded(loaded) = &mut entry.stage else { return };
        if let (true, Some(torrent)) = (std::mem::take(&mut loaded.has_news), &loaded.torrent) {
            loaded.left = missing(torrent, &loaded.priorities);
        }
        let live = loaded.measure(now);
        let moved = loaded.moved();
        let left = loaded.left;
        if let Some(stats) = &entry.stats {
            loaded.tell(stats);
        }
        let error = loaded.torrent.as_ref().and_then(|torrent| torrent.error()).map(ToString::to_string);
        let note = loaded.keeper.as_mut().filter(|_| loaded.notes == 0);
        let note = note.and_then(|keeper| keeper.note(loaded.standing.borrow().tally.downloaded));
        let is_complete = loaded.is_fetching && left == 0 && loaded.torrent.is_some();
        let is_disk_full = loaded.standing.borrow().is_disk_full;
        let is_idle = loaded.is_idle(now);
        let is_stalled = now.saturating_duration_since(loaded.received_at) >= STALLED_TIME;
        self.turns.extend(self.queue.set_stalled(id, is_stalled));
        self.show_figures(id, live, moved, left);
        self.show_full_disk(id, is_disk_full);
        if let Some(note) = note {
            self.take_note(id, note);
        }
        if let Some(error) = error {
            self.fail(id, error);
        } else if is_complete {
            self.complete(id);
        } else if !self.pause_at_goal(id) && is_idle {
            self.unload(id, true);
        }
    }

    /// Reckons what is left of a torrent, and shows it.
    pub(super) fn reckon(&mut self, id: TorrentId) {
        let Some(Stage::Loaded(loaded) | Stage::Leaving(loaded)) =
            self.entries.get_mut(&id).map(|it| &mut it.stage)
        else {
            return;
        };
        let Some(torrent) = &loaded.torrent else { return };
        loaded.left = missing(torrent, &loaded.priorities);
        let (moved, left) = (loaded.moved(), loaded.left);
        self.show_figures(id, Live::default(), moved, left);
    }

    /// Puts figures on the board, if they have changed.
    fn show_figures(&self, id: TorrentId, live: Live, (uploaded, downloaded): (u64, u64), left: u64) {
        let live = (live != Live::default()).then(|| Box::new(live));
        let is_shown = self.board.with(id, |row| {
            row.live == live
                && (row.uploaded, row.downloaded) == (uploaded, downloaded)
                && row.have == row.size.saturating_sub(left)
        });
        if is_shown == Some(false) {
            self.board.update(id, |row| {
                (row.live, row.uploaded, row.downloaded) = (live, uploaded, downloaded);
                row.have = row.size.saturating_sub(left);
            });
        }
    }

    /// Says that a download waits for room on its disk, for as long as it does.
    fn show_full_disk(&self, id: TorrentId, is_full: bool) {
        let text = is_full.then(|| format!("{}: {FULL_DISK}", self.lies_in(id).display()));
        if self.board.with(id, |row| row.error.as_deref() == text.as_deref()) == Some(false) {
            self.board.update(id, |row| row.error = text.map(Into::into));
        }
    }

    /// Has a note written down, on a thread that may wait for the files to be looked at.
    fn take_note(&mut self, id: TorrentId, note: Note) {
        if let Some(Stage::Loaded(loaded) | Stage::Leaving(loaded)) =
            self.entries.get_mut(&id).map(|it| &mut it.stage)
        {
            loaded.notes += 1;
        }
        let (lanes, recorder) = (Arc::clone(self.engine().lanes()), Arc::clone(&self.recorder));
        let desk = self.desks.of_folder(&self.lies_in(id));
        let have_bytes = self.board.with(id, |row| row.have).unwrap_or_default();
        let work = move || {
            // What is not wanted does not count.
            recorder.record(Progress { have_bytes, ..note.look(&lanes) });
            Ok(())
        };
        chores::spawn(&mut self.tasks, desk, work, move |_| Done::Noted(id));
    }

    /// A note was taken.
    pub(super) fn noted(&mut self, id: TorrentId) {
        if let Some(Stage::Loaded(loaded) | Stage::Leaving(loaded)) =
            self.entries.get_mut(&id).map(|it| &mut it.stage)
        {
            loaded.notes = loaded.notes.saturating_sub(1);
        }
        self.close(id);
    }

    /// Has what was written brought to the disk. A writer that is too far behind is asked again.
    fn sync(&mut self) {
        let is_fetching = |id: &TorrentId| matches!(self.entries.get(id).map(|entry| &entry.stage), Some(Stage::Loaded(it)) if it.is_fetching);
        if !self.lively.iter().any(is_fetching) {
            return;
        }
        let (reply, durable) = tokio::sync::oneshot::channel();
        if self.engine().writer().is_some_and(|writer| writer.sync(move |it| drop(reply.send(it))).is_ok()) {
            self.tasks.spawn(async move { durable.await.map_or(Done::Nothing, Done::Synced) });
        }
    }

    /// All that was wanted of a torrent is here.
    pub(super) fn complete(&mut self, id: TorrentId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.marks.is_complete = true;
        let info_hash = entry.info_hash;
        if let Stage::Loaded(loaded) = &mut entry.stage {
            loaded.is_fetching = false;
        }
        entry.completed_at_s = Some(now_unix_s());
        let change = Change { completed_at_s: Some(entry.completed_at_s), ..Change::default() };
        self.write(id, &change);
        self.engine().trackers().completed(info_hash);
        let name = self.board.with(id, |row| row.name.to_string()).unwrap_or_default();
        tracing::info!(%info_hash, "{name}: complete");
        self.show(id, Shown::Seeding);
        self.board.announce(id, EventKind::Completed);
        self.give_up_place(id);
        match self.move_home(id) {
            // The command is run when it lies where the user wants it.
            true => self.turns.push_back(id),
            false => self.call_hook(id, Occasion::Completed),
        }
    }

    /// Ends the swarm of a torrent; one that is only idle stays as it is when a peer comes meanwhile.
    pub(super) fn unload(&mut self, id: TorrentId, is_only_idle: bool) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let Stage::Loaded(loaded) = std::mem::replace(&mut entry.stage, Stage::Row) else { return };
        if let Some(watch) = &loaded.beginning {
            watch.task.cancel();
        }
        if let Some(stats) = &entry.stats {
            loaded.tell(stats);
        }
        entry.stage = Stage::Leaving(loaded);
        let leave = match entry.step() {
            Step::Offer | Step::Load => Leave::Known,
            _ => Leave::Nothing,
        };
        let info_hash = entry.info_hash;
        if leave == Leave::Nothing {
            self.withdraw(id);
        }
        let engine = self.engine().clone();
        self.tasks.spawn(async move { Done::Left(id, engine.remove(info_hash, leave, is_only_idle).await) });
    }

    /// The swarm of a torrent has ended.
    pub(super) fn left(&mut self, id: TorrentId, unloaded: Result<Unloaded, ServerError>) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let stage = std::mem::replace(&mut entry.stage, Stage::Row);
        let Stage::Leaving(mut loaded) = stage else {
            entry.stage = stage;
            return;
        };
        if matches!(unloaded, Ok(Unloaded::Busy)) {
            entry.stage = Stage::Loaded(loaded);
            return self.advance(id);
        }
        let (moved, left) = (loaded.moved(), loaded.left);
        let tally = loaded.standing.borrow().tally;
        entry.wasted += tally.wasted;
        let change = Change {
            uploaded: Some(moved.0),
            downloaded: Some(moved.1),
            wasted: Some(entry.wasted),
            ..Change::default()
        };
        self.recorder.change(entry.info_hash, change);
        let note = loaded.last_note();
        loaded.has_left = true;
        entry.stage = Stage::Leaving(loaded);
        self.show_figures(id, Live::default(), moved, left);
        if let Some(note) = note {
            // What is done next reads what this writes.
            self.take_note(id, note);
        }
        self.close(id);
    }

    /// Makes a row of a torrent whose swarm has ended, once nothing of it is left to be written down.
    pub(super) fn close(&mut self, id: TorrentId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let is_over = |it: &Loaded| it.has_left && it.notes == 0 && it.beginning.is_none();
        if matches!(&entry.stage, Stage::Leaving(loaded) if is_over(loaded)) {
            entry.stage = Stage::Row;
            self.lively.remove(&id);
            self.advance(id);
        }
    }

    /// Hears what the coordinator has to say.
    pub(super) fn hear(&mut self, notice: Notice) {
        match notice {
            Notice::NeedPeers(info_hash) => self.engine().trackers().want_peers(info_hash),
            Notice::Wanted(info_hash) => {
                if let Some(id) = self.board.id_of(&info_hash) {
                    self.called_for(id);
                }
            }
            Notice::Found { info_hash, addresses, source } => self.found(&info_hash, addresses, source),
            Notice::Announced { info_hash, next_in } => {
                if let Some(id) = self.board.id_of(&info_hash) {
                    let next_in_s = i64::try_from(next_in.as_secs()).unwrap_or(i64::MAX);
                    self.announces.insert(id, now_unix_s().saturating_add(next_in_s));
                }
            }
            Notice::Metadata(info_hash, raw) => {
                if let Some(id) = self.board.id_of(&info_hash) {
                    self.metadata(id, &raw);
                }
            }
            Notice::Verified(info_hash, piece) => {
                if let Some(loaded) = self.loaded_of(&info_hash) {
                    loaded.has_news = true;
                    if let Some(keeper) = &mut loaded.keeper {
                        keeper.verified(piece);
                    }
                }
            }
            Notice::Failed(info_hash, piece) => {
                tracing::warn!(%info_hash, "piece {piece} failed its hash: it is fetched again");
            }
            Notice::Banned { info_hash, address, reason } => {
                self.engine().faults().count(Fault::Peer);
                tracing::warn!(%info_hash, "peer {address} is banned: it {reason}");
            }
            // Known by then: all pieces were told to be verified before.
            Notice::Complete(_) => {}
        }
    }

    fn loaded_of(&mut self, info_hash: &protocol::id::InfoHash) -> Option<&mut Loaded> {
        let id = self.board.id_of(info_hash)?;
        match &mut self.entries.get_mut(&id)?.stage {
            Stage::Loaded(loaded) | Stage::Leaving(loaded) => Some(loaded),
            Stage::Row | Stage::Busy(_) => None,
        }
    }

    /// Takes in what has become of a task.
    pub(super) fn done(&mut self, done: Done) {
        match done {
            Done::Ready(id, chore, result) => self.ready(id, chore, result),
            Done::Begun(id, result) => self.begun(id, result),
            Done::Enrolled(id, swarm, member) => self.enrolled(id, *swarm, member),
            Done::Left(id, unloaded) => self.left(id, unloaded),
            Done::Noted(id) => self.noted(id),
            Done::Relocated(id, result) => self.relocated(id, result),
            Done::Deleted(id, result) => self.deleted(id, result),
            Done::Admitted(id, admitted, reply) => self.admitted(id, admitted, reply),
            Done::Arrived(arrived) => self.arrived(*arrived),
            Done::Synced(durable) => {
                for (info_hash, piece) in durable.pieces {
                    if let Some(keeper) = self.loaded_of(&info_hash).and_then(|loaded| loaded.keeper.as_mut())
                    {
                        keeper.synced([piece]);
                    }
                }
            }
            Done::Nothing => {}
        }
    }
}

impl Loaded {
    /// What is going on; rates are those since the last time.
    fn measure(&mut self, now: Instant) -> Live {
        let standing = *self.standing.borrow();
        let (uploaded, downloaded) = self.moved();
        let millis = now.saturating_duration_since(self.pulse.at).as_millis();
        let millis = u64::try_from(millis).unwrap_or(u64::MAX).max(1);
        let rate = |now: u64, before: u64| now.saturating_sub(before).saturating_mul(1_000) / millis;
        let live = Live {
            upload_rate: rate(uploaded, self.pulse.uploaded),
            download_rate: rate(downloaded, self.pulse.downloaded),
            peers: u32::try_from(standing.peers).unwrap_or(u32::MAX),
            seeds: u32::try_from(standing.seeds).unwrap_or(u32::MAX),
        };
        if downloaded != self.pulse.downloaded {
            self.received_at = now;
        }
        self.pulse = Pulse { at: now, uploaded, downloaded };
        live
    }

    /// Whether nobody has needed the torrent for a while.
    fn is_idle(&mut self, now: Instant) -> bool {
        let standing = *self.standing.borrow();
        if self.is_fetching || standing.peers + standing.dials + standing.candidates > 0 {
            self.idle_since = None;
            return false;
        }
        let since = *self.idle_since.get_or_insert(now);
        now.saturating_duration_since(since) >= IDLE_TIME
    }

    /// Keeps what trackers are told true.
    fn tell(&self, stats: &crate::discovery::Stats) {
        let sent = self.torrent.as_ref().map_or(0, |torrent| torrent.uploaded());
        let received = self.standing.borrow().tally.downloaded;
        let (sent_before, received_before) = self.told_before;
        stats.uploaded.store(sent_before + sent, Ordering::Relaxed);
        stats.downloaded.store(received_before + received, Ordering::Relaxed);
        if self.torrent.is_some() {
            stats.left.store(self.left, Ordering::Relaxed);
        }
    }

    /// What is to be noted at its end. What is wrong with a torrent is not remembered as if it were right.
    pub(super) fn last_note(&mut self) -> Option<Note> {
        let downloaded = self.standing.borrow().tally.downloaded;
        let error = self.torrent.as_ref().and_then(|torrent| torrent.error());
        let is_sound = matches!(error, None | Some(TorrentError::Withdrawn));
        self.keeper.take().filter(|_| downloaded > 0 && is_sound).map(|keeper| keeper.last_note(downloaded))
    }
}
