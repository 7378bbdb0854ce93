//! What one peer asked of one torrent: its queue of requests, and whether each may be answered.

use std::collections::VecDeque;

use crate::bitfield;
use crate::geometry::Block;
use crate::id::InfoHash;
use crate::wire::{ExtendedHandshake, METADATA_PIECE_LENGTH, Message, MetadataMessage};

use super::{MAX_QUEUED_METADATA, MAX_QUEUED_REQUESTS, MAX_REFUSED_REQUESTS, PeerError, TorrentView};

/// The serving side of a connection.
#[derive(Debug)]
pub(super) struct Serving {
    torrent: TorrentView,
    has_fast: bool,
    is_unchoked: bool,
    requests: VecDeque<Block>,
    /// Metadata pieces asked for.
    metadata: VecDeque<u32>,
    /// The id under which the peer wants `ut_metadata` messages.
    peer_ut_metadata: Option<u8>,
    refused_count: u32,
}

impl Serving {
    pub(super) fn new(torrent: TorrentView, has_fast: bool) -> Self {
        Self {
            torrent,
            has_fast,
            is_unchoked: false,
            requests: VecDeque::new(),
            metadata: VecDeque::new(),
            peer_ut_metadata: None,
            refused_count: 0,
        }
    }

    pub(super) fn info_hash(&self) -> InfoHash {
        self.torrent.info.info_hash()
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
    pub(super) fn set_interested(&mut self, control: &mut Vec<u8>) {
        if !self.is_unchoked {
            self.is_unchoked = true;
            Message::Unchoke.encode(control);
        }
    }

    /// Queues a request that may be answered, and turns down one that may not.
    pub(super) fn request(&mut self, block: Block, control: &mut Vec<u8>) -> Result<(), PeerError> {
        let Block { piece, begin, length } = block;
        if self.torrent.info.geometry().block_range(block).is_none() {
            return Err(PeerError::OutOfBounds { piece, begin, length });
        }
        let reason = if !self.is_unchoked {
            "is choked"
        } else if !self.torrent.have.get(piece) {
            "we do not have it"
        } else if self.requests.len() >= MAX_QUEUED_REQUESTS {
            "too many requests wait"
        } else {
            self.requests.push_back(block);
            return Ok(());
        };
        if !self.has_fast {
            return Err(PeerError::Refused { piece, reason });
        }
        self.refused_count += 1;
        if self.refused_count > MAX_REFUSED_REQUESTS {
            return Err(PeerError::TooManyRefused);
        }
        Message::Reject(block).encode(control);
        Ok(())
    }

    /// Takes a request back if it has not been answered; the fast extension wants an answer either way (BEP 6).
    pub(super) fn cancel(&mut self, block: Block, control: &mut Vec<u8>) {
        let Some(position) = self.requests.iter().position(|request| *request == block) else { return };
        self.requests.remove(position);
        if self.has_fast {
            Message::Reject(block).encode(control);
        }
    }

    /// The next block to serve.
    pub(super) fn next_block(&mut self) -> Option<Block> {
        let block = self.requests.pop_front()?;
        if self.requests.is_empty() && self.requests.capacity() > MAX_QUEUED_REQUESTS / 8 {
            // A queue that was long once must not cost its memory for the life of the connection.
            self.requests = VecDeque::new();
        }
        Some(block)
    }

    /// Remembers how the peer wants its extended messages.
    pub(super) fn set_extensions(&mut self, handshake: &ExtendedHandshake) {
        self.peer_ut_metadata = handshake.ut_metadata;
    }

    /// Queues a request for metadata (BEP 9), or turns it down when too many wait.
    pub(super) fn metadata(&mut self, message: MetadataMessage<'_>, control: &mut Vec<u8>) {
        let MetadataMessage::Request { piece } = message else { return };
        if self.metadata.len() < MAX_QUEUED_METADATA {
            self.metadata.push_back(piece);
        } else if let Some(id) = self.peer_ut_metadata {
            Message::Extended { id, payload: &MetadataMessage::Reject { piece }.encode() }.encode(control);
        }
    }

    /// Answers one request for metadata, if there is one and the peer said how it wants it.
    pub(super) fn answer_metadata(&mut self, control: &mut Vec<u8>) {
        let Some(id) = self.peer_ut_metadata else { return };
        let Some(piece) = self.metadata.pop_front() else { return };
        let raw = self.torrent.info.raw();
        let data = raw.chunks(METADATA_PIECE_LENGTH).nth(piece as usize);
        let message = match (data, u32::try_from(raw.len())) {
            (Some(data), Ok(total_size)) => MetadataMessage::Data { piece, total_size, data },
            _ => MetadataMessage::Reject { piece },
        };
        Message::Extended { id, payload: &message.encode() }.encode(control);
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
