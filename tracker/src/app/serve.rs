//! Starts everything, in the order in which it is needed, and ends it the other way round.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;

use service::inherit::{self, Inherited};
use service::listen::{Listeners, Listening, bind, grow_receive_buffer, usable};
use service::log::Log;
use service::memory;
use service::notify::Notifier;

use super::keeping::{Keeper, Keeping};
use super::life::Life;
use super::{Failure, sweeping};
use crate::access::Access;
use crate::admin::{Addresses, Admin, AdminSettings};
use crate::args::RunArgs;
use crate::config::Config;
use crate::desk::{Clock, Desk};
use crate::http::HttpServer;
use crate::swarms::Swarms;
use crate::udp::{ConnectionIds, UdpServer, keep_key, load_key, new_key};

/// What the kernel is to hold of datagrams that we have not read: a tenth of a second of them under load.
const RECEIVE_BUFFER_BYTES: usize = 8 << 20;

/// A tracker that serves.
pub(super) struct Tracker {
    desk: Arc<Desk>,
    http: HttpServer,
    udp: UdpServer,
    admin: Admin,
    sweeper: JoinHandle<()>,
    keeping: Option<Keeping>,
}

/// Serves until a signal ends it.
pub(super) fn run(args: &RunArgs, config: Config, log: &Log) -> Result<(), Failure> {
    // Before there is another thread: it takes variables out of the environment.
    let inherited = inherit::sockets()?;
    memory::return_large();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _guard = runtime.enter();
    // From here on a signal ends the tracker in order.
    let life = Life::new(args, config.clone(), Notifier::from_env())?;
    let tracker = Tracker::start(&config, inherited)?;
    runtime.block_on(life.live(tracker, log))
}

impl Tracker {
    fn start(config: &Config, inherited: Inherited) -> Result<Self, Failure> {
        // What is refused is known before anything is made.
        let http = if inherited.tcp.is_empty() {
            listeners::<TcpListener>(&config.http, config.has_default_http(), config.workers, "--http")?
        } else {
            shared(&inherited.tcp, TcpListener::try_clone, config.workers)?
        };
        let udp = if inherited.udp.is_empty() {
            listeners::<UdpSocket>(&config.udp, config.has_default_udp(), config.workers, "--udp")?
        } else {
            shared(&inherited.udp, UdpSocket::try_clone, config.workers)?
        };
        for socket in udp.by_worker.iter().flatten() {
            grow_receive_buffer(socket, RECEIVE_BUFFER_BYTES)?;
        }
        let access = Access::open(&config.access)?;
        let keeper = config.state_dir.as_deref().map(Keeper::take).transpose()?;
        let clock = Clock::start();
        let swarms = swarms(config, keeper.as_ref(), clock.now().s)?;
        let desk = Desk::new(config.terms.clone(), swarms, access, clock);
        let ids = ConnectionIds::new(match (&config.udp_key, &keeper) {
            (Some(path), _) => load_key(path)?,
            (None, Some(keeper)) => keep_key(keeper.folder())?,
            (None, None) => new_key(),
        });
        let addresses = Addresses { http: http.addresses, udp: udp.addresses };
        addresses.http.iter().for_each(|address| tracing::info!("listening for HTTP on {address}"));
        addresses.udp.iter().for_each(|address| tracing::info!("listening for UDP on {address}"));
        let settings = AdminSettings {
            socket: config.control_socket.clone(),
            inherited: inherited.control,
            socket_gid: config.control_gid,
            metrics_listen: config.metrics_listen,
        };
        let admin = Admin::start(settings, &desk, addresses)?;
        let http = HttpServer::start(http.by_worker, &desk, config.http_settings.clone())?;
        let udp = UdpServer::start(udp.by_worker, &desk, ids)?;
        let sweeper = sweeping::start(Arc::clone(&desk))?;
        let keeping =
            keeper.map(|keeper| Keeping::start(keeper, Arc::clone(&desk), config.snapshot_interval));
        Ok(Self { desk, http, udp, admin, sweeper, keeping: keeping.transpose()? })
    }

    pub(super) fn desk(&self) -> &Desk {
        &self.desk
    }

    /// Where figures are served by themselves, if they are.
    pub(super) fn metrics_address(&self) -> Option<SocketAddr> {
        self.admin.metrics_address()
    }

    /// Takes over what can be changed while it serves.
    pub(super) fn reload(&self, config: &Config) -> Result<(), Failure> {
        let sizes = self.desk.access().reload(&config.access)?;
        tracing::info!("read again: {sizes}");
        self.desk.set_terms(config.terms.clone());
        self.http.set(config.http_settings.clone());
        Ok(())
    }

    /// What has ended on its own, if something has: our own mistake.
    pub(super) fn lost(&self) -> Option<&'static str> {
        let parts = [
            (self.http.is_lost(), "a thread of HTTP"),
            (self.udp.is_lost(), "a thread of UDP"),
            (self.sweeper.is_finished(), "the sweeper"),
            (self.keeping.as_ref().is_some_and(Keeping::is_lost), "the keeper of torrents"),
        ];
        parts.into_iter().find_map(|(is_lost, what)| is_lost.then_some(what))
    }

    /// Ends everything: the doors first, then what is in the house is written down.
    pub(super) fn stop(self) {
        self.http.stop();
        self.udp.stop();
        self.admin.stop();
        if let Some(keeping) = self.keeping {
            keeping.stop();
        }
    }
}

/// The torrents of the last life, or none.
fn swarms(config: &Config, keeper: Option<&Keeper>, now_s: u32) -> Result<Swarms, Failure> {
    let new = || Swarms::new(config.terms.rules(), config.torrents_per_address, config.terms.capacity);
    let Some(keeper) = keeper else { return Ok(new()) };
    let timeout_s = u32::try_from(config.terms.peer_timeout().as_secs()).unwrap_or(u32::MAX);
    let swarms = new();
    let is_whole = keeper.restore(&swarms, now_s, timeout_s)?;
    Ok(if is_whole { swarms } else { new() })
}

/// New sockets for each worker.
fn listeners<S: Listening>(
    addresses: &[SocketAddr],
    has_defaults: bool,
    workers: usize,
    option: &'static str,
) -> Result<Listeners<S>, Failure> {
    let addresses = usable::<S>(addresses, has_defaults, option)?;
    Ok(bind(&addresses, workers, option)?)
}

/// The sockets that were inherited, shared by all workers.
fn shared<S: Listening>(
    inherited: &[S],
    share: impl Fn(&S) -> io::Result<S>,
    workers: usize,
) -> io::Result<Listeners<S>> {
    let addresses = inherited.iter().map(Listening::address).collect::<io::Result<_>>()?;
    let all = || inherited.iter().map(&share).collect::<io::Result<Vec<S>>>();
    let by_worker = (0..workers).map(|_| all()).collect::<io::Result<_>>()?;
    Ok(Listeners { by_worker, addresses })
}
