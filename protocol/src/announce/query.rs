//! The query of an HTTP announce as a tracker receives it, read from raw bytes.
//!
//! Info-hashes and peer ids are arbitrary bytes, so nothing here passes through UTF-8, and `+` is a plus. Errors
//! are worded for the `failure reason` of the answer.

use sha1::{Digest, Sha1};

use super::request::{Announce, Event, UNKNOWN_LEFT};
use crate::id::{InfoHash, PeerId};

/// Longest query that is read, in bytes: what HTTP servers take as a request line.
pub const MAX_QUERY_LENGTH: usize = 8 * 1024;
/// Most `key=value` pairs; clients send about fifteen.
const MAX_PAIRS: usize = 64;
/// Longest `trackerid` that is kept, in bytes.
const MAX_TRACKER_ID_LENGTH: usize = 256;

/// An announce that came over HTTP, and how its sender wants to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnnounceQuery {
    /// What it says.
    pub announce: Announce,
    /// Peers as bytes rather than as a list (BEP 23). Only an explicit 0 declines.
    pub compact: bool,
    /// A list need not have the ids of peers.
    pub no_peer_id: bool,
}

/// A query that is no announce.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// Longer than is read.
    #[error("the query has more than {MAX_QUERY_LENGTH} bytes")]
    TooLong,
    /// More pairs than are read.
    #[error("the query has more than {MAX_PAIRS} parameters")]
    TooManyPairs,
    /// Something that an announce must have.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// More than one torrent.
    #[error("an announce is for one info_hash")]
    TwoInfoHashes,
    /// An id that is not 20 bytes long.
    #[error("{key} must be 20 bytes, not {length}{}", if *length == 40 { " (did you send hex?)" } else { "" })]
    WrongLength {
        /// The parameter.
        key: &'static str,
        /// Its length in bytes, after decoding.
        length: usize,
    },
    /// A port that nobody listens on.
    #[error("port must be a number from 1 to 65535")]
    Port,
    /// `%` without two hex digits behind it.
    #[error("a bad % escape in {0}")]
    Escape(&'static str),
}

impl AnnounceQuery {
    /// Reads what stands after the `?` of a request line. Of a parameter given twice the first counts.
    ///
    /// # Errors
    /// When it is no announce, or exceeds a limit.
    pub fn parse(query: &[u8]) -> Result<Self, QueryError> {
        if query.len() > MAX_QUERY_LENGTH {
            return Err(QueryError::TooLong);
        }
        let mut fields = Fields::default();
        for (index, pair) in query.split(|byte| *byte == b'&').enumerate() {
            if index >= MAX_PAIRS {
                return Err(QueryError::TooManyPairs);
            }
            if let Some(equals) = pair.iter().position(|byte| *byte == b'=') {
                fields.take(&pair[..equals], &pair[equals + 1..])?;
            }
        }
        fields.finish()
    }
}

/// The parameters met so far.
#[derive(Debug, Default)]
struct Fields {
    info_hash: Option<[u8; 20]>,
    peer_id: Option<[u8; 20]>,
    port: Option<u16>,
    uploaded: Option<u64>,
    downloaded: Option<u64>,
    left: Option<u64>,
    event: Option<Event>,
    num_want: Option<Option<u32>>,
    key: Option<u32>,
    tracker_id: Option<Vec<u8>>,
    compact: Option<bool>,
    no_peer_id: Option<bool>,
}

