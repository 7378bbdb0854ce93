//! What rooms beside each other have in common: the one place where they meet.
//!
//! Workers tell the coordinator what happened through one bounded channel of [`Report`]s; a worker that finds it full
//! stops reading that peer's socket. The coordinator answers through a [`Mailbox`] for each connection, where newer
//! orders replace older ones, so that neither ever waits for a slow worker nor loses anything.
//!
//! The control API reads the rows of all torrents on the [`Board`], and asks the catalog for the rest by [`Request`]s.

pub mod board;
mod faults;
mod figures;
mod mailbox;
mod request;
mod row;
pub mod throttle;

use std::net::SocketAddr;
use std::sync::Arc;

use protocol::id::InfoHash;
use protocol::peer::Event;
use protocol::swarm::candidates::Ended;
use protocol::swarm::{Joined, PeerKey};
use tokio::sync::mpsc;

pub use board::{Board, TorrentId};
pub use faults::{Fault, Faults};
pub use figures::{DiskFigures, Figures, TrackerFigures, WorkerFigures};
pub use mailbox::Mailbox;
pub use request::{Action, MAX_PROGRESS, MAX_REQUESTS, Reply, Request, Requests};
pub use row::{Live, Row, Trackers};
pub use throttle::{Limits, RateLimits, Throttle};

/// Reports on their way to the coordinator: a worker that is ahead by more waits. One may tell of all the messages that
/// fit a read.
pub const MAX_REPORTS: usize = 256;
/// Addresses on their way to a worker: more than the coordinator has dialled at a time.
pub const MAX_DIALS: usize = 1_024;

/// The worker's end of the channel.
pub type Reports = mpsc::Sender<Report>;

/// What a worker tells the coordinator.
#[derive(Debug)]
pub enum Report {
    /// Handshakes are done.
    Joined {
        /// The torrent that both ends came for.
        info_hash: InfoHash,
        /// The connection.
        joined: Joined,
        /// Where it takes orders.
        mailbox: Arc<Mailbox>,
    },
    /// Something happened on a connection that has joined; in order.
    Events {
        /// The connection.
        key: PeerKey,
        /// What happened.
        events: Vec<Event>,
    },
    /// A connection that had joined has ended.
    Gone {
        /// The connection.
        key: PeerKey,
        /// How.
        ended: Ended,
    },
    /// A peer came for a torrent that can be loaded, and waits for it.
    Wanted {
        /// The torrent.
        info_hash: InfoHash,
        /// Rung when it is worth looking again; an order to close turns the peer away.
        mailbox: Arc<Mailbox>,
    },
    /// An address that was dialled did not become a connection.
    NotJoined {
        /// The torrent it was dialled for.
        info_hash: InfoHash,
        /// The address.
        address: SocketAddr,
        /// Whether it was our own.
        is_ourselves: bool,
    },
}

/// An address that a worker is to connect to.
#[derive(Debug, Clone, Copy)]
pub struct Dial {
    /// The torrent.
    pub info_hash: InfoHash,
    /// Where a peer may be.
    pub address: SocketAddr,
}
