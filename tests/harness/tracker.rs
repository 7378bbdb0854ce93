//! A tracker that gives everyone the same answer: btd's address. Enough for clients that find peers no other way;
//! for whole swarms there is [`crate::announces`].

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::bencode::{Value, bytes, dictionary};
use crate::http::Server;
use crate::netns::Namespace;

/// A running tracker; it stops when dropped.
#[derive(Debug)]
pub struct Tracker {
    /// Its announce URL.
    pub url: String,
    peer: Arc<Mutex<Option<SocketAddr>>>,
    _server: Server,
}

impl Tracker {
    /// Starts one on loopback.
    pub fn start() -> Self {
        let peer = Arc::default();
        Self::of(Server::start(answer(&peer)), peer)
    }

    /// Starts one inside `namespace`, at its address on the cable.
    pub fn start_in(namespace: &Namespace) -> Self {
        let peer = Arc::default();
        Self::of(Server::start_in(namespace, answer(&peer)), peer)
    }

    fn of(server: Server, peer: Arc<Mutex<Option<SocketAddr>>>) -> Self {
        Self { url: server.url("/announce"), peer, _server: server }
    }

    /// Names `peer` in every answer from now on.
    pub fn name_peer(&self, peer: SocketAddr) {
        *self.peer.lock().unwrap_or_else(PoisonError::into_inner) = Some(peer);
    }
}

/// Answers announces with the peer that is known then.
fn answer(
    peer: &Arc<Mutex<Option<SocketAddr>>>,
) -> impl Fn(std::net::IpAddr, &str) -> Vec<u8> + Send + Sync + use<> {
    let peer = Arc::clone(peer);
    move |_, _| {
        let known = *peer.lock().unwrap_or_else(PoisonError::into_inner);
        dictionary([
            ("complete", Value::Integer(1)),
            ("incomplete", Value::Integer(0)),
            ("interval", Value::Integer(60)),
            ("peers", bytes(compact(known))),
        ])
        .encode()
    }
}

/// IPv4 addresses in the compact form (BEP 23); others are left out.
pub(crate) fn compact(peers: impl IntoIterator<Item = SocketAddr>) -> Vec<u8> {
    let mut out = Vec::new();
    for peer in peers {
        if let SocketAddr::V4(peer) = peer {
            out.extend(peer.ip().octets());
            out.extend(peer.port().to_be_bytes());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::tests::fetch;

    #[test]
    fn it_names_the_peer_it_was_told() {
        let tracker = Tracker::start();
        let ask = || fetch(&format!("{}?x=y", tracker.url));
        assert!(ask().ends_with(b"5:peers0:e"));
        tracker.name_peer("127.0.0.1:6881".parse().unwrap());
        assert!(ask().ends_with(b"5:peers6:\x7f\0\0\x01\x1a\xe1e"));
    }
}
