//! What trackers of the UDP tracker protocol answer (BEP 15).
//!
//! Peers come as 6 or 18 bytes each, by the family that the packet travels in. bttracker writes these packets and
//! btd reads them.

use std::time::Duration;

use super::{ACTION_ANNOUNCE, ACTION_CONNECT, ACTION_ERROR, Fields, UdpError};
use crate::announce::response::{Answer, Peers, clean_text};
use crate::announce::{Family, write_peer};

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
