//! The bencoded answers of an HTTP tracker, written into the caller's buffer (BEP 3, 7, 21, 23, 24, 31, 48).
//!
//! The only writer there is: bttracker calls it for every announce, so nothing is allocated but what the buffer
//! lacks. Keys are in order, as bencode wants them. What is written here, [`super::response`] and [`super::scrape`]
//! read.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::response::{Refusal, RetryIn};
use super::scrape::ScrapeEntry;
use crate::id::{InfoHash, PeerId};

/// Room for any IP address as text.
const MAX_ADDRESS_LENGTH: usize = 45;

/// All but the peers of an answer. What is `None` is not said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AnswerHead<'a> {
    /// Peers that have everything (`complete`).
    pub seeds: Option<u32>,
    /// Peers that do not (`incomplete`).
    pub leechers: Option<u32>,
    /// How often the torrent was completed.
    pub downloaded: Option<u32>,
    /// When to announce again; whole seconds on the wire.
    pub interval: Option<Duration>,
    /// How long to wait at least; whole seconds on the wire.
    pub min_interval: Option<Duration>,
    /// The address from which the tracker was asked (BEP 24).
    pub external_ip: Option<IpAddr>,
    /// To be repeated in later announces.
    pub tracker_id: Option<&'a [u8]>,
    /// A message to the user, although the announce succeeded.
    pub warning: Option<&'a str>,
}

/// A peer of an answer that is a list of dictionaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedPeer {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its id, unless whoever asks does without.
    pub peer_id: Option<PeerId>,
}

/// Appends an answer with peers as they stand in packets too: 6 bytes each in `v4` (BEP 23), 18 in `v6` (BEP 7).
/// `peers` is always there, since some clients ask for it; `peers6` only when it has peers.
pub fn write_compact_answer(out: &mut Vec<u8>, head: &AnswerHead<'_>, v4: &[u8], v6: &[u8]) {
    write_before_peers(out, head);
    string(out, b"5:peers", v4);
    if !v6.is_empty() {
        string(out, b"6:peers6", v6);
    }
    write_behind_peers(out, head);
}

/// Appends an answer with peers as dictionaries (BEP 3).
pub fn write_listed_answer(
    out: &mut Vec<u8>,
    head: &AnswerHead<'_>,
    peers: impl IntoIterator<Item = ListedPeer>,
) {
    write_before_peers(out, head);
    out.extend_from_slice(b"5:peersl");
    for peer in peers {
        out.push(b'd');
        let mut text = [0; MAX_ADDRESS_LENGTH];
        string(out, b"2:ip", address_text(peer.address.ip(), &mut text));
        if let Some(id) = peer.peer_id {
            string(out, b"7:peer id", id.as_bytes());
        }
        integer(out, b"4:port", peer.address.port());
        out.push(b'e');
    }
    out.push(b'e');
    write_behind_peers(out, head);
}

/// Appends a refusal; `retry in` is rounded up to whole minutes, one at least (BEP 31).
pub fn write_refusal(out: &mut Vec<u8>, refusal: &Refusal) {
    out.push(b'd');
    string(out, b"14:failure reason", refusal.reason.as_bytes());
    seconds(out, b"8:interval", refusal.interval);
    seconds(out, b"12:min interval", refusal.min_interval);
    match refusal.retry_in {
        Some(RetryIn::After(time)) => integer(out, b"8:retry in", minutes(time)),
        Some(RetryIn::Never) => string(out, b"8:retry in", b"never"),
        None => {}
    }
    out.push(b'e');
}

/// Whole minutes, those begun among them.
fn minutes(time: Duration) -> u64 {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    seconds.div_ceil(60)
}

/// Appends the answer to a scrape. The caller has `files` in the order of their hashes, each once.
pub fn write_scrape(
    out: &mut Vec<u8>,
    files: impl IntoIterator<Item = (InfoHash, ScrapeEntry)>,
    min_request_interval: Option<Duration>,
) {
    out.extend_from_slice(b"d5:filesd");
    for (hash, entry) in files {
        out.extend_from_slice(b"20:");
        out.extend_from_slice(hash.as_bytes());
        out.push(b'd');
        integer(out, b"8:complete", entry.seeds);
        integer(out, b"10:downloaded", entry.downloaded);
        if let Some(downloaders) = entry.downloaders {
            integer(out, b"11:downloaders", downloaders);
        }
        integer(out, b"10:incomplete", entry.leechers);
        out.push(b'e');
    }
    out.push(b'e');
    if min_request_interval.is_some() {
        out.extend_from_slice(b"5:flagsd");
        seconds(out, b"20:min_request_interval", min_request_interval);
        out.push(b'e');
    }
    out.push(b'e');
}

