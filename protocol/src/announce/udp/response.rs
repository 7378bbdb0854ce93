//! What trackers of the UDP tracker protocol answer (BEP 15).
//!
//! Peers come as 6 or 18 bytes each, by the family that the packet travels in. bttracker writes these packets and
//! btd reads them.

use std::time::Duration;

use super::{
    ACTION_ANNOUNCE, ACTION_CONNECT, ACTION_ERROR, ACTION_SCRAPE, Fields, MAX_UDP_SCRAPE_HASHES, UdpError,
};
use crate::announce::response::{Answer, Peers, clean_text};
use crate::announce::{Family, ScrapeEntry, write_peer};

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
    /// Answers a scrape.
    Scrape {
        /// As it was asked with.
        transaction: u32,
        /// The swarms, in the order in which they were asked for. `downloaders` does not fit.
        entries: Vec<ScrapeEntry>,
    },
    /// Refuses.
    Error {
        /// As it was asked with.
        transaction: u32,
        /// Why, in the tracker's words.
        message: String,
    },
}

impl UdpResponse {
    /// The packet, in which only peers of `family` are listed.
    pub fn encode(&self, family: Family) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self {
            Self::Connect { transaction, connection } => {
                write_udp_connect(&mut bytes, *transaction, *connection);
            }
            Self::Announce { transaction, answer } => {
                let mut peers = Vec::new();
                let listed = answer.peers.iter().filter(|peer| Family::of(peer.ip()) == family);
                listed.for_each(|peer| write_peer(&mut peers, *peer));
                let interval = answer.interval.unwrap_or_default();
                let (leechers, seeds) = (answer.leechers.unwrap_or(0), answer.seeds.unwrap_or(0));
                write_udp_announce(&mut bytes, *transaction, interval, leechers, seeds, &peers);
            }
            Self::Scrape { transaction, entries } => {
                write_udp_scrape(&mut bytes, *transaction, entries.iter().copied());
            }
            Self::Error { transaction, message } => write_udp_error(&mut bytes, *transaction, message),
        }
        bytes
    }

    /// Reads a packet that came over `family`. A peer or a swarm that is cut off is left out.
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
            ACTION_SCRAPE => {
                let mut entries = Vec::new();
                while entries.len() < MAX_UDP_SCRAPE_HASHES
                    && let Ok(entry) = read_entry(&mut fields)
                {
                    entries.push(entry);
                }
                Ok(Self::Scrape { transaction, entries })
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
            | Self::Scrape { transaction, .. }
            | Self::Error { transaction, .. } => *transaction,
        }
    }
}

fn read_entry(fields: &mut Fields<'_>) -> Result<ScrapeEntry, UdpError> {
    let seeds = u32::from_be_bytes(fields.take()?);
    let downloaded = u32::from_be_bytes(fields.take()?);
    let leechers = u32::from_be_bytes(fields.take()?);
    Ok(ScrapeEntry { seeds, downloaded, leechers, downloaders: None })
}

/// Appends the answer to a connect.
pub fn write_udp_connect(out: &mut Vec<u8>, transaction: u32, connection: u64) {
    write_header(out, ACTION_CONNECT, transaction);
    out.extend_from_slice(&connection.to_be_bytes());
}

/// Appends the answer to an announce. `peers` are 6 or 18 bytes each, by the family that the packet travels in.
pub fn write_udp_announce(
    out: &mut Vec<u8>,
    transaction: u32,
    interval: Duration,
    leechers: u32,
    seeds: u32,
    peers: &[u8],
) {
    write_header(out, ACTION_ANNOUNCE, transaction);
    let interval = u32::try_from(interval.as_secs()).unwrap_or(u32::MAX);
    for number in [interval, leechers, seeds] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    out.extend_from_slice(peers);
}

/// Appends the answer to a scrape: a swarm for each torrent of the request, in its order.
pub fn write_udp_scrape(out: &mut Vec<u8>, transaction: u32, entries: impl IntoIterator<Item = ScrapeEntry>) {
    write_header(out, ACTION_SCRAPE, transaction);
    for entry in entries {
        for number in [entry.seeds, entry.downloaded, entry.leechers] {
            out.extend_from_slice(&number.to_be_bytes());
        }
    }
}

/// Appends a refusal.
pub fn write_udp_error(out: &mut Vec<u8>, transaction: u32, message: &str) {
    write_header(out, ACTION_ERROR, transaction);
    out.extend_from_slice(message.as_bytes());
}

fn write_header(out: &mut Vec<u8>, action: u32, transaction: u32) {
    out.extend_from_slice(&action.to_be_bytes());
    out.extend_from_slice(&transaction.to_be_bytes());
}
