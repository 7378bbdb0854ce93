//! What a tracker answers: peers and intervals, or a refusal; and the bencoded form of both (BEP 3, 7, 23, 24, 31).
//!
//! Reading is tolerant, since trackers are sloppy: what is odd is left out, never a reason to lose the rest. The
//! daemon reads what it downloaded up to [`MAX_RESPONSE_LENGTH`]; bttracker writes.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::{Family, read_peer, write_address, write_peer};
use crate::bencode::{BencodeError, Value};

/// Longest HTTP answer that is read, in bytes; libtorrent draws the line there too.
pub const MAX_RESPONSE_LENGTH: usize = 1024 * 1024;
/// Most peers taken from one answer. Trackers send up to 200; more is a flood of addresses to dial.
pub const MAX_PEERS: usize = 1_000;
/// Longest message to the user that is kept, in bytes.
const MAX_TEXT_LENGTH: usize = 512;
/// Longest tracker id that is kept, in bytes: it goes into every later request.
const MAX_TRACKER_ID_LENGTH: usize = 256;

/// A successful answer. What the tracker did not say is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// When to announce again.
    pub interval: Option<Duration>,
    /// How long to wait at least.
    pub min_interval: Option<Duration>,
    /// To be repeated in later announces.
    pub tracker_id: Option<Vec<u8>>,
    /// Peers that have everything (`complete`).
    pub seeds: Option<u32>,
    /// Peers that do not (`incomplete`).
    pub leechers: Option<u32>,
    /// How often the torrent was completed.
    pub downloaded: Option<u32>,
    /// The address from which the tracker was asked (BEP 24).
    pub external_ip: Option<IpAddr>,
    /// A message to the user, although the announce succeeded.
    pub warning: Option<String>,
    /// Peers of both families, each once, with addresses and ports that can be dialled.
    pub peers: Vec<SocketAddr>,
}

/// A tracker that will not serve this torrent or this peer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Refusal {
    /// Why, in the tracker's words.
    pub reason: String,
    /// When to announce again.
    pub interval: Option<Duration>,
    /// How long to wait at least.
    pub min_interval: Option<Duration>,
    /// When asking again makes sense (BEP 31).
    pub retry_in: Option<RetryIn>,
}

/// When a tracker that refused may be asked again (BEP 31).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryIn {
    /// After that long; whole minutes on the wire.
    After(Duration),
    /// Not at all.
    Never,
}

/// What a tracker said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It serves the torrent.
    Answer(Answer),
    /// It does not.
    Refusal(Refusal),
}

/// How peers are listed in an HTTP answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerForm {
    /// 6 or 18 bytes each (BEP 23, BEP 7).
    Compact,
    /// Dictionaries of `ip` and `port`, without ids (BEP 3 with `no_peer_id`).
    List,
}

/// Bytes that are no answer of a tracker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// Not bencode at all: a web page, most often.
    #[error("the answer is not bencode: {0}")]
    Bencode(#[from] BencodeError),
    /// Bencode, but no dictionary.
    #[error("the answer is not a dictionary")]
    NotADictionary,
    /// More than is read.
    #[error("an answer of {0} bytes is longer than {MAX_RESPONSE_LENGTH}")]
    TooLong(usize),
}

