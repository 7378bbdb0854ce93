//! What to ask of whom: rarest pieces first, begun pieces before new ones, in the end one block of several peers.
//!
//! A [`Picker`] belongs to one torrent and is driven by its swarm alone:
//!
//! - [`Picker::peer_joined`], [`peer_gained`](Picker::peer_gained), [`peer_left`](Picker::peer_left): what peers have
//! - [`Picker::pick`]: blocks to ask of a peer, described by an [`Ask`]
//! - [`Picker::received`], [`release`](Picker::release), [`forget_peer`](Picker::forget_peer): how each request ends
//! - [`Picker::verified`], [`failed`](Picker::failed): how each piece ends
//!
//! A block is free, then asked of a peer (of up to three in the end-game), then received. It never sees payload,
//! sends nothing and knows no time. Randomness comes from a generator that is seeded at its making.

mod blocks;
mod buckets;
mod open;
mod pick;
mod requests;
mod search;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use self::buckets::Buckets;
use self::open::{OpenPieces, Source};
use self::requests::{Request, Requests, Slot};
use crate::geometry::{BLOCK_LENGTH, Block, Geometry};
use crate::piece_set::PieceSet;
use crate::swarm::PeerKey;

/// Which piece to begin next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PieceOrder {
    /// The one that the fewest peers have, so that none dies out.
    RarestFirst,
    /// The first in the torrent, for those who read while it comes.
    Sequential,
}

/// How much a piece is wanted. Blocks of higher priority go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Not at all: it is never asked for.
    Skip,
    /// After all others.
    Low,
    /// As usual.
    Normal,
    /// Before all others.
    High,
}

impl Priority {
    /// The number of its shelf in the buckets.
    fn shelf(self) -> Option<usize> {
        match self {
            Self::Skip => None,
            Self::Low => Some(0),
            Self::Normal => Some(1),
            Self::High => Some(2),
        }
    }
}

/// How quickly a peer delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// As hoped for.
    Fast,
    /// Snubbed, or far slower than others: shares pieces with its like, and begins common ones.
    Slow,
}

/// A peer that can be asked for blocks now.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Who it is.
    pub peer: PeerKey,
    /// What it has.
    pub pieces: &'a PieceSet,
    /// How many more blocks it can be asked for.
    pub count: usize,
    /// How quickly it delivers.
    pub pace: Pace,
    /// Pieces to take first: its suggestions (BEP 6).
    pub preferred: &'a [u32],
    /// The only pieces to take, without end-game: its allowed-fast set while it chokes us (BEP 6).
    pub only: Option<&'a [u32]>,
}

/// What became of a block that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receipt {
    /// It was missing.
    New {
        /// Other peers that are asked for it, to be sent CANCEL. Their requests are already forgotten.
        cancel: Vec<PeerKey>,
        /// Whether its piece is whole now, to be hashed.
        is_last: bool,
    },
    /// It was here before.
    Duplicate,
    /// It is of no use: no block of the torrent, or of a piece that is not open.
    Unwanted,
}

/// Decides what to ask of whom in one torrent.
#[derive(Debug)]
pub struct Picker {
    geometry: Geometry,
    order: PieceOrder,
    have: PieceSet,
    wanted: PieceSet,
    /// The wanted pieces that are not open.
    buckets: Buckets,
    open: OpenPieces,
    requests: Requests,
    /// Pieces whose hash was wrong when they came last.
    failed: BTreeSet<u32>,
    rng: SmallRng,
}

impl Picker {
    /// A picker for a torrent of which the pieces in `have` are verified; all others are wanted at normal priority.
    pub fn new(geometry: Geometry, have: &PieceSet, order: PieceOrder, rng: &mut impl Rng) -> Self {
        let count = geometry.piece_count();
        assert_eq!(have.piece_count(), count, "the set of verified pieces is of another torrent");
        let mut picker = Self {
            geometry,
            order,
            have: have.clone(),
            wanted: PieceSet::new(count),
            buckets: Buckets::new(count),
            open: OpenPieces::new(order),
            requests: Requests::default(),
            failed: BTreeSet::new(),
            rng: SmallRng::from_rng(rng),
        };
        (0..count).for_each(|piece| picker.refresh(piece));
        picker
    }

