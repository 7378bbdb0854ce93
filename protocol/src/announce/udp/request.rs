//! What clients of the UDP tracker protocol send (BEP 15, BEP 41).
//!
//! btd writes these packets and bttracker reads them.

use super::{ACTION_ANNOUNCE, ACTION_CONNECT, Fields, UdpError};
use crate::announce::{Announce, Event};
use crate::id::{InfoHash, PeerId};

/// Stands where a connect request has no connection id yet.
const PROTOCOL_ID: u64 = 0x0417_2710_1980;
/// Bytes of an announce request before its options.
pub(super) const ANNOUNCE_LENGTH: usize = 98;
/// Most data in one option (BEP 41).
const MAX_OPTION_LENGTH: usize = 255;
/// Longest path and query that is read out of options, in bytes.
pub(super) const MAX_TARGET_LENGTH: usize = 2 * 1024;

const OPTION_END: u8 = 0;
const OPTION_NOP: u8 = 1;
const OPTION_URL_DATA: u8 = 2;

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

fn write_announce(bytes: &mut Vec<u8>, announce: &Announce) {
    bytes.extend(announce.info_hash.as_bytes());
    bytes.extend(announce.peer_id.as_bytes());
    bytes.extend(announce.downloaded.to_be_bytes());
    bytes.extend(announce.left.to_be_bytes());
    bytes.extend(announce.uploaded.to_be_bytes());
    let event: u32 = match announce.event {
        // `paused` has no number of its own (BEP 21).
        Event::None | Event::Paused => 0,
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
        // Nowhere specified, but written.
        4 => Event::Paused,
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
pub(super) fn read_target(mut options: &[u8]) -> Vec<u8> {
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
