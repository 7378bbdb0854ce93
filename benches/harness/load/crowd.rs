//! The connections of one thread of a load, and the epoll that they share.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use protocol::geometry::Geometry;
use socket2::{Domain, Socket, Type};

use super::connection::{Connection, Fault};
use super::cursor::{Course, Cursor};
use super::judge::Judge;
use super::pace::Pace;
use super::threads::Share;
use super::{LoadError, Options, Span};
use crate::latencies::Latencies;

const EVENTS_PER_WAIT: usize = 256;
/// How long one connection may take to be made: a full backlog answers after a second's retransmission.
const CONNECT_WAIT: Duration = Duration::from_secs(10);
/// Longest sleep, so that the deadline is looked at when nothing comes.
const TICK_MS: u16 = 100;
/// Longest sleep of a load that asks at a pace of its own.
const PACED_TICK_MS: u16 = 1;
/// Prefix of our peer ids, which no seeder knows.
const PEER_ID_PREFIX: &[u8; 8] = b"-LO0000-";
/// Last bytes of a source address run from 1 to this.
const HOSTS_PER_NET: usize = 250;

#[derive(Debug)]
pub(super) struct Crowd {
    epoll: Epoll,
    /// Those that ask, then the idle ones.
    members: Vec<Member>,
    asking: usize,
    /// One for each torrent.
    judges: Vec<Judge>,
    scratch: Vec<u8>,
    outstanding: usize,
    pace: Option<Pace>,
    /// How long blocks took.
    pub(super) latencies: Latencies,
    deadline: Instant,
    is_started: bool,
}

#[derive(Debug)]
struct Member {
    /// Among the connections of all threads.
    number: usize,
    connection: Connection,
    /// Which torrent it asks for.
    torrent: usize,
    waits_for_room: bool,
    is_closed: bool,
}

impl Crowd {
    /// Makes all connections of `share` and introduces them.
    pub(super) fn connect(options: &Options, share: Share) -> Result<Self, LoadError> {
        allow_many_files()?;
        let (asking, all) = (options.connections, options.connections + options.idle);
        let mut crowd = Self {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(io::Error::from)?,
            members: Vec::new(),
            asking: share.of_numbers(0..asking).count(),
            judges: Vec::with_capacity(options.torrents.len()),
            scratch: vec![0; options.block_length as usize],
            outstanding: options.outstanding as usize,
            pace: options.rate.map(|rate| Pace::new(share.of_rate(rate))),
            latencies: Latencies::default(),
            deadline: Instant::now() + Duration::from_secs(options.deadline_s),
            is_started: false,
        };
        let mut courses = Vec::with_capacity(options.torrents.len());
        for torrent in &options.torrents {
            let length = std::fs::metadata(&torrent.payload)?.len();
            let geometry = Geometry::new(length, options.piece_length)?;
            crowd.judges.push(Judge::new(&torrent.payload, geometry, options.verify)?);
            courses.push(Rc::new(Course::new(geometry, options.block_length, options.order)));
        }
        for number in share.of_numbers(0..asking).chain(share.of_numbers(asking..all)) {
            let torrent = number % courses.len();
            let place = number / courses.len();
            let of_torrent = options.connections.div_ceil(courses.len());
            let cursor = Cursor::new(Rc::clone(&courses[torrent]), place % of_torrent, of_torrent);
            crowd.add(options, number, torrent, cursor)?;
        }
        Ok(crowd)
    }

