//! The one task that owns the catalog: it hears requests, notices, and what became of chores, and takes each torrent
//! one step further.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::control::{EventKind, State as Shown};
use protocol::swarm::candidates::Source;
use service::heartbeats::{BEAT_INTERVAL, Pulse};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::MissedTickBehavior;

use crate::bus::board::now_unix_s;
use crate::bus::{Board, Fault, Request, Requests, TorrentId};
use crate::engine::{Company, Engine, Notices, Server};
use crate::storage::state::{Change, Recorder, State};

use super::chores::Done;
use super::desks::Desks;
use super::entry::{Entry, Stage, Step};
use super::hooks::Runner;
use super::interned::Interned;
use super::queue::Queue;
use super::{Instruction, Parts, Settings};

/// How often torrents that are doing something are looked at.
const TICK: Duration = Duration::from_secs(1);
/// How often all are: whether they have been seeded long enough; and what has gathered is written down.
const ROUND_INTERVAL: Duration = Duration::from_secs(60);

/// The catalog, on its thread.
pub(super) struct Actor {
    pub(super) engine: Engine,
    /// What is to be stopped at the end.
    pub(super) server: Option<Server>,
    pub(super) board: Arc<Board>,
    pub(super) state: State,
    pub(super) recorder: Arc<Recorder>,
    pub(super) settings: Settings,
    pub(super) entries: BTreeMap<TorrentId, Entry>,
    pub(super) interned: Interned,
    pub(super) queue: Queue,
    /// Torrents that are more than rows: they are looked at every second.
    pub(super) lively: BTreeSet<TorrentId>,
    /// Chores under way.
    pub(super) tasks: JoinSet<Done>,
    pub(super) desks: Desks,
    pub(super) hooks: Runner,
    pub(super) synced_at: Instant,
    /// How often all torrents have been looked at.
    pub(super) rounds: u64,
    /// Told when a client wants the daemon to end.
    pub(super) on_shutdown: mpsc::Sender<()>,
    /// Shows that the thread moves.
    pub(super) pulse: Pulse,
    /// The way to this catalog, for its own parts.
    pub(super) requests: Requests,
    pub(super) watch_folder: Option<AbortHandle>,
    /// Peers of torrents that are being loaded.
    pub(super) found: BTreeMap<TorrentId, Vec<(Vec<SocketAddr>, Source)>>,
    /// When torrents are to be announced next, as far as that is not in the state yet.
    pub(super) announces: BTreeMap<TorrentId, i64>,
    /// Torrents that are to be taken further, once what is being done is done.
    pub(super) turns: VecDeque<TorrentId>,
}

impl Actor {
    /// Takes up what the state has.
    pub(super) fn new(parts: Parts) -> (Self, mpsc::Receiver<Request>, Notices) {
        let Parts { server, notices, board, requests, inbox, state, recorder, settings, on_shutdown, pulse } =
            parts;
        let queue = Queue::new(settings.max_active);
        let engine = server.engine().clone();
        let hooks = Runner::new(Arc::clone(engine.faults()));
        let actor = Self {
            engine,
            server: Some(server),
            board,
            state,
            recorder: Arc::new(recorder),
            settings,
            entries: BTreeMap::new(),
            interned: Interned::default(),
            queue,
            lively: BTreeSet::new(),
            tasks: JoinSet::new(),
            desks: Desks::default(),
            hooks,
            synced_at: Instant::now(),
            rounds: 0,
            on_shutdown,
            pulse,
            requests,
            watch_folder: None,
            found: BTreeMap::new(),
            announces: BTreeMap::new(),
            turns: VecDeque::new(),
        };
        (actor, inbox, notices)
    }