fn write_before_peers(out: &mut Vec<u8>, head: &AnswerHead<'_>) {
    out.push(b'd');
    if let Some(seeds) = head.seeds {
        integer(out, b"8:complete", seeds);
    }
    if let Some(downloaded) = head.downloaded {
        integer(out, b"10:downloaded", downloaded);
    }
    match head.external_ip {
        Some(IpAddr::V4(address)) => string(out, b"11:external ip", &address.octets()),
        Some(IpAddr::V6(address)) => string(out, b"11:external ip", &address.octets()),
        None => {}
    }
    if let Some(leechers) = head.leechers {
        integer(out, b"10:incomplete", leechers);
    }
    seconds(out, b"8:interval", head.interval);
    seconds(out, b"12:min interval", head.min_interval);
}

fn write_behind_peers(out: &mut Vec<u8>, head: &AnswerHead<'_>) {
    if let Some(id) = head.tracker_id {
        string(out, b"10:tracker id", id);
    }
    if let Some(warning) = head.warning {
        string(out, b"15:warning message", warning.as_bytes());
    }
    out.push(b'e');
}

/// Appends `key`, which has its own length before it, and a string.
fn string(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    out.extend_from_slice(key);
    out.extend_from_slice(itoa::Buffer::new().format(value.len()).as_bytes());
    out.push(b':');
    out.extend_from_slice(value);
}

/// Appends `key`, which has its own length before it, and an integer.
fn integer(out: &mut Vec<u8>, key: &[u8], value: impl itoa::Integer) {
    out.extend_from_slice(key);
    out.push(b'i');
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    out.push(b'e');
}

fn seconds(out: &mut Vec<u8>, key: &[u8], time: Option<Duration>) {
    if let Some(time) = time {
        integer(out, key, time.as_secs());
    }
}

/// The address as text, in `text`.
fn address_text(address: IpAddr, text: &mut [u8; MAX_ADDRESS_LENGTH]) -> &[u8] {
    let mut rest = text.as_mut_slice();
    // There is room for any address, so writing does not fail.
    let _ = write!(rest, "{address}");
    let length = MAX_ADDRESS_LENGTH - rest.len();
    &text[..length]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = b"behind this:".to_vec();
        write(&mut out);
        out.strip_prefix(b"behind this:").unwrap().escape_ascii().to_string()
    }

    #[test]
    fn peers_are_copied_as_they_are_and_those_of_ipv6_only_if_there_are_some() {
        let head = AnswerHead {
            seeds: Some(0),
            interval: Some(Duration::from_millis(1_999)),
            ..AnswerHead::default()
        };
        let v4 = written(|out| write_compact_answer(out, &head, b"abcdef", b""));
        assert_eq!(v4, "d8:completei0e8:intervali1e5:peers6:abcdefe");
        let both = written(|out| write_compact_answer(out, &AnswerHead::default(), b"", &[b'x'; 18]));
        assert_eq!(both, "d5:peers0:6:peers618:xxxxxxxxxxxxxxxxxxe");
    }

    #[test]
    fn a_listed_peer_has_an_id_where_one_is_given() {
        let peers = [
            ListedPeer { address: "10.0.0.1:80".parse().unwrap(), peer_id: Some(PeerId::new([b'p'; 20])) },
            ListedPeer { address: "[2001:db8::1]:65535".parse().unwrap(), peer_id: None },
        ];
        let list = written(|out| write_listed_answer(out, &AnswerHead::default(), peers));
        assert_eq!(
            list,
            "d5:peersld2:ip8:10.0.0.17:peer id20:pppppppppppppppppppp4:porti80ee\
             d2:ip11:2001:db8::14:porti65535eeee"
        );
    }

    #[test]
    fn the_longest_address_fits() {
        let longest = IpAddr::from([0xFF; 16]);
        assert_eq!(address_text(longest, &mut [0; MAX_ADDRESS_LENGTH]), longest.to_string().as_bytes());
        let mapped: IpAddr = "::ffff:255.255.255.255".parse().unwrap();
        assert_eq!(address_text(mapped, &mut [0; MAX_ADDRESS_LENGTH]), b"::ffff:255.255.255.255");
    }

    #[test]
    fn a_pause_is_told_in_minutes_rounded_up() {
        let refusal = Refusal {
            reason: "no".to_owned(),
            interval: Some(Duration::from_secs(60)),
            min_interval: Some(Duration::from_secs(30)),
            retry_in: Some(RetryIn::After(Duration::from_secs(61))),
        };
        let expected = "d14:failure reason2:no8:intervali60e12:min intervali30e8:retry ini2ee";
        assert_eq!(written(|out| write_refusal(out, &refusal)), expected);
        let at_once = Refusal { retry_in: Some(RetryIn::After(Duration::ZERO)), ..Refusal::default() };
        assert_eq!(written(|out| write_refusal(out, &at_once)), "d14:failure reason0:8:retry ini0ee");
        let never = Refusal { reason: String::new(), retry_in: Some(RetryIn::Never), ..Refusal::default() };
        assert_eq!(written(|out| write_refusal(out, &never)), "d14:failure reason0:8:retry in5:nevere");
    }
}
