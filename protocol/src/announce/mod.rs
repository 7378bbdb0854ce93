//! Announces to trackers: HTTP and UDP messages, both sides, and when to announce to which tracker.
//!
//! btd asks with these codecs and bttracker answers with them. [`Schedule`] decides for one torrent which tracker
//! is asked when, and with which event. Nothing here opens a socket or looks at a clock.

use std::net::{IpAddr, SocketAddr};

mod parameters;
mod query;
mod request;
mod response;
mod schedule;
mod scrape;
mod target;
mod trackers;
mod udp;
mod url;
mod write;

pub use parameters::{MAX_QUERY_LENGTH, QueryError};
pub use query::AnnounceQuery;
pub use request::{Announce, Event, UNKNOWN_LEFT};
pub use response::{
    Answer, MAX_PEERS, MAX_RESPONSE_LENGTH, PeerForm, Refusal, Reply, ResponseError, RetryIn,
};
pub use schedule::{Ask, Failure, Schedule, TrackerState, TrackerStatus};
pub use scrape::{MAX_SCRAPE_HASHES, ScrapeEntry, ScrapeQuery, ScrapeReply};
pub use target::{MAX_PASSKEY_LENGTH, Target, What, split_target};
pub use trackers::TrackerSet;
pub use udp::{
    ACTION_ANNOUNCE, ACTION_CONNECT, ACTION_ERROR, ACTION_SCRAPE, CONNECTION_LIFETIME, MAX_UDP_SCRAPE_HASHES,
    PROTOCOL_ID, UdpError, UdpHeader, UdpRequest, UdpResponse, retry_delay, write_udp_announce,
    write_udp_connect, write_udp_error, write_udp_scrape,
};
pub use url::{Host, Scheme, TrackerUrl, UrlError};
pub use write::{
    AnswerHead, ListedPeer, write_compact_answer, write_listed_answer, write_refusal, write_scrape,
};

/// A family of addresses. A torrent is announced once over each (BEP 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both, in the order in which they are tried.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The family of `address`.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// Bytes of a peer in a compact list: address, then port (BEP 23, BEP 7).
    fn peer_length(self) -> usize {
        match self {
            Self::V4 => 6,
            Self::V6 => 18,
        }
    }

    fn index(self) -> usize {
        match self {
            Self::V4 => 0,
            Self::V6 => 1,
        }
    }
}

/// Reads a compact list. What is cut off at its end is left out.
pub fn read_peers(family: Family, bytes: &[u8]) -> impl Iterator<Item = SocketAddr> {
    bytes.chunks_exact(family.peer_length()).filter_map(move |peer| read_peer(family, peer))
}

/// Reads one peer of a compact list; `None` when `bytes` has another length.
fn read_peer(family: Family, bytes: &[u8]) -> Option<SocketAddr> {
    let (address, port) = bytes.split_last_chunk::<2>()?;
    let address = match family {
        Family::V4 => IpAddr::from(<[u8; 4]>::try_from(address).ok()?),
        Family::V6 => IpAddr::from(<[u8; 16]>::try_from(address).ok()?),
    };
    Some(SocketAddr::new(address, u16::from_be_bytes(*port)))
}

/// Appends one peer as a compact list has it.
fn write_peer(bytes: &mut Vec<u8>, peer: SocketAddr) {
    match peer.ip() {
        IpAddr::V4(address) => bytes.extend_from_slice(&address.octets()),
        IpAddr::V6(address) => bytes.extend_from_slice(&address.octets()),
    }
    bytes.extend_from_slice(&peer.port().to_be_bytes());
}
