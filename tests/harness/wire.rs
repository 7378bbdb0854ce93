//! A peer made of bytes: it speaks the wire protocol by hand over a blocking socket and can misbehave in every way.
//! It shares no code with btd, so that a mistake there cannot excuse itself here.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::limit::within;
use crate::torrent::Block;

/// Longest that btd may take to answer, on a machine busy with other tests.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// Bytes in a handshake.
pub const HANDSHAKE_BYTES: usize = 68;
/// What a handshake starts with.
const PROTOCOL: &[u8; 20] = b"\x13BitTorrent protocol";

/// Message numbers (BEP 3, BEP 6, BEP 10).
pub mod id {
    #![allow(missing_docs, reason = "the names are the specifications' own")]
    pub const CHOKE: u8 = 0;
    pub const UNCHOKE: u8 = 1;
    pub const INTERESTED: u8 = 2;
    pub const NOT_INTERESTED: u8 = 3;
    pub const HAVE: u8 = 4;
    pub const BITFIELD: u8 = 5;
    pub const REQUEST: u8 = 6;
    pub const PIECE: u8 = 7;
    pub const CANCEL: u8 = 8;
    pub const HAVE_ALL: u8 = 14;
    pub const HAVE_NONE: u8 = 15;
    pub const REJECT: u8 = 16;
    pub const EXTENDED: u8 = 20;
}

/// What a peer claims to speak in its handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// BEP 3 alone.
    Plain,
    /// The fast extension (BEP 6).
    Fast,
    /// Fast and extended messages (BEP 10).
    FastAndExtended,
}

impl Speaks {
    fn reserved(self) -> [u8; 8] {
        match self {
            Self::Plain => [0; 8],
            Self::Fast => [0, 0, 0, 0, 0, 0, 0, 0x04],
            Self::FastAndExtended => [0, 0, 0, 0, 0, 0x10, 0, 0x04],
        }
    }
}

/// One message: its number and its payload. A keep-alive has no number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The message's number.
    pub id: Option<u8>,
    /// What follows it.
    pub payload: Vec<u8>,
}

impl Message {
    /// The two or three numbers that a PIECE, REJECT or REQUEST starts with.
    pub fn number(&self, index: usize) -> u32 {
        let at = index * 4;
        u32::from_be_bytes(self.payload[at..at + 4].try_into().expect("four bytes"))
    }

    /// The block that a PIECE brings or a REJECT refuses.
    pub fn block(&self) -> Option<Block> {
        let (piece, begin) = match self.id {
            Some(id::PIECE | id::REJECT) => (self.number(0), self.number(1)),
            _ => return None,
        };
        let length = if self.id == Some(id::PIECE) {
            u32::try_from(self.payload.len() - 8).expect("a frame's length fits")
        } else {
            self.number(2)
        };
        Some(Block { piece, begin, length })
    }
}

/// A connection to btd.
#[derive(Debug)]
pub struct Peer {
    stream: TcpStream,
    received: Vec<u8>,
    consumed: usize,
}

/// A complete frame with number `id`.
pub fn frame(id: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len() + 1).expect("a frame's length fits");
    [&length.to_be_bytes(), [id].as_slice(), payload].concat()
}

/// A REQUEST for `block`.
pub fn request(block: Block) -> Vec<u8> {
    let numbers = [block.piece, block.begin, block.length];
    frame(id::REQUEST, &numbers.map(u32::to_be_bytes).concat())
}

/// The handshake of a peer that speaks `speaks`, under a peer id that no other has.
pub fn handshake(info_hash: [u8; 20], speaks: Speaks) -> Vec<u8> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut peer_id = *b"-E2E000-abcd________";
    peer_id[12..].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    handshake_as(info_hash, speaks, &peer_id)
}

/// The same with a peer id of one's own.
pub fn handshake_as(info_hash: [u8; 20], speaks: Speaks, peer_id: &[u8; 20]) -> Vec<u8> {
    [PROTOCOL.as_slice(), &speaks.reserved(), &info_hash, peer_id].concat()
}

