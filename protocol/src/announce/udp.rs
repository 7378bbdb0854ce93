//! Packets of the UDP tracker protocol, both sides (BEP 15), with the path of the URL behind an announce (BEP 41).
//!
//! A client first asks for a connection id, which proves that its address is its own, and announces with that.
//! Peers come as 6 or 18 bytes each, by the family that the packet travels in. Scrapes are not spoken.

use std::time::Duration;

use super::request::{Announce, Event};
use super::response::{Answer, Peers, clean_text};
use super::{Family, write_peer};
use crate::id::{InfoHash, PeerId};

/// How long a client may use a connection id (BEP 15).
pub const CONNECTION_LIFETIME: Duration = Duration::from_secs(60);
/// Stands where a connect request has no connection id yet.
const PROTOCOL_ID: u64 = 0x0417_2710_1980;
/// The last attempt has this number; the first is 0 (BEP 15).
const MAX_ATTEMPT: u32 = 8;
/// Bytes of an announce request before its options.
const ANNOUNCE_LENGTH: usize = 98;
/// Most data in one option (BEP 41).
const MAX_OPTION_LENGTH: usize = 255;
/// Longest path and query that is read out of options, in bytes.
const MAX_TARGET_LENGTH: usize = 2 * 1024;

const ACTION_CONNECT: u32 = 0;
const ACTION_ANNOUNCE: u32 = 1;
const ACTION_ERROR: u32 = 3;

const OPTION_END: u8 = 0;
const OPTION_NOP: u8 = 1;
const OPTION_URL_DATA: u8 = 2;

/// How long to wait for the answer to attempt number `attempt`, counted from 0: `base` (15 s by BEP 15), then twice
/// as long each time. `None` after the last attempt.
pub fn retry_delay(base: Duration, attempt: u32) -> Option<Duration> {
    (attempt <= MAX_ATTEMPT).then(|| base.saturating_mul(1 << attempt))
}

/// A packet from a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UdpRequest {
    /// Asks for a connection id.
    Connect {
        /// Comes back in the answer.
        transaction: u32,
    },
    /// An announce.
    Announce {
        /// From the answer to a connect.
        connection: u64,
        /// Comes back in the answer.
        transaction: u32,
        /// What it says; a tracker id is not sent.
        announce: Announce,
        /// Path and query of the tracker's URL (BEP 41); empty when there is none.
        target: Vec<u8>,
    },
}

/// A packet from a tracker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UdpResponse {
    /// Gives a connection id.
    Connect {
        /// As it was asked with.
        transaction: u32,
        /// For the announces of the next minute.
        connection: u64,
    },
    /// Answers an announce.
    Announce {
        /// As it was asked with.
        transaction: u32,
        /// Interval, seeds, leechers and peers; nothing else fits.
        answer: Answer,
    },
    /// Refuses.
    Error {
        /// As it was asked with.
        transaction: u32,
        /// Why, in the tracker's words.
        message: String,
    },
}

/// Bytes that are no packet of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UdpError {
    /// Shorter than its action needs.
    #[error("a packet of {0} bytes is too short")]
    TooShort(usize),
    /// An action that is not spoken.
    #[error("action {0} is unknown")]
    UnknownAction(u32),
    /// A connect without the number that marks the protocol.
    #[error("a connect request for another protocol")]
    WrongProtocol,
    /// A port that nobody listens on.
    #[error("port 0")]
    Port,
}

impl UdpRequest {
    /// The packet.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(ANNOUNCE_LENGTH);
        match self {
            Self::Connect { transaction } => {
                bytes.extend(PROTOCOL_ID.to_be_bytes());
                bytes.extend(ACTION_CONNECT.to_be_bytes());
                bytes.extend(transaction.to_be_bytes());
            }
            Self::Announce { connection, transaction, announce, target } => {
                bytes.extend(connection.to_be_bytes());
                bytes.extend(ACTION_ANNOUNCE.to_be_bytes());
                bytes.extend(transaction.to_be_bytes());
                write_announce(&mut bytes, announce);
                for part in target.chunks(MAX_OPTION_LENGTH) {
                    bytes.push(OPTION_URL_DATA);
                    bytes.extend(u8::try_from(part.len()));
                    bytes.extend_from_slice(part);
                }
            }
        }
        bytes
    }

    /// Reads a packet; what follows its known part is not looked at. An unknown event is a regular announce.
    ///
    /// # Errors
    /// When it is too short, another action, or for another protocol.
    pub fn decode(bytes: &[u8]) -> Result<Self, UdpError> {
        let mut fields = Fields::new(bytes);
        let connection = u64::from_be_bytes(fields.take()?);
        let action = u32::from_be_bytes(fields.take()?);
        let transaction = u32::from_be_bytes(fields.take()?);
        match action {
            ACTION_CONNECT if connection == PROTOCOL_ID => Ok(Self::Connect { transaction }),
            ACTION_CONNECT => Err(UdpError::WrongProtocol),
            ACTION_ANNOUNCE => {
                let announce = read_announce(&mut fields)?;
                Ok(Self::Announce { connection, transaction, announce, target: read_target(fields.rest) })
            }
            other => Err(UdpError::UnknownAction(other)),
        }
    }
}

