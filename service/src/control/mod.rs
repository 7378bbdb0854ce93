//! A control API: HTTP/1.1 and JSON on a Unix socket, and figures for scrapers on a TCP port beside it.
//!
//! A program brings the routes, and starts one [`Control`], which serves them on a thread of its own. Who may connect,
//! for how long one may be silent and how it ends is decided here; what is asked and answered never is.

mod door;
mod lines;
mod reply;
mod server;
mod stopping;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::timeout;

pub use lines::{Gone, Lines};
pub use reply::{Id, Json, Query, Refusal};
pub use server::Caller;
pub use stopping::Stopping;

use door::Door;
use server::{Gate, Server};

/// Most connections at once: each may hold a body of 90 MB or a list of 5 MB. Others wait in the kernel.
const MAX_CONNECTIONS: u32 = 256;
/// Most connections of scrapers at once. They come over the network and must not take the places of others.
const MAX_SCRAPERS: u32 = 16;
/// How long a client may be silent before it asks for something, or for something else.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Mode of the socket: its owner and its group may connect.
const SOCKET_MODE: u32 = 0o660;

/// Mode of a socket that is for its owner alone.
const OWNER_MODE: u32 = 0o600;

/// What is served to whom.
#[derive(Debug)]
pub struct Routers {
    /// To whoever may use the socket.
    pub socket: Router,
    /// To whoever reaches [`Settings::metrics_listen`].
    pub metrics: Router,
}

/// What is served where.
#[derive(Debug)]
pub struct Settings {
    /// Path of the Unix socket, if there is to be one. Its folder is made if it is missing.
    pub socket: Option<PathBuf>,
    /// The socket, if whoever started us has made it.
    pub inherited: Option<UnixListener>,
    /// Mode of the socket, if we make it: who can write to the file can connect.
    pub socket_mode: u32,
    /// Group of the socket, if we make it and it is not to be our own.
    pub socket_gid: Option<u32>,
    /// Where to serve [`Routers::metrics`], and nothing else, to everybody.
    pub metrics_listen: Option<SocketAddr>,
    /// Most connections to the socket at once.
    pub max_connections: u32,
    /// How long a client may be silent.
    pub header_timeout: Duration,
}

impl Settings {
    /// A socket at a path, or none, and all else as usual.
    pub fn new(socket: impl Into<Option<PathBuf>>) -> Self {
        Self {
            socket: socket.into(),
            inherited: None,
            socket_mode: SOCKET_MODE,
            socket_gid: None,
            metrics_listen: None,
            max_connections: MAX_CONNECTIONS,
            header_timeout: HEADER_TIMEOUT,
        }
    }

    /// The same, for the members of a group too; without one that may, the socket is for its owner alone.
    pub fn with_group(self, gid: Option<u32>) -> Self {
        let socket_mode = if gid.is_some() { SOCKET_MODE } else { OWNER_MODE };
        Self { socket_gid: gid, socket_mode, ..self }
    }
}

/// Why there is no control API.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Somebody listens on it.
    #[error(
        "the control socket {} is held by {holder}: stop that, or choose another control_socket",
        path.display()
    )]
    Held {
        /// The socket.
        path: PathBuf,
        /// Who.
        holder: String,
    },
    /// Another program starts at the same moment.
    #[error("another process is making a socket beside the control socket {}: try again", .0.display())]
    Contended(PathBuf),
    /// There is something else.
    #[error(
        "{} is there and is not a socket: remove it, or choose another control_socket", .0.display()
    )]
    NoSocket(PathBuf),
    /// The kernel refused.
    #[error("cannot make the control socket {}: {source}", path.display())]
    Refused {
        /// The socket.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// What was inherited cannot be used.
    #[error("cannot use the inherited control socket: {0}")]
    Inherited(io::Error),
    /// Figures cannot be served.
    #[error("cannot listen on {address} for metrics: {source}")]
    Metrics {
        /// The address.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// There is no thread to be had.
    #[error("cannot start the control thread: {0}")]
    Thread(io::Error),
}

/// The control API, while it is served. Dropped, it ends at once.
#[derive(Debug)]
pub struct Control {
    thread: JoinHandle<()>,
    stop: oneshot::Sender<Duration>,
    metrics_address: Option<SocketAddr>,
}

/// All that the thread works with.
struct Work {
    /// The socket that is listened on, and its listener.
    door: Option<(Door, tokio::net::UnixListener)>,
    gate: Gate,
    server: Server,
    places: u32,
    scrapes: Option<(TcpListener, Server)>,
    stop: oneshot::Receiver<Duration>,
    signal: watch::Sender<bool>,
}

impl Control {
    /// Listens, and serves on a thread of `program`. What `routers` makes is told by its argument when to end what would
    /// go on.
    ///
    /// # Errors
    /// When another program has the socket, or the kernel refuses something.
    pub fn start(
        program: &'static str,
        settings: Settings,
        routers: impl FnOnce(Stopping) -> Routers,
    ) -> Result<Self, ControlError> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(ControlError::Thread)?;
        let (work, stop) = prepare(program, &runtime, settings, routers)?;
        let metrics_address = work.scrapes.as_ref().and_then(|(listener, _)| listener.local_addr().ok());
        let thread = thread::Builder::new()
            .name(format!("{program}-control"))
            .spawn(move || runtime.block_on(work.run()))
            .map_err(ControlError::Thread)?;
        Ok(Self { thread, stop, metrics_address })
    }

    /// Where figures are served: port 0 has become a real one.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// Takes the socket away, and waits for replies that are on their way, but not longer than `grace`.
    pub fn stop(self, grace: Duration) {
        // A thread that has ended does not listen, and is joined all the same.
        let _ = self.stop.send(grace);
        if self.thread.join().is_err() {
            tracing::error!("the control thread panicked");
        }
    }
}

