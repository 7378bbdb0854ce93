//! The query of an HTTP announce as a tracker receives it (BEP 3, 7, 21, 23), read from raw bytes.
//!
//! bttracker reads every announce with it, so an ordinary one allocates nothing. [`super::request`] writes what btd
//! asks.

use std::borrow::Cow;
use std::net::IpAddr;

use sha1::{Digest, Sha1};

use super::parameters::{MAX_PAIRS, MAX_QUERY_LENGTH, QueryError, pairs, twenty, unescape, unescape_into};
use super::request::{Announce, Event, UNKNOWN_LEFT};
use crate::id::{InfoHash, PeerId};

/// Longest text of an IP address, in bytes: IPv6 with an IPv4 address at its end.
const MAX_ADDRESS_LENGTH: usize = 45;

/// An announce that came over HTTP, and how its sender wants to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnnounceQuery<'a> {
    /// What it says; a tracker id is not kept.
    pub announce: Announce,
    /// Peers as bytes rather than as a list (BEP 23). Only an explicit 0 declines.
    pub compact: bool,
    /// A list need not have the ids of peers.
    pub no_peer_id: bool,
    /// The first `ip` that is the literal of an address; names are nobody's business here.
    pub ip: Option<IpAddr>,
    /// What a private tracker knows its user by.
    pub passkey: Option<Cow<'a, [u8]>>,
}

impl<'a> AnnounceQuery<'a> {
    /// Reads what stands after the `?` of a request line. Of a parameter given twice the first counts.
    ///
    /// # Errors
    /// When it is no announce, or exceeds a limit.
    pub fn parse(query: &'a [u8]) -> Result<Self, QueryError> {
        if query.len() > MAX_QUERY_LENGTH {
            return Err(QueryError::TooLong);
        }
        let mut fields = Fields::default();
        for (index, (key, value)) in pairs(query).enumerate() {
            if index >= MAX_PAIRS {
                return Err(QueryError::TooManyPairs);
            }
            fields.take(key, value)?;
        }
        fields.finish()
    }
}

/// The parameters met so far.
#[derive(Debug, Default)]
struct Fields<'a> {
    info_hash: Option<[u8; 20]>,
    peer_id: Option<[u8; 20]>,
    port: Option<u16>,
    uploaded: Option<u64>,
    downloaded: Option<u64>,
    left: Option<u64>,
    event: Option<Event>,
    num_want: Option<Option<u32>>,
    key: Option<u32>,
    compact: Option<bool>,
    no_peer_id: Option<bool>,
    ip: Option<IpAddr>,
    passkey: Option<Cow<'a, [u8]>>,
}

impl<'a> Fields<'a> {
    fn take(&mut self, key: &[u8], value: &'a [u8]) -> Result<(), QueryError> {
        match key {
            b"info_hash" if self.info_hash.is_some() => return Err(QueryError::TwoInfoHashes),
            b"info_hash" => self.info_hash = Some(twenty("info_hash", value)?),
            b"peer_id" if self.peer_id.is_none() => self.peer_id = Some(twenty("peer_id", value)?),
            b"port" if self.port.is_none() => self.port = Some(port(value)?),
            b"uploaded" => _ = self.uploaded.get_or_insert_with(|| number(value).unwrap_or(0)),
            b"downloaded" => _ = self.downloaded.get_or_insert_with(|| number(value).unwrap_or(0)),
            // Whoever says wrongly how much is left is no seed, and does not become one by saying it twice.
            b"left" => _ = self.left.get_or_insert_with(|| number(value).unwrap_or(UNKNOWN_LEFT)),
            b"event" => _ = self.event.get_or_insert_with(|| event(value)),
            b"numwant" => _ = self.num_want.get_or_insert_with(|| wanted(value)),
            b"key" if self.key.is_none() => self.key = Some(opaque_key(&unescape("key", value)?)),
            b"compact" => _ = self.compact.get_or_insert(value != b"0"),
            b"no_peer_id" => _ = self.no_peer_id.get_or_insert(value != b"0"),
            b"ip" => self.ip = self.ip.or_else(|| address(value)),
            b"passkey" if self.passkey.is_none() => self.passkey = Some(unescape("passkey", value)?),
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<AnnounceQuery<'a>, QueryError> {
        let announce = Announce {
            info_hash: InfoHash::new(self.info_hash.ok_or(QueryError::Missing("info_hash"))?),
            peer_id: PeerId::new(self.peer_id.ok_or(QueryError::Missing("peer_id"))?),
            port: self.port.ok_or(QueryError::Missing("port"))?,
            uploaded: self.uploaded.unwrap_or(0),
            downloaded: self.downloaded.unwrap_or(0),
            left: self.left.unwrap_or(UNKNOWN_LEFT),
            event: self.event.unwrap_or_default(),
            num_want: self.num_want.flatten(),
            key: self.key,
            tracker_id: None,
        };
        Ok(AnnounceQuery {
            announce,
            compact: self.compact.unwrap_or(true),
            no_peer_id: self.no_peer_id.unwrap_or(false),
            ip: self.ip,
            passkey: self.passkey,
        })
    }
}

/// Decimal digits and nothing else. What exceeds 64 bits is `None`.
fn number(digits: &[u8]) -> Option<u64> {
    let add = |number: u64, digit: &u8| {
        let value = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(value)
    };
    if digits.is_empty() { None } else { digits.iter().try_fold(0, add) }
}

fn port(value: &[u8]) -> Result<u16, QueryError> {
    let port = number(value).and_then(|port| u16::try_from(port).ok());
    port.filter(|port| *port != 0).ok_or(QueryError::Port)
}

/// How many peers are wanted: as many as there are if that is more than any tracker gives, and as many as the tracker
/// likes (`None`) if it is less than none.
fn wanted(value: &[u8]) -> Option<u32> {
    let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    is_number.then(|| number(value).and_then(|number| u32::try_from(number).ok()).unwrap_or(u32::MAX))
}

/// What nobody knows is a regular announce.
fn event(value: &[u8]) -> Event {
    let known = [Event::Started, Event::Completed, Event::Stopped, Event::Paused];
    known
        .into_iter()
        .find(|event| event.name().is_some_and(|name| name.as_bytes() == value))
        .unwrap_or_default()
}

/// The address that `value` spells, if it does.
fn address(value: &[u8]) -> Option<IpAddr> {
    let mut text = [0; MAX_ADDRESS_LENGTH];
    let length = unescape_into(&mut text, value)?;
    std::str::from_utf8(text.get(..length)?).ok()?.parse().ok()
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
mod tests;
