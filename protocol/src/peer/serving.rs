//! What one peer asked of one torrent's payload: its queue of requests, and whether each may be answered.

use std::collections::VecDeque;

use crate::geometry::Block;
use crate::wire::Message;

use super::{MAX_QUEUED_REQUESTS, MAX_USELESS_MESSAGES, PeerError, TorrentView};

/// The serving side of a connection.
#[derive(Debug)]
pub(super) struct Serving {
    /// The torrent, once its metadata is known.
    torrent: Option<TorrentView>,
    has_fast: bool,
    is_unchoked: bool,
    /// Whether the peer was ever unchoked: what it asks for before that did not cross with a choke.
    was_unchoked: bool,
    pub(super) is_interested: bool,
    requests: VecDeque<Block>,
    /// Requests turned down and cancels of nothing, less the blocks that were served since.
    useless_count: u32,
    /// Payload bytes that were handed out since this was last asked.
    sent: u64,
}

impl Serving {
    pub(super) fn new(torrent: Option<TorrentView>, has_fast: bool) -> Self {
        let requests = VecDeque::new();
        Self {
            torrent,
            has_fast,
            is_unchoked: false,
            was_unchoked: false,
            is_interested: false,
            requests,
            useless_count: 0,
            sent: 0,
        }
    }

    pub(super) fn torrent(&self) -> Option<&TorrentView> {
        self.torrent.as_ref()
    }

    pub(super) fn set_torrent(&mut self, torrent: TorrentView) {
        self.torrent = Some(torrent);
    }

    /// Says which pieces we have, in the shortest way that the peer understands. Returns how many those are at least.
    pub(super) fn announce_have(&self, control: &mut Vec<u8>) -> u32 {
        let Some(TorrentView { have, .. }) = &self.torrent else {
            if self.has_fast {
                Message::HaveNone.encode(control);
            }
            return 0;
        };
        // Counted first: pieces are counted after their bits are set, so no piece falls between count and bits.
        let count = have.have_count();
        match (self.has_fast, count) {
            (true, 0) => Message::HaveNone.encode(control),
            (true, _) if have.is_complete() => Message::HaveAll.encode(control),
            (false, 0) => {}
            _ => Message::Bitfield(&have.to_wire()).encode(control),
        }
        count
    }

    /// Answers requests no longer, or again. What waits when the peer is choked is not answered any more; the fast
    /// extension has it rejected (BEP 6).
    pub(super) fn set_choked(&mut self, is_choked: bool, control: &mut Vec<u8>) {
        if self.is_unchoked != is_choked {
            return;
        }
        self.is_unchoked = !is_choked;
        if !is_choked {
            self.was_unchoked = true;
            return Message::Unchoke.encode(control);
        }
        Message::Choke.encode(control);
        for block in std::mem::take(&mut self.requests) {
            if self.has_fast {
                Message::Reject(block).encode(control);
            }
        }
    }

    /// Whether requests wait to be served.
    pub(super) fn has_requests(&self) -> bool {
        !self.requests.is_empty()
    }

    /// Whether more requests may be taken. There are clients that queue as many as their rate suggests, whatever
    /// limit we announce; TCP holds them back.
    pub(super) fn has_room(&self) -> bool {
        self.requests.len() < MAX_QUEUED_REQUESTS
    }

    /// Queues a request that may be answered, and turns down one that may not.
    pub(super) fn request(&mut self, block: Block, control: &mut Vec<u8>) -> Result<(), PeerError> {
        let Block { piece, begin, length } = block;
        let Some(TorrentView { info, have }) = &self.torrent else {
            return self.turn_down(block, PeerError::PieceNotHere(piece), control);
        };
        if info.geometry().block_range(block).is_none() {
            return Err(PeerError::OutOfBounds { piece, begin, length });
        }
        if !self.is_unchoked {
            self.turn_down(block, PeerError::RequestWhileChoked, control)
        } else if have.get(piece) {
            self.requests.push_back(block);
            Ok(())
        } else {
            self.turn_down(block, PeerError::PieceNotHere(piece), control)
        }
    }

    /// Rejects a request. A peer that has no such message may have sent it before it heard of our choke, which is no
    /// mistake yet; it asks again when it is unchoked.
    fn turn_down(&mut self, block: Block, error: PeerError, control: &mut Vec<u8>) -> Result<(), PeerError> {
        if self.has_fast {
            Message::Reject(block).encode(control);
        } else if !self.was_unchoked || error != PeerError::RequestWhileChoked {
            return Err(error);
        }
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

    pub(super) fn count_useless(&mut self) -> Result<(), PeerError> {
        self.useless_count += 1;
        if self.useless_count > MAX_USELESS_MESSAGES { Err(PeerError::TooManyUseless) } else { Ok(()) }
    }

    /// The next block to serve.
    pub(super) fn next_block(&mut self) -> Option<Block> {
        let block = self.requests.pop_front()?;
        self.useless_count = self.useless_count.saturating_sub(1);
        self.sent += u64::from(block.length);
        if self.requests.is_empty() && self.requests.capacity() > MAX_QUEUED_REQUESTS / 8 {
            // A queue that was long once must not cost its memory for the life of the connection.
            self.requests = VecDeque::new();
        }
        Some(block)
    }

    /// Payload bytes that were handed out since the last call.
    pub(super) fn take_sent(&mut self) -> u64 {
        std::mem::take(&mut self.sent)
    }
}
