//! One connection: who is at its other end, then requests and answers until one side has enough.

use std::convert::Infallible;
use std::future::ready;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::lenient::Lenient;
use super::places::Place;
use super::proxy_protocol::read_preamble;
use super::respond::{MAX_HEAD_LENGTH, Responder};

/// Said where there is no place, before anything is read that it could be an answer to.
const NO_PLACE: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 60\r\nContent-Type: text/plain\r\n\
    Content-Length: 21\r\nConnection: close\r\n\r\ntoo many connections\n";
/// How long who is turned away may take to ask: what was sent and not read would have the kernel take back the answer.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection that was let in.
#[derive(Debug)]
pub(super) struct Guest {
    /// Who is at the other end: a proxy, perhaps.
    pub(super) ip: IpAddr,
    /// Whether it begins with a PROXY preamble.
    pub(super) has_preamble: bool,
    /// How long it may be silent.
    pub(super) idle_timeout: Duration,
    /// Its place.
    pub(super) place: Place,
}

/// Serves a connection until either side has enough of it.
pub(super) async fn serve(mut stream: TcpStream, guest: Guest, responder: Rc<Responder>) {
    let Guest { mut ip, has_preamble, idle_timeout, place } = guest;
    // What the proxy says once for all requests.
    let mut is_told = false;
    if has_preamble {
        match timeout(idle_timeout, read_preamble(&mut stream)).await {
            Ok(Ok(Some(client))) => (ip, is_told) = (client.ip().to_canonical(), true),
            // The proxy itself: it looks whether we are well.
            Ok(Ok(None)) => {}
            Ok(Err(error)) => return tracing::debug!("{ip}: {error}"),
            Err(_) => return,
        }
    }
    let service = service_fn(|request: Request<Incoming>| {
        ready(Ok::<_, Infallible>(responder.respond(ip, is_told, &request)))
    });
    let mut http = http1::Builder::new();
    // The time to read headers runs while a connection is idle too.
    http.timer(TokioTimer::new()).header_read_timeout(idle_timeout).max_buf_size(MAX_HEAD_LENGTH);
    if let Err(error) = http.serve_connection(TokioIo::new(Lenient::new(stream)), service).await {
        tracing::debug!("{ip}: {error}");
    }
    drop(place);
}

/// Turns a connection away, if there are not too many of those.
pub(super) fn refuse(stream: TcpStream, responder: &Rc<Responder>) {
    let Some(turn) = responder.turn_away() else { return };
    tokio::task::spawn_local(async move {
        // Whoever is gone needs no answer.
        let _ = timeout(REFUSAL_TIMEOUT, turn_away(&stream)).await;
        drop(turn);
    });
}

async fn turn_away(stream: &TcpStream) -> io::Result<()> {
    stream.readable().await?;
    // No request is longer.
    let mut request = [0; 8 * 1024];
    stream.try_read(&mut request)?;
    stream.try_write(NO_PLACE).map(drop)
}
