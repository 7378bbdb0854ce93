//! A tracker that keeps swarms in memory: it remembers every announce for the test to look at, and names the peers
//! of a torrent to each other until they stop or fall silent. HTTP (BEP 3, BEP 23) here; UDP in [`crate::udp`].

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use percent_encoding::percent_decode_str;

use crate::bencode::{Value, bytes, dictionary};
use crate::http::Server;
use crate::netns::Namespace;
use crate::tracker::compact;
use crate::udp::UdpTracker;

/// How often peers are to announce, unless a test says otherwise.
const INTERVAL: Duration = Duration::from_secs(5);
/// Intervals of silence after which a peer is forgotten.
const SILENCES: u32 = 3;

/// One announce as it came.
#[derive(Debug, Clone)]
pub struct Announce {
    /// The torrent.
    pub info_hash: [u8; 20],
    /// Who announces.
    pub peer_id: [u8; 20],
    /// Where it says that it listens.
    pub address: SocketAddr,
    /// Bytes that it says to have sent.
    pub uploaded: u64,
    /// Bytes that it says to have received.
    pub downloaded: u64,
    /// Bytes that it says to lack.
    pub left: u64,
    /// `started`, `completed`, `stopped` or nothing.
    pub event: String,
    /// When it came.
    pub at: Instant,
}

impl Announce {
    /// Reads the query of an announce URL from `from`; `None` when something is missing.
    fn read(from: IpAddr, path: &str) -> Option<Self> {
        let (_, query) = path.split_once('?')?;
        let values: HashMap<&str, Vec<u8>> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name, percent_decode_str(value).collect()))
            .collect();
        let text = |name: &str| std::str::from_utf8(values.get(name)?).ok();
        let number = |name: &str| text(name)?.parse::<u64>().ok();
        Some(Self {
            info_hash: values.get("info_hash")?.as_slice().try_into().ok()?,
            peer_id: values.get("peer_id")?.as_slice().try_into().ok()?,
            address: SocketAddr::new(from, text("port")?.parse().ok()?),
            uploaded: number("uploaded")?,
            downloaded: number("downloaded")?,
            left: number("left")?,
            event: text("event").unwrap_or_default().to_owned(),
            at: Instant::now(),
        })
    }
}

#[derive(Debug, Default)]
struct Known {
    log: Vec<Announce>,
    /// When and from where each peer of each torrent announced last.
    peers: HashMap<([u8; 20], [u8; 20]), (SocketAddr, Instant)>,
    refusal: Option<String>,
}

/// What a tracker knows, whichever way it is asked.
#[derive(Debug, Default)]
pub struct Roll {
    known: Mutex<Known>,
    changed: Condvar,
}

impl Roll {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an announce; returns the other peers of the torrent, or why the tracker refuses.
    pub(crate) fn announce(&self, announce: Announce) -> Result<Vec<SocketAddr>, String> {
        let mut known = self.lock();
        let (torrent, who) = (announce.info_hash, announce.peer_id);
        if announce.event == "stopped" {
            known.peers.remove(&(torrent, who));
        } else {
            known.peers.insert((torrent, who), (announce.address, announce.at));
        }
        known.peers.retain(|_, (_, seen)| seen.elapsed() < INTERVAL * SILENCES);
        let others =
            known.peers.iter().filter(|((info_hash, peer), _)| *info_hash == torrent && *peer != who);
        let others = others.map(|(_, (address, _))| *address).collect();
        known.log.push(announce);
        self.changed.notify_all();
        known.refusal.clone().map_or(Ok(others), Err)
    }

    /// Refuses every announce from now on with `reason`.
    pub fn refuse(&self, reason: &str) {
        self.lock().refusal = Some(reason.to_owned());
    }

    /// Everything that was announced so far.
    pub fn log(&self) -> Vec<Announce> {
        self.lock().log.clone()
    }

