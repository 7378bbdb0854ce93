//! Hashes pieces that are whole, several at a time, and the blocks of those that failed.

use std::sync::Arc;

use sha1::{Digest, Sha1};

use super::disk::Disk;
use super::piece::Parts;
use super::{BlockDigest, WriteError};
use crate::storage::hash::PieceHash;
use crate::storage::sha1::{digest_all, lanes};
use crate::storage::torrent::Torrent;

/// A piece of which every block is there.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) torrent: Arc<Torrent>,
    pub(super) piece: u32,
    pub(super) parts: Parts,
    /// Whether it was there before and did not match.
    pub(super) has_failed: bool,
}

/// The hash of each piece of `batch`: those in memory together, those that were written early by reading them back.
pub(super) fn hash_pieces(batch: Vec<Whole>, disk: &mut Disk) -> Vec<(Whole, Result<PieceHash, WriteError>)> {
    let (written, held): (Vec<Whole>, Vec<Whole>) =
        batch.into_iter().partition(|whole| whole.parts.is_partly_written());
    let hashes = digest_all(held.iter().map(|whole| whole.parts.slices()));
    let hashed = held.into_iter().zip(hashes.into_iter().map(Ok));
    let read_back = written.into_iter().map(|whole| {
        let hash = read_back(&whole, disk);
        (whole, hash)
    });
    hashed.chain(read_back).collect()
}

/// Hashes a piece block by block, so that one of 512 MiB is not read into memory.
fn read_back(whole: &Whole, disk: &mut Disk) -> Result<PieceHash, WriteError> {
    let Whole { torrent, piece, parts, .. } = whole;
    let mut hasher = Sha1::new();
    let mut buffer = Vec::new();
    for (begin, part) in parts.iter() {
        if let Some(data) = part.data() {
            data.slices().for_each(|slice| hasher.update(slice));
        } else {
            buffer.resize(part.length as usize, 0);
            disk.read(torrent, *piece, begin, &mut buffer)?;
            hasher.update(&buffer);
        }
    }
    Ok(hasher.finalize().into())
}

/// The hash of each block of a piece, and who sent it.
pub(super) fn hash_blocks(whole: &Whole, disk: &mut Disk) -> Result<Vec<BlockDigest>, WriteError> {
    let Whole { torrent, piece, parts, .. } = whole;
    let parts: Vec<_> = parts.iter().collect();
    let mut digests = Vec::with_capacity(parts.len());
    for group in parts.chunks(lanes()) {
        let mut read_back = Vec::new();
        for (begin, part) in group {
            let mut buffer = Vec::new();
            if part.data().is_none() {
                buffer.resize(part.length as usize, 0);
                disk.read(torrent, *piece, *begin, &mut buffer)?;
            }
            read_back.push(buffer);
        }
        let messages = group.iter().zip(&read_back).map(|((_, part), buffer)| {
            part.data().map_or_else(|| vec![buffer.as_slice()], |data| data.slices().collect())
        });
        let named = group.iter().zip(digest_all(messages));
        digests.extend(named.map(|((begin, part), digest)| BlockDigest {
            begin: *begin,
            digest,
            source: part.source,
        }));
    }
    Ok(digests)
}
