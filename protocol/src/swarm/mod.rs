//! One torrent among its peers: what to ask of whom, who may ask us, whom to dial.
//!
//! A [`Swarm`] decides and never acts. Connections tell it their [`Event`]s, storage what became of pieces, trackers
//! what peers there are; its [`Command`]s say what is to be done. Time comes with each call and randomness from one
//! seed, so that a whole swarm of swarms runs in a test.

pub mod candidates;
pub mod choker;
pub mod metadata;
pub mod picker;
pub mod suspects;

mod choking;
mod commands;
mod fetching;
mod joining;
mod learning;
mod peer;
mod settings;
#[cfg(test)]
mod tests;
mod wishes;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::SmallRng;

use crate::bitfield::HaveBits;
use crate::id::{InfoHash, PeerId};
use crate::peer::{Event, Order, TorrentView};
use crate::piece_set::PieceSet;

use candidates::Candidates;
use choker::Choker;
use metadata::MetadataFetch;
use picker::{Picker, Priority};
use suspects::Suspects;

pub use commands::Command;
pub use joining::Joined;
pub use peer::Peer;
use peer::Pieces;
pub use settings::Settings;

/// How often time is to be let pass: what has no event of its own is looked at then.
pub const TICK: Duration = Duration::from_secs(1);
/// Addresses of connections that are remembered after their end: storage may blame one of them later.
const MAX_REMEMBERED: usize = 4_096;

/// Names a connection inside the process. The swarm only compares and returns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerKey(pub u64);

/// What a swarm has counted so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Bytes of blocks that were asked for and new.
    pub downloaded: u64,
    /// Bytes of blocks that came twice, or were in pieces that failed their hash.
    pub wasted: u64,
    /// Pieces that failed their hash.
    pub failed_pieces: u64,
}

/// A torrent among its peers.
#[derive(Debug)]
pub struct Swarm {
    our_id: PeerId,
    settings: Settings,
    /// What the torrent is, once its metadata is here.
    torrent: Option<TorrentView>,
    /// While something is missing that is wanted.
    picker: Option<Picker>,
    /// While the metadata is missing.
    metadata: Option<MetadataFetch>,
    choker: Choker,
    suspects: Suspects,
    candidates: Candidates,
    peers: BTreeMap<PeerKey, Peer>,
    ids: BTreeMap<PeerId, PeerKey>,
    /// Addresses that are being dialled.
    dialling: BTreeSet<SocketAddr>,
    /// Where connections led, the latest of them, also of those that have ended.
    remembered: BTreeMap<PeerKey, SocketAddr>,
    /// How many pieces we had when the torrent began.
    had_at_first: u32,
    /// The pieces that were verified since, in order.
    verified: Vec<u32>,
    /// Peers that could be asked for more than there was to ask for.
    hungry: BTreeSet<PeerKey>,
    /// Whether blocks have become free that hungry peers may have.
    has_freed: bool,
    is_paused: bool,
    needed_peers_at: Option<Instant>,
    tally: Tally,
    commands: VecDeque<Command>,
    rng: SmallRng,
}

impl Swarm {
    /// A torrent of which nothing is known but its info-hash. `seed` is all its randomness.
    pub fn new(info_hash: InfoHash, our_id: PeerId, settings: Settings, seed: u64) -> Self {
        Self {
            our_id,
            settings,
            torrent: None,
            picker: None,
            metadata: Some(MetadataFetch::new(info_hash)),
            choker: Choker::new(),
            suspects: Suspects::new(),
            candidates: Candidates::new(),
            peers: BTreeMap::new(),
            ids: BTreeMap::new(),
            dialling: BTreeSet::new(),
            remembered: BTreeMap::new(),
            had_at_first: 0,
            verified: Vec::new(),
            hungry: BTreeSet::new(),
            has_freed: false,
            is_paused: false,
            needed_peers_at: None,
            tally: Tally::default(),
            commands: VecDeque::new(),
            rng: SmallRng::seed_from_u64(seed),
        }
    }

