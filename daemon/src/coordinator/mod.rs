//! Runs the swarms: one thread that hears what workers, storage and trackers have to say, and gives orders.
//!
//! It never touches a disk, resolves a name or waits for a worker. What takes time is done by whoever started it, who
//! is told by [`Notice`]s.

mod entry;
mod instruct;
mod instruction;
mod peers;
mod run;
mod waiting;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::bounded;
use protocol::id::{InfoHash, PeerId};
use protocol::peer::Parting;
use protocol::swarm::Tally;
use protocol::swarm::candidates::Source;
use service::heartbeats::Pulse;
use tokio::sync::mpsc;

use crate::bus::{Dial, Limits, Report};
use crate::storage::Registry;

pub use instruction::{Addition, Beginning, Instruction, Removal, Removed, Request};

/// Instructions on their way to the coordinator. Storage waits when it is ahead by more.
const MAX_INSTRUCTIONS: usize = 4_096;

/// How a torrent stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Connections.
    pub peers: usize,
    /// Of these, peers that have everything.
    pub seeds: usize,
    /// Connections that are being made.
    pub dials: usize,
    /// Addresses that are known to be peers, or said to be.
    pub candidates: usize,
    /// Whether all that is wanted is here.
    pub is_complete: bool,
    /// Whether the disk has no room.
    pub is_disk_full: bool,
    /// What the swarm has counted.
    pub tally: Tally,
}

/// What whoever started the coordinator must know or do.
#[derive(Debug)]
pub enum Notice {
    /// Peers came for a torrent that can be loaded, and wait: to be answered with [`Instruction::Add`] or, where it cannot
    /// be, with [`Instruction::Remove`]. Said once, until it is answered or they have gone.
    Wanted(InfoHash),
    /// Addresses were found where peers of a torrent may be that can be loaded. Nothing is kept of them here.
    Found {
        /// The torrent.
        info_hash: InfoHash,
        /// The addresses.
        addresses: Vec<SocketAddr>,
        /// Who named them.
        source: Source,
    },
    /// A tracker has answered; said by whoever asks trackers.
    Announced {
        /// The torrent.
        info_hash: InfoHash,
        /// How long until it is asked again.
        next_in: Duration,
    },
    /// The trackers should name more peers of this torrent.
    NeedPeers(InfoHash),
    /// The raw `info` dictionary of a torrent, to be answered with [`Instruction::Begin`].
    Metadata(InfoHash, Vec<u8>),
    /// A piece was verified and is served from now on.
    Verified(InfoHash, u32),
    /// A piece failed its hash.
    Failed(InfoHash, u32),
    /// All that was wanted of a torrent is here.
    Complete(InfoHash),
    /// A peer did harm and is not let in again.
    Banned {
        /// The torrent.
        info_hash: InfoHash,
        /// The peer.
        address: SocketAddr,
        /// What it did.
        reason: Parting,
    },
}

/// A coordinator that runs.
#[derive(Debug)]
pub struct Coordinator {
    instructions: mpsc::Sender<Instruction>,
    pulse: Pulse,
    thread: JoinHandle<()>,
}

/// What a coordinator is made of.
#[derive(Debug)]
pub struct Parts {
    /// What we call ourselves.
    pub our_id: PeerId,
    /// What workers have to say.
    pub reports: mpsc::Receiver<Report>,
    /// Where each worker takes addresses to dial.
    pub dials: Vec<mpsc::Sender<Dial>>,
    /// The torrents that peers may come for: entered here, once their swarms can hear of those peers.
    pub registry: Arc<Registry>,
    /// What all torrents together may send and receive.
    pub limits: Arc<Limits>,
    /// Where notices go.
    pub notices: mpsc::Sender<Notice>,
    /// The instructions.
    pub instructions: mpsc::Receiver<Instruction>,
}

/// The channel of instructions: storage and trackers have its sender before the coordinator runs.
pub fn instructions() -> (mpsc::Sender<Instruction>, mpsc::Receiver<Instruction>) {
    mpsc::channel(MAX_INSTRUCTIONS)
}

impl Coordinator {
    /// Starts the thread. It ends when it is told to, or nobody can instruct it any more.
    ///
    /// # Errors
    /// When it gets no thread.
    pub fn start(parts: Parts, instructions: mpsc::Sender<Instruction>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let pulse = Pulse::default();
        let of_thread = pulse.clone();
        let thread = std::thread::Builder::new()
            .name("btd-coordinator".into())
            .spawn(move || runtime.block_on(run::run(parts, of_thread)))?;
        Ok(Self { instructions, pulse, thread })
    }

    /// Where to instruct it.
    pub fn instructions(&self) -> &mpsc::Sender<Instruction> {
        &self.instructions
    }

    /// Beats while it moves.
    pub fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// Ends it, when it has done all that it was told before; waits `timeout` at most.
    pub fn stop(self, timeout: Duration) {
        let (ended, is_ended) = bounded(0);
        if self.instructions.try_send(Instruction::Stop(ended)).is_ok() {
            // Nothing ever comes: the other end goes.
            let _ = is_ended.recv_timeout(timeout);
        }
    }

    /// Whether it has ended on its own, which is a mistake of ours.
    pub fn is_lost(&self) -> bool {
        self.thread.is_finished()
    }
}
