//! A torrent that is being downloaded, as its writer sees it: the pieces under way, and which are done.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use protocol::bitfield::HaveBits;

use super::Deposit;
use super::digest::Whole;
use super::piece::Parts;
use crate::storage::torrent::Torrent;

/// The pieces of one torrent.
#[derive(Debug)]
pub(super) struct Download {
    torrent: Arc<Torrent>,
    open: HashMap<u32, Parts>,
    /// The pieces that matched, which others learn later: late copies of their blocks are not wanted.
    matched: HaveBits,
    failed: HashSet<u32>,
}

/// What became of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Added {
    /// It was there already.
    Duplicate,
    /// Its piece wants more.
    Part,
    /// It was the last of its piece.
    Last,
}

impl Download {
    /// Nothing yet of `torrent`.
    pub(super) fn new(torrent: Arc<Torrent>) -> Self {
        let matched = HaveBits::new(torrent.info().geometry().piece_count());
        Self { torrent, open: HashMap::new(), matched, failed: HashSet::new() }
    }

    pub(super) fn torrent(&self) -> &Arc<Torrent> {
        &self.torrent
    }

    /// Takes a block.
    pub(super) fn add(&mut self, deposit: Deposit) -> Added {
        let Deposit { block, source, data, credits, .. } = deposit;
        if self.matched.get(block.piece) || self.torrent.has(block.piece) {
            return Added::Duplicate;
        }
        let length = self.torrent.info().geometry().length_of(block.piece);
        let parts = self.open.entry(block.piece).or_insert_with(|| Parts::new(length));
        match parts.insert(block.begin, source, data, credits) {
            false => Added::Duplicate,
            true if parts.is_whole() => Added::Last,
            true => Added::Part,
        }
    }

    /// Takes `piece` out to be hashed, if it is whole.
    pub(super) fn take_whole(&mut self, piece: u32) -> Option<Whole> {
        let parts = self.open.remove(&piece)?;
        if !parts.is_whole() {
            self.open.insert(piece, parts);
            return None;
        }
        let has_failed = self.failed.contains(&piece);
        Some(Whole { torrent: Arc::clone(&self.torrent), piece, parts, has_failed })
    }

    /// Notes that `piece` matched.
    pub(super) fn set_matched(&mut self, piece: u32) {
        self.matched.set(piece);
        self.failed.remove(&piece);
    }

    /// Notes that `piece` did not match.
    pub(super) fn set_failed(&mut self, piece: u32) {
        self.failed.insert(piece);
    }

    /// The pieces that want more, each with what is held for it in KiB.
    pub(super) fn incomplete(&self) -> impl Iterator<Item = (usize, u32)> {
        let incomplete = self.open.iter().filter(|(_, parts)| !parts.is_whole());
        incomplete.map(|(piece, parts)| (parts.held_kib(), *piece))
    }

    /// The blocks of `piece`, which is under way.
    pub(super) fn parts_mut(&mut self, piece: u32) -> Option<&mut Parts> {
        self.open.get_mut(&piece)
    }
}
