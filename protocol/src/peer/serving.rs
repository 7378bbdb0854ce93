//! What one peer asked of one torrent's payload: its queue of requests, and whether each may be answered.

use std::collections::VecDeque;

use crate::bitfield;
use crate::geometry::Block;
use crate::wire::Message;

use super::{MAX_QUEUED_REQUESTS, MAX_USELESS_MESSAGES, PeerError, TorrentView};

/// The serving side of a connection.
#[derive(Debug)]
pub(super) struct Serving {
    torrent: TorrentView,
    has_fast: bool,
    is_unchoked: bool,
    pub(super) is_interested: bool,
    requests: VecDeque<Block>,
    /// Requests turned down and cancels of nothing, less the blocks that were served since.
    useless_count: u32,
}

impl Serving {
    pub(super) fn new(torrent: TorrentView, has_fast: bool) -> Self {
        let requests = VecDeque::new();
        Self { torrent, has_fast, is_unchoked: false, is_interested: false, requests, useless_count: 0 }
    }

    pub(super) fn torrent(&self) -> &TorrentView {
        &self.torrent
    }

    pub(super) fn piece_count(&self) -> u32 {
        self.torrent.have.piece_count()
    }

    /// Says which pieces we have, in the shortest way that the peer understands.
    pub(super) fn announce_have(&self, control: &mut Vec<u8>) {
        let have = &self.torrent.have;
        match (self.has_fast, have.have_count()) {
            (true, 0) => Message::HaveNone.encode(control),
            (true, _) if have.is_complete() => Message::HaveAll.encode(control),
            (false, 0) => {}
            _ => Message::Bitfield(&have.to_wire()).encode(control),
        }
    }

    /// Unchokes whoever is interested.
    pub(super) fn set_interested(&mut self, is_interested: bool, control: &mut Vec<u8>) {
        self.is_interested = is_interested;
        if is_interested && !self.is_unchoked {
            self.is_unchoked = true;
            Message::Unchoke.encode(control);
        }
    }

    /// Whether more requests may be taken. There are clients that queue as many as their rate suggests, whatever
    /// limit we announce; TCP holds them back.
    pub(super) fn has_room(&self) -> bool {
        self.requests.len() < MAX_QUEUED_REQUESTS
    }

    /// Queues a request that may be answered, and turns down one that may not.
    pub(super) fn request(&mut self, block: Block, control: &mut Vec<u8>) -> Result<(), PeerError> {
        let Block { piece, begin, length } = block;
        if self.torrent.info.geometry().block_range(block).is_none() {
            return Err(PeerError::OutOfBounds { piece, begin, length });
        }
        let error = if !self.is_unchoked {
            PeerError::RequestWhileChoked
        } else if !self.torrent.have.get(piece) {
            PeerError::PieceNotHere(piece)
        } else {
            self.requests.push_back(block);
            return Ok(());
        };
        if !self.has_fast {
            return Err(error);
        }
        Message::Reject(block).encode(control);
        self.count_useless()
    }

    /// Takes a request back if it has not been answered; the fast extension wants an answer either way (BEP 6).
    pub(super) fn cancel(&mut self, block: Block, control: &mut Vec<u8>) -> Result<(), PeerError> {
        let Some(position) = self.requests.iter().position(|request| *request == block) else {
            // Crossed with the block itself, as a rule; but looking through the queue is not free.
            return self.count_useless();
        };
        self.requests.remove(position);
        if self.has_fast {
            Message::Reject(block).encode(control);
        }
        Ok(())
    }

    fn count_useless(&mut self) -> Result<(), PeerError> {
        self.useless_count += 1;
        if self.useless_count > MAX_USELESS_MESSAGES { Err(PeerError::TooManyUseless) } else { Ok(()) }
    }

    /// The next block to serve.
    pub(super) fn next_block(&mut self) -> Option<Block> {
        let block = self.requests.pop_front()?;
        self.useless_count = self.useless_count.saturating_sub(1);
        if self.requests.is_empty() && self.requests.capacity() > MAX_QUEUED_REQUESTS / 8 {
            // A queue that was long once must not cost its memory for the life of the connection.
            self.requests = VecDeque::new();
        }
        Some(block)
    }

    pub(super) fn check_piece(&self, piece: u32) -> Result<(), PeerError> {
        if piece < self.piece_count() { Ok(()) } else { Err(PeerError::NoSuchPiece(piece)) }
    }

    pub(super) fn check_bitfield(&self, bits: &[u8]) -> Result<(), PeerError> {
        if bitfield::is_valid_wire(bits, self.piece_count()) { Ok(()) } else { Err(PeerError::Bitfield) }
    }

    pub(super) fn check_fast(&self) -> Result<(), PeerError> {
        if self.has_fast { Ok(()) } else { Err(PeerError::FastNotAnnounced) }
    }
}