    /// Runs until it is told to stop; then gives back what is to be ended.
    pub(super) async fn run(
        mut self,
        mut requests: mpsc::Receiver<Request>,
        notices: &mut Notices,
        mut instructions: mpsc::UnboundedReceiver<Instruction>,
    ) -> Self {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut rounds = tokio::time::interval(ROUND_INTERVAL);
        rounds.reset();
        let mut beats = tokio::time::interval(BEAT_INTERVAL);
        loop {
            self.pulse.beat();
            tokio::select! {
                instruction = instructions.recv() => match instruction {
                    Some(Instruction::Reload(settings)) => self.reload(*settings),
                    Some(Instruction::Stop) | None => return self,
                },
                Some(notice) = notices.recv() => self.hear(notice),
                Some(done) = self.tasks.join_next(), if !self.tasks.is_empty() => match done {
                    Ok(done) => self.done(done),
                    Err(error) => tracing::error!("a chore has ended by a mistake of ours: {error}"),
                },
                Some(request) = requests.recv() => self.request(request),
                _ = beats.tick() => {
                    if self.server.as_ref().is_some_and(Server::has_lost_a_thread) {
                        tracing::error!("a thread has ended on its own");
                        return self;
                    }
                }
                _ = ticks.tick(), if !self.lively.is_empty() => self.tick(Instant::now()),
                _ = rounds.tick() => self.go_round(),
            }
            self.take_turns();
        }
    }

    /// What runs torrents.
    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Whether nothing is begun any more: what is under way is awaited, and written down.
    pub(super) fn is_ending(&self) -> bool {
        self.server.is_none()
    }

    /// Takes a torrent one step further, as far as nothing is being done to it.
    pub(super) fn advance(&mut self, id: TorrentId) {
        if self.is_ending() {
            return;
        }
        let Some(entry) = self.entries.get(&id) else { return };
        match &entry.stage {
            Stage::Row => self.take_step(id),
            Stage::Busy(busy) if entry.is_obsolete(busy.chore) => busy.watch.task.cancel(),
            Stage::Loaded(_) if entry.must_leave() => self.unload(id, false),
            Stage::Busy(_) | Stage::Loaded(_) | Stage::Leaving(_) => {}
        }
    }

    fn take_step(&mut self, id: TorrentId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if let Some(wish) = &mut entry.wish {
            wish.is_restart = false;
            entry.tidy();
        }
        match entry.step() {
            Step::Delete => self.delete(id),
            Step::Relocate => self.relocate(id),
            Step::Verify => self.verify(id),
            Step::Rest => self.rest(id),
            Step::AwaitMetadata => self.await_metadata(id),
            Step::Fetch if self.queue.enter(id) => self.fetch(id),
            Step::Fetch => {
                self.withdraw(id);
                self.show(id, Shown::Queued);
            }
            Step::GoHome => {
                self.move_home(id);
                self.relocate(id);
            }
            Step::Look => self.look(id),
            Step::Load => self.load(id),
            Step::Offer => {
                self.give_up_place(id);
                self.offer(id);
                self.show(id, Shown::Seeding);
            }
        }
    }

    /// Nothing is to be done with a torrent, and no peer is let in.
    fn rest(&mut self, id: TorrentId) {
        self.withdraw(id);
        self.give_up_place(id);
        let is_paused = self.entries.get(&id).is_some_and(|entry| entry.marks.is_paused);
        self.show(id, if is_paused { Shown::Paused } else { Shown::Error });
    }

    /// Gives up a place in the queue; whoever has its turn begins.
    pub(super) fn give_up_place(&mut self, id: TorrentId) {
        self.turns.extend(self.queue.leave(id));
    }

    /// Takes those further whose turn has come. Not from within what gave it to them: there may be thousands.
    pub(super) fn take_turns(&mut self) {
        while let Some(id) = self.turns.pop_front().or_else(|| self.desks.next()) {
            self.advance(id);
        }
    }