    /// The torrent's metadata is here: from now on its pieces can be fetched. `priorities` has one for each piece, or
    /// is empty where all are wanted alike.
    pub fn begin(&mut self, torrent: TorrentView, priorities: &[Priority]) {
        assert!(self.torrent.is_none(), "a torrent begins once");
        let have = PieceSet::of(&torrent.have);
        self.had_at_first = have.len();
        let mut picker = self.new_picker(&torrent);
        picker.set_priorities(priorities);
        self.picker = (!picker.is_complete()).then_some(picker);
        if torrent.have.is_complete() {
            self.peers.values_mut().for_each(|peer| peer.pieces = Pieces::Count(0));
        }
        self.metadata = None;
        self.torrent = Some(torrent.clone());
        let keys: Vec<PeerKey> = self.peers.keys().copied().collect();
        for key in keys {
            self.tell(key, Order::Begin(torrent.clone()));
            if !have.is_empty() {
                self.tell(key, Order::Have(have.iter().collect()));
            }
        }
        self.meter_all();
    }

    /// What a connection tells. Events of one that is not known, or no longer, are ignored.
    pub fn handle(&mut self, key: PeerKey, event: Event, now: Instant) {
        if !self.peers.contains_key(&key) {
            return;
        }
        match event {
            // Told by `joined`, together with what the worker knows.
            Event::Met { .. } => {}
            Event::Introduced(introduction) => self.introduced(key, introduction),
            Event::Has(pieces) => self.has(key, pieces),
            Event::HasPiece(piece) => self.has_piece(key, piece),
            Event::Choked(is_choked) => self.choked(key, is_choked),
            Event::Interested(is_interested) => self.interested(key, is_interested, now),
            Event::Room(room) => self.room(key, room),
            Event::Received(block) => self.received(key, block),
            Event::Rejected(block) => self.rejected(key, block),
            Event::AllowedFast(piece) => self.allowed_fast(key, piece),
            Event::Suggested(piece) => self.suggested(key, piece),
            Event::Snubbing(is_snubbing) => self.snubbing(key, is_snubbing),
            Event::Traffic { received, sent } => self.traffic(key, received, sent),
            Event::Metadata { piece, total_size, data } => {
                self.metadata_came(key, piece, total_size, &data, now)
            }
            Event::MetadataRejected(piece) => self.metadata_rejected(key, piece, now),
        }
    }

    /// Lets time pass; to be called every [`TICK`] or so.
    pub fn tick(&mut self, now: Instant) {
        if self.choker.next_round().is_none_or(|due| due <= now) {
            self.choke_round(now);
        }
        self.ask_for_metadata(now);
        self.drop_orphans();
        self.has_freed = true;
        self.dial(now);
    }

    /// The next thing to do.
    pub fn poll_command(&mut self) -> Option<Command> {
        if self.commands.is_empty() && std::mem::take(&mut self.has_freed) {
            self.feed_hungry();
        }
        self.commands.pop_front()
    }

    /// Asks for nothing more, while there is no room on the disk for what comes; or goes on.
    pub fn set_paused(&mut self, is_paused: bool) {
        self.is_paused = is_paused;
        self.has_freed |= !is_paused;
    }

    /// Whether all that is wanted is here, and verified.
    pub fn is_complete(&self) -> bool {
        self.torrent.is_some() && self.picker.is_none()
    }

    /// Whether nobody is connected or about to be.
    pub fn is_alone(&self) -> bool {
        self.peers.is_empty() && self.dialling.is_empty()
    }

    /// Whether time alone changes nothing: until something is told, ticks may be left out.
    pub fn is_resting(&self) -> bool {
        self.is_complete() && self.is_alone() && self.candidates.is_empty()
    }

    /// Whether fetching is held up for want of room on the disk.
    pub fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// The connections of the torrent.
    pub fn peers(&self) -> impl Iterator<Item = (PeerKey, &Peer)> {
        self.peers.iter().map(|(key, peer)| (*key, peer))
    }

    /// How many connections are being made.
    pub fn dial_count(&self) -> usize {
        self.dialling.len()
    }

    /// How many addresses are known to be peers, or said to be.
    pub fn candidate_count(&self) -> usize {
        self.candidates.len()
    }

    /// What was counted so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    fn tell(&mut self, key: PeerKey, order: Order) {
        self.commands.push_back(Command::Tell(key, order));
    }

    fn have(&self) -> Option<&Arc<HaveBits>> {
        self.torrent.as_ref().map(|torrent| &torrent.have)
    }

    /// Whether every piece of the torrent is here, so that nothing can ever be wanted again.
    fn has_all(&self) -> bool {
        self.have().is_some_and(|have| have.is_complete())
    }
}
