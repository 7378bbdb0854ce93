//! What clients of the UDP tracker protocol send (BEP 15, BEP 41).
//!
//! btd writes these packets and bttracker reads them, an ordinary announce without allocating.

use super::{
    ACTION_ANNOUNCE, ACTION_CONNECT, ACTION_SCRAPE, Fields, MAX_UDP_SCRAPE_HASHES, PROTOCOL_ID, UdpError,
};
use crate::announce::{Announce, Event};
use crate::id::{InfoHash, PeerId};

/// Bytes of an announce request before its options.
pub(super) const ANNOUNCE_LENGTH: usize = 98;
/// Most data in one option (BEP 41).
const MAX_OPTION_LENGTH: usize = 255;
/// Longest path and query that is read out of options, in bytes.
pub(super) const MAX_TARGET_LENGTH: usize = 2 * 1024;

const OPTION_END: u8 = 0;
const OPTION_NOP: u8 = 1;
const OPTION_URL_DATA: u8 = 2;

/// What every packet from a client begins with. Whoever sent a packet that is wrong behind it can still be told so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UdpHeader {
    /// From the answer to a connect; [`PROTOCOL_ID`] in a connect.
    pub connection: u64,
    /// What is asked for.
    pub action: u32,
    /// Comes back in the answer.
    pub transaction: u32,
}

impl UdpHeader {
    /// Reads the first 16 bytes of a packet; `None` when there are fewer.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        Self::take(&mut Fields::new(bytes)).ok()
    }

    fn take(fields: &mut Fields<'_>) -> Result<Self, UdpError> {
        Ok(Self {
            connection: u64::from_be_bytes(fields.take()?),
            action: u32::from_be_bytes(fields.take()?),
            transaction: u32::from_be_bytes(fields.take()?),
        })
    }

    fn write(self, bytes: &mut Vec<u8>) {
        bytes.extend(self.connection.to_be_bytes());
        bytes.extend(self.action.to_be_bytes());
        bytes.extend(self.transaction.to_be_bytes());
    }
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
    /// A scrape.
    Scrape {
        /// From the answer to a connect.
        connection: u64,
        /// Comes back in the answer.
        transaction: u32,
        /// The torrents, in the order of the answer: 1 to [`MAX_UDP_SCRAPE_HASHES`].
        hashes: Vec<InfoHash>,
    },
}

impl UdpRequest {
    /// The packet.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(ANNOUNCE_LENGTH);
        match self {
            Self::Connect { transaction } => {
                let (connection, transaction) = (PROTOCOL_ID, *transaction);
                UdpHeader { connection, action: ACTION_CONNECT, transaction }.write(&mut bytes);
            }
            Self::Announce { connection, transaction, announce, target } => {
                let (connection, transaction) = (*connection, *transaction);
                UdpHeader { connection, action: ACTION_ANNOUNCE, transaction }.write(&mut bytes);
                write_announce(&mut bytes, announce);
                for part in target.chunks(MAX_OPTION_LENGTH) {
                    bytes.push(OPTION_URL_DATA);
                    bytes.extend(u8::try_from(part.len()));
                    bytes.extend_from_slice(part);
                }
            }
            Self::Scrape { connection, transaction, hashes } => {
                let (connection, transaction) = (*connection, *transaction);
                UdpHeader { connection, action: ACTION_SCRAPE, transaction }.write(&mut bytes);
                for hash in hashes.iter().take(MAX_UDP_SCRAPE_HASHES) {
                    bytes.extend_from_slice(hash.as_bytes());
                }
            }
        }
        bytes
    }

    /// The number that the answer must have.
    pub fn transaction(&self) -> u32 {
        match self {
            Self::Connect { transaction }
            | Self::Announce { transaction, .. }
            | Self::Scrape { transaction, .. } => *transaction,
        }
    }

    /// Reads a packet; what follows its known part is not looked at. An unknown event is a regular announce.
    ///
    /// # Errors
    /// When it is too short, another action, or for another protocol, or when nobody listens on its port.
    pub fn decode(bytes: &[u8]) -> Result<Self, UdpError> {
        let mut fields = Fields::new(bytes);
        let UdpHeader { connection, action, transaction } = UdpHeader::take(&mut fields)?;
        match action {
            ACTION_CONNECT if connection == PROTOCOL_ID => Ok(Self::Connect { transaction }),
            ACTION_CONNECT => Err(UdpError::WrongProtocol),
            ACTION_ANNOUNCE => {
                let announce = read_announce(&mut fields)?;
                Ok(Self::Announce { connection, transaction, announce, target: read_target(fields.rest) })
            }
            ACTION_SCRAPE => {
                let mut hashes = vec![InfoHash::new(fields.take()?)];
                while hashes.len() < MAX_UDP_SCRAPE_HASHES
                    && let Ok(hash) = fields.take()
                {
                    hashes.push(InfoHash::new(hash));
                }
                Ok(Self::Scrape { connection, transaction, hashes })
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
