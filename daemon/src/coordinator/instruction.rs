//! What the coordinator is told and asked, by others than workers.

use std::net::SocketAddr;
use std::sync::Arc;

use crossbeam_channel::Sender;
use protocol::control::PeerRow;
use protocol::id::InfoHash;
use protocol::swarm::Settings;
use protocol::swarm::candidates::Source;
use protocol::swarm::picker::Priority;
use tokio::sync::{oneshot, watch};

use crate::bus::Limits;
use crate::storage::{Leave, Torrent, write};

use super::Standing;

/// What the coordinator is told.
#[derive(Debug)]
pub enum Instruction {
    /// A torrent that is to have a swarm.
    Add(Addition),
    /// The metadata of a torrent is here and its files are ready.
    Begin(Beginning),
    /// Addresses where peers of a torrent may be.
    Found {
        /// The torrent.
        info_hash: InfoHash,
        /// The addresses.
        addresses: Vec<SocketAddr>,
        /// Who named them.
        source: Source,
    },
    /// What became of blocks that were downloaded.
    Stored(InfoHash, write::Report),
    /// A torrent is to have no swarm any more. Also the answer to [`Notice::Wanted`] where the torrent cannot be loaded:
    /// peers that wait for it are turned away.
    ///
    /// [`Notice::Wanted`]: super::Notice::Wanted
    Remove(Request),
    /// Peers that wait for a torrent are to be turned away.
    Refuse(InfoHash),
    /// What a torrent, or all together where none is named, may send and receive.
    Limit {
        /// Which, if not all.
        info_hash: Option<InfoHash>,
        /// Bytes a second that peers get.
        upload_bytes_per_s: Option<u64>,
        /// Bytes a second that peers give.
        download_bytes_per_s: Option<u64>,
    },
    /// What the user chose for a torrent.
    Settings(InfoHash, Settings),
    /// Tell the peers of a torrent; none where it has no swarm.
    Peers(InfoHash, oneshot::Sender<Vec<PeerRow>>),
    /// End, when all that was said before is done; the sender is dropped then.
    Stop(Sender<()>),
}

/// A torrent that is to have a swarm.
#[derive(Debug)]
pub struct Addition {
    /// Which.
    pub info_hash: InfoHash,
    /// What the user chose.
    pub settings: Settings,
    /// What it may send and receive.
    pub limits: Arc<Limits>,
    /// Addresses that the user named.
    pub peers: Vec<SocketAddr>,
    /// Where its standing is published.
    pub standing: watch::Sender<Standing>,
    /// The torrent itself, where its metadata is here.
    pub beginning: Option<Beginning>,
    /// Told when peers that come for it are let in: whether it is new.
    pub is_added: oneshot::Sender<bool>,
}

/// A torrent whose pieces can be fetched and served.
#[derive(Debug)]
pub struct Beginning {
    /// The torrent.
    pub torrent: Arc<Torrent>,
    /// How much each piece is wanted; empty where all are wanted alike.
    pub priorities: Vec<Priority>,
}

/// A torrent that is to be removed.
#[derive(Debug)]
pub struct Request {
    /// Which.
    pub info_hash: InfoHash,
    /// What the registry is to say of it from now on.
    pub leave: Leave,
    /// Whether it stays while it has a peer, or dials one.
    pub only_if_idle: bool,
    /// What became of it.
    pub reply: oneshot::Sender<Removal>,
}

/// What became of a torrent that was to be removed.
#[derive(Debug)]
pub enum Removal {
    /// It has no swarm any more, and was withdrawn.
    Removed(Removed),
    /// It has peers, and stays.
    Busy,
    /// It had no swarm; the registry says of it what it was to say.
    Absent,
}

/// A torrent that was removed.
#[derive(Debug)]
pub struct Removed {
    /// The torrent, where its metadata was here.
    pub torrent: Option<Arc<Torrent>>,
    /// Ends, with an error, when the last of its connections has.
    pub parted: oneshot::Receiver<()>,
}