impl Reply {
    /// Reads the body of an HTTP answer. White space before it and anything behind it are let pass; of a key given
    /// twice the first counts.
    ///
    /// # Errors
    /// When it does not begin with a bencoded dictionary.
    pub fn decode(body: &[u8]) -> Result<Self, ResponseError> {
        if body.len() > MAX_RESPONSE_LENGTH {
            return Err(ResponseError::TooLong(body.len()));
        }
        let value = Value::scan_leniently(body.trim_ascii_start())?;
        let mut answer = Answer::default();
        let (mut refusal, mut retry_in) = (None, None);
        let mut peers = Peers::default();
        for (key, value) in value.dictionary().ok_or(ResponseError::NotADictionary)? {
            match key {
                b"complete" => answer.seeds = answer.seeds.or(small(value)),
                b"downloaded" => answer.downloaded = answer.downloaded.or(small(value)),
                b"external ip" => answer.external_ip = answer.external_ip.or(address(value)),
                b"failure reason" => refusal = refusal.or_else(|| text(value)),
                b"incomplete" => answer.leechers = answer.leechers.or(small(value)),
                b"interval" => answer.interval = answer.interval.or(seconds(value)),
                b"min interval" => answer.min_interval = answer.min_interval.or(seconds(value)),
                b"peers" => peers.take(value),
                b"peers6" => peers.take_compact(Family::V6, value.string().unwrap_or_default()),
                b"retry in" => retry_in = retry_in.or(retry(value)),
                b"tracker id" => answer.tracker_id = answer.tracker_id.or_else(|| tracker_id(value)),
                b"warning message" => answer.warning = answer.warning.or_else(|| text(value)),
                _ => {}
            }
        }
        answer.peers = peers.list;
        let (interval, min_interval) = (answer.interval, answer.min_interval);
        Ok(match refusal {
            Some(reason) => Self::Refusal(Refusal { reason, interval, min_interval, retry_in }),
            None => Self::Answer(answer),
        })
    }

    /// The body of an HTTP answer, which goes out with status 200 even if it refuses. `peers6` is only there when
    /// it has peers.
    pub fn encode(&self, form: PeerForm) -> Vec<u8> {
        match self {
            Self::Answer(answer) => answer.encode(form),
            Self::Refusal(refusal) => refusal.encode(),
        }
    }
}

impl Answer {
    fn encode(&self, form: PeerForm) -> Vec<u8> {
        let mut out = Writer::new();
        out.integer("complete", self.seeds.map(u64::from));
        out.integer("downloaded", self.downloaded.map(u64::from));
        if let Some(address) = self.external_ip {
            let mut bytes = Vec::new();
            write_address(&mut bytes, address);
            out.string("external ip", &bytes);
        }
        out.integer("incomplete", self.leechers.map(u64::from));
        out.integer("interval", self.interval.map(|interval| interval.as_secs()));
        out.integer("min interval", self.min_interval.map(|interval| interval.as_secs()));
        match form {
            PeerForm::List => out.peer_list(&self.peers),
            PeerForm::Compact => {
                let (mut v4, mut v6) = (Vec::new(), Vec::new());
                for peer in &self.peers {
                    write_peer(if peer.is_ipv4() { &mut v4 } else { &mut v6 }, *peer);
                }
                out.string("peers", &v4);
                if !v6.is_empty() {
                    out.string("peers6", &v6);
                }
            }
        }
        if let Some(id) = &self.tracker_id {
            out.string("tracker id", id);
        }
        if let Some(warning) = &self.warning {
            out.string("warning message", warning.as_bytes());
        }
        out.finish()
    }
}

impl Refusal {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.string("failure reason", self.reason.as_bytes());
        out.integer("interval", self.interval.map(|interval| interval.as_secs()));
        out.integer("min interval", self.min_interval.map(|interval| interval.as_secs()));
        match self.retry_in {
            Some(RetryIn::After(time)) => out.integer("retry in", Some(time.as_secs().div_ceil(60))),
            Some(RetryIn::Never) => out.string("retry in", b"never"),
            None => {}
        }
        out.finish()
    }
}

/// Peers met so far: each once, only such as can be dialled, and not too many.
#[derive(Debug, Default)]
pub(super) struct Peers {
    pub(super) list: Vec<SocketAddr>,
    seen: HashSet<SocketAddr>,
}

impl Peers {
    /// Takes peers out of a string of whole records; a record that is cut off is left out.
    pub(super) fn take_compact(&mut self, family: Family, bytes: &[u8]) {
        for peer in bytes.chunks_exact(family.peer_length()) {
            if self.list.len() >= MAX_PEERS {
                return;
            }
            if let Some(peer) = read_peer(family, peer) {
                self.add(peer);
            }
        }
    }

