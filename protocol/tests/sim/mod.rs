//! A world of peers on a clock of its own: shipped swarms and machines, made-up lines, disks and trackers.
//!
//! Everything that happens has a time and a number, and happens in that order; all chance comes from one seed. So a
//! run can be had again, and [`World::trace`] tells whether it is the same.

mod bytes;
mod connection;
mod copies;
mod disk;
mod node;
pub(crate) mod random;
mod torrent;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::bitfield::HaveBits;
use protocol::meta::Info;
use protocol::peer::{Event, Input, Order, TorrentView};
use protocol::swarm::candidates::{Ended, MAX_CANDIDATES, Source};
use protocol::swarm::{Command, Joined, PeerKey, TICK};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use connection::{Connection, End};
use copies::Copies;
use disk::Hashed;
pub(crate) use node::{Kind, Node, Plan};
pub(crate) use torrent::Torrent;

/// Addresses in one answer of the tracker.
const MAX_TRACKED: usize = 50;
/// How long a host that is not there keeps one waiting.
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);

/// What the lines are like.
#[derive(Debug, Clone)]
pub(crate) struct Net {
    /// Bytes that a socket takes beyond what is on its way.
    pub(crate) send_buffer: usize,
    /// Bytes of one stream that may be on their way.
    pub(crate) window: usize,
    /// Bytes that go over a line at a time.
    pub(crate) packet: usize,
    /// The share of packets that are lost and sent again.
    pub(crate) loss: f64,
    /// How long a connection lasts, on average.
    pub(crate) mean_life: Option<Duration>,
    /// The share of dials that fail.
    pub(crate) dial_failures: f64,
    /// Most bytes in a read; reads are of random sizes up to it.
    pub(crate) max_read: Option<usize>,
    /// How long a word takes between a connection and its swarm.
    pub(crate) bus: Duration,
}

impl Default for Net {
    fn default() -> Self {
        Self {
            send_buffer: 16 * 1024,
            window: 256 * 1024,
            packet: 4 * 1024,
            loss: 0.0,
            mean_life: None,
            dial_failures: 0.0,
            max_read: None,
            bus: Duration::from_micros(200),
        }
    }
}

impl Net {
    fn draw_read(&self, rng: &mut SmallRng) -> usize {
        self.max_read.map_or(usize::MAX, |most| rng.random_range(1..=most))
    }
}

/// Something that happens at a time.
#[derive(Debug)]
enum Happening {
    Joins(usize),
    Leaves(usize),
    Tick(usize),
    Connected(usize, usize),
    /// A node's swarm hears something.
    Told(usize, Report),
    Ordered(End, Order),
    LineFree(usize),
    Arrived(End, Vec<u8>),
    Acknowledged(End, usize),
    /// The other end has closed.
    Ended(End),
    Cut(usize),
    Garbage(End),
}

/// What a swarm hears.
#[derive(Debug)]
enum Report {
    Joined(Joined),
    Event(PeerKey, Event),
    Gone(PeerKey, Ended),
    NotJoined(SocketAddr, bool),
    Hashed(Hashed),
    Found(Vec<SocketAddr>),
}

/// The world.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: Duration,
    start: Instant,
    happenings: BTreeMap<(Duration, u64), Happening>,
    count: u64,
    pub(crate) torrent: Arc<Torrent>,
    pub(crate) nodes: Vec<Node>,
    connections: Vec<Option<Connection>>,
    /// What left the seeds.
    pub(crate) copies: Copies,
    net: Net,
    rng: SmallRng,
    /// Stands for all that has happened.
    pub(crate) trace: u64,
}