/// Listens on whatever is to be listened on.
fn prepare(
    program: &'static str,
    runtime: &Runtime,
    settings: Settings,
    routers: impl FnOnce(Stopping) -> Routers,
) -> Result<(Work, oneshot::Sender<Duration>), ControlError> {
    let _in_runtime = runtime.enter();
    let (signal, stopping) = Stopping::signal();
    let Routers { socket, metrics } = routers(stopping.clone());
    let server = |router: Router, places: u32| Server {
        router,
        places: Arc::new(Semaphore::new(places as usize)),
        header_timeout: settings.header_timeout,
        stopping: stopping.clone(),
    };
    let mode = settings.inherited.is_none().then_some(settings.socket_mode);
    let scrapes = match settings.metrics_listen {
        Some(address) => Some((listen(address)?, server(metrics, MAX_SCRAPERS))),
        None => None,
    };
    let door = match (settings.inherited, &settings.socket) {
        (Some(listener), _) => Some(Door::inherit(listener)?),
        (None, Some(path)) => Some(Door::open(path, settings.socket_mode, settings.socket_gid)?),
        (None, None) => None,
    };
    let with_listener = |door: Door| door.listener().map(|listener| (door, listener));
    let door = door.map(with_listener).transpose()?;
    let server = server(socket, settings.max_connections);
    let (stop_sender, stop) = oneshot::channel();
    let (gate, places) = (Gate::new(program, mode), settings.max_connections);
    Ok((Work { door, gate, server, places, scrapes, stop, signal }, stop_sender))
}

/// Listens for scrapers.
fn listen(address: SocketAddr) -> Result<TcpListener, ControlError> {
    let refused = |source| ControlError::Metrics { address, source };
    let listener = std::net::TcpListener::bind(address).map_err(refused)?;
    listener.set_nonblocking(true).map_err(refused)?;
    TcpListener::from_std(listener).map_err(refused)
}

impl Work {
    /// Serves until it is told to stop.
    async fn run(self) {
        let Self { door, gate, server, places, scrapes, stop, signal } = self;
        let (door, listener) = door.unzip();
        let (scraped, scraper) = scrapes.unzip();
        let serve_clients = async {
            if let Some(listener) = listener {
                server.serve_unix(listener, gate).await;
            }
        };
        let serve_scrapers = async {
            if let (Some(listener), Some(scraper)) = (scraped, &scraper) {
                scraper.serve_tcp(listener).await;
            }
        };
        let until_told = async {
            let grace = stop.await.unwrap_or_default();
            signal.send_replace(true);
            grace
        };
        let ((), (), grace) = tokio::join!(serve_clients, serve_scrapers, until_told);
        drop(door);
        // Whoever holds a place is still served.
        let all_gone = async {
            let _ = server.places.acquire_many(places).await;
            if let Some(scraper) = &scraper {
                let _ = scraper.places.acquire_many(MAX_SCRAPERS).await;
            }
        };
        let _ = timeout(grace, all_gone).await;
    }
}
