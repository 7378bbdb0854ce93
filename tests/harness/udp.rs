//! The tracker of [`crate::announces`] as it speaks UDP (BEP 15): connection ids, announces, errors. It runs on a
//! thread of its own on loopback and stops when dropped.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::announces::{Announce, Roll};
use crate::tracker::compact;

/// What a datagram that asks for a connection starts with.
const PROTOCOL: u64 = 0x0417_2710_1980;
/// Bytes in an announce without options.
const ANNOUNCE_BYTES: usize = 98;
const CONNECT: u32 = 0;
const ANNOUNCE: u32 = 1;
const ERROR: u32 = 3;

/// A running UDP tracker.
#[derive(Debug)]
pub struct UdpTracker {
    address: SocketAddr,
    is_stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl UdpTracker {
    /// Starts one on loopback that knows what `roll` knows.
    pub(crate) fn start(roll: Arc<Roll>) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has ports");
        let address = socket.local_addr().expect("it is bound");
        let is_stopping = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&is_stopping);
        let thread = thread::spawn(move || serve(&socket, &roll, &flag));
        Self { address, is_stopping, thread: Some(thread) }
    }

    /// Its announce URL.
    pub(crate) fn url(&self) -> String {
        format!("udp://{}/announce", self.address)
    }
}

impl Drop for UdpTracker {
    fn drop(&mut self) {
        self.is_stopping.store(true, Ordering::Release);
        // A datagram, so that it looks at the flag.
        let woken =
            UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.send_to(&[], self.address));
        if let (Ok(_), Some(thread)) = (woken, self.thread.take()) {
            thread.join().ok();
        }
    }
}

fn serve(socket: &UdpSocket, roll: &Roll, is_stopping: &AtomicBool) {
    let mut connections = HashSet::new();
    let mut datagram = [0; 2048];
    while let Ok((length, from)) = socket.recv_from(&mut datagram) {
        if is_stopping.load(Ordering::Acquire) {
            return;
        }
        if let Some(answer) = answer(&datagram[..length], from, roll, &mut connections) {
            socket.send_to(&answer, from).ok();
        }
    }
}

/// The answer to `datagram`; none to what makes no sense.
fn answer(datagram: &[u8], from: SocketAddr, roll: &Roll, connections: &mut HashSet<u64>) -> Option<Vec<u8>> {
    let number = |at: usize| Some(u32::from_be_bytes(datagram.get(at..at + 4)?.try_into().ok()?));
    let long = |at: usize| Some(u64::from_be_bytes(datagram.get(at..at + 8)?.try_into().ok()?));
    let (connection, action, transaction) = (long(0)?, number(8)?, number(12)?);
    let head = |action: u32| [action.to_be_bytes(), transaction.to_be_bytes()].concat();
    if action == CONNECT && connection == PROTOCOL {
        let id = 0x00e2_e000_0000_0000 + u64::try_from(connections.len()).ok()?;
        connections.insert(id);
        return Some([head(CONNECT).as_slice(), &id.to_be_bytes()].concat());
    }
    if action != ANNOUNCE || !connections.contains(&connection) || datagram.len() < ANNOUNCE_BYTES {
        return Some([head(ERROR).as_slice(), b"bad connection id"].concat());
    }
    let event = ["", "completed", "started", "stopped"].get(usize::try_from(number(80)?).ok()?)?;
    let port = u16::from_be_bytes(datagram.get(96..98)?.try_into().ok()?);
    let announce = Announce {
        info_hash: datagram.get(16..36)?.try_into().ok()?,
        peer_id: datagram.get(36..56)?.try_into().ok()?,
        address: SocketAddr::new(from.ip(), port),
        downloaded: long(56)?,
        left: long(64)?,
        uploaded: long(72)?,
        event: (*event).to_owned(),
        at: Instant::now(),
    };
    Some(match roll.announce(announce) {
        // Interval, leechers, seeders, peers.
        Ok(peers) => {
            [head(ANNOUNCE).as_slice(), &Roll::interval_s().to_be_bytes(), &[0; 8], &compact(peers)].concat()
        }
        Err(reason) => [head(ERROR).as_slice(), reason.as_bytes()].concat(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::announces::LiveTracker;

    #[test]
    fn a_peer_connects_and_announces() {
        let tracker = LiveTracker::udp();
        let address = tracker.url.strip_prefix("udp://").unwrap().strip_suffix("/announce").unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let ask = |datagram: &[u8]| {
            socket.send_to(datagram, address).unwrap();
            let mut answer = [0; 100];
            let length = socket.recv(&mut answer).unwrap();
            answer[..length].to_vec()
        };
        let connected = ask(&[PROTOCOL.to_be_bytes().as_slice(), &[0, 0, 0, 0, 0, 0, 0, 7]].concat());
        assert_eq!((connected.len(), &connected[..8]), (16, [0, 0, 0, 0, 0, 0, 0, 7].as_slice()));
        let mut announce = [&connected[8..], &[0, 0, 0, 1, 0, 0, 0, 8], [5; 82].as_slice()].concat();
        announce[80..84].copy_from_slice(&[0, 0, 0, 2]);
        let answer = ask(&announce);
        assert_eq!((answer.len(), &answer[..8]), (20, [0, 0, 0, 1, 0, 0, 0, 8].as_slice()));
        let log = tracker.roll.log();
        assert_eq!((log[0].event.as_str(), log[0].info_hash), ("started", [5; 20]));
        announce[0] ^= 1;
        assert_eq!(ask(&announce)[..4], [0, 0, 0, 3], "an unknown connection id is refused");
    }
}
