//! One connection to a peer, without its socket: bytes in, outputs out.
//!
//! The worker feeds [`Machine::handle_input`] with what it read, with ticks of its clock and with [`Order`]s of the
//! swarm, drains [`Machine::poll_output`] whenever its socket takes more, and hands on [`Event`]s to the swarm and
//! [`Arrival`]s to storage. An error ends that one connection.

mod early;
mod event;
mod machine;
mod metadata;
mod order;
mod requesting;
mod serving;
mod talk;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use crate::bitfield::HaveBits;
use crate::geometry::Block;
use crate::id::{InfoHash, PeerId};
use crate::meta::Info;
use crate::wire::{HandshakeError, WireError};

pub use event::{Arrival, Data, Event, Introduction};
pub use machine::Machine;
pub use order::{Order, Parting};

/// Requests of one peer that wait before it is no longer read, and what we announce as `reqq` (BEP 10). 2,000 blocks
/// are 31 MiB on the way, enough for 10 Gbit/s over 25 ms.
pub const MAX_QUEUED_REQUESTS: usize = 2_000;
/// Requests turned down, and cancels of nothing, that a peer may be ahead of the blocks it was served. More is not a
/// matter of timing.
pub const MAX_USELESS_MESSAGES: u32 = 4_000;
/// Bytes of small messages that may wait for the socket; beyond that the peer is not read until it reads.
pub const MAX_WAITING_CONTROL: usize = 32 * 1024;

/// Requests of ours that may be on their way to one peer: 32 MiB, as much as a peer may be behind with its own.
pub const MAX_REQUESTS: u32 = 2_000;
/// Requests of ours that are on their way to the slowest peer that keeps its side: one to answer, one to follow.
pub const MIN_REQUESTS: u32 = 2;
/// Pieces that a peer may allow us while it chokes us: BEP 6 has peers allow ten or so.
pub const MAX_ALLOWED_FAST: usize = 64;
/// How often a peer may say what pieces it has, all at once: it is to be the first thing it says, and clients say it
/// once or twice.
pub const MAX_STATEMENTS: u32 = 8;
/// How long a peer may leave our requests unanswered before it keeps but one of them.
pub const SNUB_TIME: Duration = Duration::from_secs(30);
/// How long a request may stay unanswered before it is given up.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a peer may take over its handshake.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a peer may be silent: the two minutes of BEP 3, and a grace for a keep-alive that is on its way.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(120 + 10);
/// How long a peer may leave what we send unread.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a peer may stay without wanting anything: a seed among seeds takes a place that a leecher could have.
pub const UNINTERESTED_TIMEOUT: Duration = Duration::from_secs(600);
/// How long we may be silent, well inside the two minutes that others allow.
pub const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(90);

/// What all connections of a torrent look at.
#[derive(Debug, Clone)]
pub struct TorrentView {
    /// Names, lengths, hashes, and the raw dictionary.
    pub info: Arc<Info>,
    /// The pieces that may be served.
    pub have: Arc<HaveBits>,
}

/// What we say of ourselves in handshakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// What we call ourselves.
    pub peer_id: PeerId,
    /// Where peers can connect to us, for them to tell others.
    pub listen_port: Option<u16>,
}

/// What is known of the torrent that a peer came for.
#[derive(Debug, Clone)]
pub enum Found {
    /// It is not here.
    Nothing,
    /// It is here, but for its metadata.
    InfoHash,
    /// It is here.
    Torrent(TorrentView),
}

/// What happens to a connection.
#[derive(Debug)]
pub enum Input<'a> {
    /// Bytes were read.
    Received(&'a [u8]),
    /// The answer to [`Output::Find`].
    Found(Found),
    /// The swarm decided something. Before the handshakes are done there is nobody to obey it.
    Order(Order),
    /// Some of what the outputs asked for was taken by the socket; `is_all` when nothing is left of it.
    Sent {
        /// Whether the socket has taken everything.
        is_all: bool,
    },
    /// Time passed.
    Tick,
}

/// What a connection wants done. What is to be sent must reach the wire in this order.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// Look this torrent up and answer with [`Input::Found`]. The peer is not read meanwhile.
    Find(InfoHash),
    /// Send these bytes.
    Control(Vec<u8>),
    /// Send the header of a PIECE message and this block of the payload. It lies in a piece that we have.
    Serve(Block),
}

/// Why a connection must end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// Not BitTorrent: often an encrypted handshake, or a port scanner.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// Bytes that are no messages.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// It came for a torrent that we do not have.
    #[error("asks for torrent {0}, which is not here")]
    UnknownTorrent(InfoHash),
    /// It answered for another torrent than we asked it for.
    #[error("answers for torrent {0}, which it was not asked for")]
    OtherTorrent(InfoHash),
    /// We have parted from it.
    #[error("{0}")]
    Parted(Parting),
    /// The other end is this very process.
    #[error("is ourselves")]
    Ourselves,
    /// A request that no torrent of this shape can answer.
    #[error("requests {length} bytes at {begin} of piece {piece}, which do not exist")]
    OutOfBounds {
        /// Index of the piece.
        piece: u32,
        /// First byte within it.
        begin: u32,
        /// Bytes asked for.
        length: u32,
    },
    /// A piece index beyond the torrent.
    #[error("names piece {0}, which does not exist")]
    NoSuchPiece(u32),
    /// A bitfield of the wrong length, or with spare bits set.
    #[error("sends a bitfield of the wrong shape")]
    Bitfield,
    /// All its pieces, over and over.
    #[error("says again and again what pieces it has")]
    TooManyStatements,
    /// A request before we unchoked, from a peer that cannot be told so (BEP 6).
    #[error("requests while choked")]
    RequestWhileChoked,
    /// A request for a piece that we lack, from a peer that cannot be told so (BEP 6).
    #[error("requests piece {0}, which is not here")]
    PieceNotHere(u32),
    /// Over and over.
    #[error("repeats requests that were rejected, or cancels what it did not request")]
    TooManyUseless,
    /// A message of the fast extension, which the peer did not announce (BEP 6).
    #[error("uses the fast extension without having announced it")]
    FastNotAnnounced,
    /// A block or a rejection that nobody asked for.
    #[error("answers a request that was never made")]
    Unasked,
    /// No handshake in time.
    #[error("did not finish its handshake in time")]
    HandshakeTimeout,
    /// Nothing was heard.
    #[error("was silent for two minutes")]
    Idle,
    /// It wants nothing.
    #[error("was not interested for ten minutes")]
    Uninterested,
    /// Nothing was taken.
    #[error("left what it asked for unread for two minutes")]
    Stalled,
}
