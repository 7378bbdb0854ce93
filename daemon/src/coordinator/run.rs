//! The loop of the coordinator: what comes in goes to a swarm, and what that decides goes out.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::id::InfoHash;
use protocol::swarm::{Command, PeerKey, TICK};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::bus::throttle::REFILL_INTERVAL;
use crate::bus::{Dial, Limits, Mailbox, Report};

use super::entry::Entry;
use super::{Addition, Beginning, Instruction, Notice, Parts};

/// Reports, or instructions, that are taken at a time, before orders go out.
const MAX_BATCH: usize = 256;
/// How often standings are published.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(200);

/// A connection that has joined a swarm.
#[derive(Debug)]
struct Member {
    info_hash: InfoHash,
    mailbox: Arc<Mailbox>,
}

/// The coordinator, on its thread.
struct Loop {
    parts: Parts,
    torrents: HashMap<InfoHash, Entry>,
    members: HashMap<PeerKey, Member>,
    /// Torrents to which something has happened since orders last went out.
    changed: HashSet<InfoHash>,
    /// Notices that had no room.
    notices: VecDeque<Notice>,
    /// The worker that dials next.
    next_worker: usize,
}

/// Runs until nobody reports and nobody instructs any more.
pub(super) async fn run(parts: Parts) {
    let mut ticks = interval(TICK);
    let mut refills = interval(REFILL_INTERVAL);
    let mut publications = interval(PUBLISH_INTERVAL);
    let mut state = Loop {
        parts,
        torrents: HashMap::new(),
        members: HashMap::new(),
        changed: HashSet::new(),
        notices: VecDeque::new(),
        next_worker: 0,
    };
    let (mut reports, mut instructions) = (Vec::new(), Vec::new());
    let mut has_workers = true;
    loop {
        let is_limited = state.is_limited();
        let has_torrents = !state.torrents.is_empty();
        tokio::select! {
            count = state.parts.reports.recv_many(&mut reports, MAX_BATCH), if has_workers => has_workers = count > 0,
            count = state.parts.instructions.recv_many(&mut instructions, MAX_BATCH) => if count == 0 { return },
            _ = ticks.tick(), if has_torrents => state.tick(),
            _ = publications.tick(), if has_torrents => state.publish(),
            _ = refills.tick(), if is_limited => state.refill(),
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
                let Some(entry) = self.torrents.get_mut(&info_hash) else { return };
                mailbox.set_limits(Arc::clone(&entry.limits));
                self.members.insert(joined.key, Member { info_hash, mailbox });
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
            Report::NotJoined { info_hash, address, is_ourselves } => {
                if let Some(entry) = self.torrents.get_mut(&info_hash) {
                    entry.swarm.not_joined(address, is_ourselves, now);
                    self.changed.insert(info_hash);
                }
            }
        }
    }

    /// The torrent of a connection.
    fn entry_of(&mut self, key: PeerKey) -> Option<(InfoHash, &mut Entry)> {
        let info_hash = self.members.get(&key)?.info_hash;
        self.torrents.get_mut(&info_hash).map(|entry| (info_hash, entry))
    }

    /// Takes in what others have to say.
    fn instruct(&mut self, instruction: Instruction, now: Instant) {
        let info_hash = match instruction {
            Instruction::Add(addition) => {
                let info_hash = addition.info_hash;
                self.add(addition);
                info_hash
            }
            Instruction::Begin(beginning) => {
                let info_hash = beginning.torrent.info_hash();
                self.begin(&beginning);
                info_hash
            }
            Instruction::Found { info_hash, addresses, source } => {
                let Some(entry) = self.torrents.get_mut(&info_hash) else { return };
                entry.swarm.found(addresses, source, now);
                info_hash
            }
            Instruction::Stored(info_hash, report) => {
                let Some(entry) = self.torrents.get_mut(&info_hash) else { return };
                self.notices.extend(entry.stored(info_hash, report));
                info_hash
            }
            // Ends the loop before it comes to this.
            Instruction::Stop(_) => return,
        };
        self.changed.insert(info_hash);
    }

    /// Adds a torrent, and then has peers that come for it let in.
    fn add(&mut self, mut addition: Addition) {
        let (info_hash, is_added) = (addition.info_hash, addition.is_added.clone());
        let is_new = !self.torrents.contains_key(&info_hash);
        if is_new {
            let beginning = addition.beginning.take();
            self.torrents.insert(info_hash, Entry::new(self.parts.our_id, addition));
            match beginning {
                Some(beginning) => self.begin(&beginning),
                None => self.parts.registry.add_awaited(info_hash),
            }
        }
        // Whoever asked may have gone.
        let _ = is_added.try_send(is_new);
    }

    /// Lets peers in who come for a torrent, and has it fetched.
    fn begin(&mut self, beginning: &Beginning) {
        let Some(entry) = self.torrents.get_mut(&beginning.torrent.info_hash()) else { return };
        // Connections look it up when they are told to begin.
        self.parts.registry.add(Arc::clone(&beginning.torrent));
        entry.begin(beginning);
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

    fn tick(&mut self) {
        let now = Instant::now();
        self.torrents.values_mut().for_each(|entry| entry.swarm.tick(now));
        self.changed.extend(self.torrents.keys());
    }

    fn publish(&mut self) {
        self.torrents.values().for_each(Entry::publish);
    }

    fn is_limited(&self) -> bool {
        self.limits().any(|limits| [&limits.upload, &limits.download].iter().any(|it| it.turn().is_some()))
    }

    fn refill(&mut self) {
        let now = Instant::now();
        for limits in self.limits() {
            limits.upload.refill(now);
            limits.download.refill(now);
        }
    }

    /// The limits of all torrents, and of each.
    fn limits(&self) -> impl Iterator<Item = &Arc<Limits>> {
        std::iter::once(&self.parts.limits).chain(self.torrents.values().map(|entry| &entry.limits))
    }
}
