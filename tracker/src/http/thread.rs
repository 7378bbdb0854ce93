//! One thread of the HTTP door: accepts, until it is told to stop.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::LocalSet;
use tokio::time::sleep;

use super::connection;
use super::respond::Responder;

/// Pause after a connection could not be accepted: there are no descriptors, and there will not be at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long requests and answers that are on their way have when it is time to stop.
const STOP_GRACE: Duration = Duration::from_millis(100);
/// How long what was sent may stay unread: whoever reads nothing must not hold a connection.
const UNREAD_TIMEOUT_MS: u32 = 30_000;

/// The thread's part.
pub(super) struct Worker {
    runtime: Runtime,
    listeners: Vec<TcpListener>,
    responder: Responder,
    stopping: watch::Receiver<bool>,
}

impl Worker {
    pub(super) fn new(
        listeners: Vec<std::net::TcpListener>,
        responder: Responder,
        stopping: watch::Receiver<bool>,
    ) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let guard = runtime.enter();
        let listeners = listeners.into_iter().map(|listener| {
            listener.set_nonblocking(true)?;
            // Inherited by connections.
            setsockopt(&listener, sockopt::TcpUserTimeout, &UNREAD_TIMEOUT_MS)?;
            TcpListener::from_std(listener)
        });
        let listeners = listeners.collect::<io::Result<Vec<_>>>()?;
        drop(guard);
        Ok(Self { runtime, listeners, responder, stopping })
    }

    /// Serves until it is told to stop.
    pub(super) fn run(self) {
        let Self { runtime, listeners, responder, mut stopping } = self;
        let responder = Rc::new(responder);
        let connections = LocalSet::new();
        for listener in listeners {
            connections.spawn_local(accept(listener, Rc::clone(&responder)));
        }
        runtime.block_on(connections.run_until(async {
            // It fails when the server is gone, which is the same.
            let _ = stopping.wait_for(|is_time| *is_time).await;
            sleep(STOP_GRACE).await;
        }));
    }
}

/// Accepts connections for as long as it is polled.
async fn accept(listener: TcpListener, responder: Rc<Responder>) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => admit(stream, address, &responder),
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves a connection if there is a place for it.
fn admit(stream: TcpStream, address: SocketAddr, responder: &Rc<Responder>) {
    match responder.admit(address.ip().to_canonical()) {
        Some(guest) => drop(tokio::task::spawn_local(connection::serve(stream, guest, Rc::clone(responder)))),
        None => connection::refuse(stream, responder),
    }
}
