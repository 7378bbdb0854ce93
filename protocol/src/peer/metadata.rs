//! What one peer asked of the raw `info` dictionary (BEP 9), and how it wants it.

use std::collections::BTreeSet;

use crate::meta::Info;
use crate::wire::{METADATA_PIECE_LENGTH, Message, MetadataMessage};

/// The pieces of metadata that a peer waits for.
#[derive(Debug, Default)]
pub(super) struct MetadataQueue {
    /// Each piece once, so the torrent's own metadata is the bound: some clients ask for all of it at once, and never
    /// again for what was rejected.
    pieces: BTreeSet<u32>,
    /// The id under which the peer wants `ut_metadata` messages, once it has said so.
    peer_id: Option<u8>,
}

impl MetadataQueue {
    /// Takes what an extended handshake says of `ut_metadata`: nothing leaves it as it is, 0 switches it off (BEP 10).
    pub(super) fn set_peer_id(&mut self, id: Option<u8>) {
        match id {
            None => {}
            Some(0) => *self = Self::default(),
            Some(id) => self.peer_id = Some(id),
        }
    }

    /// The id under which the peer wants `ut_metadata` messages, if it does.
    pub(super) fn peer_id(&self) -> Option<u8> {
        self.peer_id
    }

    /// Queues a request, or turns it down when there is no such piece.
    pub(super) fn request(&mut self, piece: u32, info: Option<&Info>, control: &mut Vec<u8>) {
        let count = info.map_or(0, |info| info.raw().len().div_ceil(METADATA_PIECE_LENGTH));
        if (piece as usize) < count {
            self.pieces.insert(piece);
        } else if let Some(id) = self.peer_id {
            Message::Extended { id, payload: &MetadataMessage::Reject { piece }.encode() }.encode(control);
        }
    }

    /// Answers one request, if there is one and the peer said how it wants it.
    pub(super) fn answer(&mut self, info: &Info, control: &mut Vec<u8>) {
        let Some(id) = self.peer_id else { return };
        let Some(piece) = self.pieces.pop_first() else { return };
        let raw = info.raw();
        let data = raw.chunks(METADATA_PIECE_LENGTH).nth(piece as usize).unwrap_or_default();
        // The scanner takes no torrent that is too long for this.
        let total_size = u32::try_from(raw.len()).unwrap_or(u32::MAX);
        let message = MetadataMessage::Data { piece, total_size, data };
        Message::Extended { id, payload: &message.encode() }.encode(control);
    }
}
