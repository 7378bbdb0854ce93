//! One connection of the load over HTTP, with at most one request open.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, SockAddr, Socket, Type};

const BUFFER_LENGTH: usize = 16 * 1024;

/// What has come of a connection that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nothing new.
    Waiting,
    /// More of the answer.
    Received,
    /// The server has closed it.
    Ended,
}

/// A connection, made when it is first asked for.
#[derive(Debug)]
pub(super) struct Connection {
    source: Ipv4Addr,
    stream: Option<TcpStream>,
    request: u32,
    begun: Instant,
    output: Vec<u8>,
    sent: usize,
    input: Vec<u8>,
    received: usize,
}

impl Connection {
    pub(super) fn new(source: Ipv4Addr) -> Self {
        let (begun, output, input) = (Instant::now(), Vec::new(), vec![0; BUFFER_LENGTH]);
        Self { source, stream: None, request: 0, begun, output, sent: 0, input, received: 0 }
    }

    /// Forgets what was asked last; returns where the next request is to be written.
    pub(super) fn begin(&mut self) -> &mut Vec<u8> {
        self.output.clear();
        (self.sent, self.received) = (0, 0);
        &mut self.output
    }

    /// Sends what was written, over a new connection to `server` if there is none.
    ///
    /// # Errors
    /// When that fails.
    pub(super) fn ask(
        &mut self,
        request: u32,
        server: SocketAddrV4,
        epoll: &Epoll,
        index: usize,
    ) -> io::Result<()> {
        self.request = request;
        self.begun = Instant::now();
        let is_new = self.stream.is_none();
        if is_new {
            self.stream = Some(connect(self.source, server)?);
        }
        let is_sent = self.send()?;
        let Some(stream) = &self.stream else { return Ok(()) };
        let flags = if is_sent { EpollFlags::EPOLLIN } else { EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT };
        let event = EpollEvent::new(flags, u64::try_from(index).unwrap_or_default());
        if is_new {
            epoll.add(stream, event)?;
        } else if !is_sent {
            epoll.modify(stream, &mut { event })?;
        }
        Ok(())
    }

    /// Goes on sending and receiving.
    ///
    /// # Errors
    /// When the connection breaks, or an answer is too long.
    pub(super) fn go_on(&mut self, epoll: &Epoll, index: usize) -> io::Result<Progress> {
        if self.sent < self.output.len() {
            if !self.send()? {
                return Ok(Progress::Waiting);
            }
            if let Some(stream) = &self.stream {
                let data = u64::try_from(index).unwrap_or_default();
                epoll.modify(stream, &mut EpollEvent::new(EpollFlags::EPOLLIN, data))?;
            }
        }
        let Some(stream) = &mut self.stream else { return Ok(Progress::Waiting) };
        match stream.read(&mut self.input[self.received..]) {
            Ok(0) if self.received == self.input.len() => Err(io::Error::other("an answer that is too long")),
            Ok(0) => Ok(Progress::Ended),
            Ok(count) => {
                self.received += count;
                Ok(Progress::Received)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Progress::Waiting),
            Err(error) => Err(error),
        }
    }

    pub(super) fn received(&self) -> &[u8] {
        &self.input[..self.received]
    }

    pub(super) fn request(&self) -> u32 {
        self.request
    }

    /// How long ago the request was begun.
    pub(super) fn age(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Ends it with a reset, so that neither side keeps its addresses for a minute.
    ///
    /// # Errors
    /// When the system does not let us.
    pub(super) fn close(&mut self) -> io::Result<()> {
        if let Some(stream) = self.stream.take() {
            Socket::from(stream).set_linger(Some(Duration::ZERO))?;
        }
        Ok(())
    }

    /// Sends what it can; whether that was all.
    fn send(&mut self) -> io::Result<bool> {
        let Some(stream) = &mut self.stream else { return Ok(false) };
        match stream.write(&self.output[self.sent..]) {
            Ok(count) => self.sent += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // A connection that is being made.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => {}
            Err(error) => return Err(error),
        }
        Ok(self.sent == self.output.len())
    }
}

fn connect(source: Ipv4Addr, server: SocketAddrV4) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None)?;
    // The port is chosen with the server in view, so that one may serve for several servers.
    setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
    socket.set_tcp_nodelay(true)?;
    socket.bind(&SockAddr::from(SocketAddr::from((source, 0))))?;
    match socket.connect(&SockAddr::from(SocketAddr::V4(server))) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(socket.into()),
    }
}
