//! The storage of one node: puts pieces together, hashes them, and tells what became of them.

use std::collections::{BTreeMap, BTreeSet};

use protocol::geometry::{BLOCK_LENGTH, Block};
use protocol::swarm::PeerKey;
use protocol::swarm::suspects::BlockDigest;
use sha1::{Digest, Sha1};

use super::torrent::Torrent;

/// What is on it.
#[derive(Debug, Default)]
pub(super) struct Disk {
    /// Pieces whose hash matched.
    verified: BTreeSet<u32>,
    open: BTreeMap<u32, Parts>,
    /// Pieces that failed and have not passed since.
    failed: BTreeSet<u32>,
}

/// The blocks of a piece that are here, each the first copy that came.
#[derive(Debug)]
struct Parts {
    bytes: Vec<u8>,
    sources: Vec<Option<PeerKey>>,
    missing: usize,
}

/// A piece that was hashed.
#[derive(Debug)]
pub(super) struct Hashed {
    pub(super) piece: u32,
    pub(super) is_good: bool,
    /// Of a piece that failed, now or before.
    pub(super) digests: Vec<BlockDigest>,
}

impl Disk {
    /// A disk with the whole payload, or with nothing.
    pub(super) fn new(torrent: &Torrent, is_full: bool) -> Self {
        let count = if is_full { torrent.piece_count() } else { 0 };
        Self { verified: (0..count).collect(), ..Self::default() }
    }

    pub(super) fn has(&self, piece: u32) -> bool {
        self.verified.contains(&piece)
    }

    /// Takes a block; hashes its piece if that is whole now.
    pub(super) fn add(
        &mut self,
        block: Block,
        data: &[u8],
        source: PeerKey,
        torrent: &Torrent,
    ) -> Option<Hashed> {
        let Block { piece, begin, .. } = block;
        if self.has(piece) {
            return None;
        }
        let length = torrent.piece(piece).len();
        let parts = self.open.entry(piece).or_insert_with(|| Parts::new(length));
        let index = (begin / BLOCK_LENGTH) as usize;
        if parts.sources[index].is_some() {
            return None;
        }
        parts.sources[index] = Some(source);
        parts.bytes[begin as usize..][..data.len()].copy_from_slice(data);
        parts.missing -= 1;
        if parts.missing > 0 {
            return None;
        }
        let parts = self.open.remove(&piece)?;
        let is_good = Sha1::digest(&parts.bytes)[..] == torrent.info.piece_hash(piece)[..];
        assert_eq!(is_good, parts.bytes == torrent.piece(piece), "the hash tells what the payload is");
        let had_failed = self.failed.contains(&piece);
        if is_good {
            self.verified.insert(piece);
            self.failed.remove(&piece);
        } else {
            self.failed.insert(piece);
        }
        let digests = if is_good && !had_failed { Vec::new() } else { parts.digests() };
        Some(Hashed { piece, is_good, digests })
    }
}

impl Parts {
    fn new(length: usize) -> Self {
        let count = length.div_ceil(BLOCK_LENGTH as usize);
        Self { bytes: vec![0; length], sources: vec![None; count], missing: count }
    }

    fn digests(&self) -> Vec<BlockDigest> {
        let blocks = self.bytes.chunks(BLOCK_LENGTH as usize);
        let named = blocks.zip(&self.sources).zip((0..).step_by(BLOCK_LENGTH as usize));
        named
            .filter_map(|((bytes, source), begin)| {
                Some(BlockDigest { begin, digest: Sha1::digest(bytes).into(), source: (*source)? })
            })
            .collect()
    }
}
