//! One try at the `info` dictionary of one claimed size: which pieces are here, from whom, and which are wanted.
//!
//! Grows only as data arrives; a claimed size costs nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use sha1::{Digest, Sha1};

use super::PeerKey;
use crate::id::InfoHash;
use crate::wire::METADATA_PIECE_LENGTH;

#[derive(Debug)]
pub(super) struct Attempt {
    size: u32,
    /// When it began.
    pub(super) since: Instant,
    /// The peer that must give everything, on parole, once one was chosen.
    pub(super) only: Option<PeerKey>,
    pieces: BTreeMap<u32, (Box<[u8]>, PeerKey)>,
    /// The first piece that was never asked for.
    next: u32,
    /// Pieces before it that are asked of nobody, or of one who is late.
    returned: BTreeSet<u32>,
}

impl Attempt {
    pub(super) fn new(size: u32, since: Instant) -> Self {
        let (pieces, returned) = Default::default();
        Self { size, since, only: None, pieces, next: 0, returned }
    }

    /// Bytes in `piece` of a dictionary of `size` bytes; 0 for a piece that does not exist.
    pub(super) fn piece_length(size: u32, piece: u32) -> usize {
        let begin = (piece as usize).saturating_mul(METADATA_PIECE_LENGTH);
        (size as usize).saturating_sub(begin).min(METADATA_PIECE_LENGTH)
    }

    /// A piece to ask for, that is not one of `asked`.
    pub(super) fn take_wanted(&mut self, asked: impl Fn(u32) -> bool) -> Option<u32> {
        if let Some(piece) = self.returned.iter().copied().find(|piece| !asked(*piece)) {
            self.returned.remove(&piece);
            return Some(piece);
        }
        let piece = self.next;
        (Self::piece_length(self.size, piece) > 0).then(|| {
            self.next += 1;
            piece
        })
    }

    /// A piece will not come, or not soon, from the peer that was asked for it.
    pub(super) fn give_back(&mut self, piece: u32) {
        if !self.pieces.contains_key(&piece) {
            self.returned.insert(piece);
        }
    }

    /// Takes a piece of the right length in. The first to come counts.
    pub(super) fn keep(&mut self, piece: u32, data: &[u8], source: PeerKey) {
        self.returned.remove(&piece);
        self.pieces.entry(piece).or_insert_with(|| (data.into(), source));
    }

    /// Whether every piece is here.
    pub(super) fn is_whole(&self) -> bool {
        self.pieces.len() == (self.size as usize).div_ceil(METADATA_PIECE_LENGTH)
    }

    /// The dictionary, if it is the right one, and else everyone who sent a piece of it.
    pub(super) fn finish(mut self, info_hash: InfoHash) -> Result<Vec<u8>, BTreeSet<PeerKey>> {
        let mut hash = Sha1::new();
        self.pieces.values().for_each(|(data, _)| hash.update(data));
        if InfoHash::new(hash.finalize().into()) != info_hash {
            return Err(self.pieces.into_values().map(|(_, source)| source).collect());
        }
        let mut info = Vec::with_capacity(self.size as usize);
        while let Some((_, (data, _))) = self.pieces.pop_first() {
            info.extend_from_slice(&data);
        }
        Ok(info)
    }
}
