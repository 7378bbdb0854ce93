//! One connection of a worker: its socket, its machine, and the reading and the writing task that share them.

use std::cell::{Cell, OnceCell, RefCell, RefMut};
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use protocol::id::PeerId;
use protocol::peer::{Input, Machine, PeerError};
use tokio::sync::Notify;
use tokio_uring::net::TcpStream;

use crate::storage::Torrent;
use crate::storage::lane::LaneError;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    /// The peer made a mistake, or was silent.
    #[error("{0}")]
    Peer(#[from] PeerError),
    /// The socket failed.
    #[error("{0}")]
    Socket(#[from] io::Error),
    /// The peer hung up.
    #[error("hung up")]
    HungUp,
    /// Its torrent is no longer served.
    #[error("its torrent has stopped")]
    TorrentStopped,
    /// Payload could not be had.
    #[error("payload cannot be had: {0}")]
    Storage(#[from] LaneError),
    /// We are going.
    #[error("btd is stopping")]
    Stopping,
}

/// A connection. Its two tasks run on one thread and never hold the machine across an await.
pub(super) struct Connection {
    socket: TcpStream,
    pub(super) address: SocketAddr,
    machine: RefCell<Machine>,
    torrent: OnceCell<Arc<Torrent>>,
    is_closed: Cell<bool>,
    /// Whether the writer holds payload and waits for the socket: it looks at the clock once a second.
    pub(super) is_blocked: Cell<bool>,
    /// There may be something to send, or the connection has ended.
    pub(super) to_write: Notify,
    /// The peer may be read again, or the connection has ended.
    pub(super) to_read: Notify,
}

impl Connection {
    pub(super) fn new(socket: TcpStream, address: SocketAddr, our_id: PeerId) -> Rc<Self> {
        Rc::new(Self {
            socket,
            address,
            machine: RefCell::new(Machine::accepted(our_id, Instant::now())),
            torrent: OnceCell::new(),
            is_closed: Cell::new(false),
            is_blocked: Cell::new(false),
            to_write: Notify::new(),
            to_read: Notify::new(),
        })
    }

    pub(super) fn machine(&self) -> RefMut<'_, Machine> {
        self.machine.borrow_mut()
    }

    /// The torrent that the peer came for, once it was found.
    pub(super) fn torrent(&self) -> Option<&Arc<Torrent>> {
        self.torrent.get()
    }

    /// Answers the machine's question for its torrent.
    pub(super) fn attach(&self, torrent: Option<Arc<Torrent>>) -> Result<(), PeerError> {
        let view = torrent.as_ref().map(|torrent| torrent.view());
        if let Some(torrent) = torrent {
            // Asked once for each connection; a second answer would be the same.
            let _ = self.torrent.set(torrent);
        }
        self.machine().handle_input(Input::Torrent(view), Instant::now())?;
        self.to_read.notify_one();
        Ok(())
    }

    /// Whether more may be sent.
    pub(super) fn check(&self) -> Result<(), Ended> {
        if self.is_closed.get() {
            return Err(Ended::Stopping);
        }
        match self.torrent() {
            Some(torrent) if torrent.error().is_some() => Err(Ended::TorrentStopped),
            _ => Ok(()),
        }
    }

    /// Lets time pass; ends the connection when it is due.
    pub(super) fn tick(&self, now: Instant) {
        if self.is_closed.get() {
            return;
        }
        let result = self.check().and_then(|()| Ok(self.machine().handle_input(Input::Tick, now)?));
        match result {
            // Ten thousand idle connections must not all be woken every second.
            Ok(()) if self.is_blocked.get() || self.machine().has_control() => self.to_write.notify_one(),
            Ok(()) => {}
            Err(ended) => self.close(&ended),
        }
    }

    /// Ends the connection: both tasks wake up and find it closed. Operations under way complete.
    pub(super) fn close(&self, ended: &Ended) {
        if self.is_closed.replace(true) {
            return;
        }
        tracing::debug!(peer = %self.address, "connection ended: {ended}");
        // Fails only where the peer was faster.
        let _ = self.socket.shutdown(Shutdown::Both);
        self.to_write.notify_one();
        self.to_read.notify_one();
    }
}

impl AsRawFd for Connection {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}
