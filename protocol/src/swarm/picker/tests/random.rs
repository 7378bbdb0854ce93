//! Peers that come, go, deliver, fail and refuse at random, against a model that keeps every block in a map.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rand::RngExt;

use super::*;

const PRIORITIES: [Priority; 4] = [Priority::Skip, Priority::Low, Priority::Normal, Priority::High];

/// A picker beside what it should know.
struct World {
    picker: Picker,
    rng: StdRng,
    pieces: u32,
    blocks: u32,
    peers: BTreeMap<PeerKey, PieceSet>,
    priorities: Vec<Priority>,
    verified: PieceSet,
    received: BTreeSet<(u32, u32)>,
    holders: BTreeMap<(u32, u32), Vec<PeerKey>>,
    next_peer: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let (pieces, blocks) = (rng.random_range(1..40), rng.random_range(1..6));
        let order = if rng.random() { PieceOrder::RarestFirst } else { PieceOrder::Sequential };
        Self {
            picker: ordered(pieces, blocks, order),
            rng,
            pieces,
            blocks,
            peers: BTreeMap::new(),
            priorities: vec![Priority::Normal; pieces as usize],
            verified: PieceSet::new(pieces),
            received: BTreeSet::new(),
            holders: BTreeMap::new(),
            next_peer: 0,
        }
    }

    fn is_wanted(&self, piece: u32) -> bool {
        !self.verified.contains(piece) && self.priorities[piece as usize] != Priority::Skip
    }

    fn has_free(&self) -> bool {
        let blocks = (0..self.pieces).flat_map(|piece| (0..self.blocks).map(move |index| (piece, index)));
        let is_taken = |block| self.received.contains(&block) || self.holders.contains_key(&block);
        blocks.into_iter().any(|block| self.is_wanted(block.0) && !is_taken(block))
    }

    fn outstanding(&self, peer: PeerKey) -> usize {
        self.holders.values().filter(|holders| holders.contains(&peer)).count()
    }

    fn some_peer(&mut self) -> Option<PeerKey> {
        let number = self.rng.random_range(0..self.peers.len().max(1));
        self.peers.keys().nth(number).copied()
    }

    fn some_request(&mut self) -> Option<(Block, PeerKey)> {
        let number = self.rng.random_range(0..self.holders.len().max(1));
        let ((piece, index), holders) = self.holders.iter().nth(number)?;
        let block = Block { piece: *piece, begin: index * BLOCK_LENGTH, length: BLOCK_LENGTH };
        Some((block, holders[self.rng.random_range(0..holders.len())]))
    }

    fn join(&mut self, share: f64) {
        let pieces: Vec<u32> = (0..self.pieces).filter(|_| self.rng.random_bool(share)).collect();
        let pieces = set(pieces, self.pieces);
        self.picker.peer_joined(&pieces);
        self.next_peer += 1;
        self.peers.insert(PeerKey(self.next_peer), pieces);
    }

    fn gain(&mut self) {
        let (Some(peer), piece) = (self.some_peer(), self.rng.random_range(0..self.pieces)) else { return };
        let pieces = self.peers.get_mut(&peer).unwrap();
        if pieces.insert(piece) {
            self.picker.peer_gained(pieces, piece);
        }
    }

    fn leave(&mut self, peer: PeerKey) {
        self.picker.forget_peer(peer);
        self.picker.peer_left(&self.peers.remove(&peer).unwrap());
        self.holders.values_mut().for_each(|holders| holders.retain(|holder| *holder != peer));
        self.holders.retain(|_, holders| !holders.is_empty());
    }

    fn pick(&mut self, peer: PeerKey, count: usize, pace: Pace) {
        let (idle, had_free) = (self.outstanding(peer) == 0, self.has_free());
        let pieces = self.peers[&peer].clone();
        let blocks = picked(&mut self.picker, Ask { pace, ..ask(peer, &pieces, count) });
        assert!(blocks.len() <= count);
        for block in &blocks {
            let key = (block.piece, block.begin / BLOCK_LENGTH);
            assert!(pieces.contains(block.piece) && self.is_wanted(block.piece));
            assert!(block.begin % BLOCK_LENGTH == 0 && block.length == BLOCK_LENGTH && key.1 < self.blocks);
            assert!(!self.received.contains(&key), "{block:?} is here");
            let holders = self.holders.entry(key).or_default();
            assert!(!holders.contains(&peer) && holders.len() < 3);
            let is_shared = !holders.is_empty();
            assert!(!is_shared || (idle && !had_free && blocks.len() == 1), "an end-game too early");
            holders.push(peer);
        }
    }

    fn receive(&mut self, block: Block, from: PeerKey) {
        let key = (block.piece, block.begin / BLOCK_LENGTH);
        let holders = self.holders.remove(&key).unwrap();
        self.received.insert(key);
        let is_whole = (0..self.blocks).all(|index| self.received.contains(&(block.piece, index)));
        let Receipt::New { mut cancel, is_last } = self.picker.received(block, from) else {
            panic!("{block:?} was missing")
        };
        cancel.sort_unstable();
        let mut others: Vec<PeerKey> = holders.into_iter().filter(|holder| *holder != from).collect();
        others.sort_unstable();
        assert_eq!((cancel, is_last), (others, is_whole));
        if is_last && self.rng.random_bool(0.8) {
            self.picker.verified(block.piece);
            self.verified.insert(block.piece);
        } else if is_last {
            self.picker.failed(block.piece);
            self.received.retain(|(piece, _)| *piece != block.piece);
        }
    }

    fn release(&mut self, block: Block, peer: PeerKey) {
        self.picker.release(block, peer);
        let key = (block.piece, block.begin / BLOCK_LENGTH);
        self.holders.get_mut(&key).unwrap().retain(|holder| *holder != peer);
        self.holders.retain(|_, holders| !holders.is_empty());
    }

    fn step(&mut self) {
        let piece = self.rng.random_range(0..self.pieces);
        match self.rng.random_range(0..20) {
            0 => {
                let share = [0.1, 0.5, 1.0][self.rng.random_range(0..3)];
                self.join(share);
            }
            1 => self.some_peer().into_iter().for_each(|peer| self.leave(peer)),
            2 => self.gain(),
            3 => {
                let priority = PRIORITIES[self.rng.random_range(0..4)];
                self.picker.set_priority(piece, priority);
                self.priorities[piece as usize] = priority;
            }
            4 | 5 => self.some_request().into_iter().for_each(|(block, peer)| self.release(block, peer)),
            6..12 => {
                let count = self.rng.random_range(0..12);
                let pace = if self.rng.random() { Pace::Fast } else { Pace::Slow };
                self.some_peer().into_iter().for_each(|peer| self.pick(peer, count, pace));
            }
            _ => self.some_request().into_iter().for_each(|(block, peer)| self.receive(block, peer)),
        }
    }

    fn check(&self) {
        for piece in 0..self.pieces {
            let holders = self.peers.values().filter(|pieces| pieces.contains(piece)).count();
            assert_eq!(self.picker.availability(piece) as usize, holders);
            assert_eq!(self.picker.wants(piece), self.is_wanted(piece));
        }
        for peer in self.peers.keys() {
            assert_eq!(self.picker.outstanding(*peer), self.outstanding(*peer));
        }
        assert_eq!(self.picker.is_endgame(), !self.picker.is_complete() && !self.has_free());
    }

    /// With a peer that has everything, and nobody who lets requests lie, everything comes.
    fn finish(&mut self) {
        while let Some(peer) = self.some_peer() {
            self.leave(peer);
        }
        self.join(1.0);
        let (seed, mut rounds) = (PeerKey(self.next_peer), 0);
        while !self.picker.is_complete() {
            if self.outstanding(seed) == 0 {
                self.pick(seed, 3, Pace::Fast);
            }
            let (key, _) =
                (self.holders.iter().find(|(_, holders)| holders.contains(&seed))).expect("a block");
            self.receive(Block { piece: key.0, begin: key.1 * BLOCK_LENGTH, length: BLOCK_LENGTH }, seed);
            rounds += 1;
            assert!(rounds < 10_000, "it never ends");
        }
        assert!((0..self.pieces).all(|piece| !self.is_wanted(piece)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_wanted_block_is_asked_for_once_and_comes(seed in any::<u64>(), steps in 0..200_u32) {
        let mut world = World::new(seed);
        for _ in 0..steps {
            world.step();
            world.check();
        }
        world.finish();
    }
}
