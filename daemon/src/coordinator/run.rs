//! The loop of the coordinator: what comes in goes to a swarm, and what that decides goes out.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::id::InfoHash;
use protocol::peer::{Order, Parting};
use protocol::swarm::{Command, PeerKey, TICK};
use service::heartbeats::{BEAT_INTERVAL, Pulse};
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;

use crate::bus::throttle::REFILL_INTERVAL;
use crate::bus::{Dial, Mailbox, Report};
use crate::storage::Lookup;

use super::entry::Entry;
use super::waiting::Waiting;
use super::{Instruction, Notice, Parts};

/// Reports, or instructions, that are taken at a time, before orders go out.
const MAX_BATCH: usize = 256;
/// How often standings are published.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(200);

/// A connection that has joined a swarm.
#[derive(Debug)]
pub(super) struct Member {
    info_hash: InfoHash,
    pub(super) mailbox: Arc<Mailbox>,
    /// Where its torrent was removed: dropped with the last of those who belonged to it, which whoever had it removed
    /// waits for.
    pub(super) leaving: Option<Arc<oneshot::Sender<()>>>,
}

/// The coordinator, on its thread.
pub(super) struct Loop {
    pub(super) parts: Parts,
    pub(super) torrents: HashMap<InfoHash, Entry>,
    pub(super) members: HashMap<PeerKey, Member>,
    pub(super) waiting: Waiting,
    /// Torrents to which something has happened since orders last went out.
    pub(super) changed: HashSet<InfoHash>,
    /// Torrents for which time is to pass: those that do not rest.
    pub(super) awake: HashSet<InfoHash>,
    /// Of these, those with limits of rate.
    pub(super) limited: HashSet<InfoHash>,
    /// Torrents that may stand differently from what was last published.
    pub(super) unpublished: HashSet<InfoHash>,
    /// Notices that had no room.
    pub(super) notices: VecDeque<Notice>,
    /// The worker that dials next.
    next_worker: usize,
}

/// Runs until nobody reports and nobody instructs any more.
pub(super) async fn run(parts: Parts, pulse: Pulse) {
    let mut ticks = interval(TICK);
    let mut refills = interval(REFILL_INTERVAL);
    let mut publications = interval(PUBLISH_INTERVAL);
    let mut beats = interval(BEAT_INTERVAL);
    let mut state = Loop {
        parts,
        torrents: HashMap::new(),
        members: HashMap::new(),
        waiting: Waiting::default(),
        changed: HashSet::new(),
        awake: HashSet::new(),
        limited: HashSet::new(),
        unpublished: HashSet::new(),
        notices: VecDeque::new(),
        next_worker: 0,
    };
    let (mut reports, mut instructions) = (Vec::new(), Vec::new());
    let mut has_workers = true;
    loop {
        pulse.beat();
        // No timer runs that nobody needs, but for a beat now and then: with all torrents at rest this thread sleeps.
        let is_limited = state.parts.limits.are_set() || !state.limited.is_empty();
        tokio::select! {
            count = state.parts.reports.recv_many(&mut reports, MAX_BATCH), if has_workers => has_workers = count > 0,
            count = state.parts.instructions.recv_many(&mut instructions, MAX_BATCH) => if count == 0 { return },
            Ok(()) = has_room(&state.parts.notices), if !state.notices.is_empty() => {}
            _ = ticks.tick(), if !state.awake.is_empty() => state.tick(),
            _ = publications.tick(), if !state.unpublished.is_empty() => state.publish(),
            _ = refills.tick(), if is_limited => state.refill(),
            _ = beats.tick() => {}
        }
        let now = Instant::now();
        // All of them before what storage says: a worker tells of a block before storage has it.
        while let Ok(report) = state.parts.reports.try_recv() {
            reports.push(report);
        }
        reports.drain(..).for_each(|report| state.report(report, now));
        for instruction in instructions.drain(..) {
            match instruction {
                Instruction::Stop(ended) => return drop(ended),
                instruction => state.instruct(instruction, now),
            }
        }
        state.give_orders();
    }
}

/// Waits until whoever hears notices takes another.
async fn has_room(notices: &mpsc::Sender<Notice>) -> Result<(), mpsc::error::SendError<()>> {
    notices.reserve().await.map(drop)
}

fn interval(period: Duration) -> tokio::time::Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
    interval
}