impl Fields {
    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), QueryError> {
        match key {
            b"info_hash" if self.info_hash.is_some() => return Err(QueryError::TwoInfoHashes),
            b"info_hash" => self.info_hash = Some(twenty("info_hash", value)?),
            b"peer_id" if self.peer_id.is_none() => self.peer_id = Some(twenty("peer_id", value)?),
            b"port" if self.port.is_none() => {
                let port = number(value).and_then(|port| u16::try_from(port).ok());
                self.port = Some(port.filter(|port| *port != 0).ok_or(QueryError::Port)?);
            }
            b"uploaded" => self.uploaded = self.uploaded.or(number(value)),
            b"downloaded" => self.downloaded = self.downloaded.or(number(value)),
            b"left" => self.left = self.left.or(number(value)),
            b"event" => self.event = self.event.or(Some(event(value))),
            b"numwant" => {
                let wanted = number(value).and_then(|number| u32::try_from(number).ok());
                self.num_want = self.num_want.or(Some(wanted));
            }
            b"key" if self.key.is_none() => self.key = Some(opaque_key(&unescape("key", value)?)),
            b"trackerid" if self.tracker_id.is_none() => {
                let mut id = unescape("trackerid", value)?;
                id.truncate(MAX_TRACKER_ID_LENGTH);
                self.tracker_id = Some(id);
            }
            b"compact" => self.compact = self.compact.or(Some(value != b"0")),
            b"no_peer_id" => self.no_peer_id = self.no_peer_id.or(Some(value != b"0")),
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<AnnounceQuery, QueryError> {
        let announce = Announce {
            info_hash: InfoHash::new(self.info_hash.ok_or(QueryError::Missing("info_hash"))?),
            peer_id: PeerId::new(self.peer_id.ok_or(QueryError::Missing("peer_id"))?),
            port: self.port.ok_or(QueryError::Missing("port"))?,
            uploaded: self.uploaded.unwrap_or(0),
            downloaded: self.downloaded.unwrap_or(0),
            // Whoever does not say how much is left, or says it wrongly, is no seed.
            left: self.left.unwrap_or(UNKNOWN_LEFT),
            event: self.event.unwrap_or_default(),
            num_want: self.num_want.flatten(),
            key: self.key,
            tracker_id: self.tracker_id,
        };
        Ok(AnnounceQuery {
            announce,
            compact: self.compact.unwrap_or(true),
            no_peer_id: self.no_peer_id.unwrap_or(false),
        })
    }
}

fn twenty(key: &'static str, value: &[u8]) -> Result<[u8; 20], QueryError> {
    let bytes = unescape(key, value)?;
    bytes.as_slice().try_into().map_err(|_| QueryError::WrongLength { key, length: bytes.len() })
}

/// Replaces every `%XX` by its byte; all else stays as it is.
fn unescape(key: &'static str, value: &[u8]) -> Result<Vec<u8>, QueryError> {
    let digit = |at: usize| value.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut bytes = Vec::with_capacity(value.len());
    let mut at = 0;
    while let Some(&byte) = value.get(at) {
        if byte != b'%' {
            bytes.push(byte);
            at += 1;
            continue;
        }
        let decoded =
            digit(at + 1).zip(digit(at + 2)).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        bytes.push(decoded.ok_or(QueryError::Escape(key))?);
        at += 3;
    }
    Ok(bytes)
}

/// Decimal digits and nothing else, in 64 bits.
fn number(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// `paused` (BEP 21) and what nobody knows are regular announces.
fn event(value: &[u8]) -> Event {
    let known = [Event::Started, Event::Completed, Event::Stopped];
    known
        .into_iter()
        .find(|event| event.name().is_some_and(|name| name.as_bytes() == value))
        .unwrap_or_default()
}

/// Keys are only compared with each other: up to eight hex digits are that number, all else its digest.
fn opaque_key(value: &[u8]) -> u32 {
    let hex = std::str::from_utf8(value).ok().filter(|text| text.len() <= 8 && !text.starts_with('+'));
    hex.and_then(|text| u32::from_str_radix(text, 16).ok()).unwrap_or_else(|| {
        let [a, b, c, d, ..]: [u8; 20] = Sha1::digest(value).into();
        u32::from_be_bytes([a, b, c, d])
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::request::tests::any_announce;
    use super::*;

    const LEAST: &str = "info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=bbbbbbbbbbbbbbbbbbbb&port=1";

    fn parse(more: &str) -> Result<AnnounceQuery, QueryError> {
        AnnounceQuery::parse(format!("{LEAST}&{more}").as_bytes())
    }

    #[test]
    fn bytes_are_read_as_bytes() {
        let query =
            b"info_hash=\x00\xff+;%2b%2B%26%3dcccccccccccc&peer_id=%80bbbbbbbbbbbbbbbbbb\xfe&port=65535";
        let parsed = AnnounceQuery::parse(query).unwrap().announce;
        assert_eq!(parsed.info_hash.as_bytes(), b"\x00\xff+;++&=cccccccccccc");
        assert_eq!(parsed.peer_id.as_bytes(), b"\x80bbbbbbbbbbbbbbbbbb\xfe");
        assert_eq!(parsed.port, 65_535);
    }

    #[test]
    fn whoever_says_little_is_a_leecher_that_takes_compact_answers() {
        let parsed = parse("event=paused&left=-1&numwant=-1&x=%zz&&lonely&uploaded=5&uploaded=6").unwrap();
        assert!(parsed.compact && !parsed.no_peer_id);
        let announce = parsed.announce;
        assert_eq!((announce.uploaded, announce.downloaded, announce.left), (5, 0, UNKNOWN_LEFT));
        assert_eq!((announce.event, announce.num_want, announce.key), (Event::None, None, None));
        assert!(!parse("compact=0").unwrap().compact);
        assert_eq!(parse("numwant=0").unwrap().announce.num_want, Some(0));
    }

    #[test]
    fn what_is_no_announce_is_refused_in_words() {
        let error = |query: &str| AnnounceQuery::parse(query.as_bytes()).unwrap_err().to_string();
        assert_eq!(error(""), "info_hash is missing");
        assert_eq!(
            error(&format!("info_hash={}", "a1".repeat(20))),
            "info_hash must be 20 bytes, not 40 (did you send hex?)"
        );
        assert_eq!(error("info_hash=%4"), "a bad % escape in info_hash");
        assert_eq!(parse("info_hash=aaaaaaaaaaaaaaaaaaaa"), Err(QueryError::TwoInfoHashes));
        for port in ["0", "65536", "x", "", "+1"] {
            let query = LEAST.replace("port=1", &format!("port={port}"));
            assert_eq!(AnnounceQuery::parse(query.as_bytes()), Err(QueryError::Port), "{port}");
        }
        assert_eq!(parse(&"a=b&".repeat(MAX_PAIRS)), Err(QueryError::TooManyPairs));
        assert_eq!(parse(&"a".repeat(MAX_QUERY_LENGTH)), Err(QueryError::TooLong));
    }

    #[test]
    fn keys_of_any_kind_are_told_apart() {
        let key = |text: &str| parse(&format!("key={text}")).unwrap().announce.key;
        assert_eq!(key("0000BEEF"), Some(0xBEEF));
        assert_ne!(key("%00%01%02%03%04%05%06%07"), key("%00%01%02%03%04%05%06%08"));
        assert_ne!(key("4294967296"), key("4294967297"));
    }

    proptest! {
        #[test]
        fn what_btd_asks_is_what_the_tracker_reads(announce in any_announce()) {
            let target = announce.http_target("/announce?passkey=1");
            let query = target.split_once('?').unwrap().1;
            let expected = AnnounceQuery { announce, compact: true, no_peer_id: true };
            prop_assert_eq!(AnnounceQuery::parse(query.as_bytes()), Ok(expected));
        }

        #[test]
        fn arbitrary_bytes_never_panic(query: Vec<u8>) {
            let _ = AnnounceQuery::parse(&query);
            let _ = AnnounceQuery::parse(&[LEAST.as_bytes(), b"&key=", &query].concat());
        }
    }
}
