//! What the raw peer must know of a torrent to ask for it and to check what it gets: nothing of btd's is used.

use std::fs;
use std::path::Path;

use sha1::{Digest, Sha1};

use crate::bencode::Value;

/// Bytes in a block as clients ask for them.
pub const BLOCK_BYTES: u32 = 16 * 1024;

/// A torrent as its info dictionary describes it.
#[derive(Debug, Clone)]
pub struct Torrent {
    /// SHA-1 of the info dictionary.
    pub info_hash: [u8; 20],
    /// Bytes in the info dictionary.
    pub info_length: usize,
    /// Bytes in a piece, but for the last.
    pub piece_length: u32,
    /// Bytes in all.
    pub length: u64,
    hashes: Vec<[u8; 20]>,
}

/// A run of bytes inside a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Index of the piece.
    pub piece: u32,
    /// First byte, counted from the start of the piece.
    pub begin: u32,
    /// Bytes in the block.
    pub length: u32,
}

impl Torrent {
    /// Reads the .torrent file `path`.
    pub fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (metainfo, rest) = Value::decode(&bytes);
        assert!(rest.is_empty(), "{} has {} bytes too many", path.display(), rest.len());
        Self::of_info(&metainfo.get("info").encode())
    }

    /// Reads an info dictionary.
    pub fn of_info(raw: &[u8]) -> Self {
        let (info, rest) = Value::decode(raw);
        assert!(rest.is_empty(), "{} bytes follow the info dictionary", rest.len());
        let length = match info.find("files") {
            Some(files) => files.list().iter().map(|file| file.get("length").integer()).sum(),
            None => info.get("length").integer(),
        };
        let (hashes, odd) = info.get("pieces").bytes().as_chunks::<20>();
        assert!(odd.is_empty(), "pieces are hashes of 20 bytes");
        let piece_length = u32::try_from(info.get("piece length").integer()).expect("a piece fits 32 bits");
        let torrent = Self {
            info_hash: Sha1::digest(raw).into(),
            info_length: raw.len(),
            piece_length,
            length,
            hashes: hashes.to_vec(),
        };
        assert_eq!(
            u64::from(torrent.piece_count()),
            length.div_ceil(piece_length.into()),
            "hashes and pieces"
        );
        torrent
    }

    /// How many pieces there are.
    pub fn piece_count(&self) -> u32 {
        u32::try_from(self.hashes.len()).expect("piece indices fit 32 bits")
    }

    /// Bytes in `piece`.
    pub fn piece_bytes(&self, piece: u32) -> u32 {
        let left = self.length - u64::from(piece) * u64::from(self.piece_length);
        u32::try_from(left).map_or(self.piece_length, |left| left.min(self.piece_length))
    }

    /// The blocks of `piece` in order.
    pub fn blocks(&self, piece: u32) -> impl Iterator<Item = Block> + use<> {
        let end = self.piece_bytes(piece);
        (0..end.div_ceil(BLOCK_BYTES)).map(move |number| {
            let begin = number * BLOCK_BYTES;
            Block { piece, begin, length: BLOCK_BYTES.min(end - begin) }
        })
    }

    /// Whether `data` is `piece`.
    pub fn is_piece(&self, piece: u32, data: &[u8]) -> bool {
        self.hashes[usize::try_from(piece).expect("an index fits")] == <[u8; 20]>::from(Sha1::digest(data))
    }

    /// The info-hash as 40 hex digits.
    pub fn hex(&self) -> String {
        self.info_hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bencode::{bytes, dictionary};

    #[test]
    fn a_payload_is_cut_into_blocks() {
        let data = vec![7; 50_000];
        let hashes: Vec<u8> = data.chunks(32_768).flat_map(|piece| Sha1::digest(piece).to_vec()).collect();
        let info = dictionary([
            ("length", Value::Integer(50_000)),
            ("name", bytes("x")),
            ("piece length", Value::Integer(32_768)),
            ("pieces", bytes(hashes)),
        ]);
        let torrent = Torrent::of_info(&info.encode());
        let blocks: Vec<Block> = (0..2).flat_map(|piece| torrent.blocks(piece)).collect();
        let block = |piece, begin, length| Block { piece, begin, length };
        assert_eq!(
            blocks,
            [block(0, 0, 16_384), block(0, 16_384, 16_384), block(1, 0, 16_384), block(1, 16_384, 848)]
        );
        assert!(torrent.is_piece(1, &data[32_768..]) && !torrent.is_piece(0, &data[32_768..]));
    }
}
