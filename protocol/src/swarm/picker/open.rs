//! The pieces that were begun and are not verified, and the order in which their free blocks are given out.
//!
//! Owned by the [`Picker`], which tells it after each change of a piece to [`update`](OpenPieces::update) its books.
//!
//! [`Picker`]: super::Picker

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeBounds;

use super::blocks::Blocks;
use super::requests::Slot;
use super::{Pace, PieceOrder, Priority};

/// Who may be asked for free blocks of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// Every peer that has the piece.
    Anyone,
    /// One peer, the next that comes: the piece has failed, and then one source tells who is guilty.
    NextOne,
    /// That peer alone.
    Only(Slot),
}

/// A piece that was begun.
#[derive(Debug)]
pub(super) struct OpenPiece {
    pub(super) blocks: Blocks,
    pub(super) source: Source,
    /// Slow while only slow peers were asked.
    pub(super) pace: Pace,
    rank: Option<Rank>,
    stored: u32,
}

/// Sorts pieces that have free blocks: high priority first, then few free blocks or, in sequence, a low index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    priority: std::cmp::Reverse<Priority>,
    free: u32,
    piece: u32,
}

/// All pieces that were begun.
#[derive(Debug)]
pub(super) struct OpenPieces {
    pieces: BTreeMap<u32, OpenPiece>,
    partial: BTreeSet<Rank>,
    stored: u32,
    order: PieceOrder,
}

impl OpenPiece {
    /// Whether the peer in `slot` may be asked for free blocks.
    pub(super) fn admits(&self, slot: Slot) -> bool {
        match self.source {
            Source::Anyone | Source::NextOne => true,
            Source::Only(owner) => owner == slot,
        }
    }

    /// Whether nothing of the piece is here or on its way.
    fn is_untouched(&self) -> bool {
        self.blocks.free() == self.blocks.count()
    }
}

impl OpenPieces {
    /// No open piece.
    pub(super) fn new(order: PieceOrder) -> Self {
        Self { pieces: BTreeMap::new(), partial: BTreeSet::new(), stored: 0, order }
    }

    /// Gives free blocks out in another order, from the next [`update`](Self::update) of each piece on.
    pub(super) fn set_order(&mut self, order: PieceOrder) {
        self.order = order;
    }

    /// Blocks that are here and belong to wanted pieces that are not verified.
    pub(super) fn stored(&self) -> u32 {
        self.stored
    }

    /// Whether a wanted open piece has a free block.
    pub(super) fn has_free(&self) -> bool {
        !self.partial.is_empty()
    }

    /// The wanted open pieces that have a free block, in the order in which they are given out.
    pub(super) fn partial(&self) -> impl Iterator<Item = (u32, &OpenPiece)> {
        self.partial.iter().filter_map(|rank| Some((rank.piece, self.pieces.get(&rank.piece)?)))
    }

    /// The open pieces in `range`, in order.
    pub(super) fn range(&self, range: impl RangeBounds<u32>) -> impl Iterator<Item = (u32, &OpenPiece)> {
        self.pieces.range(range).map(|(piece, open)| (*piece, open))
    }

    /// The state of `piece`, if it is open.
    pub(super) fn get(&self, piece: u32) -> Option<&OpenPiece> {
        self.pieces.get(&piece)
    }

    /// The state of `piece`, if it is open; followed by [`update`](Self::update) when blocks change.
    pub(super) fn get_mut(&mut self, piece: u32) -> Option<&mut OpenPiece> {
        self.pieces.get_mut(&piece)
    }

    /// Opens `piece`, which has `count` blocks.
    pub(super) fn open(&mut self, piece: u32, count: u32, source: Source, pace: Pace) {
        let open = OpenPiece { blocks: Blocks::new(count), source, pace, rank: None, stored: 0 };
        let was_open = self.pieces.insert(piece, open).is_some();
        debug_assert!(!was_open, "piece {piece} is opened twice");
    }

    /// Forgets everything about `piece`.
    pub(super) fn close(&mut self, piece: u32) -> Option<OpenPiece> {
        let open = self.pieces.remove(&piece)?;
        self.stored -= open.stored;
        if let Some(rank) = open.rank {
            self.partial.remove(&rank);
        }
        Some(open)
    }

    /// Closes `piece` if nothing of it is here or on its way; whether it did.
    pub(super) fn close_untouched(&mut self, piece: u32) -> bool {
        let is_untouched = self.get(piece).is_some_and(OpenPiece::is_untouched);
        is_untouched && self.close(piece).is_some()
    }

    /// Brings rank and counts of `piece` up to date after its blocks or its `priority` have changed.
    pub(super) fn update(&mut self, piece: u32, priority: Priority) {
        let Some(open) = self.pieces.get_mut(&piece) else { return };
        let is_wanted = priority != Priority::Skip;
        let stored = if is_wanted { open.blocks.received() } else { 0 };
        self.stored = self.stored - open.stored + stored;
        open.stored = stored;

        let free = open.blocks.free();
        let rank = (is_wanted && free > 0).then(|| Rank {
            priority: std::cmp::Reverse(priority),
            free: if self.order == PieceOrder::Sequential { 0 } else { free },
            piece,
        });
        if rank != open.rank {
            let old = std::mem::replace(&mut open.rank, rank);
            if let Some(old) = old {
                self.partial.remove(&old);
            }
            self.partial.extend(rank);
        }
    }
}
