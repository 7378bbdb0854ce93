//! The pieces of a span, hashed one after the other as their bytes come. Driven by [`super`], file by file.

use std::ops::Range;

use protocol::geometry::Geometry;
use sha1::{Digest, Sha1};

use super::PieceHash;
use crate::storage::torrent::in_memory;

/// Cuts a run of bytes at the ends of pieces and hashes each.
pub(super) struct PieceHasher<'a> {
    pub(super) geometry: &'a Geometry,
    pieces: &'a mut [Option<PieceHash>],
    first: u32,
    /// The piece under way, counted from `first`.
    current: usize,
    /// Where in the payload the next byte lies.
    pub(super) position: u64,
    sha: Sha1,
    /// Whether all bytes of the piece under way were there.
    is_whole: bool,
}

impl<'a> PieceHasher<'a> {
    /// One for the pieces from `first` on, of which `pieces` takes the hashes.
    pub(super) fn new(geometry: &'a Geometry, first: u32, pieces: &'a mut [Option<PieceHash>]) -> Self {
        let position = geometry.piece_range(first).start;
        Self { geometry, pieces, first, current: 0, position, sha: Sha1::new(), is_whole: true }
    }

    /// What the span covers of the payload.
    pub(super) fn range(&self) -> Range<u64> {
        let count = u32::try_from(self.pieces.len()).unwrap_or(u32::MAX);
        self.position..self.geometry.piece_range(self.first.saturating_add(count - 1)).end
    }

    /// Takes the next bytes in.
    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let part = in_memory(self.left()).min(bytes.len());
            self.sha.update(&bytes[..part]);
            self.advance(part as u64);
            bytes = &bytes[part..];
        }
    }

    /// Goes past bytes that are not there; their pieces get no hash.
    pub(super) fn skip(&mut self, mut length: u64) {
        while length > 0 {
            let part = self.left().min(length);
            self.is_whole = false;
            self.advance(part);
            length -= part;
        }
    }

    /// Takes the hashes of the next pieces, of which nothing was taken in: others have hashed them.
    pub(super) fn take(&mut self, hashes: Vec<Option<PieceHash>>) {
        for hash in hashes {
            self.position += self.left();
            self.pieces[self.current] = hash;
            self.current += 1;
        }
    }

    /// Bytes to the end of the piece under way.
    fn left(&self) -> u64 {
        let piece = self.first + u32::try_from(self.current).unwrap_or(u32::MAX);
        self.geometry.piece_range(piece).end - self.position
    }

    fn advance(&mut self, length: u64) {
        let is_end = self.left() == length;
        self.position += length;
        if is_end {
            let hash = self.sha.finalize_reset();
            self.pieces[self.current] = self.is_whole.then(|| hash.into());
            self.current += 1;
            self.is_whole = true;
        }
    }
}
