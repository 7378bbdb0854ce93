//! A tracker that gives everyone the same answer: btd's address. Enough for clients that find peers no other way.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;

use crate::netns::Namespace;

/// A running tracker; it stops when dropped.
#[derive(Debug)]
pub struct Tracker {
    /// Its announce URL.
    pub url: String,
    peer: Arc<Mutex<Option<SocketAddr>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Tracker {
    /// Starts one on loopback.
    pub fn start() -> Self {
        Self::serve_on(bind(IpAddr::from([127, 0, 0, 1])))
    }

    /// Starts one inside `namespace`, at its address on the cable.
    pub fn start_in(namespace: &Namespace) -> Self {
        // A socket belongs to the namespace of the thread that makes it: enter in a thread that then ends.
        let listener = thread::scope(|scope| {
            let bound = scope.spawn(|| {
                namespace.enter();
                bind(namespace.address())
            });
            bound.join().expect("the namespace has its address")
        });
        Self::serve_on(listener)
    }

    fn serve_on(listener: TcpListener) -> Self {
        let address = listener.local_addr().expect("it is bound");
        let peer = Arc::new(Mutex::new(None));
        let (stop, stopped) = oneshot::channel();
        let known = Arc::clone(&peer);
        let thread = thread::spawn(move || serve(listener, &known, stopped));
        Self { url: format!("http://{address}/announce"), peer, stop: Some(stop), thread: Some(thread) }
    }

    /// Names `peer` in every answer from now on.
    pub fn name_peer(&self, peer: SocketAddr) {
        *self.peer.lock().unwrap_or_else(PoisonError::into_inner) = Some(peer);
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn bind(address: IpAddr) -> TcpListener {
    TcpListener::bind((address, 0)).unwrap_or_else(|error| panic!("{address}: {error}"))
}

fn serve(listener: TcpListener, peer: &Arc<Mutex<Option<SocketAddr>>>, stopped: oneshot::Receiver<()>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    runtime.block_on(async {
        listener.set_nonblocking(true).expect("a listener can be non-blocking");
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener can be watched");
        tokio::select! {
            () = accept_all(&listener, peer) => {}
            _ = stopped => {}
        }
    });
}

async fn accept_all(listener: &tokio::net::TcpListener, peer: &Arc<Mutex<Option<SocketAddr>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let peer = Arc::clone(peer);
        let answer = service_fn(move |_: Request<Incoming>| {
            let known = *peer.lock().unwrap_or_else(PoisonError::into_inner);
            async move { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(announce_answer(known))))) }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
    }
}

/// An announce answer with at most one peer, in the compact form (BEP 23).
fn announce_answer(peer: Option<SocketAddr>) -> Vec<u8> {
    let mut peers = Vec::new();
    if let Some(SocketAddr::V4(peer)) = peer {
        peers.extend(peer.ip().octets());
        peers.extend(peer.port().to_be_bytes());
    }
    let mut answer =
        format!("d8:completei1e10:incompletei0e8:intervali60e5:peers{}:", peers.len()).into_bytes();
    answer.extend(peers);
    answer.push(b'e');
    answer
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;

    fn ask(tracker: &Tracker) -> Vec<u8> {
        let address = tracker.url.strip_prefix("http://").unwrap().strip_suffix("/announce").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /announce?x=y HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    }

    #[test]
    fn it_names_the_peer_it_was_told() {
        let tracker = Tracker::start();
        assert!(ask(&tracker).ends_with(b"5:peers0:e"));
        tracker.name_peer("127.0.0.1:6881".parse().unwrap());
        assert!(ask(&tracker).ends_with(b"5:peers6:\x7f\0\0\x01\x1a\xe1e"));
    }
}
