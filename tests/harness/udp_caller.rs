//! UDP to a tracker (BEP 15), datagram by datagram: whatever a test wants is sent, and answers are read as they are.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use crate::caller::{compact4, compact6};
use crate::limit::within;
use crate::query::{Ask, Hash, head, scrape_datagram};

/// Longest that an answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// What a datagram that asks for a connection starts with.
pub const PROTOCOL: u64 = 0x0417_2710_1980;

/// Actions.
pub mod action {
    #![allow(missing_docs, reason = "the names say it")]
    pub const CONNECT: u32 = 0;
    pub const ANNOUNCE: u32 = 1;
    pub const SCRAPE: u32 = 2;
    pub const ERROR: u32 = 3;
}

/// A socket from which one tracker is asked.
#[derive(Debug)]
pub struct UdpCaller {
    socket: UdpSocket,
    to: SocketAddr,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram {
    /// What it is.
    pub action: u32,
    /// Of the request that it answers.
    pub transaction: u32,
    /// What follows.
    pub body: Vec<u8>,
    /// Where it came from.
    pub from: SocketAddr,
}

/// What an announce is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// Seconds until the next.
    pub interval: u32,
    /// How many lack something.
    pub leechers: u32,
    /// How many have all.
    pub seeders: u32,
    /// Peers, in order.
    pub peers: Vec<SocketAddr>,
}

impl UdpCaller {
    /// A socket at a loopback address of the family of `to`.
    pub fn open(to: SocketAddr) -> Self {
        let any = |ip| SocketAddr::new(ip, 0);
        let from =
            if to.is_ipv4() { any(Ipv4Addr::LOCALHOST.into()) } else { any(Ipv6Addr::LOCALHOST.into()) };
        Self::open_from(from, to)
    }

    /// A socket at `from`, from which `to` is asked.
    pub fn open_from(from: SocketAddr, to: SocketAddr) -> Self {
        let socket = UdpSocket::bind(from).unwrap_or_else(|error| panic!("{from}: {error}"));
        socket.set_read_timeout(Some(ANSWER_LIMIT)).expect("a limit is set");
        Self { socket, to }
    }

    /// A socket at `ip`, as `127.0.0.2`, from which `to` is asked.
    pub fn open_at(ip: &str, to: SocketAddr) -> Self {
        Self::open_from(SocketAddr::new(ip.parse().expect("an address"), 0), to)
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("it is bound")
    }

    /// Sends `datagram`.
    pub fn send(&self, datagram: &[u8]) {
        self.socket.send_to(datagram, self.to).unwrap_or_else(|error| panic!("{}: {error}", self.to));
    }

    /// The next answer.
    pub fn receive(&self) -> Datagram {
        let mut buffer = [0; 65_536];
        let (length, from) = within(ANSWER_LIMIT, self.socket.recv_from(&mut buffer))
            .unwrap_or_else(|error| panic!("{}: {error}", self.to));
        let bytes = &buffer[..length];
        assert!(length >= 8, "an answer has eight bytes at least: {bytes:?}");
        let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        Datagram { action: number(0), transaction: number(4), body: bytes[8..].to_vec(), from }
    }

    /// Takes what has come by now.
    pub fn drain(&self) {
        self.socket.set_nonblocking(true).expect("a socket can be asked at once");
        loop {
            match self.socket.recv(&mut [0; 2048]) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{}: {error}", self.to),
            }
        }
        self.socket.set_nonblocking(false).expect("a socket can be waited for");
    }

    /// Sends `datagram`, and reads its answer, which must be to `transaction`.
    pub fn ask(&self, datagram: &[u8], transaction: u32) -> Datagram {
        self.send(datagram);
        let answer = self.receive();
        assert_eq!(answer.transaction, transaction, "{answer:?}");
        answer
    }

    /// Asks for a connection id.
    pub fn connect(&self) -> u64 {
        let answer = self.ask(&head(PROTOCOL, action::CONNECT, 0x1234_5678), 0x1234_5678);
        assert_eq!((answer.action, answer.body.len()), (action::CONNECT, 8), "{answer:?}");
        u64::from_be_bytes(answer.body.try_into().expect("eight bytes"))
    }

    /// Fails if `datagram` is answered: one that is, and comes after it, is answered first.
    pub fn assert_silent(&self, datagram: &[u8]) {
        self.send(datagram);
        self.ask(&head(PROTOCOL, action::CONNECT, 0x0bad_cafe), 0x0bad_cafe);
    }

    /// Announces with a connection id of its own, which must be well.
    pub fn announce(&self, ask: &Ask) -> Announced {
        let answer = self.tell(ask);
        assert_eq!(answer.action, action::ANNOUNCE, "{}", answer.text());
        answer.announced()
    }

    /// Announces with a connection id of its own: the answer, of whatever sort.
    pub fn tell(&self, ask: &Ask) -> Datagram {
        let id = self.connect();
        self.ask(&ask.datagram(id, 77), 77)
    }

    /// Scrapes: seeds, downloads, leechers of each.
    pub fn scrape(&self, hashes: &[Hash]) -> Vec<(u32, u32, u32)> {
        let id = self.connect();
        let answer = self.ask(&scrape_datagram(id, 78, hashes), 78);
        answer.rows()
    }
}

impl Datagram {
    /// Its bytes.
    pub fn length(&self) -> usize {
        8 + self.body.len()
    }

    /// What an error says, which this must be.
    pub fn error(&self) -> String {
        assert_eq!(self.action, action::ERROR, "{self:?}");
        assert!(self.body.is_ascii() && !self.body.is_empty(), "{self:?}");
        self.text()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// What an announce was answered with.
    pub fn announced(&self) -> Announced {
        assert_eq!(self.action, action::ANNOUNCE, "{}", self.text());
        let number = |at: usize| u32::from_be_bytes(self.body[at..at + 4].try_into().expect("four bytes"));
        let peers = &self.body[12..];
        let mut peers = if self.from.is_ipv4() { compact4(peers) } else { compact6(peers) };
        peers.sort_unstable();
        Announced { interval: number(0), leechers: number(4), seeders: number(8), peers }
    }

    /// What a scrape was answered with: seeds, downloads, leechers of each.
    pub fn rows(&self) -> Vec<(u32, u32, u32)> {
        assert_eq!(self.action, action::SCRAPE, "{}", self.text());
        assert_eq!(self.body.len() % 12, 0, "{self:?}");
        let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().expect("four bytes"));
        let row = |row: &[u8]| (number(&row[..4]), number(&row[4..8]), number(&row[8..]));
        self.body.chunks(12).map(row).collect()
    }
}
