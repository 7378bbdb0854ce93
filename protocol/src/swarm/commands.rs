//! What a swarm wants done.

use std::net::SocketAddr;

use crate::peer::{Order, Parting};

use super::PeerKey;

/// Something that a swarm decided.
#[derive(Debug, Clone)]
pub enum Command {
    /// Have a connection do this.
    Tell(PeerKey, Order),
    /// Connect to this address; answer with [`Swarm::joined`] or [`Swarm::not_joined`].
    ///
    /// [`Swarm::joined`]: super::Swarm::joined
    /// [`Swarm::not_joined`]: super::Swarm::not_joined
    Dial(SocketAddr),
    /// Ask the trackers for more peers, when they allow it.
    NeedPeers,
    /// The raw `info` dictionary, which has the torrent's info-hash; answer with [`Swarm::begin`] if it can be used.
    ///
    /// [`Swarm::begin`]: super::Swarm::begin
    Metadata(Vec<u8>),
    /// All that is wanted is verified.
    Complete,
    /// The peer at this address was found to do harm, and is not let in again.
    Banned {
        /// Where it is.
        address: SocketAddr,
        /// What it did.
        reason: Parting,
    },
}
