//! All connections of a load, and the one epoll that they share.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use protocol::geometry::Geometry;
use socket2::{Domain, Socket, Type};

use super::connection::{Connection, Fault, SCRATCH_LENGTH};
use super::cursor::Cursor;
use super::judge::Judge;
use super::{LoadError, Options};

const EVENTS_PER_WAIT: usize = 256;
/// How long one connection may take to be made: a full backlog answers after a second's retransmission.
const CONNECT_WAIT: Duration = Duration::from_secs(10);
/// Longest sleep, so that the deadline is looked at when nothing comes.
const TICK_MS: u16 = 100;
/// Prefix of our peer ids, which no seeder knows.
const PEER_ID_PREFIX: &[u8; 8] = b"-LO0000-";
/// Last bytes of a source address run from 1 to this.
const HOSTS_PER_NET: usize = 250;

#[derive(Debug)]
pub(super) struct Crowd {
    epoll: Epoll,
    members: Vec<Member>,
    judge: Judge,
    scratch: Vec<u8>,
    outstanding: usize,
    wanted: u64,
    deadline: Instant,
    is_started: bool,
}

#[derive(Debug)]
struct Member {
    connection: Connection,
    waits_for_room: bool,
    is_closed: bool,
}

impl Crowd {
    /// Makes all connections and introduces them.
    pub(super) fn connect(options: &Options) -> Result<Self, LoadError> {
        let payload_length = std::fs::metadata(&options.payload)?.len();
        let geometry = Geometry::new(payload_length, options.piece_length)?;
        let mut crowd = Self {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(io::Error::from)?,
            members: Vec::with_capacity(options.connections),
            judge: Judge::new(&options.payload, geometry, options.verify)?,
            scratch: vec![0; SCRATCH_LENGTH],
            outstanding: options.outstanding as usize,
            wanted: 0,
            deadline: Instant::now() + Duration::from_secs(options.deadline_s),
            is_started: false,
        };
        for index in 0..options.connections {
            let stream = connect(options.peer, index)?;
            let event = EpollEvent::new(EpollFlags::EPOLLIN, index as u64);
            crowd.epoll.add(&stream, event).map_err(io::Error::from)?;
            let cursor = Cursor::new(geometry, index, options.connections);
            let connection = Connection::new(stream, cursor, options.info_hash.as_bytes(), &peer_id(index));
            crowd.members.push(Member { connection, waits_for_room: false, is_closed: false });
            crowd.attend(index, false)?;
        }
        Ok(crowd)
    }

    /// Lets the seeder unchoke: until all are, or until `wait` has passed and some are.
    pub(super) fn wait_unchoked(&mut self, wait: Duration) -> Result<(), LoadError> {
        let end = Instant::now() + wait;
        while self.unchoked() < self.members.len() && Instant::now() < end {
            self.turn()?;
        }
        if self.unchoked() == 0 { Err(LoadError::Choked(self.members.len())) } else { Ok(()) }
    }

    /// From here on, who is unchoked asks for blocks.
    pub(super) fn start(&mut self) -> Result<(), LoadError> {
        self.is_started = true;
        for index in 0..self.members.len() {
            if !self.members[index].is_closed {
                self.attend(index, false)?;
            }
        }
        Ok(())
    }

    /// Goes on until `wanted` bytes of payload have come since the start.
    pub(super) fn receive_until(&mut self, wanted: u64) -> Result<(), LoadError> {
        self.wanted = wanted;
        while self.received() < wanted {
            self.turn()?;
        }
        Ok(())
    }

    pub(super) fn connection_bytes(&self) -> impl Iterator<Item = u64> + '_ {
        self.members.iter().map(|member| member.connection.bytes)
    }

    pub(super) fn received(&self) -> u64 {
        self.connection_bytes().sum()
    }

    pub(super) fn unchoked(&self) -> usize {
        self.members.iter().filter(|member| member.connection.is_unchoked && !member.is_closed).count()
    }

    pub(super) fn chokes(&self) -> u64 {
        self.members.iter().map(|member| member.connection.chokes).sum()
    }

    pub(super) fn compared_blocks(&self) -> u64 {
        self.judge.compared()
    }

    fn turn(&mut self) -> Result<(), LoadError> {
        if Instant::now() >= self.deadline {
            let (received, unchoked) = (self.received(), self.unchoked());
            return Err(LoadError::Deadline { received, wanted: self.wanted, unchoked });
        }
        let mut events = [EpollEvent::empty(); EVENTS_PER_WAIT];
        let count = match self.epoll.wait(&mut events, EpollTimeout::from(TICK_MS)) {
            Err(Errno::EINTR) => 0,
            other => other.map_err(io::Error::from)?,
        };
        for event in &events[..count] {
            let Ok(index) = usize::try_from(event.data()) else { continue };
            self.attend(index, event.events() != EpollFlags::EPOLLOUT)?;
        }
        Ok(())
    }

    /// Reads if there is something to read, then asks for as much as has come, in one send.
    fn attend(&mut self, index: usize, is_readable: bool) -> Result<(), LoadError> {
        let member = &mut self.members[index];
        let connection = &mut member.connection;
        let read = if is_readable { connection.receive(&mut self.judge, &mut self.scratch) } else { Ok(()) };
        let outcome = read.and_then(|()| {
            if self.is_started {
                connection.ask(self.outstanding);
            }
            connection.send()
        });
        match outcome {
            Ok(waits_for_room) => self.watch(index, waits_for_room),
            Err(Fault::Closed) if !self.is_started => self.close(index),
            Err(Fault::Closed) => Err(LoadError::Closed(index)),
            Err(Fault::Wrong(what)) => Err(LoadError::Wrong { connection: index, what }),
            Err(Fault::Io(error)) => Err(error.into()),
        }
    }

    /// Listens for room in the send buffer only while something waits for it.
    fn watch(&mut self, index: usize, waits_for_room: bool) -> Result<(), LoadError> {
        let member = &mut self.members[index];
        if member.waits_for_room != waits_for_room {
            member.waits_for_room = waits_for_room;
            let room = if waits_for_room { EpollFlags::EPOLLOUT } else { EpollFlags::empty() };
            let mut event = EpollEvent::new(EpollFlags::EPOLLIN | room, index as u64);
            self.epoll.modify(&member.connection.stream, &mut event).map_err(io::Error::from)?;
        }
        Ok(())
    }

    fn close(&mut self, index: usize) -> Result<(), LoadError> {
        self.members[index].is_closed = true;
        self.epoll.delete(&self.members[index].connection.stream).map_err(io::Error::from)?;
        Ok(())
    }
}

/// A connection to `peer` from a loopback address of its own: seeders may allow but one for each address.
fn connect(peer: SocketAddr, index: usize) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    let part = |number| u8::try_from(number).map_err(io::Error::other);
    let (net, host) = (part(1 + index / HOSTS_PER_NET)?, part(1 + index % HOSTS_PER_NET)?);
    socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, net, host), 0)).into())?;
    socket.connect_timeout(&peer.into(), CONNECT_WAIT)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn peer_id(index: usize) -> [u8; 20] {
    let mut id = [b'0'; 20];
    id[..PEER_ID_PREFIX.len()].copy_from_slice(PEER_ID_PREFIX);
    let number = format!("{index:012}");
    id[PEER_ID_PREFIX.len()..].copy_from_slice(&number.as_bytes()[..12]);
    id
}
