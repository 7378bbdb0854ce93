//! A seed made of bytes, to download from: it serves a payload over the wire protocol by hand, counts every block,
//! sends no more of them than the test allows, and can flip bytes in those that the test chooses.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{io, net, process};

use crate::torrent::{Block, Torrent};
use crate::wire::{Message, Peer, Speaks, frame, handshake_as, id};

/// Longest that a btd may be silent, which it is not for more than two minutes.
const SILENCE_LIMIT: Duration = Duration::from_secs(150);

/// What the seed sends.
struct Stock {
    torrent: Torrent,
    payload: Vec<u8>,
    flips: Box<dyn Fn(Block) -> bool + Send + Sync>,
    peer_id: [u8; 20],
}

impl Stock {
    /// The message that brings `block`, which btd asked for.
    fn piece(&self, block: Block) -> Vec<u8> {
        let start = u64::from(block.piece) * u64::from(self.torrent.piece_length) + u64::from(block.begin);
        let start = usize::try_from(start).expect("an offset fits");
        let length = usize::try_from(block.length).expect("a length fits");
        let mut body = [block.piece.to_be_bytes(), block.begin.to_be_bytes()].concat();
        body.extend_from_slice(&self.payload[start..][..length]);
        if (self.flips)(block) {
            // One bit in the middle.
            body[8 + length / 2] ^= 0x10;
        }
        frame(id::PIECE, &body)
    }
}

#[derive(Debug, Default)]
struct State {
    sent: Vec<Block>,
    /// Requests so far, answered or not.
    asked: usize,
    allowed: usize,
    /// How often everyone was hung up on: a connection lives as long as this is what it was when it began.
    era: u64,
    streams: Vec<TcpStream>,
    connections: usize,
    is_stopping: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running seed; it stops when dropped.
pub struct RawSeed {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for RawSeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a raw seed at {}", self.address)
    }
}