impl Loop {
    /// Takes in what a worker has to say.
    fn report(&mut self, report: Report, now: Instant) {
        match report {
            Report::Joined { info_hash, joined, mailbox } => {
                let Some(entry) = self.torrents.get_mut(&info_hash) else {
                    // Removed while the handshakes were under way.
                    mailbox.post(Order::Close(Parting::Stopped));
                    return mailbox.ring();
                };
                mailbox.set_limits(Arc::clone(&entry.limits));
                self.members.insert(joined.key, Member { info_hash, mailbox, leaving: None });
                entry.swarm.joined(joined, now);
                self.changed.insert(info_hash);
            }
            Report::Events { key, events } => {
                let Some((info_hash, entry)) = self.entry_of(key) else { return };
                events.into_iter().for_each(|event| entry.swarm.handle(key, event, now));
                self.changed.insert(info_hash);
            }
            Report::Gone { key, ended } => {
                if let Some((info_hash, entry)) = self.entry_of(key) {
                    entry.swarm.gone(key, ended, now);
                    self.changed.insert(info_hash);
                }
                self.members.remove(&key);
            }
            Report::Wanted { info_hash, mailbox } => match self.parts.registry.find(&info_hash) {
                Lookup::Known => {
                    if self.waiting.add(info_hash, mailbox, now) {
                        self.notices.push_back(Notice::Wanted(info_hash));
                    }
                }
                // It was loaded, or removed, while this was on its way.
                _ => mailbox.ring(),
            },
            Report::NotJoined { info_hash, address, is_ourselves } => {
                if let Some(entry) = self.torrents.get_mut(&info_hash) {
                    entry.swarm.not_joined(address, is_ourselves, now);
                    self.changed.insert(info_hash);
                }
            }
        }
    }

    /// The torrent of a connection, while it belongs to one.
    fn entry_of(&mut self, key: PeerKey) -> Option<(InfoHash, &mut Entry)> {
        let info_hash = self.members.get(&key).filter(|member| member.leaving.is_none())?.info_hash;
        self.torrents.get_mut(&info_hash).map(|entry| (info_hash, entry))
    }

    /// Carries out what the swarms have decided, and wakes each connection once.
    fn give_orders(&mut self) {
        let mut to_ring: HashMap<PeerKey, Arc<Mailbox>> = HashMap::new();
        let changed = std::mem::take(&mut self.changed);
        for info_hash in changed.iter().copied() {
            let Some(entry) = self.torrents.get_mut(&info_hash) else { continue };
            while let Some(command) = entry.swarm.poll_command() {
                match command {
                    Command::Tell(key, order) => {
                        let Some(member) = self.members.get(&key) else { continue };
                        member.mailbox.post(order);
                        to_ring.entry(key).or_insert_with(|| Arc::clone(&member.mailbox));
                    }
                    Command::Dial(address) => {
                        self.next_worker = (self.next_worker + 1) % self.parts.dials.len();
                        let dial = Dial { info_hash, address };
                        if self.parts.dials[self.next_worker].try_send(dial).is_err() {
                            entry.swarm.not_joined(address, false, Instant::now());
                        }
                    }
                    Command::NeedPeers => self.notices.push_back(Notice::NeedPeers(info_hash)),
                    Command::Metadata(info) => self.notices.push_back(Notice::Metadata(info_hash, info)),
                    Command::Complete => self.notices.push_back(Notice::Complete(info_hash)),
                    Command::Banned { address, reason } => {
                        self.notices.push_back(Notice::Banned { info_hash, address, reason });
                    }
                }
            }
        }
        to_ring.values().for_each(|mailbox| mailbox.ring());
        changed.iter().for_each(|info_hash| self.set_awake(*info_hash));
        if !self.notices.is_empty() {
            // Whoever hears of something finds the standing that goes with it.
            changed.iter().filter_map(|it| self.torrents.get(it)).for_each(Entry::publish);
        }
        self.send_notices();
    }

    /// Sends as many notices as there is room for; the rest goes with the next.
    fn send_notices(&mut self) {
        while let Some(notice) = self.notices.pop_front() {
            if let Err(mpsc::error::TrySendError::Full(notice)) = self.parts.notices.try_send(notice) {
                return self.notices.push_front(notice);
            }
        }
    }

    /// Notes what time is to do to a torrent that something has happened to.
    fn set_awake(&mut self, info_hash: InfoHash) {
        let Some(entry) = self.torrents.get(&info_hash) else { return };
        let is_awake = !entry.swarm.is_resting();
        set(&mut self.awake, info_hash, is_awake);
        set(&mut self.limited, info_hash, is_awake && entry.limits.are_set());
        self.unpublished.insert(info_hash);
    }

    fn tick(&mut self) {
        let now = Instant::now();
        for info_hash in &self.awake {
            self.torrents.get_mut(info_hash).into_iter().for_each(|entry| entry.swarm.tick(now));
        }
        self.changed.extend(&self.awake);
    }

    fn publish(&mut self) {
        let unpublished = std::mem::take(&mut self.unpublished);
        unpublished.iter().filter_map(|it| self.torrents.get(it)).for_each(Entry::publish);
    }

    fn refill(&mut self) {
        let now = Instant::now();
        self.parts.limits.refill(now);
        let limited = self.limited.iter().filter_map(|it| self.torrents.get(it));
        limited.for_each(|entry| entry.limits.refill(now));
    }
}

fn set(torrents: &mut HashSet<InfoHash>, info_hash: InfoHash, is_in: bool) {
    if is_in {
        torrents.insert(info_hash);
    } else {
        torrents.remove(&info_hash);
    }
}