    /// The pieces that are wanted and not verified. A peer is interesting if it has one of them.
    pub fn wanted(&self) -> &PieceSet {
        &self.wanted
    }

    /// Whether `piece` is wanted and not verified.
    pub fn wants(&self, piece: u32) -> bool {
        self.wanted.contains(piece)
    }

    /// How many pieces are wanted and not verified.
    pub fn wanted_left(&self) -> u32 {
        self.wanted.len()
    }

    /// Whether all that is wanted is verified.
    pub fn is_complete(&self) -> bool {
        self.wanted.is_empty()
    }

    /// How many peers have `piece`; none if it does not exist.
    pub fn availability(&self, piece: u32) -> u32 {
        if self.exists(piece) { self.buckets.availability(piece) } else { 0 }
    }

    /// How many blocks `peer` is asked for.
    pub fn outstanding(&self, peer: PeerKey) -> usize {
        self.requests.slot(peer).map_or(0, |slot| self.requests.len(slot))
    }

    /// Sets how much `piece` is wanted. Requests that are out for a piece that is no longer wanted go on; its free
    /// blocks are not given any more. A piece that does not exist is ignored.
    pub fn set_priority(&mut self, piece: u32, priority: Priority) {
        if self.exists(piece) && self.buckets.priority(piece) != priority {
            self.buckets.remove(piece);
            self.buckets.set_priority(piece, priority);
            self.refresh(piece);
        }
    }

    /// Sets how much each piece is wanted; those for which nothing is said are wanted as usual.
    pub fn set_priorities(&mut self, priorities: &[Priority]) {
        let priorities = priorities.iter().copied().chain(std::iter::repeat(Priority::Normal));
        (0..self.geometry.piece_count()).zip(priorities).for_each(|(piece, it)| self.set_priority(piece, it));
    }

    /// Sets which piece to begin next.
    pub fn set_order(&mut self, order: PieceOrder) {
        self.order = order;
        self.open.set_order(order);
        let pieces: Vec<u32> = self.open.range(..).map(|(piece, _)| piece).collect();
        pieces.into_iter().for_each(|piece| self.open.update(piece, self.buckets.priority(piece)));
    }

    /// Counts what a new peer has. One that has everything counts as a seed, at no cost.
    pub fn peer_joined(&mut self, pieces: &PieceSet) {
        if pieces.is_full() {
            self.buckets.add_seed();
        } else {
            pieces.iter().for_each(|piece| self.buckets.gain(piece, &mut self.rng));
        }
    }

    /// Counts `piece`, which a counted peer did not have before and which is in its `pieces` now.
    pub fn peer_gained(&mut self, pieces: &PieceSet, piece: u32) {
        debug_assert!(pieces.contains(piece), "piece {piece} is not in the set of the peer that gained it");
        if pieces.is_full() {
            self.buckets.add_seed();
            let others = pieces.iter().filter(|other| *other != piece);
            others.for_each(|other| self.buckets.lose(other, &mut self.rng));
        } else {
            self.buckets.gain(piece, &mut self.rng);
        }
    }

    /// No longer counts what a peer has. Its requests end with [`forget_peer`](Self::forget_peer).
    pub fn peer_left(&mut self, pieces: &PieceSet) {
        if pieces.is_full() {
            self.buckets.remove_seed();
        } else {
            pieces.iter().for_each(|piece| self.buckets.lose(piece, &mut self.rng));
        }
    }

    /// Takes note of a block that came in from a peer, asked for or late.
    pub fn received(&mut self, block: Block, from: PeerKey) -> Receipt {
        let Some(request) = self.request(block) else { return Receipt::Unwanted };
        let sender = self.requests.slot(from);
        if let Some(slot) = sender {
            self.requests.remove(slot, request);
        }
        if self.have.contains(request.piece) {
            return Receipt::Duplicate;
        }
        let Some(open) = self.open.get_mut(request.piece) else { return Receipt::Unwanted };
        let Some(holders) = open.blocks.receive(request.index) else { return Receipt::Duplicate };
        let is_last = open.blocks.received() == open.blocks.count();
        let others = holders.into_iter().filter(|slot| Some(*slot) != sender);
        let cancel = others
            .map(|slot| {
                self.requests.remove(slot, request);
                self.requests.peer(slot)
            })
            .collect();
        self.open.update(request.piece, self.buckets.priority(request.piece));
        Receipt::New { cancel, is_last }
    }