    fn add(
        &mut self,
        options: &Options,
        number: usize,
        torrent: usize,
        cursor: Cursor,
    ) -> Result<(), LoadError> {
        let index = self.members.len();
        let stream = connect(options.peer, number)?;
        self.epoll
            .add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, index as u64))
            .map_err(io::Error::from)?;
        let info_hash = options.torrents[torrent].info_hash;
        let connection = Connection::new(stream, cursor, info_hash.as_bytes(), &peer_id(number));
        self.members.push(Member { number, connection, torrent, waits_for_room: false, is_closed: false });
        self.attend(index, false)
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
        if let Some(pace) = &mut self.pace {
            pace.start(Instant::now());
        }
        for index in 0..self.members.len() {
            if !self.members[index].is_closed {
                self.attend(index, false)?;
            }
        }
        Ok(())
    }

    /// Goes on for so long.
    pub(super) fn go_on(&mut self, span: Span) -> Result<(), LoadError> {
        let (before, start) = (self.received(), Instant::now());
        let is_over = |crowd: &Self| match span {
            Span::Bytes(bytes) => crowd.received() - before >= bytes,
            Span::Time(time) => start.elapsed() >= time,
        };
        while !is_over(self) {
            self.turn()?;
        }
        Ok(())
    }

    /// What those who ask have received, each.
    pub(super) fn connection_bytes(&self) -> impl Iterator<Item = u64> + '_ {
        self.members[..self.asking].iter().map(|member| member.connection.bytes)
    }

    pub(super) fn received(&self) -> u64 {
        self.connection_bytes().sum()
    }

    /// How long those who ask waited for their first byte of payload.
    pub(super) fn first_bytes(&self) -> impl Iterator<Item = Duration> + '_ {
        self.members.iter().filter_map(|member| member.connection.first_byte)
    }

    pub(super) fn unchoked(&self) -> usize {
        self.members.iter().filter(|member| member.connection.is_unchoked && !member.is_closed).count()
    }

    pub(super) fn chokes(&self) -> u64 {
        self.members.iter().map(|member| member.connection.chokes).sum()
    }

    pub(super) fn compared_blocks(&self) -> u64 {
        self.judges.iter().map(Judge::compared).sum()
    }

    fn turn(&mut self) -> Result<(), LoadError> {
        if Instant::now() >= self.deadline {
            return Err(LoadError::Deadline { received: self.received(), unchoked: self.unchoked() });
        }
        let mut events = [EpollEvent::empty(); EVENTS_PER_WAIT];
        let tick_ms = if self.pace.is_some() && self.is_started { PACED_TICK_MS } else { TICK_MS };
        let count = match self.epoll.wait(&mut events, EpollTimeout::from(tick_ms)) {
            Err(Errno::EINTR) => 0,
            other => other.map_err(io::Error::from)?,
        };
        for event in &events[..count] {
            let Ok(index) = usize::try_from(event.data()) else { continue };
            self.attend(index, event.events() != EpollFlags::EPOLLOUT)?;
        }
        self.ask_at_a_pace()
    }

    /// Asks for what is due by now, over one connection after the other.
    fn ask_at_a_pace(&mut self) -> Result<(), LoadError> {
        let now = Instant::now();
        while self.is_started
            && let Some(number) = self.pace.as_mut().and_then(|pace| pace.next(now))
        {
            let index = number % self.asking;
            self.members[index].connection.ask_one();
            self.attend(index, false)?;
        }
        Ok(())
    }

    /// Reads if there is something to read, then asks for as much as has come, in one send.
    fn attend(&mut self, index: usize, is_readable: bool) -> Result<(), LoadError> {
        let member = &mut self.members[index];
        let number = member.number;
        let connection = &mut member.connection;
        let judge = &mut self.judges[member.torrent];
        let read = if is_readable {
            connection.receive(judge, &mut self.scratch, &mut self.latencies)
        } else {
            Ok(())
        };
        let outcome = read.and_then(|()| {
            if self.is_started && index < self.asking && self.pace.is_none() {
                connection.ask(self.outstanding);
            }
            connection.send()
        });
        match outcome {
            Ok(waits_for_room) => self.watch(index, waits_for_room),
            Err(Fault::Closed) if !self.is_started => self.close(index),
            Err(Fault::Closed) => Err(LoadError::Closed(number)),
            Err(Fault::Wrong(what)) => Err(LoadError::Wrong { connection: number, what }),
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

/// Lets this process have as many files open as it may.
fn allow_many_files() -> io::Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, most, most)?)
}

/// A connection to `peer` from a loopback address of its own: seeders may allow but one for each address.
fn connect(peer: SocketAddr, number: usize) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    let part = |number| u8::try_from(number).map_err(io::Error::other);
    let (net, host) = (part(1 + number / HOSTS_PER_NET)?, part(1 + number % HOSTS_PER_NET)?);
    socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, net, host), 0)).into())?;
    socket.connect_timeout(&peer.into(), CONNECT_WAIT)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn peer_id(number: usize) -> [u8; 20] {
    let mut id = [b'0'; 20];
    id[..PEER_ID_PREFIX.len()].copy_from_slice(PEER_ID_PREFIX);
    let digits = format!("{number:012}");
    id[PEER_ID_PREFIX.len()..].copy_from_slice(&digits.as_bytes()[..12]);
    id
}
