//! Connections: how many at once, who may come in, for how long they may be silent, and their end.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::unistd::geteuid;
use protocol::control::ErrorCode;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tower_service::Service as _;

use super::reply::Refusal;
use super::stopping::Stopping;

/// Longest that a scraper keeps a connection, read or not: whoever reaches the address may open them.
const MAX_SCRAPE: Duration = Duration::from_secs(60);
/// Pause after a connection could not be accepted: there are no descriptors, and there will not be at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Bits of a mode that let others than the owner connect.
const SHARED_MODE: u32 = 0o022;

/// Who asks, as the kernel says (SO_PEERCRED): an extension of each request on the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// Who may come in. The kernel has compared the caller with the mode of the file; this is the second look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gate {
    program: &'static str,
    uid: u32,
    is_shared: bool,
}

impl Gate {
    /// The gate of a socket of `program` with `mode`; `None` for one that was made by somebody else, who knows why.
    pub(super) fn new(program: &'static str, mode: Option<u32>) -> Self {
        Self { program, uid: geteuid().as_raw(), is_shared: mode.is_none_or(|mode| mode & SHARED_MODE != 0) }
    }

    fn admits(self, caller: Caller) -> bool {
        caller.uid == 0 || caller.uid == self.uid || self.is_shared
    }

    /// What is served to callers who may not come in.
    pub(super) fn refusing_router(self) -> Router {
        let program = self.program;
        Router::new().fallback(async move || {
            let message = format!("this socket is for root, the user {program} runs as, and its group");
            Refusal::new(ErrorCode::Forbidden, message)
        })
    }
}

/// What all connections of one listener have in common.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) router: Router,
    /// Connections that may still come; over that the kernel has them wait.
    pub(super) places: Arc<Semaphore>,
    /// How long a client may take to ask for something.
    pub(super) header_timeout: Duration,
    pub(super) stopping: Stopping,
}

impl Server {
    /// Serves whoever may come in, until it is to stop.
    pub(super) async fn serve_unix(&self, listener: UnixListener, gate: Gate) {
        while let Some(((stream, _), place)) = self.next(async || listener.accept().await).await {
            tokio::spawn(self.clone().admit(stream, gate, place));
        }
    }

    /// Serves everybody, until it is to stop.
    pub(super) async fn serve_tcp(&self, listener: TcpListener) {
        while let Some(((stream, _), place)) = self.next(async || listener.accept().await).await {
            let server = self.clone();
            tokio::spawn(async move {
                let _ = timeout(MAX_SCRAPE, server.serve(stream, server.router.clone(), None)).await;
                drop(place);
            });
        }
    }

    /// The next connection, and its place; none when it is time to stop, which waits neither for one nor the other.
    async fn next<S>(&self, accept: impl AsyncFn() -> io::Result<S>) -> Option<(S, OwnedSemaphorePermit)> {
        let mut stopping = self.stopping.clone();
        tokio::select! {
            () = stopping.wait() => None,
            next = self.wait_for(accept) => next,
        }
    }

    /// A connection, once there is a place for it.
    async fn wait_for<S>(
        &self,
        accept: impl AsyncFn() -> io::Result<S>,
    ) -> Option<(S, OwnedSemaphorePermit)> {
        let place = self.places.clone().acquire_owned().await.ok()?;
        loop {
            match accept().await {
                Ok(stream) => return Some((stream, place)),
                Err(error) => {
                    tracing::warn!("cannot accept a control connection: {error}");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Serves a connection, or says that the caller may not come in.
    async fn admit(self, stream: UnixStream, gate: Gate, _place: OwnedSemaphorePermit) {
        let Ok(credentials) = stream.peer_cred() else { return };
        let caller = Caller { uid: credentials.uid(), gid: credentials.gid() };
        let router = if gate.admits(caller) { self.router.clone() } else { gate.refusing_router() };
        self.serve(stream, router, Some(caller)).await;
    }

    /// Serves a connection until either end has enough.
    pub(super) async fn serve(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        router: Router,
        caller: Option<Caller>,
    ) {
        let service = service_fn(move |mut request: Request<Incoming>| {
            if let Some(caller) = caller {
                request.extensions_mut().insert(caller);
            }
            router.clone().call(request)
        });
        // The time to read headers runs while a connection is idle too, so silent clients go.
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(self.header_timeout);
        let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
        let mut stopping = self.stopping.clone();
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stopping.wait() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!("a control connection broke off: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_is_for_root_ourselves_and_whom_the_mode_lets_in() {
        let uid = geteuid().as_raw();
        let admits = |mode, uid| Gate::new("btd", mode).admits(Caller { uid, gid: 1 });
        for mode in [Some(0o600), Some(0o660), None] {
            assert!(admits(mode, uid) && admits(mode, 0));
        }
        assert!(!admits(Some(0o600), uid + 1) && !admits(Some(0o644), uid + 1), "reading is not connecting");
        assert!(admits(Some(0o660), uid + 1) && admits(None, uid + 1));
    }
}
