//! The thread of a worker: its runtime, what its tasks share, its clock, and its end.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use protocol::peer::Identity;
use protocol::swarm::PeerKey;
use service::heartbeats::Pulse;
use slab::Slab;
use socket2::{SockRef, Socket};
use tokio::sync::{Notify, mpsc, watch};
use tokio_uring::net::TcpStream;

use crate::bus::{Dial, Limits, MAX_DIALS, Report, Reports};
use crate::storage::Registry;
use crate::storage::lane::Lanes;
use crate::storage::write::Writer;
use crate::sys::probe::{self, ProbeError};

use super::accept;
use super::buffers::Buffers;
use super::clock::Clock;
use super::connection::{Connection, Ended, Origin};
use super::counters::Counters;
use super::dial;
use super::ring;

/// Operations that can be handed to the kernel at once; more are handed over in turns.
const RING_ENTRIES: u32 = 1_024;
/// Completions that fit the ring: an idle connection waits with one.
const RING_COMPLETIONS: u32 = 16 * 1_024;
/// How often timeouts are looked at.
const TICK: Duration = Duration::from_secs(1);
/// Where the number of a worker stands in the names of its connections.
const WORKER_SHIFT: u32 = 48;
/// How long connections may take to end when the worker stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// What all workers share.
#[derive(Debug, Clone)]
pub struct Shared {
    /// What we say of ourselves.
    pub ours: Identity,
    /// The torrents that peers may ask for.
    pub registry: Arc<Registry>,
    /// Who fetches what is not in memory.
    pub lanes: Arc<Lanes>,
    /// Who takes what is downloaded, where anything is.
    pub writer: Option<Arc<Writer>>,
    /// Where the coordinator listens.
    pub reports: Reports,
    /// What all torrents together may send and receive.
    pub limits: Arc<Limits>,
    /// Most connections of all workers together.
    pub max_connections: usize,
    /// Connections of all workers together.
    pub open_connections: Arc<AtomicUsize>,
    /// Turns true when the workers are to stop.
    pub stop: watch::Receiver<bool>,
}

/// A worker that runs.
#[derive(Debug)]
pub struct Worker {
    /// Where it takes addresses to connect to.
    pub dials: mpsc::Sender<Dial>,
    /// What it has done.
    pub counters: Arc<Counters>,
    /// Beats once a second while it moves.
    pub pulse: Pulse,
    /// Its thread; ends when told to stop.
    pub thread: JoinHandle<()>,
}