    /// A block will not come from `peer`: it was rejected, by a message, a choke or a timeout.
    pub fn release(&mut self, block: Block, peer: PeerKey) {
        let request = self.request(block);
        if let (Some(request), Some(slot)) = (request, self.requests.slot(peer))
            && self.requests.remove(slot, request)
        {
            self.release_request(request, slot);
        }
    }

    /// Nothing that `peer` was asked for will come: it is gone, or rejects everything.
    pub fn forget_peer(&mut self, peer: PeerKey) {
        let Some((slot, requests)) = self.requests.leave(peer) else { return };
        requests.into_iter().for_each(|request| self.release_request(request, slot));
        for piece in &self.failed {
            if let Some(open) = self.open.get_mut(*piece)
                && open.source == Source::Only(slot)
            {
                open.source = Source::NextOne;
            }
        }
    }

    /// The hash of `piece` matched: it is here for good.
    pub fn verified(&mut self, piece: u32) {
        if !self.have.insert(piece) {
            return;
        }
        self.failed.remove(&piece);
        if let Some(open) = self.open.close(piece) {
            for index in 0..open.blocks.count() {
                let holders = open.blocks.holders(index);
                holders.into_iter().for_each(|slot| _ = self.requests.remove(slot, Request { piece, index }));
            }
        }
        self.refresh(piece);
    }

    /// The hash of `piece` did not match: all of it is fetched again, from one peer if possible.
    pub fn failed(&mut self, piece: u32) {
        if self.exists(piece) && !self.have.contains(piece) {
            self.failed.insert(piece);
            self.abandon(piece);
        }
    }

    /// What came in of `piece` is lost, by no fault of a peer: it is fetched again.
    pub fn abandon(&mut self, piece: u32) {
        let Some(open) = self.open.get_mut(piece) else { return };
        open.blocks.drop_received();
        if self.failed.contains(&piece) {
            open.source = Source::NextOne;
        }
        self.settle(piece);
    }

    /// Open pieces that no peer has. They take up room until one comes or they are [abandoned](Self::abandon).
    pub fn orphans(&self) -> impl Iterator<Item = u32> + '_ {
        self.open.range(..).map(|(piece, _)| piece).filter(|piece| self.buckets.availability(*piece) == 0)
    }

    /// Frees a block that is no longer in the list of the peer in `slot`.
    fn release_request(&mut self, request: Request, slot: Slot) {
        if let Some(open) = self.open.get_mut(request.piece) {
            open.blocks.release(request.index, slot);
            self.settle(request.piece);
        }
    }

    /// Brings the books up to date after blocks of the open `piece` have become free.
    fn settle(&mut self, piece: u32) {
        if self.open.close_untouched(piece) {
            self.refresh(piece);
        } else {
            self.open.update(piece, self.buckets.priority(piece));
        }
    }

    /// Puts `piece` where it belongs by its priority and state.
    fn refresh(&mut self, piece: u32) {
        let priority = self.buckets.priority(piece);
        if priority == Priority::Skip || self.have.contains(piece) {
            self.wanted.remove(piece);
            self.buckets.remove(piece);
        } else {
            self.wanted.insert(piece);
            if self.open.get(piece).is_none() {
                self.buckets.insert(piece, &mut self.rng);
            }
        }
        self.open.update(piece, priority);
    }

    fn exists(&self, piece: u32) -> bool {
        piece < self.geometry.piece_count()
    }

    fn block_count(&self, piece: u32) -> u32 {
        self.geometry.length_of(piece).div_ceil(BLOCK_LENGTH)
    }

    /// A block by its place in the piece.
    fn block(&self, request: Request) -> Block {
        let begin = request.index * BLOCK_LENGTH;
        let length = (self.geometry.length_of(request.piece) - begin).min(BLOCK_LENGTH);
        Block { piece: request.piece, begin, length }
    }

    /// The number of a block in its piece; `None` for one that is never asked for.
    fn request(&self, block: Block) -> Option<Request> {
        let request = Request { piece: block.piece, index: block.begin / BLOCK_LENGTH };
        let is_ours = request.index < self.block_count(block.piece) && self.block(request) == block;
        is_ours.then_some(request)
    }
}
