//! The admin API: HTTP/1.1 and JSON under `/v1` on a Unix socket, for the operator; and figures for Prometheus beside it.
//!
//! The application starts it, and `service::control` serves it on a thread of its own. It looks up torrents, and changes
//! what is tracked and for whom; it never announces.

mod api;
mod lists;
mod look;

use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use service::control::{Control, ControlError, Routers, Settings};

use crate::PROGRAM;
use crate::desk::Desk;
use api::Api;

/// How long replies that are on their way may take in the end.
const GRACE: Duration = Duration::from_millis(300);

/// Where the doors are, as they were bound.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// Where HTTP is served.
    pub http: Vec<SocketAddr>,
    /// Where UDP is served.
    pub udp: Vec<SocketAddr>,
}

/// What is served where.
#[derive(Debug)]
pub struct AdminSettings {
    /// Path of the Unix socket, if there is to be one.
    pub socket: Option<PathBuf>,
    /// The socket, if whoever started us has made it.
    pub inherited: Option<UnixListener>,
    /// The group whose members may use it.
    pub socket_gid: Option<u32>,
    /// Where to serve figures, and nothing else, to everybody.
    pub metrics_listen: Option<SocketAddr>,
}

/// The API, while it is served.
#[derive(Debug)]
pub struct Admin(Option<Control>);

impl Admin {
    /// Listens, and serves on a thread; does nothing where nothing is to be served.
    ///
    /// # Errors
    /// When another tracker has the socket, or the kernel refuses something.
    pub fn start(
        settings: AdminSettings,
        desk: &Arc<Desk>,
        addresses: Addresses,
    ) -> Result<Self, ControlError> {
        let AdminSettings { socket, inherited, socket_gid, metrics_listen } = settings;
        if socket.is_none() && inherited.is_none() && metrics_listen.is_none() {
            return Ok(Self(None));
        }
        let settings = Settings { inherited, metrics_listen, ..Settings::new(socket).with_group(socket_gid) };
        let api = Arc::new(Api { desk: Arc::clone(desk), addresses });
        let control = Control::start(PROGRAM, settings, |_| Routers {
            socket: api::router(Arc::clone(&api)),
            metrics: api::metrics_router(api),
        })?;
        Ok(Self(Some(control)))
    }

    /// Where figures are served by themselves: port 0 has become a real one.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.0.as_ref().and_then(Control::metrics_address)
    }

    /// Takes the socket away.
    pub fn stop(self) {
        if let Some(control) = self.0 {
            control.stop(GRACE);
        }
    }
}
