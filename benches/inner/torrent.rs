//! The torrents that are served and fetched: one file in pieces of 1 MiB, of which only the description exists.

use std::sync::Arc;

use protocol::bitfield::HaveBits;
use protocol::geometry::{BLOCK_LENGTH, Block, Geometry};
use protocol::meta::{Info, NewTorrent, Payload};
use protocol::peer::TorrentView;

/// Bytes in a piece.
pub(crate) const PIECE_LENGTH: u32 = 1024 * 1024;
/// Blocks in a piece.
pub(crate) const PIECE_BLOCKS: u32 = PIECE_LENGTH / BLOCK_LENGTH;
/// Pieces of a torrent that is large: 100 GB.
pub(crate) const MANY_PIECES: u32 = 100_000;

/// How a torrent of `piece_count` pieces is cut.
pub(crate) fn geometry(piece_count: u32) -> Geometry {
    Geometry::new(u64::from(piece_count) * u64::from(PIECE_LENGTH), PIECE_LENGTH.into()).unwrap()
}

/// The description of a torrent of `piece_count` pieces.
pub(crate) fn describe(piece_count: u32) -> Arc<Info> {
    let payload = Payload::File { length: geometry(piece_count).length() };
    let torrent = NewTorrent::new("payload", payload, PIECE_LENGTH, vec![7; piece_count as usize * 20]);
    torrent.build().unwrap().0.info
}

/// A torrent of which nothing is here.
pub(crate) fn empty(info: Arc<Info>) -> TorrentView {
    let have = Arc::new(HaveBits::new(info.geometry().piece_count()));
    TorrentView { info, have }
}

/// A torrent of which all is here.
pub(crate) fn complete(info: Arc<Info>) -> TorrentView {
    let torrent = empty(info);
    (0..torrent.have.piece_count()).for_each(|piece| torrent.have.set(piece));
    torrent
}

/// All blocks of `piece`, which is none that is shorter.
pub(crate) fn blocks(piece: u32) -> Vec<Block> {
    let block = |index| Block { piece, begin: index * BLOCK_LENGTH, length: BLOCK_LENGTH };
    (0..PIECE_BLOCKS).map(block).collect()
}
