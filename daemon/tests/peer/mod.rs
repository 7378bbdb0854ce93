//! What tests of a whole server share: a server, payload, and a peer on a blocking socket.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use btd::bus::RateLimits;
use btd::config::{ServeConfig, TrackerTable};
use btd::engine::{Company, Server};
use btd::storage::Task;
use btd::storage::create::{Options, create};
use btd::storage::{Torrent, scan};
use protocol::geometry::{BLOCK_LENGTH, Block};
use protocol::id::PeerId;
use protocol::meta::Info;
use protocol::wire::{Decoder, Handshake, Message, Reserved};

/// How long a test waits for an answer before it calls it missing.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) fn config() -> ServeConfig {
    ServeConfig {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        has_default_listen: false,
        workers: 1,
        max_connections: 100,
        max_open_files: 100,
        limits: RateLimits::default(),
        is_fetching: false,
        trackers: TrackerTable::default(),
    }
}

/// A server of `torrents`.
pub(crate) fn start(config: &ServeConfig, torrents: &[Arc<Torrent>]) -> Server {
    let (server, _) = Server::start(config).unwrap();
    for torrent in torrents {
        wait(server.engine().add(Arc::clone(torrent), Vec::new(), Company::default())).unwrap();
    }
    server
}

/// What `future` comes to.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(DEADLINE, future).await.unwrap() })
}

/// Bytes that differ from block to block and from seed to seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

pub(crate) fn torrent_of(path: &Path, piece_length: u32) -> Arc<Torrent> {
    let options = Options { piece_length: Some(piece_length), ..Options::default() };
    let created = create(scan::scan(path).unwrap(), options, &Task::default()).unwrap();
    Arc::new(created.into_torrent())
}

/// A peer that downloads, on a blocking socket.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    decoder: Decoder,
    received: Vec<u8>,
    info: Arc<Info>,
}

impl Peer {
    /// Connects, shakes hands and is unchoked; `None` when the connection ends before.
    pub(crate) fn connect(address: SocketAddr, torrent: &Torrent) -> Option<Self> {
        let mut peer = Self::knock(address, torrent)?;
        peer.stream.read_exact(&mut [0; 68]).ok()?;
        peer.say(Message::Interested)?;
        peer.hear(|message| matches!(message, Message::Unchoke).then_some(()))?;
        Some(peer)
    }

    /// Connects, and sends its handshake.
    pub(crate) fn knock(address: SocketAddr, torrent: &Torrent) -> Option<Self> {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let info = Arc::clone(torrent.info());
        let decoder = Decoder::new(info.geometry().piece_count(), 1 << 17);
        let mut peer = Self { stream, decoder, received: Vec::new(), info };
        // Two connections of one peer would be one too many.
        let peer_id = PeerId::ours(rand::random());
        let handshake = Handshake { reserved: Reserved::ours(), info_hash: peer.info.info_hash(), peer_id };
        peer.stream.write_all(&handshake.encode()).ok()?;
        Some(peer)
    }

    pub(crate) fn say(&mut self, message: Message<'_>) -> Option<()> {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        self.stream.write_all(&bytes).ok()
    }

    /// Reads messages until `wanted` takes one; `None` when the connection ends.
    pub(crate) fn hear<R>(&mut self, mut wanted: impl FnMut(Message<'_>) -> Option<R>) -> Option<R> {
        loop {
            let received = std::mem::take(&mut self.received);
            let mut input = &received[..];
            while let Some(message) = self.decoder.next(&mut input).unwrap() {
                if let Some(result) = wanted(message) {
                    self.received = input.to_vec();
                    return Some(result);
                }
            }
            let mut buffer = vec![0; 256 * 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(length) => buffer.truncate(length),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("waited for a message: {error}"),
            }
            self.received = buffer;
        }
    }

    /// Downloads everything with `outstanding` requests on the way; `None` when the connection ends.
    pub(crate) fn download(&mut self, outstanding: usize) -> Option<Vec<u8>> {
        let geometry = *self.info.geometry();
        let blocks: Vec<Block> = (0..geometry.piece_count())
            .flat_map(|piece| {
                let range = geometry.piece_range(piece);
                let length = u32::try_from(range.end - range.start).unwrap();
                (0..length).step_by(BLOCK_LENGTH as usize).map(move |begin| Block {
                    piece,
                    begin,
                    length: BLOCK_LENGTH.min(length - begin),
                })
            })
            .collect();
        let mut payload = Vec::with_capacity(usize::try_from(geometry.length()).unwrap());
        for wave in blocks.chunks(outstanding) {
            let mut bytes = Vec::new();
            wave.iter().for_each(|block| Message::Request(*block).encode(&mut bytes));
            self.stream.write_all(&bytes).ok()?;
            for block in wave {
                let data = self.hear(|message| match message {
                    Message::Piece { piece, begin, data } => {
                        assert_eq!(
                            (piece, begin, data.len()),
                            (block.piece, block.begin, block.length as usize)
                        );
                        Some(data.to_vec())
                    }
                    _ => None,
                })?;
                payload.extend(data);
            }
        }
        Some(payload)
    }

    /// Whether the other side ends the connection.
    pub(crate) fn is_ended(&mut self) -> bool {
        self.hear(|_| None::<()>).is_none()
    }
}

pub(crate) fn download(server: &Server, torrent: &Torrent) -> Option<Vec<u8>> {
    Peer::connect(server.addresses()[0], torrent)?.download(64)
}

/// Waits for something that cannot notify.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "waited for {what}");
        std::thread::yield_now();
    }
}