/// Why a worker could not be started.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// It got no ring.
    #[error(transparent)]
    Ring(#[from] ProbeError),
    /// It got no clock.
    #[error("cannot make a timer: {0}")]
    Clock(io::Error),
    /// It got no thread.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

/// What the tasks of one worker share.
pub(super) struct Context {
    number: usize,
    pub(super) ours: Identity,
    pub(super) registry: Arc<Registry>,
    pub(super) lanes: Arc<Lanes>,
    pub(super) writer: Option<Arc<Writer>>,
    reports: Reports,
    pub(super) limits: Arc<Limits>,
    next_key: Cell<u64>,
    pub(super) counters: Arc<Counters>,
    pub(super) buffers: Buffers,
    pub(super) connections: RefCell<Slab<Rc<Connection>>>,
    pub(super) places: Places,
    pub(super) is_stopping: Cell<bool>,
    /// Connections that are being made, and since when.
    pub(super) dialling: RefCell<Slab<(Instant, Rc<Socket>)>>,
    /// A connection has ended.
    pub(super) left: Notify,
    /// Runs while there is a connection, or one is being made.
    pub(super) clock: Rc<Clock>,
}

impl Context {
    /// A connection on `socket`, with a name that no other in this process has.
    pub(super) fn connect(&self, socket: TcpStream, address: SocketAddr, origin: Origin) -> Rc<Connection> {
        let number = self.next_key.replace(self.next_key.get() + 1);
        let key = PeerKey((self.number as u64) << WORKER_SHIFT | number);
        Connection::new(socket, key, address, origin, self.ours)
    }

    /// Whether there is no connection, and none is being made.
    fn is_idle(&self) -> bool {
        self.connections.borrow().is_empty() && self.dialling.borrow().is_empty()
    }

    /// Tells the coordinator what happened on `connection`. Waits while it is behind.
    pub(super) async fn report(&self, connection: &Connection) {
        if connection.has_news() {
            // Boxed: with seeds it is rare, and what it takes would make every connection larger by 800 bytes.
            Box::pin(self.report_news(connection)).await;
        }
    }

    async fn report_news(&self, connection: &Connection) {
        let _turn = connection.reporting.lock().await;
        for report in connection.reports() {
            // It goes before us when everything ends.
            let _ = self.reports.send(report).await;
        }
    }

    /// Tells the coordinator that `connection` has ended, if it had heard of it.
    pub(super) async fn report_end(&self, connection: &Connection) {
        self.report(connection).await;
        if let Some(report) = connection.last_report() {
            let _ = Box::pin(self.reports.send(report)).await;
        }
    }

    /// Tells the coordinator that `connection` has ended by a mistake of ours, which ends nothing else.
    pub(super) fn report_panic(&self, connection: &Connection) {
        let _ = connection.last_report().map(|report| self.reports.try_send(report));
    }

    /// Tells the coordinator that an address cannot be reached.
    pub(super) async fn report_unreachable(&self, dial: Dial) {
        let Dial { info_hash, address } = dial;
        let _ = self.reports.send(Report::NotJoined { info_hash, address, is_ourselves: false }).await;
    }
}

/// The bound on connections, over all workers.
#[derive(Debug, Clone)]
pub(super) struct Places {
    taken: Arc<AtomicUsize>,
    limit: usize,
}

impl Places {
    /// A place for one more connection, until it is dropped; `None` when all are taken.
    pub(super) fn take(&self) -> Option<Place> {
        let place = Place(Arc::clone(&self.taken));
        if self.taken.fetch_add(1, Ordering::AcqRel) < self.limit { Some(place) } else { None }
    }
}

/// A place that is taken.
#[derive(Debug)]
pub(super) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Starts worker number `number` on `listeners`; returns once it has its ring and accepts.
///
/// # Errors
/// When it gets no thread or no ring.
pub fn start(number: usize, listeners: Vec<TcpListener>, shared: Shared) -> Result<Worker, WorkerError> {
    let counters = Arc::new(Counters::default());
    let clock = Clock::new(TICK).map_err(WorkerError::Clock)?;
    let (ready, is_ready) = std::sync::mpsc::sync_channel(1);
    let pulse = Pulse::default();
    let of_thread = (Arc::clone(&counters), pulse.clone());
    let (dials, to_dial) = mpsc::channel(MAX_DIALS);
    let thread = std::thread::Builder::new()
        .name(format!("btd-worker-{number}"))
        .spawn(move || {
            let mut builder = tokio_uring::builder();
            builder
                .entries(RING_ENTRIES)
                .uring_builder(tokio_uring::uring_builder().setup_cqsize(RING_COMPLETIONS));
            let runtime = tokio_uring::Runtime::new(&builder);
            let (runtime, result) = match runtime {
                Ok(runtime) => (Some(runtime), Ok(())),
                Err(error) => (None, Err(error)),
            };
            let _ = ready.send(result);
            let Some(runtime) = runtime else { return };
            let (counters, pulse) = of_thread;
            if !runtime.block_on(run(number, Doors { listeners, to_dial }, shared, counters, clock, &pulse)) {
                // Operations are still under way. Dropping the runtime would wait for them, or free memory that the
                // kernel is using; the process is about to end, which does neither.
                std::mem::forget(runtime);
            }
        })
        .map_err(WorkerError::Thread)?;
    match is_ready.recv() {
        Ok(Ok(())) => Ok(Worker { dials, counters, pulse, thread }),
        Ok(Err(error)) => Err(probe::explain(error).into()),
        Err(_) => Err(WorkerError::Thread(io::Error::other("it ended at once"))),
    }
}

/// Where connections come from.
struct Doors {
    listeners: Vec<TcpListener>,
    to_dial: mpsc::Receiver<Dial>,
}

/// Runs the worker until it is told to stop; whether all connections have ended by then.
async fn run(
    number: usize,
    doors: Doors,
    shared: Shared,
    counters: Arc<Counters>,
    clock: Clock,
    pulse: &Pulse,
) -> bool {
    let context = Rc::new(Context {
        number,
        ours: shared.ours,
        registry: shared.registry,
        lanes: shared.lanes,
        writer: shared.writer,
        reports: shared.reports,
        limits: shared.limits,
        next_key: Cell::new(0),
        dialling: RefCell::default(),
        counters,
        buffers: Buffers::default(),
        connections: RefCell::default(),
        places: Places { taken: shared.open_connections, limit: shared.max_connections },
        is_stopping: Cell::new(false),
        left: Notify::new(),
        clock: Rc::new(clock),
    });
    let mut accepting = Vec::new();
    let mut kept = Vec::new();
    for listener in doors.listeners {
        kept.extend(listener.try_clone());
        let listener = tokio_uring::net::TcpListener::from_std(listener);
        accepting.push(tokio_uring::spawn(accept::run(Rc::clone(&context), listener)));
    }
    let dialling = tokio_uring::spawn(dial::run(Rc::clone(&context), doors.to_dial));
    keep_time(&context, pulse, shared.stop).await;
    context.is_stopping.set(true);
    dialling.abort();
    for listener in &kept {
        // Ends the accept that is under way.
        let _ = SockRef::from(listener).shutdown(Shutdown::Both);
    }
    let drained = async {
        for task in accepting {
            let _ = task.await;
        }
        drain(&context).await;
    };
    tokio::time::timeout(DRAIN_TIMEOUT, drained).await.is_ok()
}

/// Lets time pass for every connection, until told to stop.
async fn keep_time(context: &Context, pulse: &Pulse, mut stop: watch::Receiver<bool>) {
    let clock = &context.clock;
    loop {
        tokio::select! {
            result = ring::tick(clock) => {
                if let Err(error) = result {
                    tracing::error!("a worker has lost its clock: {error}");
                    return;
                }
                pulse.beat();
                let now = Instant::now();
                context.connections.borrow().iter().for_each(|(_, connection)| connection.tick(now));
                dial::give_up_late(context, now);
                if context.is_idle() {
                    clock.rest();
                }
            }
            // Whoever could tell us to stop being gone means the same. The tick under way is of no use any more.
            _ = stop.wait_for(|stop| *stop) => return clock.end(),
        }
    }
}

/// Ends all connections and waits for the last.
async fn drain(context: &Context) {
    loop {
        context.connections.borrow().iter().for_each(|(_, connection)| connection.close(&Ended::Stopping));
        dial::give_up_all(context);
        if context.is_idle() {
            return;
        }
        context.left.notified().await;
    }
}