impl UdpResponse {
    /// The packet, in which only peers of `family` are listed.
    pub fn encode(&self, family: Family) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self {
            Self::Connect { transaction, connection } => {
                bytes.extend(ACTION_CONNECT.to_be_bytes());
                bytes.extend(transaction.to_be_bytes());
                bytes.extend(connection.to_be_bytes());
            }
            Self::Announce { transaction, answer } => {
                bytes.extend(ACTION_ANNOUNCE.to_be_bytes());
                bytes.extend(transaction.to_be_bytes());
                let interval = answer.interval.unwrap_or_default().as_secs();
                bytes.extend(u32::try_from(interval).unwrap_or(u32::MAX).to_be_bytes());
                bytes.extend(answer.leechers.unwrap_or(0).to_be_bytes());
                bytes.extend(answer.seeds.unwrap_or(0).to_be_bytes());
                let peers = answer.peers.iter().filter(|peer| Family::of(peer.ip()) == family);
                peers.for_each(|peer| write_peer(&mut bytes, *peer));
            }
            Self::Error { transaction, message } => {
                bytes.extend(ACTION_ERROR.to_be_bytes());
                bytes.extend(transaction.to_be_bytes());
                bytes.extend_from_slice(message.as_bytes());
            }
        }
        bytes
    }

    /// Reads a packet that came over `family`. A peer that is cut off is left out.
    ///
    /// # Errors
    /// When it is too short or another action.
    pub fn decode(bytes: &[u8], family: Family) -> Result<Self, UdpError> {
        let mut fields = Fields::new(bytes);
        let action = u32::from_be_bytes(fields.take()?);
        let transaction = u32::from_be_bytes(fields.take()?);
        match action {
            ACTION_CONNECT => {
                Ok(Self::Connect { transaction, connection: u64::from_be_bytes(fields.take()?) })
            }
            ACTION_ANNOUNCE => {
                let interval = u32::from_be_bytes(fields.take()?);
                let leechers = u32::from_be_bytes(fields.take()?);
                let seeds = u32::from_be_bytes(fields.take()?);
                let mut peers = Peers::default();
                peers.take_compact(family, fields.rest);
                let answer = Answer {
                    interval: Some(Duration::from_secs(interval.into())),
                    leechers: Some(leechers),
                    seeds: Some(seeds),
                    peers: peers.list,
                    ..Answer::default()
                };
                Ok(Self::Announce { transaction, answer })
            }
            ACTION_ERROR => Ok(Self::Error { transaction, message: clean_text(fields.rest) }),
            other => Err(UdpError::UnknownAction(other)),
        }
    }

    /// The number that the request was sent with.
    pub fn transaction(&self) -> u32 {
        match self {
            Self::Connect { transaction, .. }
            | Self::Announce { transaction, .. }
            | Self::Error { transaction, .. } => *transaction,
        }
    }
}

fn write_announce(bytes: &mut Vec<u8>, announce: &Announce) {
    bytes.extend(announce.info_hash.as_bytes());
    bytes.extend(announce.peer_id.as_bytes());
    bytes.extend(announce.downloaded.to_be_bytes());
    bytes.extend(announce.left.to_be_bytes());
    bytes.extend(announce.uploaded.to_be_bytes());
    let event: u32 = match announce.event {
        Event::None => 0,
        Event::Completed => 1,
        Event::Started => 2,
        Event::Stopped => 3,
    };
    bytes.extend(event.to_be_bytes());
    // The address is left to the tracker, which sees it.
    bytes.extend([0; 4]);
    bytes.extend(announce.key.unwrap_or(0).to_be_bytes());
    let num_want = announce.num_want.map_or(-1, |wanted| i32::try_from(wanted).unwrap_or(i32::MAX));
    bytes.extend(num_want.to_be_bytes());
    bytes.extend(announce.port.to_be_bytes());
}

fn read_announce(fields: &mut Fields<'_>) -> Result<Announce, UdpError> {
    let info_hash = InfoHash::new(fields.take()?);
    let peer_id = PeerId::new(fields.take()?);
    let downloaded = u64::from_be_bytes(fields.take()?);
    let left = u64::from_be_bytes(fields.take()?);
    let uploaded = u64::from_be_bytes(fields.take()?);
    let event = match u32::from_be_bytes(fields.take()?) {
        1 => Event::Completed,
        2 => Event::Started,
        3 => Event::Stopped,
        _ => Event::None,
    };
    let _address: [u8; 4] = fields.take()?;
    let key = Some(u32::from_be_bytes(fields.take()?));
    let num_want = u32::try_from(i32::from_be_bytes(fields.take()?)).ok();
    let port = u16::from_be_bytes(fields.take()?);
    if port == 0 {
        return Err(UdpError::Port);
    }
    let tracker_id = None;
    Ok(Announce { info_hash, peer_id, port, uploaded, downloaded, left, event, num_want, key, tracker_id })
}

/// Joins the URL data of all options; other options are skipped, and one that is cut off ends the reading.
fn read_target(mut options: &[u8]) -> Vec<u8> {
    let mut target = Vec::new();
    while let Some((&kind, rest)) = options.split_first() {
        match kind {
            OPTION_END => break,
            OPTION_NOP => options = rest,
            _ => {
                let Some((&length, rest)) = rest.split_first() else { break };
                let Some((data, rest)) = rest.split_at_checked(length.into()) else { break };
                if kind == OPTION_URL_DATA && target.len() + data.len() <= MAX_TARGET_LENGTH {
                    target.extend_from_slice(data);
                }
                options = rest;
            }
        }
    }
    target
}

/// What is left of a packet.
#[derive(Debug)]
struct Fields<'a> {
    length: usize,
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { length: bytes.len(), rest: bytes }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], UdpError> {
        let (field, rest) = self.rest.split_first_chunk().ok_or(UdpError::TooShort(self.length))?;
        self.rest = rest;
        Ok(*field)
    }
}

#[cfg(test)]
mod tests;