    /// Shows what a torrent is doing, and counts how long it is seeded.
    pub(super) fn show(&mut self, id: TorrentId, state: Shown) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let is_to_be_checked = entry.wish.as_ref().is_some_and(|wish| wish.is_verification);
        let state = if is_to_be_checked { Shown::Checking } else { state };
        let now_s = now_unix_s();
        if state == Shown::Seeding {
            entry.seeding_since_s.get_or_insert(now_s);
        } else if entry.seeding_since_s.is_some() {
            entry.seeded_s = entry.seeded_s(now_s);
            entry.seeding_since_s = None;
            let change = Change { seeded_s: Some(entry.seeded_s), ..Change::default() };
            self.recorder.change(entry.info_hash, change);
        }
        let is_shown =
            self.board.with(id, |row| row.state == state && (state == Shown::Error || row.error.is_none()));
        if is_shown == Some(false) {
            self.board.update(id, |row| {
                row.state = state;
                row.checked = 0.0;
                if state != Shown::Error {
                    row.error = None;
                }
            });
        }
    }

    /// Something is wrong with a torrent: it stops, and says so, until the user has it tried again.
    pub(super) fn fail(&mut self, id: TorrentId, error: String) {
        if self.is_ending() {
            // What ends cuts much short. What is really wrong is found again.
            return tracing::warn!("{error}");
        }
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if entry.marks.is_failed {
            return;
        }
        entry.marks.is_failed = true;
        self.engine.faults().count(Fault::Torrent);
        let name = self.board.with(id, |row| row.name.to_string()).unwrap_or_default();
        tracing::error!(info_hash = %entry.info_hash, "{name}: {error}");
        self.remember_error(id, Some(&error));
        self.board.update(id, |row| {
            row.error = Some(error.into());
            row.state = Shown::Error;
            row.live = None;
        });
        self.call_hook(id, super::hooks::Occasion::Failed);
        self.advance(id);
    }

    /// Runs the user's command for what happened.
    pub(super) fn call_hook(&self, id: TorrentId, occasion: super::hooks::Occasion) {
        if let Some(torrent) = self.board.with(id, |row| row.to_torrent()) {
            self.hooks.run(&self.settings.hooks, occasion, torrent);
        }
    }

    /// The folder that a torrent lies in.
    pub(super) fn dir(&self, id: TorrentId) -> PathBuf {
        self.board.with(id, |row| PathBuf::from(&*row.dir)).unwrap_or_default()
    }

    /// Has all swarms that run behave as is chosen now.
    fn set_swarms(&mut self) {
        for id in self.lively.iter().copied().collect::<Vec<_>>() {
            self.set_company(id);
        }
    }

    /// Has the swarm of a torrent behave as is chosen now, if it runs. One that is about to run was asked for earlier, and
    /// so hears of this later.
    pub(super) fn set_company(&mut self, id: TorrentId) {
        let Some(entry) = self.entries.get(&id).filter(|it| !matches!(it.stage, Stage::Row)) else { return };
        let (engine, info_hash) = (self.engine.clone(), entry.info_hash);
        let Company { settings, limits, .. } = self.company(id);
        self.tasks.spawn(async move {
            // Each fails only when everything ends.
            let _ = engine.set(info_hash, settings).await;
            let _ = engine.limit(Some(info_hash), limits).await;
            Done::Nothing
        });
    }

    /// Takes over what may be changed while btd runs.
    fn reload(&mut self, settings: Settings) {
        let (engine, limits) = (self.engine().clone(), settings.limits);
        self.tasks.spawn(async move {
            // Fails only when everything ends.
            let _ = engine.limit(None, limits).await;
            Done::Nothing
        });
        let next = self.queue.set_max_active(settings.max_active);
        self.settings = settings;
        if let Err(error) = self.watch_folder() {
            tracing::error!("{error}");
        }
        self.turns.extend(next);
        // Goals may be lower now, and swarms may have to behave otherwise.
        self.check_goals();
        self.set_swarms();
        self.board.announce_to_all(EventKind::Changed);
    }
}