    /// Waits until an announce is there in which `wanted` finds something.
    pub fn wait_for<T>(
        &self,
        what: &str,
        limit: Duration,
        mut wanted: impl FnMut(&Announce) -> Option<T>,
    ) -> T {
        let deadline = Instant::now() + limit;
        let mut known = self.lock();
        loop {
            if let Some(found) = known.log.iter().find_map(&mut wanted) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let log = known.log.clone();
                drop(known);
                panic!("no announce with {what} within {limit:?} among {log:?}");
            }
            known = self.changed.wait_timeout(known, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Seconds between announces that peers are told.
    pub(crate) fn interval_s() -> u32 {
        u32::try_from(INTERVAL.as_secs()).expect("an interval fits")
    }

    /// The answer to an announce by HTTP.
    fn answer(&self, from: IpAddr, path: &str) -> Vec<u8> {
        let announced = Announce::read(from, path).ok_or_else(|| format!("malformed announce {path}"));
        match announced.and_then(|announce| self.announce(announce)) {
            Ok(peers) => dictionary([
                ("interval", Value::Integer(Self::interval_s().into())),
                ("min interval", Value::Integer(1)),
                ("peers", bytes(compact(peers))),
            ])
            .encode(),
            Err(reason) => dictionary([("failure reason", bytes(reason))]).encode(),
        }
    }
}

/// A tracker that runs; it stops when dropped.
#[derive(Debug)]
pub struct LiveTracker {
    /// Its announce URL.
    pub url: String,
    /// What it knows.
    pub roll: Arc<Roll>,
    _front: Front,
}

#[derive(Debug)]
enum Front {
    Http { _server: Server },
    Udp { _server: UdpTracker },
}

impl LiveTracker {
    /// One that speaks HTTP on loopback.
    pub fn http() -> Self {
        let roll = Arc::<Roll>::default();
        let ours = Arc::clone(&roll);
        let server = Server::start(move |from, path| ours.answer(from, path));
        Self { url: server.url("/announce"), roll, _front: Front::Http { _server: server } }
    }

    /// One that speaks HTTP inside `namespace`.
    pub fn http_in(namespace: &Namespace) -> Self {
        let roll = Arc::<Roll>::default();
        let ours = Arc::clone(&roll);
        let server = Server::start_in(namespace, move |from, path| ours.answer(from, path));
        Self { url: server.url("/announce"), roll, _front: Front::Http { _server: server } }
    }

    /// One that speaks UDP on loopback.
    pub fn udp() -> Self {
        let roll = Arc::<Roll>::default();
        let server = UdpTracker::start(Arc::clone(&roll));
        Self { url: server.url(), roll, _front: Front::Udp { _server: server } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::tests::fetch;

    fn query(peer: u8, port: u16, event: &str) -> String {
        let id = "%00".repeat(19);
        format!(
            "?info_hash={id}%09&peer_id={id}%{peer:02x}&port={port}&uploaded=1&downloaded=2&left=3&event={event}"
        )
    }

    #[test]
    fn peers_are_named_to_each_other_until_they_stop() {
        let tracker = LiveTracker::http();
        let ask = |query: String| fetch(&format!("{}{query}", tracker.url));
        assert!(ask(query(1, 256, "started")).ends_with(b"5:peers0:e"));
        assert!(ask(query(2, 257, "started")).ends_with(b"5:peers6:\x7f\0\0\x01\x01\0e"));
        assert!(ask(query(1, 256, "stopped")).ends_with(b"5:peers6:\x7f\0\0\x01\x01\x01e"));
        assert!(ask(query(2, 257, "")).ends_with(b"5:peers0:e"));
        let log = tracker.roll.log();
        assert_eq!((log.len(), log[0].uploaded, log[0].downloaded, log[0].left), (4, 1, 2, 3));
        assert_eq!((log[2].event.as_str(), log[0].info_hash[19], log[2].peer_id[19]), ("stopped", 9, 1));
    }

    #[test]
    fn a_refusal_says_why() {
        let tracker = LiveTracker::http();
        tracker.roll.refuse("not here");
        let answer = fetch(&format!("{}{}", tracker.url, query(1, 1, "")));
        assert!(answer.ends_with(b"d14:failure reason8:not heree"));
        assert!(fetch(&tracker.url).ends_with(b"malformed announce /announcee"));
    }
}
