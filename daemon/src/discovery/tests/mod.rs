//! Trackers in this process, on real sockets of loopback, and what is asked of them.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use protocol::announce::{
    Announce, AnnounceQuery, Answer, Event, Family, PeerForm, Refusal, Reply, TrackerUrl,
};
use protocol::id::{InfoHash, PeerId};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::client::{AskError, Client};
use super::*;

mod http;
mod torrents;
mod udp;

/// Longer than anything here takes; only reached when a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// Names that exist in tests, and where they lead.
fn resolve(name: String) -> Lookup {
    Box::pin(async move {
        let (v4, v6) = ([127, 0, 0, 1].into(), "::1".parse().unwrap());
        match name.as_str() {
            "v4.test" => Ok(vec![v4]),
            "v6.test" => Ok(vec![v6]),
            "both.test" => Ok(vec![v4, v6]),
            _ => Err(io::Error::other("no such name")),
        }
    })
}

fn settings() -> (Settings, mpsc::UnboundedReceiver<(InfoHash, FoundPeers)>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let found = Arc::new(move |info_hash, peers| sender.send((info_hash, peers)).unwrap_or_default());
    let settings = Settings {
        udp_base: Duration::from_millis(200),
        udp_attempts: 3,
        roots: Roots::Only(Arc::new(rustls::RootCertStore::empty())),
        resolve: Arc::new(resolve),
        ..Settings::new(PeerId::new(*b"-BD0100-abcdefghijkl"), 6881, 7, found)
    };
    (settings, receiver)
}

fn client(settings: &Settings) -> Client {
    Client::new(settings, super::http::tls_config(&settings.roots).unwrap())
}

/// Sends one announce as the thread would.
async fn ask(settings: &Settings, url: &str, family: Family) -> Result<Reply, AskError> {
    ask_with(&client(settings), url, family, Event::Started).await
}

async fn ask_with(client: &Client, url: &str, family: Family, event: Event) -> Result<Reply, AskError> {
    let announce = Announce {
        info_hash: InfoHash::new([1; 20]),
        peer_id: PeerId::new([2; 20]),
        port: 6881,
        uploaded: 3,
        downloaded: 4,
        left: 5,
        event,
        num_want: Some(50),
        key: Some(7),
        tracker_id: None,
    };
    let url: TrackerUrl = url.parse().unwrap();
    timeout(PATIENCE, client.ask(&url, family, &announce)).await.expect("it ends by itself")
}

fn peers(reply: Result<Reply, AskError>) -> Vec<SocketAddr> {
    match reply {
        Ok(Reply::Answer(answer)) => answer.peers,
        other => panic!("{other:?}"),
    }
}

fn answer(peers: &[&str]) -> Answer {
    let peers = peers.iter().map(|peer| peer.parse().unwrap()).collect();
    Answer { interval: Some(Duration::from_secs(1800)), peers, ..Answer::default() }
}

fn body(answer: Answer) -> Response<Full<Bytes>> {
    Response::new(Full::new(Reply::Answer(answer).encode(PeerForm::Compact).into()))
}

fn refusal(status: u16, reason: &str) -> Response<Full<Bytes>> {
    let refusal = Reply::Refusal(Refusal { reason: reason.to_owned(), ..Refusal::default() });
    let mut response = Response::new(Full::new(refusal.encode(PeerForm::Compact).into()));
    *response.status_mut() = status.try_into().unwrap();
    response
}

/// What an HTTP tracker was asked.
fn query(target: &str) -> Announce {
    AnnounceQuery::parse(target.split_once('?').unwrap().1.as_bytes()).unwrap().announce
}

/// Serves HTTP on `listener` while the test runs: `reply` gets path and query.
fn serve_on<F, R>(listener: TcpListener, reply: F)
where
    F: Fn(String) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let reply = reply.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                assert!(request.headers()[hyper::header::USER_AGENT].to_str().unwrap().starts_with("btd/"));
                let answer = reply(request.uri().to_string());
                async move { Ok::<_, Infallible>(answer.await) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
}

/// Serves HTTP on loopback and returns where.
async fn serve<F, R>(reply: F) -> SocketAddr
where
    F: Fn(String) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    serve_on(listener, reply);
    address
}

/// Serves the same answer to all.
async fn serve_always(response: Response<Full<Bytes>>) -> SocketAddr {
    serve(move |_| std::future::ready(response.clone())).await
}

#[test]
fn an_unknown_size_is_not_announced_as_a_seed() {
    let stats = Stats::default();
    assert_eq!(stats.announced_left(), UNKNOWN_LEFT);
    stats.left.store(0, Ordering::Relaxed);
    assert_eq!(stats.announced_left(), 0);
}

#[test]
fn the_certificates_of_the_machine_are_found_or_replaced() {
    assert!(super::http::tls_config(&Roots::Machine).is_ok());
}
