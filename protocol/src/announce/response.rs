//! What a tracker answers: peers and intervals, or a refusal; and the bencoded form of both (BEP 3, 7, 23, 24, 31).
//!
//! Reading is tolerant, since trackers are sloppy: what is odd is left out, never a reason to lose the rest. The
//! daemon reads what it downloaded up to [`MAX_RESPONSE_LENGTH`]; [`super::write`] writes.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::write::{AnswerHead, ListedPeer, write_compact_answer, write_listed_answer, write_refusal};
use super::{Family, read_peer, write_peer};
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

/// What the body of any answer holds: a dictionary, unless it is a refusal.
pub(super) fn open(body: &[u8]) -> Result<Result<Value<'_>, Refusal>, ResponseError> {
    if body.len() > MAX_RESPONSE_LENGTH {
        return Err(ResponseError::TooLong(body.len()));
    }
    let value = Value::scan_leniently(body.trim_ascii_start())?;
    Ok(Refusal::read(value)?.map_or(Ok(value), Err))
}

impl Reply {
    /// Reads the body of an HTTP answer. White space before it and anything behind it are let pass; of a key given
    /// twice the first counts.
    ///
    /// # Errors
    /// When it does not begin with a bencoded dictionary.
    pub fn decode(body: &[u8]) -> Result<Self, ResponseError> {
        let value = match open(body)? {
            Ok(value) => value,
            Err(refusal) => return Ok(Self::Refusal(refusal)),
        };
        let mut answer = Answer::default();
        let mut peers = Peers::default();
        for (key, value) in value.dictionary().ok_or(ResponseError::NotADictionary)? {
            match key {
                b"complete" => answer.seeds = answer.seeds.or(small(value)),
                b"downloaded" => answer.downloaded = answer.downloaded.or(small(value)),
                b"external ip" => answer.external_ip = answer.external_ip.or(address(value)),
                b"incomplete" => answer.leechers = answer.leechers.or(small(value)),
                b"interval" => answer.interval = answer.interval.or(seconds(value)),
                b"min interval" => answer.min_interval = answer.min_interval.or(seconds(value)),
                b"peers" => peers.take(value),
                b"peers6" => peers.take_compact(Family::V6, value.string().unwrap_or_default()),
                b"tracker id" => answer.tracker_id = answer.tracker_id.or_else(|| tracker_id(value)),
                b"warning message" => answer.warning = answer.warning.or_else(|| text(value)),
                _ => {}
            }
        }
        answer.peers = peers.list;
        Ok(Self::Answer(answer))
    }

    /// The body of an HTTP answer, which goes out with status 200 even if it refuses. `peers6` is only there when
    /// it has peers.
    pub fn encode(&self, form: PeerForm) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Answer(answer) => answer.write(&mut out, form),
            Self::Refusal(refusal) => write_refusal(&mut out, refusal),
        }
        out
    }
}

impl Answer {
    fn write(&self, out: &mut Vec<u8>, form: PeerForm) {
        let head = AnswerHead {
            seeds: self.seeds,
            leechers: self.leechers,
            downloaded: self.downloaded,
            interval: self.interval,
            min_interval: self.min_interval,
            external_ip: self.external_ip,
            tracker_id: self.tracker_id.as_deref(),
            warning: self.warning.as_deref(),
        };
        match form {
            PeerForm::List => {
                let listed = |address: &SocketAddr| ListedPeer { address: *address, peer_id: None };
                write_listed_answer(out, &head, self.peers.iter().map(listed));
            }
            PeerForm::Compact => {
                let (mut v4, mut v6) = (Vec::new(), Vec::new());
                for peer in &self.peers {
                    write_peer(if peer.is_ipv4() { &mut v4 } else { &mut v6 }, *peer);
                }
                write_compact_answer(out, &head, &v4, &v6);
            }
        }
    }
}

impl Refusal {
    /// The refusal in an answer to an announce or a scrape, if it is one.
    pub(super) fn read(body: Value<'_>) -> Result<Option<Self>, ResponseError> {
        let (mut reason, mut interval, mut min_interval, mut retry_in) = (None, None, None, None);
        for (key, value) in body.dictionary().ok_or(ResponseError::NotADictionary)? {
            match key {
                b"failure reason" => reason = reason.or_else(|| text(value)),
                b"interval" => interval = interval.or(seconds(value)),
                b"min interval" => min_interval = min_interval.or(seconds(value)),
                b"retry in" => retry_in = retry_in.or(retry(value)),
                _ => {}
            }
        }
        Ok(reason.map(|reason| Self { reason, interval, min_interval, retry_in }))
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

pub(super) fn small(value: Value<'_>) -> Option<u32> {
    value.integer().and_then(|number| u32::try_from(number).ok())
}

pub(super) fn seconds(value: Value<'_>) -> Option<Duration> {
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
    let mut text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    // What stands for bytes that are no UTF-8 is longer than they were.
    text.truncate(text.floor_char_boundary(MAX_TEXT_LENGTH));
    text
}

#[cfg(test)]
pub(super) mod tests;
