//! What the swarm shares: bytes that differ at every block, and their metainfo.

use std::fmt;
use std::sync::Arc;

use protocol::geometry::Block;
use protocol::meta::{Info, NewTorrent, Payload};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use sha1::{Digest, Sha1};

/// A payload and what describes it.
pub(crate) struct Torrent {
    pub(crate) payload: Vec<u8>,
    pub(crate) info: Arc<Info>,
    /// A dictionary of the same size that is another's.
    pub(super) false_info: Arc<Info>,
}

impl Torrent {
    /// `length` bytes drawn from `seed`.
    pub(crate) fn new(seed: u64, length: usize, piece_length: u32) -> Self {
        let mut payload = vec![0; length];
        SmallRng::seed_from_u64(seed ^ 0x7a9_10ad).fill_bytes(&mut payload);
        let hashes: Vec<u8> = payload.chunks(piece_length as usize).flat_map(Sha1::digest).collect();
        let info = |name: &str| {
            let payload = Payload::File { length: u64::try_from(length).unwrap() };
            NewTorrent::new(name, payload, piece_length, hashes.clone()).build().unwrap().0.info
        };
        Self { payload, info: info("payload"), false_info: info("daolyap") }
    }

    pub(crate) fn piece_count(&self) -> u32 {
        self.info.geometry().piece_count()
    }

    /// The bytes of `piece`.
    pub(super) fn piece(&self, piece: u32) -> &[u8] {
        let range = self.info.geometry().piece_range(piece);
        &self.payload[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()]
    }

    /// The bytes of `block`, which exists.
    pub(super) fn block(&self, block: Block) -> &[u8] {
        &self.piece(block.piece)[block.begin as usize..][..block.length as usize]
    }
}

impl fmt::Debug for Torrent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Torrent({} bytes)", self.payload.len())
    }
}
