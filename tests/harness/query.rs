//! What a client asks a tracker, spelled out as HTTP queries (BEP 3) and UDP datagrams (BEP 15): nothing of btd's own
//! spelling is used.

use std::fmt::Write as _;

/// An info-hash.
pub type Hash = [u8; 20];

/// What `left` is where a client does not know it.
pub const UNKNOWN_LEFT: u64 = i64::MAX.cast_unsigned();
/// Bytes of an announce over UDP that has no options.
pub const UDP_ANNOUNCE_BYTES: usize = 98;

/// `bytes` with each of them escaped.
pub fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 3);
    for byte in bytes {
        write!(text, "%{byte:02X}").expect("a string takes all");
    }
    text
}

/// The target of a scrape of `hashes`.
pub fn scrape_target(hashes: &[Hash]) -> String {
    let pairs: Vec<String> = hashes.iter().map(|hash| format!("info_hash={}", escaped(hash))).collect();
    format!("/scrape?{}", pairs.join("&"))
}

/// One announce.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Of the torrent.
    pub hash: Hash,
    /// Of the peer.
    pub peer_id: [u8; 20],
    /// At which the peer takes connections.
    pub port: u16,
    /// Bytes that it lacks.
    pub left: u64,
    /// As HTTP names it; empty for none.
    pub event: &'static str,
    /// What follows in a query: it begins with `&`.
    pub rest: String,
    /// Peers wanted over UDP; -1 is what the tracker likes.
    pub num_want: i32,
    /// The key of an announce over UDP.
    pub key: u32,
    /// Options after an announce over UDP (BEP 41).
    pub options: Vec<u8>,
}

impl Ask {
    /// A peer at `port` that lacks something of `hash`. Its id is its own.
    pub fn leech(hash: Hash, port: u16) -> Self {
        let id = format!("-TT0001-{port:012}");
        let peer_id = id.as_bytes().try_into().expect("twenty bytes");
        Self {
            hash,
            peer_id,
            port,
            left: 1000,
            event: "",
            rest: String::new(),
            num_want: -1,
            key: 0,
            options: Vec::new(),
        }
    }

    /// A peer at `port` that has all of `hash`.
    pub fn seed(hash: Hash, port: u16) -> Self {
        Self { left: 0, ..Self::leech(hash, port) }
    }

    /// The same with an event.
    pub fn event(self, event: &'static str) -> Self {
        Self { event, ..self }
    }

    /// The same with `rest` in its query, which begins with `&`.
    pub fn with(self, rest: &str) -> Self {
        Self { rest: rest.to_owned(), ..self }
    }

    /// The same with a wish for so many peers, over HTTP and over UDP.
    pub fn want(mut self, count: i32) -> Self {
        write!(self.rest, "&numwant={count}").expect("a string takes all");
        Self { num_want: count, ..self }
    }

    /// The query of an announce over HTTP.
    pub fn query(&self) -> String {
        let event = if self.event.is_empty() { String::new() } else { format!("&event={}", self.event) };
        format!(
            "info_hash={}&peer_id={}&port={}&uploaded=0&downloaded=0&left={}{event}{}",
            escaped(&self.hash),
            escaped(&self.peer_id),
            self.port,
            self.left,
            self.rest
        )
    }

    /// The target of an announce over HTTP.
    pub fn target(&self) -> String {
        format!("/announce?{}", self.query())
    }

    /// The datagram of an announce over UDP.
    pub fn datagram(&self, connection: u64, transaction: u32) -> Vec<u8> {
        let event: u32 = match self.event {
            "" => 0,
            "completed" => 1,
            "started" => 2,
            "stopped" => 3,
            "paused" => 4,
            _ => 9,
        };
        let mut datagram = head(connection, 1, transaction);
        datagram.extend(self.hash);
        datagram.extend(self.peer_id);
        // Downloaded, left, uploaded.
        datagram.extend([0, self.left, 0].map(u64::to_be_bytes).concat());
        datagram.extend(event.to_be_bytes());
        // An address that is not ours: nobody is to believe it.
        datagram.extend([9, 9, 9, 9]);
        datagram.extend(self.key.to_be_bytes());
        datagram.extend(self.num_want.to_be_bytes());
        datagram.extend(self.port.to_be_bytes());
        assert_eq!(datagram.len(), UDP_ANNOUNCE_BYTES);
        datagram.extend(&self.options);
        datagram
    }
}

/// What each request over UDP begins with.
pub fn head(connection: u64, action: u32, transaction: u32) -> Vec<u8> {
    [connection.to_be_bytes().as_slice(), &action.to_be_bytes(), &transaction.to_be_bytes()].concat()
}

/// The datagram of a scrape over UDP.
pub fn scrape_datagram(connection: u64, transaction: u32, hashes: &[Hash]) -> Vec<u8> {
    [head(connection, 2, transaction), hashes.concat()].concat()
}

/// The option of BEP 41 that says `data` of the URL.
pub fn url_data(data: &str) -> Vec<u8> {
    let length = u8::try_from(data.len()).expect("one option has up to 255 bytes");
    [&[2, length], data.as_bytes()].concat()
}