impl RawSeed {
    /// Serves `payload` of `torrent` on loopback, up to `allowed` blocks, with a bit flipped where `flips` says so.
    pub fn start(
        torrent: &Torrent,
        payload: Vec<u8>,
        allowed: usize,
        flips: impl Fn(Block) -> bool + Send + Sync + 'static,
    ) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut peer_id = *b"-E2E001-------------";
        peer_id[8..16].copy_from_slice(format!("{:08x}", process::id()).as_bytes());
        peer_id[16..].copy_from_slice(format!("{number:04x}").as_bytes());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has ports");
        let address = listener.local_addr().expect("it is bound");
        let stock = Arc::new(Stock { torrent: torrent.clone(), payload, flips: Box::new(flips), peer_id });
        let shared = Arc::<Shared>::default();
        shared.lock().allowed = allowed;
        let ours = Arc::clone(&shared);
        let thread = thread::spawn(move || accept_all(&listener, &stock, &ours));
        Self { address, shared, thread: Some(thread) }
    }

    /// Serves the file `payload` whole and right.
    pub fn honest(torrent: &Torrent, payload: Vec<u8>) -> Self {
        Self::start(torrent, payload, usize::MAX, |_| false)
    }

    /// Allows `count` blocks more.
    pub fn allow(&self, count: usize) {
        let mut state = self.shared.lock();
        state.allowed = state.allowed.saturating_add(count);
        self.shared.changed.notify_all();
    }

    /// Allows no more than was sent already.
    pub fn forbid(&self) {
        let mut state = self.shared.lock();
        state.allowed = state.sent.len();
    }

    /// The blocks that were sent so far, in order, over all connections.
    pub fn sent(&self) -> Vec<Block> {
        self.shared.lock().sent.clone()
    }

    /// How many blocks were sent so far.
    pub fn sent_count(&self) -> usize {
        self.shared.lock().sent.len()
    }

    /// Connections so far on which btd greeted for the torrent.
    pub fn connections(&self) -> usize {
        self.shared.lock().connections
    }

    /// Waits until `count` blocks were sent.
    pub fn wait_sent(&self, count: usize, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut state = self.shared.lock();
        while state.sent.len() < count {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{} of {count} blocks were fetched within {limit:?}", state.sent.len());
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until a block was asked for, allowed or not.
    pub fn wait_asked(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut state = self.shared.lock();
        while state.asked == 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "nothing was asked for within {limit:?}");
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Ends every connection that is there.
    pub fn hang_up(&self) {
        let mut state = self.shared.lock();
        state.era += 1;
        for stream in state.streams.drain(..) {
            stream.shutdown(net::Shutdown::Both).ok();
        }
        self.shared.changed.notify_all();
    }
}

impl Drop for RawSeed {
    fn drop(&mut self) {
        self.shared.lock().is_stopping = true;
        self.hang_up();
        // A connection, so that it looks at the flag.
        let woken = TcpStream::connect(self.address);
        if let (Ok(_), Some(thread)) = (woken, self.thread.take()) {
            thread.join().ok();
        }
    }
}

fn accept_all(listener: &TcpListener, stock: &Arc<Stock>, shared: &Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept() {
        let mut state = shared.lock();
        if state.is_stopping {
            return;
        }
        state.streams.extend(stream.try_clone());
        let era = state.era;
        drop(state);
        let (stock, shared) = (Arc::clone(stock), Arc::clone(shared));
        thread::spawn(move || serve(Peer::over(stream), &stock, &shared, era));
    }
}

/// Serves one peer until either side has enough.
fn serve(mut peer: Peer, stock: &Stock, shared: &Shared, era: u64) -> Option<()> {
    let greeting = peer.receive_handshake()?;
    if greeting[28..48] != stock.torrent.info_hash {
        return None;
    }
    shared.lock().connections += 1;
    let ours = handshake_as(stock.torrent.info_hash, Speaks::Fast, &stock.peer_id);
    peer.try_send(&[ours, frame(id::HAVE_ALL, &[])].concat()).ok()?;
    loop {
        let message = peer.receive(SILENCE_LIMIT).ok()??;
        match message.id {
            Some(id::INTERESTED) => peer.try_send(&frame(id::UNCHOKE, &[])).ok()?,
            Some(id::REQUEST) => send(&mut peer, requested(&message), stock, shared, era).ok()?,
            _ => {}
        }
    }
}

fn requested(message: &Message) -> Block {
    Block { piece: message.number(0), begin: message.number(1), length: message.number(2) }
}

/// Sends `block` once it is allowed, and counts it.
fn send(peer: &mut Peer, block: Block, stock: &Stock, shared: &Shared, era: u64) -> io::Result<()> {
    let mut state = shared.lock();
    state.asked += 1;
    shared.changed.notify_all();
    while state.sent.len() >= state.allowed && state.era == era {
        state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
    if state.era != era {
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    state.sent.push(block);
    shared.changed.notify_all();
    drop(state);
    peer.try_send(&stock.piece(block))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::download::{Download, Event};
    use crate::folders::scratch;
    use crate::payload::write_single;
    use sha1::{Digest, Sha1};

    fn torrent(payload: &[u8]) -> Torrent {
        use crate::bencode::{Value, bytes, dictionary};
        let hashes: Vec<u8> = payload.chunks(32_768).flat_map(|piece| Sha1::digest(piece).to_vec()).collect();
        let length = i64::try_from(payload.len()).unwrap();
        let info = dictionary([
            ("length", Value::Integer(length)),
            ("name", bytes("x")),
            ("piece length", Value::Integer(32_768)),
            ("pieces", bytes(hashes)),
        ]);
        Torrent::of_info(&info.encode())
    }

    fn payload() -> Vec<u8> {
        let scratch = scratch("raw-seed");
        std::fs::read(write_single(scratch.path(), "x", 1, 100_000)).unwrap()
    }

    #[test]
    fn it_serves_what_it_has() {
        let torrent = torrent(&payload());
        let seed = RawSeed::honest(&torrent, payload());
        Download::start(seed.address, &torrent, Speaks::Fast).whole();
        assert_eq!((seed.sent_count(), seed.connections()), (7, 1));
    }

    #[test]
    fn it_flips_bits_and_stops_where_it_is_told() {
        let torrent = torrent(&payload());
        let seed = RawSeed::start(&torrent, payload(), 4, |block| block.piece == 1 && block.begin > 0);
        let mut download = Download::start(seed.address, &torrent, Speaks::Fast);
        for piece in 0..3 {
            download.ask(piece).unwrap();
        }
        for is_right in [true, false] {
            let Event::Piece(piece) = download.next_event() else { panic!("a piece comes") };
            assert_eq!(piece.is_right, is_right);
        }
        assert_eq!(seed.sent_count(), 4);
        seed.allow(2);
        assert!(matches!(download.next_event(), Event::Piece(piece) if piece.is_right));
        seed.hang_up();
        assert!(matches!(download.next_event(), Event::Closed));
    }
}
