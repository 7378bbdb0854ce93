//! What a peer tells a tracker, and the HTTP form in which btd says it (BEP 3, BEP 23).
//!
//! [`super::query`] reads that form; [`super::udp`] has the other one.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use crate::id::{InfoHash, PeerId};

/// Said as `left` while the size is unknown, as for a magnet without metadata: anything but 0, which would make
/// the peer a seed. Other clients say the same.
pub const UNKNOWN_LEFT: u64 = 16 * 1024;
/// Everything but the unreserved characters (RFC 3986).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What has happened to the torrent since the last announce (BEP 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Event {
    /// Nothing: a regular announce.
    #[default]
    None,
    /// The first announce.
    Started,
    /// The download became complete while it ran.
    Completed,
    /// The last announce.
    Stopped,
    /// It downloads no more, although not all is there (BEP 21). btd never says so.
    Paused,
}

impl Event {
    /// The value of `event`; an unmarked announce has none.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Started => Some("started"),
            Self::Completed => Some("completed"),
            Self::Stopped => Some("stopped"),
            Self::Paused => Some("paused"),
        }
    }
}

/// An announce, however it travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announce {
    /// The torrent.
    pub info_hash: InfoHash,
    /// Who asks.
    pub peer_id: PeerId,
    /// Where the asking peer listens.
    pub port: u16,
    /// Bytes of payload sent to peers since `started`.
    pub uploaded: u64,
    /// Bytes of payload received since `started`.
    pub downloaded: u64,
    /// Bytes that are still missing; 0 makes a seed.
    pub left: u64,
    /// What has happened.
    pub event: Event,
    /// How many peers the answer should name; `None` leaves it to the tracker.
    pub num_want: Option<u32>,
    /// Tells the same peer from another when its address has changed.
    pub key: Option<u32>,
    /// What the tracker called itself in an earlier answer (HTTP only).
    pub tracker_id: Option<Vec<u8>>,
}

impl Announce {
    /// The path and query of an HTTP request: `target` of the tracker's URL, which may have a query already, and
    /// this announce behind it.
    pub fn http_target(&self, target: &str) -> String {
        let joint = match target.as_bytes().last() {
            Some(b'?' | b'&') => "",
            _ if target.contains('?') => "&",
            _ => "?",
        };
        format!("{target}{joint}{}", self.http_query())
    }

    fn http_query(&self) -> String {
        let hash = percent_encode(self.info_hash.as_bytes(), RESERVED);
        let peer_id = percent_encode(self.peer_id.as_bytes(), RESERVED);
        let mut query = format!(
            "info_hash={hash}&peer_id={peer_id}&port={}&uploaded={}&downloaded={}&left={}",
            self.port, self.uploaded, self.downloaded, self.left
        );
        query.push_str("&compact=1&no_peer_id=1");
        // Writing to a string cannot fail.
        if let Some(num_want) = self.num_want {
            let _ = write!(query, "&numwant={num_want}");
        }
        if let Some(key) = self.key {
            let _ = write!(query, "&key={key:08X}");
        }
        if let Some(event) = self.event.name() {
            let _ = write!(query, "&event={event}");
        }
        if let Some(id) = &self.tracker_id {
            let _ = write!(query, "&trackerid={}", percent_encode(id, RESERVED));
        }
        query
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        /// Any announce that can be sent over HTTP.
        pub(in super::super) fn any_announce()(
            hash: [u8; 20], id: [u8; 20], port in 1..=u16::MAX, uploaded: u64, downloaded: u64, left: u64,
            event in prop::sample::select(vec![Event::None, Event::Started, Event::Completed, Event::Stopped, Event::Paused]),
            num_want in prop::option::of(0..=2_147_483_647_u32), key: Option<u32>,
            tracker_id in prop::option::of(prop::collection::vec(any::<u8>(), 1..20)),
        ) -> Announce {
            let (info_hash, peer_id) = (InfoHash::new(hash), PeerId::new(id));
            Announce { info_hash, peer_id, port, uploaded, downloaded, left, event, num_want, key, tracker_id }
        }
    }

    #[test]
    fn an_announce_follows_what_the_url_already_has() {
        let announce = Announce {
            info_hash: InfoHash::new(*b"\x00 +&=%aZ09-._~\xff01234"),
            peer_id: PeerId::new(*b"-BD0100-abcdefghijkl"),
            port: 6881,
            uploaded: 1,
            downloaded: 2,
            left: u64::MAX,
            event: Event::Started,
            num_want: Some(50),
            key: Some(0xBEEF),
            tracker_id: Some(b"a b".to_vec()),
        };
        let query = "info_hash=%00%20%2B%26%3D%25aZ09-._~%FF01234&peer_id=-BD0100-abcdefghijkl&port=6881\
                     &uploaded=1&downloaded=2&left=18446744073709551615&compact=1&no_peer_id=1&numwant=50\
                     &key=0000BEEF&event=started&trackerid=a%20b";
        assert_eq!(announce.http_target("/announce"), format!("/announce?{query}"));
        assert_eq!(announce.http_target("/a?passkey=x"), format!("/a?passkey=x&{query}"));
        assert_eq!(announce.http_target("/a?"), format!("/a?{query}"));
        assert_eq!(announce.http_target("/a?b&"), format!("/a?b&{query}"));
    }
}
