//! One connection of a worker: its socket, its machine, and the reading and the writing task that share them.

use std::cell::{Cell, OnceCell, RefCell, RefMut};
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use protocol::id::InfoHash;
use protocol::peer::{Event, Found, Identity, Input, Machine, Order, PeerError};
use protocol::swarm::candidates::Ended as Departure;
use protocol::swarm::{Joined, PeerKey};
use tokio::sync::Notify;
use tokio_uring::net::TcpStream;

use crate::bus::{Limits, Mailbox, Report};
use crate::storage::lane::LaneError;
use crate::storage::{Lookup, Registry, Torrent};

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

/// How a connection came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The peer opened it.
    Accepted,
    /// We opened it, for this torrent.
    Dialled(InfoHash),
}

/// How far the search for a connection's torrent has come, when it is known and not loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Search {
    /// There is nothing to wait for.
    Over,
    /// The coordinator is to hear that the torrent is wanted.
    Begun,
    /// It has heard, and rings when it is worth looking again.
    Waiting,
}

/// A connection. Its two tasks run on one thread and never hold the machine across an await.
pub(super) struct Connection {
    socket: TcpStream,
    pub(super) key: PeerKey,
    pub(super) address: SocketAddr,
    pub(super) origin: Origin,
    machine: RefCell<Machine>,
    info_hash: OnceCell<InfoHash>,
    torrent: OnceCell<Arc<Torrent>>,
    /// The limits of the torrent, once the coordinator has named them.
    limits: OnceCell<Arc<Limits>>,
    /// Where orders come, and what wakes the writer: there may be something to send, or the connection has ended.
    pub(super) mailbox: Arc<Mailbox>,
    /// Held by the task that reports, so that what happened first is told first.
    pub(super) reporting: tokio::sync::Mutex<()>,
    /// Whether its torrent is yet to be loaded.
    search: Cell<Search>,
    /// Whether the coordinator knows of the connection.
    has_joined: Cell<bool>,
    is_closed: Cell<bool>,
    /// How the connection ended, for the next attempt.
    departure: Cell<Departure>,
    /// Whether the other end turned out to be this process.
    is_ourselves: Cell<bool>,
    /// Whether the writer holds payload and waits for the socket: it looks at the clock once a second.
    pub(super) is_blocked: Cell<bool>,
    /// The peer may be read again, or the connection has ended.
    pub(super) to_read: Notify,
}

impl Connection {
    pub(super) fn new(
        socket: TcpStream,
        key: PeerKey,
        address: SocketAddr,
        origin: Origin,
        ours: Identity,
    ) -> Rc<Self> {
        let now = Instant::now();
        let machine = match origin {
            Origin::Accepted => Machine::accepted(ours, now),
            Origin::Dialled(info_hash) => Machine::dialled(ours, info_hash, now),
        };
        Rc::new(Self {
            socket,
            key,
            address,
            origin,
            machine: RefCell::new(machine),
            info_hash: OnceCell::new(),
            torrent: OnceCell::new(),
            limits: OnceCell::new(),
            mailbox: Arc::default(),
            reporting: tokio::sync::Mutex::default(),
            search: Cell::new(Search::Over),
            has_joined: Cell::new(false),
            is_closed: Cell::new(false),
            departure: Cell::new(Departure::Normal),
            is_ourselves: Cell::new(false),
            is_blocked: Cell::new(false),
            to_read: Notify::new(),
        })
    }

