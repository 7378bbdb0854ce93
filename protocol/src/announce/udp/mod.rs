//! Packets of the UDP tracker protocol, both sides (BEP 15), with the path of the URL behind an announce (BEP 41).
//!
//! A client first asks for a connection id, which proves that its address is its own, and announces with that.
//! [`request`] has what clients send, [`response`] what trackers do. Scrapes are not spoken.

use std::time::Duration;

mod request;
mod response;

pub use request::UdpRequest;
pub use response::UdpResponse;

/// How long a client may use a connection id (BEP 15).
pub const CONNECTION_LIFETIME: Duration = Duration::from_secs(60);
/// The last attempt has this number; the first is 0 (BEP 15).
const MAX_ATTEMPT: u32 = 8;

const ACTION_CONNECT: u32 = 0;
const ACTION_ANNOUNCE: u32 = 1;
const ACTION_ERROR: u32 = 3;

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