impl World {
    /// A world in which `plans` are about to join.
    pub(crate) fn new(seed: u64, torrent: Torrent, net: Net, plans: Vec<Plan>) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let torrent = Arc::new(torrent);
        let nodes = plans.into_iter().enumerate();
        let nodes = nodes.map(|(index, plan)| Node::new(index, plan, &torrent, rng.random())).collect();
        let mut world = Self {
            now: Duration::ZERO,
            start: Instant::now(),
            happenings: BTreeMap::new(),
            count: 0,
            copies: Copies::new(&torrent),
            torrent,
            nodes,
            connections: Vec::new(),
            net,
            rng,
            trace: 0,
        };
        for index in 0..world.nodes.len() {
            let plan = &world.nodes[index].plan;
            let (joins_at, leaves_at) = (plan.joins_at, plan.leaves_at);
            world.at(joins_at, Happening::Joins(index));
            leaves_at.into_iter().for_each(|at| world.at(at, Happening::Leaves(index)));
        }
        world
    }

    /// Lets things happen until `is_over`, but not beyond `limit`; whether it was over by then.
    pub(crate) fn run(&mut self, limit: Duration, is_over: impl Fn(&Self) -> bool) -> bool {
        while !is_over(self) {
            let Some(((time, _), happening)) = self.happenings.pop_first() else { return false };
            if time > limit {
                return false;
            }
            self.now = time;
            self.note(&happening);
            self.happen(happening);
        }
        true
    }

    /// Whether everybody has everything who is to have it.
    pub(crate) fn is_complete(&self) -> bool {
        self.nodes.iter().filter(|node| node.must_complete()).all(|node| node.completed_at.is_some())
    }

    fn instant(&self) -> Instant {
        self.start + self.now
    }

    fn at(&mut self, time: Duration, happening: Happening) {
        self.count += 1;
        self.happenings.insert((time, self.count), happening);
    }

    fn after(&mut self, delay: Duration, happening: Happening) {
        self.at(self.now + delay, happening);
    }

    /// Takes a happening into the trace (FNV-1a).
    fn note(&mut self, happening: &Happening) {
        let (what, which, size) = match happening {
            Happening::Joins(node) => (1, *node, 0),
            Happening::Leaves(node) => (2, *node, 0),
            Happening::Tick(node) => (3, *node, 0),
            Happening::Connected(from, to) => (4, *from, *to),
            Happening::Told(node, _) => (5, *node, 0),
            Happening::Ordered(end, _) => (6, end.connection, end.side),
            Happening::LineFree(node) => (7, *node, 0),
            Happening::Arrived(end, bytes) => (8, end.connection, bytes.len()),
            Happening::Acknowledged(end, length) => (9, end.connection, *length),
            Happening::Ended(end) => (10, end.connection, end.side),
            Happening::Cut(connection) => (11, *connection, 0),
            Happening::Garbage(end) => (12, end.connection, end.side),
        };
        let time = u64::try_from(self.now.as_nanos()).unwrap();
        for word in [time, what, u64::try_from(which).unwrap(), u64::try_from(size).unwrap()] {
            self.trace = (self.trace ^ word).wrapping_mul(0x100_0000_01b3).rotate_left(29);
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Joins(node) => {
                self.nodes[node].is_online = true;
                self.tick(node);
            }
            Happening::Leaves(node) => self.leave(node),
            Happening::Tick(node) => self.tick(node),
            Happening::Connected(from, to) => self.connected(from, to),
            Happening::Told(node, report) => self.tell(node, report),
            Happening::Ordered(end, order) => {
                if self.feed(end, Input::Order(order)) {
                    self.pump(end);
                }
            }
            Happening::LineFree(node) => {
                self.nodes[node].is_sending = false;
                self.transmit(node);
            }
            Happening::Arrived(end, bytes) => self.arrive(end, bytes),
            Happening::Acknowledged(end, length) => self.acknowledge(end, length),
            Happening::Ended(end) => self.close(end, Ended::Normal, false),
            Happening::Cut(connection) => self.cut(connection),
            Happening::Garbage(end) => self.send_garbage(end),
        }
    }

    fn leave(&mut self, node: usize) {
        self.nodes[node].is_online = false;
        let ends: Vec<End> = self.nodes[node].ends.values().copied().collect();
        ends.into_iter().for_each(|end| self.close(end, Ended::Normal, false));
    }

    fn tick(&mut self, node: usize) {
        if !self.nodes[node].is_online {
            return;
        }
        let ends: Vec<End> = self.nodes[node].ends.values().copied().collect();
        for end in ends {
            if self.feed(end, Input::Tick) {
                self.pump(end);
            }
        }
        let now = self.instant();
        self.nodes[node].swarm.tick(now);
        self.obey(node);
        self.after(TICK, Happening::Tick(node));
    }

    fn connected(&mut self, from: usize, to: usize) {
        let is_there = self.nodes[to].is_online && self.nodes[to].plan.is_reachable;
        let is_up = is_there && !self.rng.random_bool(self.net.dial_failures);
        if self.nodes[from].is_online && is_up {
            self.connect(from, to);
        } else {
            let address = self.nodes[to].address;
            self.after(DIAL_TIMEOUT, Happening::Told(from, Report::NotJoined(address, false)));
        }
    }

    /// Tells the swarm of `node` something.
    fn tell(&mut self, node: usize, report: Report) {
        let now = self.instant();
        if !self.nodes[node].is_online {
            return;
        }
        let swarm = &mut self.nodes[node].swarm;
        match report {
            Report::Joined(joined) => swarm.joined(joined, now),
            Report::Event(key, event) => swarm.handle(key, event, now),
            Report::Gone(key, ended) => swarm.gone(key, ended, now),
            Report::NotJoined(address, is_ourselves) => swarm.not_joined(address, is_ourselves, now),
            Report::Hashed(Hashed { piece, is_good: true, digests }) => swarm.verified(piece, &digests),
            Report::Hashed(Hashed { piece, is_good: false, digests }) => swarm.failed(piece, digests),
            Report::Found(addresses) => swarm.found(addresses, Source::Tracker, now),
        }
        assert!(swarm.candidate_count() <= MAX_CANDIDATES, "too many candidates");
        self.obey(node);
    }

    /// Does what the swarm of `node` wants.
    fn obey(&mut self, node: usize) {
        while let Some(command) = self.nodes[node].swarm.poll_command() {
            match command {
                Command::Tell(key, order) => {
                    if let Some(end) = self.nodes[node].ends.get(&key).copied() {
                        self.after(self.net.bus, Happening::Ordered(end, order));
                    }
                }
                Command::Dial(address) => {
                    let to = node::index_of(address);
                    let delay = self.nodes[node].plan.latency + self.nodes[to].plan.latency;
                    self.after(2 * delay, Happening::Connected(node, to));
                }
                Command::NeedPeers => self.announce(node),
                Command::Metadata(raw) => self.begin(node, raw),
                Command::Complete => {
                    assert_eq!(self.nodes[node].have_count(), self.torrent.piece_count());
                    self.nodes[node].completed_at = Some(self.now);
                    let stays = self.nodes[node].plan.stays;
                    stays.into_iter().for_each(|stays| self.after(stays, Happening::Leaves(node)));
                }
                Command::Banned { address, reason } => {
                    let banned = node::index_of(address);
                    let is_wronged = self.nodes[node].plan.is_honest() && self.nodes[banned].plan.is_honest();
                    assert!(!is_wronged, "{node} bans {banned}, who is honest: {reason}");
                    self.nodes[node].banned.push(banned);
                }
            }
        }
    }

    /// The tracker names some of those that are there, the asker maybe among them.
    fn announce(&mut self, node: usize) {
        let mut addresses: Vec<SocketAddr> =
            self.nodes.iter().filter(|it| it.is_online).map(|it| it.address).collect();
        while addresses.len() > MAX_TRACKED {
            let place = self.rng.random_range(0..addresses.len());
            addresses.swap_remove(place);
        }
        let delay = Duration::from_millis(self.rng.random_range(50..500));
        self.after(delay, Happening::Told(node, Report::Found(addresses)));
    }

    /// The metadata is there.
    fn begin(&mut self, node: usize, raw: Vec<u8>) {
        let info = Info::parse(raw.into()).unwrap();
        assert_eq!(info.info_hash(), self.torrent.info.info_hash(), "metadata is what the info-hash says");
        let have = HaveBits::new(self.torrent.piece_count());
        let view = TorrentView { info: Arc::new(info), have: Arc::new(have) };
        self.nodes[node].view = Some(view.clone());
        self.nodes[node].swarm.begin(view, &[]);
    }

    /// Where everybody stands, for who looks into a failure.
    pub(crate) fn describe(&self) -> String {
        let line = |(index, node): (usize, &Node)| {
            let (kind, has, links) = (node.plan.kind, node.have_count(), node.ends.len());
            let is_online = node.is_online;
            format!("{index}: {kind:?} has {has}, {links} connections, online {is_online}\n")
        };
        let lines: String = self.nodes.iter().enumerate().map(line).collect();
        format!("at {:.1} s, of {} pieces:\n{lines}", self.now.as_secs_f64(), self.torrent.piece_count())
    }
}