    pub(super) fn machine(&self) -> RefMut<'_, Machine> {
        self.machine.borrow_mut()
    }

    /// The torrent that the peer came for, once it was found and its metadata is here.
    pub(super) fn torrent(&self) -> Option<&Arc<Torrent>> {
        self.torrent.get()
    }

    /// The limits that the connection shares with others of its torrent, once they are known.
    pub(super) fn limits(&self) -> Option<&Limits> {
        self.limits.get().map(Arc::as_ref)
    }

    /// Answers the machine's question for its torrent; not yet, where that is to be loaded first. The machine ends a
    /// connection for which that takes too long.
    pub(super) fn attach(&self, info_hash: InfoHash, registry: &Registry) -> Result<(), PeerError> {
        let _ = self.info_hash.set(info_hash);
        let found = match registry.find(&info_hash) {
            Lookup::Nothing => Found::Nothing,
            Lookup::Known => {
                if self.search.get() == Search::Over {
                    self.search.set(Search::Begun);
                }
                return Ok(());
            }
            Lookup::Awaited => Found::InfoHash,
            Lookup::Torrent(torrent) => {
                let view = torrent.view();
                // Asked once for each connection; a second answer would be the same.
                let _ = self.torrent.set(torrent);
                Found::Torrent(view)
            }
        };
        self.search.set(Search::Over);
        self.machine().handle_input(Input::Found(found), Instant::now())?;
        self.to_read.notify_one();
        Ok(())
    }

    /// Does what the coordinator has ordered since the last time, and looks whether a torrent that is waited for is there.
    pub(super) fn obey(&self, registry: &Registry) -> Result<(), Ended> {
        let (orders, limits) = self.mailbox.take();
        if let Some(limits) = limits {
            // Named once for each connection.
            let _ = self.limits.set(limits);
        }
        for order in orders {
            if let (Order::Begin(_), None, Some(info_hash)) = (&order, self.torrent(), self.info_hash.get())
                && let Lookup::Torrent(torrent) = registry.find(info_hash)
            {
                let _ = self.torrent.set(torrent);
            }
            self.machine().handle_input(Input::Order(order), Instant::now())?;
        }
        match self.info_hash.get() {
            Some(info_hash) if self.search.get() == Search::Waiting => Ok(self.attach(*info_hash, registry)?),
            _ => Ok(()),
        }
    }

    /// Whether the coordinator is to hear something.
    pub(super) fn has_news(&self) -> bool {
        self.search.get() == Search::Begun || self.machine().has_events()
    }

    /// What the coordinator is to hear, since the last time.
    pub(super) fn reports(&self) -> impl Iterator<Item = Report> {
        let is_begun = self.search.get() == Search::Begun;
        let wanted = self.info_hash.get().filter(|_| is_begun).map(|info_hash| {
            self.search.set(Search::Waiting);
            Report::Wanted { info_hash: *info_hash, mailbox: Arc::clone(&self.mailbox) }
        });
        let mut events = self.machine().take_events();
        let joined = match (events.first(), self.info_hash.get()) {
            (Some(Event::Met { peer_id, announced }), Some(info_hash)) => {
                self.has_joined.set(true);
                let joined = Joined {
                    key: self.key,
                    address: self.address,
                    is_outgoing: self.origin != Origin::Accepted,
                    peer_id: *peer_id,
                    announced: *announced,
                };
                Some(Report::Joined { info_hash: *info_hash, joined, mailbox: Arc::clone(&self.mailbox) })
            }
            _ => None,
        };
        if joined.is_some() {
            events.remove(0);
        }
        let events = (!events.is_empty()).then_some(Report::Events { key: self.key, events });
        wanted.into_iter().chain(joined).chain(events)
    }

    /// What the coordinator is to hear at the end.
    pub(super) fn last_report(&self) -> Option<Report> {
        match self.origin {
            _ if self.has_joined.get() => Some(Report::Gone { key: self.key, ended: self.departure.get() }),
            Origin::Accepted => None,
            Origin::Dialled(info_hash) => Some(Report::NotJoined {
                info_hash,
                address: self.address,
                is_ourselves: self.is_ourselves.get(),
            }),
        }
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

    /// What `future` comes to, unless the connection ends before. For the reading task.
    pub(super) async fn unless_closed<T>(&self, future: impl Future<Output = T>) -> Result<T, Ended> {
        let mut future = pin!(future);
        loop {
            tokio::select! {
                result = &mut future => return Ok(result),
                () = self.to_read.notified() => self.check()?,
            }
        }
    }

    /// Lets time pass; ends the connection when it is due.
    pub(super) fn tick(&self, now: Instant) {
        if self.is_closed.get() {
            return;
        }
        let result = self.check().and_then(|()| Ok(self.machine().handle_input(Input::Tick, now)?));
        let has_something = || self.machine().has_control() || self.machine().has_events();
        match result {
            // Ten thousand idle connections must not all be woken every second.
            Ok(()) if self.is_blocked.get() || has_something() => self.mailbox.ring(),
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
        match ended {
            Ended::Peer(PeerError::Ourselves) => self.is_ourselves.set(true),
            Ended::Peer(PeerError::Parted(_) | PeerError::Idle | PeerError::Uninterested) => {}
            Ended::Peer(_) => self.departure.set(Departure::Mistake),
            _ => {}
        }
        // Fails only where the peer was faster.
        let _ = self.socket.shutdown(Shutdown::Both);
        self.mailbox.ring();
        self.to_read.notify_one();
    }
}

impl AsRawFd for Connection {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}
