//! Packets of the UDP tracker protocol, both sides (BEP 15), with the path of the URL behind an announce (BEP 41).
//!
//! A client first asks for a connection id, which proves that its address is its own, and announces with that.
//! A scrape needs a connection too. [`request`] has what clients send, [`response`] what trackers do.

use std::time::Duration;

mod request;
mod response;

pub use request::{UdpHeader, UdpRequest};
pub use response::{UdpResponse, write_udp_announce, write_udp_connect, write_udp_error, write_udp_scrape};

/// How long a client may use a connection id (BEP 15).
pub const CONNECTION_LIFETIME: Duration = Duration::from_secs(60);
/// The last attempt has this number; the first is 0 (BEP 15).
const MAX_ATTEMPT: u32 = 8;

/// Stands where a connect request has no connection id yet (BEP 15).
pub const PROTOCOL_ID: u64 = 0x0417_2710_1980;
/// Most torrents of one scrape: about as many as fit into a packet (BEP 15).
pub const MAX_UDP_SCRAPE_HASHES: usize = 74;

/// Asks for a connection id, and gives one.
pub const ACTION_CONNECT: u32 = 0;
/// Announces, and answers that.
pub const ACTION_ANNOUNCE: u32 = 1;
/// Scrapes, and answers that.
pub const ACTION_SCRAPE: u32 = 2;
/// Refuses.
pub const ACTION_ERROR: u32 = 3;

/// How long to wait for the answer to attempt number `attempt`, counted from 0: `base` (15 s by BEP 15), then twice
/// as long each time. `None` after the last attempt.
pub fn retry_delay(base: Duration, attempt: u32) -> Option<Duration> {
    (attempt <= MAX_ATTEMPT).then(|| base.saturating_mul(1 << attempt))
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
