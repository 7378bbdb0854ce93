//! A download by the raw peer: pieces asked for in any order, put together from their blocks, and hashed.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;

use crate::torrent::{Block, Torrent};
use crate::wire::{ANSWER_LIMIT, Peer, Speaks, id, request};

/// Blocks that are asked for ahead, at least.
const AHEAD_BLOCKS: usize = 64;

/// A piece that is complete and has the hash that the torrent says, or has not.
#[derive(Debug)]
pub struct Piece {
    /// Its index.
    pub index: u32,
    /// Its bytes.
    pub data: Vec<u8>,
    /// Whether they are right.
    pub is_right: bool,
}

/// What comes of a download next.
#[derive(Debug)]
pub enum Event {
    /// All blocks of a piece have come.
    Piece(Piece),
    /// btd will not send a block.
    Rejected(Block),
    /// btd has closed the connection.
    Closed,
}

#[derive(Debug, Default)]
struct Partial {
    data: Vec<u8>,
    missing: usize,
}

/// Downloads pieces over one connection.
#[derive(Debug)]
pub struct Download<'a> {
    peer: Peer,
    torrent: &'a Torrent,
    partial: HashMap<u32, Partial>,
}

impl<'a> Download<'a> {
    /// Connects to btd at `address` as a peer that speaks `speaks` and waits until it may ask.
    pub fn start(address: SocketAddr, torrent: &'a Torrent, speaks: Speaks) -> Self {
        let peer = Peer::unchoked(address, torrent.info_hash, speaks);
        Self { peer, torrent, partial: HashMap::new() }
    }

    /// Asks for all blocks of `piece`, unless it is on its way already.
    ///
    /// # Errors
    /// When btd has closed the connection.
    pub fn ask(&mut self, piece: u32) -> io::Result<()> {
        if self.partial.contains_key(&piece) {
            return Ok(());
        }
        let requests: Vec<u8> = self.torrent.blocks(piece).flat_map(request).collect();
        let length = usize::try_from(self.torrent.piece_bytes(piece)).expect("a piece fits memory");
        let partial = Partial { data: vec![0; length], missing: self.torrent.blocks(piece).count() };
        self.partial.insert(piece, partial);
        self.peer.try_send(&requests)
    }

    /// How many blocks are on their way.
    fn outstanding(&self) -> usize {
        self.partial.values().map(|partial| partial.missing).sum()
    }

    /// Whether more should be asked for, so that btd always has enough to do.
    pub fn wants_more(&self) -> bool {
        self.outstanding() < AHEAD_BLOCKS
    }

    /// The next piece that becomes complete, or what comes instead of it.
    pub fn next_event(&mut self) -> Event {
        loop {
            let received = self.peer.receive(ANSWER_LIMIT);
            let received =
                received.unwrap_or_else(|error| panic!("{error}: {} blocks missing", self.outstanding()));
            let Some(message) = received else { return Event::Closed };
            let Some(block) = message.block() else { continue };
            if message.id == Some(id::REJECT) {
                return Event::Rejected(block);
            }
            let partial = self.partial.get_mut(&block.piece);
            let partial = partial.unwrap_or_else(|| panic!("{block:?} was not asked for"));
            assert!(
                self.torrent.blocks(block.piece).any(|asked| asked == block),
                "{block:?} was not asked for"
            );
            let begin = usize::try_from(block.begin).expect("an offset fits");
            partial.data[begin..][..message.payload.len() - 8].copy_from_slice(&message.payload[8..]);
            partial.missing -= 1;
            if partial.missing == 0 {
                let data = self.partial.remove(&block.piece).map(|partial| partial.data).unwrap_or_default();
                let is_right = self.torrent.is_piece(block.piece, &data);
                return Event::Piece(Piece { index: block.piece, data, is_right });
            }
        }
    }

    /// Downloads every piece once and checks each; fails when the connection ends before.
    pub fn whole(&mut self) {
        let mut to_ask = 0..self.torrent.piece_count();
        let mut done = 0;
        while done < self.torrent.piece_count() {
            while self.wants_more() {
                let Some(piece) = to_ask.next() else { break };
                self.ask(piece).unwrap_or_else(|error| panic!("{error} after {done} pieces"));
            }
            match self.next_event() {
                Event::Piece(piece) => assert!(piece.is_right, "piece {} has the wrong hash", piece.index),
                other => panic!("{other:?} after {done} pieces"),
            }
            done += 1;
        }
    }

    /// The connection.
    pub fn peer(&mut self) -> &mut Peer {
        &mut self.peer
    }
}
