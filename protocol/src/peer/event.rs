//! What a connection tells the swarm of its torrent, and the data that it hands to storage.

use std::ops::Range;

use crate::geometry::Block;
use crate::id::PeerId;
use crate::piece_set::PieceSet;

/// Something that a swarm must know of one connection. They come in the order in which they happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Both handshakes are done: the first event of every connection.
    Met {
        /// What the peer calls itself.
        peer_id: PeerId,
        /// How many pieces we had, at least, when we told the peer which. Those verified later it has not been told.
        announced: u32,
    },
    /// The peer's extended handshake, or a later one that changes it (BEP 10).
    Introduced(Introduction),
    /// All pieces that the peer has, in place of what it said before.
    Has(PieceSet),
    /// The peer has one more piece.
    HasPiece(u32),
    /// The peer answers our requests no longer, or again.
    Choked(bool),
    /// The peer wants pieces of us, or no longer.
    Interested(bool),
    /// The connection takes so many more requests: credits, which the swarm uses up as it asks for blocks.
    Room(u32),
    /// A block that was asked for is here; its data went to storage.
    Received(Block),
    /// A block that was asked for will not come: it was rejected, choked away, or given up.
    Rejected(Block),
    /// The piece may be requested while the peer chokes us (BEP 6).
    AllowedFast(u32),
    /// The peer would like us to ask for this piece (BEP 6).
    Suggested(u32),
    /// The peer leaves our requests unanswered, or has begun to answer them again.
    Snubbing(bool),
    /// Payload that has moved since the last such event. Only while [`Order::Meter`] asks for it.
    ///
    /// [`Order::Meter`]: super::Order::Meter
    Traffic {
        /// Bytes of blocks that came in.
        received: u64,
        /// Bytes of blocks that went out.
        sent: u64,
    },
    /// A piece of the raw `info` dictionary (BEP 9).
    Metadata {
        /// Index of the piece.
        piece: u32,
        /// Bytes in the whole dictionary, as the peer says.
        total_size: u32,
        /// The bytes.
        data: Vec<u8>,
    },
    /// The peer will not send this piece of metadata (BEP 9).
    MetadataRejected(u32),
}

/// What an extended handshake says (BEP 10).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Introduction {
    /// Name and version of the client.
    pub client: Option<String>,
    /// The port that the peer listens on.
    pub listen_port: Option<u16>,
    /// Whether the peer wants nothing any more (BEP 21).
    pub is_upload_only: bool,
    /// Bytes in the `info` dictionary, when the peer gives it away (BEP 9).
    pub metadata_size: Option<u32>,
}

/// A block whose data has come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// Which.
    pub block: Block,
    /// Its bytes.
    pub data: Data,
}

/// Where the bytes of an arrival are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// In the bytes that were handed to the machine last: nobody copied them.
    Within(Range<usize>),
    /// Here, from `start` on: they came in several parts.
    Gathered {
        /// The message that they came in.
        bytes: Vec<u8>,
        /// Where the data begins.
        start: usize,
    },
}
