//! What the swarm of a torrent has a connection do.

use crate::geometry::Block;

use super::TorrentView;

/// Something that a swarm decided about one connection.
#[derive(Debug, Clone)]
pub enum Order {
    /// The metadata is here: the torrent, of which only the info-hash was known, begins.
    Begin(TorrentView),
    /// Ask for these blocks. Each ends as [`Event::Received`] or [`Event::Rejected`], or with the connection.
    ///
    /// [`Event::Received`]: super::Event::Received
    /// [`Event::Rejected`]: super::Event::Rejected
    Request(Vec<Block>),
    /// A block that was asked for is no longer needed.
    Cancel(Block),
    /// Say that we want pieces of the peer, or no longer.
    Interested(bool),
    /// Answer the peer's requests no longer, or again.
    Choke(bool),
    /// Say that we have these pieces: they were verified after the connection began.
    Have(Vec<u32>),
    /// Ask for a piece of the raw `info` dictionary (BEP 9).
    RequestMetadata(u32),
    /// Tell what payload moves, once a second, or no longer.
    Meter(bool),
    /// Part.
    Close(Parting),
}

/// Why a swarm parts from a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Parting {
    /// Both ends have all that they want.
    #[error("needs nothing of us, nor we of it")]
    Redundant,
    /// There is another connection to the same peer.
    #[error("is connected twice")]
    Duplicate,
    /// It sent data that is not the torrent's.
    #[error("sent data that failed its hash")]
    Corrupt,
    /// It sent an `info` dictionary that is not the torrent's.
    #[error("sent metadata that failed its hash")]
    FalseMetadata,
    /// Its address was banned.
    #[error("is banned")]
    Banned,
    /// There are as many connections as the torrent may have.
    #[error("is one too many")]
    Crowded,
    /// The torrent is no longer here.
    #[error("came for a torrent that was stopped")]
    Stopped,
}