    fn take(&mut self, value: Value<'_>) {
        if let Some(compact) = value.string() {
            return self.take_compact(Family::V4, compact);
        }
        for peer in value.list().into_iter().flatten() {
            if self.list.len() >= MAX_PEERS {
                return;
            }
            if let Some(peer) = listed_peer(peer) {
                self.add(peer);
            }
        }
    }

    /// Adds `peer`, its address in the plain form of its family, unless nobody can be there or it is known.
    fn add(&mut self, peer: SocketAddr) {
        let address = peer.ip().to_canonical();
        let is_peer = match address {
            IpAddr::V4(v4) => !v4.is_unspecified() && !v4.is_broadcast() && !v4.is_multicast(),
            IpAddr::V6(v6) => !v6.is_unspecified() && !v6.is_multicast(),
        };
        let peer = SocketAddr::new(address, peer.port());
        if is_peer && peer.port() != 0 && self.seen.insert(peer) {
            self.list.push(peer);
        }
    }
}

/// A peer as a dictionary (BEP 3). Names are not looked up: an answer must not make btd ask DNS.
fn listed_peer(value: Value<'_>) -> Option<SocketAddr> {
    let (mut ip, mut port) = (None, None);
    for (key, value) in value.dictionary()? {
        match key {
            b"ip" => ip = value.string().and_then(|text| std::str::from_utf8(text).ok()?.parse().ok()),
            b"port" => port = value.integer().and_then(|port| u16::try_from(port).ok()),
            _ => {}
        }
    }
    Some(SocketAddr::new(ip?, port?))
}

fn small(value: Value<'_>) -> Option<u32> {
    value.integer().and_then(|number| u32::try_from(number).ok())
}

fn seconds(value: Value<'_>) -> Option<Duration> {
    small(value).map(|seconds| Duration::from_secs(seconds.into()))
}

fn address(value: Value<'_>) -> Option<IpAddr> {
    let bytes = value.string()?;
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

fn retry(value: Value<'_>) -> Option<RetryIn> {
    if value.string() == Some(b"never") {
        return Some(RetryIn::Never);
    }
    small(value).map(|minutes| RetryIn::After(Duration::from_secs(u64::from(minutes) * 60)))
}

fn tracker_id(value: Value<'_>) -> Option<Vec<u8>> {
    value.string().filter(|id| !id.is_empty() && id.len() <= MAX_TRACKER_ID_LENGTH).map(<[u8]>::to_vec)
}

fn text(value: Value<'_>) -> Option<String> {
    value.string().map(clean_text)
}

/// A message as it may be shown: of bounded length, without control characters.
pub(super) fn clean_text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_TEXT_LENGTH)]);
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A dictionary that is being written, its keys in order.
#[derive(Debug)]
struct Writer(Vec<u8>);

impl Writer {
    fn new() -> Self {
        Self(vec![b'd'])
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(format!("{}:", bytes.len()).as_bytes());
        self.0.extend_from_slice(bytes);
    }

    fn string(&mut self, key: &str, value: &[u8]) {
        self.bytes(key.as_bytes());
        self.bytes(value);
    }

    fn integer(&mut self, key: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.bytes(key.as_bytes());
            self.0.extend_from_slice(format!("i{value}e").as_bytes());
        }
    }

    fn peer_list(&mut self, peers: &[SocketAddr]) {
        self.bytes(b"peers");
        self.0.push(b'l');
        for peer in peers {
            self.0.push(b'd');
            self.string("ip", peer.ip().to_string().as_bytes());
            self.integer("port", Some(peer.port().into()));
            self.0.push(b'e');
        }
        self.0.push(b'e');
    }

    fn finish(mut self) -> Vec<u8> {
        self.0.push(b'e');
        self.0
    }
}

#[cfg(test)]
pub(super) mod tests;
