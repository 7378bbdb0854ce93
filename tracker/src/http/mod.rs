//! The door for HTTP: threads that accept connections, read requests with hyper and answer them.
//!
//! Started and stopped by the application. Each thread has listeners of its own, over which the kernel spreads the
//! connections, and serves what it has accepted. An answer waits for nothing: all that is asked is in memory.

mod announce;
mod connection;
mod lenient;
mod places;
mod proxy;
mod proxy_protocol;
mod respond;
mod thread;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::desk::Desk;
use crate::figures::Door;

use places::Places;
use respond::Responder;
use thread::Worker;

pub use proxy::Trusted;

/// How HTTP is served. It can be changed while it is.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// How long a connection may be silent: before a request is there, and before the next.
    pub idle_timeout: Duration,
    /// Most connections at once.
    pub max_connections: u32,
    /// Most connections of one address at once; 0 is no limit. Trusted proxies have none.
    pub max_connections_per_address: u32,
    /// Who is believed when it says who asks.
    pub trusted: Trusted,
    /// Whether connections of those begin with a PROXY preamble.
    pub has_preamble: bool,
    /// Whether `ip=` counts, for who asks from a private address or through a trusted proxy.
    pub honours_ip: bool,
    /// Whether `/metrics` is served.
    pub has_metrics: bool,
    /// Whether `/stats` is served.
    pub has_stats: bool,
}

/// What threads share.
#[derive(Debug)]
struct Shared {
    settings: ArcSwap<HttpSettings>,
    places: Arc<Places>,
}

/// The threads.
#[derive(Debug)]
pub struct HttpServer {
    threads: Vec<JoinHandle<()>>,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
}

impl HttpServer {
    /// Starts a thread for each set of listeners.
    ///
    /// # Errors
    /// When there is no thread or descriptor to be had.
    pub fn start(
        by_worker: Vec<Vec<TcpListener>>,
        desk: &Arc<Desk>,
        settings: HttpSettings,
    ) -> io::Result<Self> {
        let (stop, stopping) = watch::channel(false);
        let shared = Arc::new(Shared { settings: ArcSwap::from_pointee(settings), places: Arc::default() });
        let mut server = Self { threads: Vec::new(), shared, stop };
        for (number, listeners) in by_worker.into_iter().enumerate() {
            let responder = Responder::new(desk.clerk(Door::Http), Arc::clone(&server.shared));
            let worker = Worker::new(listeners, responder, stopping.clone())?;
            let thread = std::thread::Builder::new().name(format!("http-{number}"));
            server.threads.push(thread.spawn(move || worker.run())?);
        }
        Ok(server)
    }

    /// Serves in another way from now on; connections that are open keep their time.
    pub fn set(&self, settings: HttpSettings) {
        self.shared.settings.store(Arc::new(settings));
    }

    /// Whether a thread has ended on its own: our own mistake.
    pub fn is_lost(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Ends the threads: answers on their way get a moment.
    pub fn stop(self) {
        self.stop.send_replace(true);
        for thread in self.threads {
            // A panic was logged where it happened.
            let _ = thread.join();
        }
    }
}