impl Peer {
    /// Connects and says nothing.
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}")))
    }

    /// Speaks over a connection that is there already, and says nothing yet.
    pub fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("a socket takes options");
        stream.set_write_timeout(Some(ANSWER_LIMIT)).expect("a socket takes options");
        Self { stream, received: Vec::new(), consumed: 0 }
    }

    /// Connects and exchanges handshakes.
    pub fn greet(address: SocketAddr, info_hash: [u8; 20], speaks: Speaks) -> Self {
        let mut peer = Self::connect(address);
        peer.send(&handshake(info_hash, speaks));
        let answer = peer.receive_handshake().expect("btd answers a handshake");
        assert_eq!(&answer[..20], PROTOCOL, "btd's handshake");
        assert_eq!(answer[28..48], info_hash, "btd answers for the torrent that was asked for");
        peer
    }

    /// Connects, exchanges handshakes, says that it is interested and waits until it is unchoked.
    pub fn unchoked(address: SocketAddr, info_hash: [u8; 20], speaks: Speaks) -> Self {
        let mut peer = Self::greet(address, info_hash, speaks);
        peer.send(&frame(id::INTERESTED, &[]));
        peer.expect("UNCHOKE", |message| (message.id == Some(id::UNCHOKE)).then_some(()));
        peer
    }

    /// The handshake that btd sends; `None` when it hangs up instead.
    pub fn receive_handshake(&mut self) -> Option<[u8; HANDSHAKE_BYTES]> {
        let whole = self.fill(HANDSHAKE_BYTES, ANSWER_LIMIT).expect("btd answers a handshake");
        let handshake = whole.then(|| self.received[self.consumed..][..HANDSHAKE_BYTES].try_into());
        self.consumed += if whole { HANDSHAKE_BYTES } else { 0 };
        handshake.map(|bytes| bytes.expect("that many bytes"))
    }

    /// Sends `bytes`, which must be taken.
    pub fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).unwrap_or_else(|error| panic!("cannot send: {error}"));
    }

    /// Sends `bytes` to a btd that may have hung up.
    ///
    /// # Errors
    /// When it has.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next message; `None` once btd has closed or reset the connection.
    ///
    /// # Errors
    /// When nothing comes within `limit`.
    pub fn receive(&mut self, limit: Duration) -> io::Result<Option<Message>> {
        if !self.fill(4, limit)? {
            return Ok(None);
        }
        let prefix = self.received[self.consumed..][..4].try_into().expect("four bytes");
        let length = usize::try_from(u32::from_be_bytes(prefix)).expect("a length fits");
        assert!(length <= 1 << 24, "btd announced a frame of {length} bytes");
        if !self.fill(4 + length, limit)? {
            return Ok(None);
        }
        let body = &self.received[self.consumed + 4..][..length];
        let message =
            Message { id: body.first().copied(), payload: body.get(1..).unwrap_or_default().to_vec() };
        self.consumed += 4 + length;
        Ok(Some(message))
    }

    /// Waits for the message in which `wanted` finds something, passing over others.
    pub fn expect<T>(&mut self, what: &str, mut wanted: impl FnMut(&Message) -> Option<T>) -> T {
        let deadline = Instant::now() + ANSWER_LIMIT;
        let mut passed = Vec::new();
        while Instant::now() < deadline {
            match self.receive(ANSWER_LIMIT) {
                Ok(Some(message)) => match wanted(&message) {
                    Some(found) => return found,
                    None => passed.push(message.id),
                },
                Ok(None) => panic!("closed before {what}, after messages {passed:?}"),
                Err(error) => panic!("{error} while waiting for {what}, after messages {passed:?}"),
            }
        }
        panic!("no {what} within {ANSWER_LIMIT:?}, but messages {passed:?}");
    }

    /// Waits until btd ends the connection, whatever it sends before.
    pub fn assert_closed(&mut self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut chunk = [0; 64 * 1024];
        let mut bytes = self.received.len() - self.consumed;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "still open after {limit:?}; {bytes} bytes came");
            match self.read(&mut chunk, left) {
                Ok(0) => return,
                Ok(count) => bytes += count,
                Err(_) => {}
            }
        }
    }

    /// A second handle to the same connection, to write from another thread.
    pub fn writer(&self) -> TcpStream {
        self.stream.try_clone().expect("a socket can be shared")
    }

    /// Reads until `count` bytes are waiting; `false` when the connection ends before.
    fn fill(&mut self, count: usize, limit: Duration) -> io::Result<bool> {
        if self.consumed > 1 << 20 || self.consumed == self.received.len() {
            self.received.drain(..self.consumed);
            self.consumed = 0;
        }
        let mut chunk = [0; 64 * 1024];
        while self.received.len() - self.consumed < count {
            match self.read(&mut chunk, limit)? {
                0 => return Ok(false),
                count => self.received.extend_from_slice(&chunk[..count]),
            }
        }
        Ok(true)
    }

    /// One read; 0 when the connection has ended in either way.
    fn read(&mut self, chunk: &mut [u8], limit: Duration) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(limit))?;
        loop {
            match self.stream.read(chunk) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                    return Ok(0);
                }
                other => return within(limit, other),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// A listener that sends `bytes` and then closes.
    fn says(bytes: Vec<u8>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || listener.accept().unwrap().0.write_all(&bytes));
        address
    }

    #[test]
    fn messages_are_cut_from_the_stream() {
        let bytes =
            [vec![0, 0, 0, 0], frame(id::PIECE, &[0, 0, 0, 1, 0, 0, 0, 2, 9, 9, 9]), frame(id::UNCHOKE, &[])];
        let mut peer = Peer::connect(says(bytes.concat()));
        assert_eq!(peer.receive(ANSWER_LIMIT).unwrap(), Some(Message { id: None, payload: vec![] }));
        let piece = peer.receive(ANSWER_LIMIT).unwrap().unwrap();
        assert_eq!(piece.block(), Some(Block { piece: 1, begin: 2, length: 3 }));
        peer.expect("UNCHOKE", |message| (message.id == Some(id::UNCHOKE)).then_some(()));
        assert_eq!(peer.receive(ANSWER_LIMIT).unwrap(), None);
    }

    #[test]
    #[should_panic(expected = "still open after")]
    fn a_connection_that_stays_open_is_noticed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Peer::connect(listener.local_addr().unwrap()).assert_closed(Duration::from_millis(50));
    }
}
