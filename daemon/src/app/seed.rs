//! `btd seed`: gets torrents ready, serves them, and says so.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use protocol::meta::{Magnet, MagnetPeer};
use protocol::swarm::Settings;
use protocol::swarm::picker::Priority;
use serde::Serialize;
use service::limits;
use service::output::write_line;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::args::SeedArgs;
use crate::config::SeedConfig;
use crate::config::ServeConfig;
use crate::engine::{Company, Engine, Member, Server};
use crate::storage::Torrent;
use crate::sys::{interfaces, probe};

use super::Failure;
use super::report::Summary;
use super::source::{Ready, Source, check_distinct};
use super::terminal::{self, StatusLine};

/// How often the status line is renewed, and failures are looked for.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// What `--json` prints for each path.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    summary: Summary<'a>,
    magnet: String,
    listen: Vec<String>,
    torrent: Option<&'a Path>,
}

/// Seeds until interrupted.
pub(super) fn run(args: SeedArgs) -> Result<ExitCode, Failure> {
    let (is_json, is_quiet) = (args.json, args.log.quiet);
    let config = SeedConfig::new(args, limits::raise_open_files()?)?;
    let settings = config.settings();
    let (serve, ready) = prepare(config, is_quiet)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _guard = runtime.enter();
    // From here on a signal ends the program in order.
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let (server, _notices) = Server::start(&serve)?;
    let seeding = runtime.block_on(start_all(server.engine(), &ready, settings))?;
    let lines: Result<Vec<String>, Failure> =
        ready.iter().map(|ready| announcement(ready, &server, is_json)).collect();
    let lines = lines?;
    let status = StatusLine::new(is_quiet);
    let failed = runtime.block_on(async {
        tokio::select! {
            _ = interrupt.recv() => None,
            _ = terminate.recv() => None,
            failure = serve_until_failure(&server, &seeding, lines, &status) => Some(failure),
        }
    });
    seeding.iter().for_each(Seeding::count);
    // First of all: whatever is said of it must not hold up the end.
    let totals = server.stop().totals;
    status.clear();
    tracing::info!(
        "sent {} in {} blocks and {} sends",
        terminal::bytes(totals.bytes_sent),
        totals.blocks_sent,
        totals.sends
    );
    match failed {
        Some(failure) => Err(failure),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// A torrent that is served and announced.
struct Seeding {
    torrent: Arc<Torrent>,
    member: Member,
}

/// Adds all torrents to the server.
async fn start_all(engine: &Engine, ready: &[Ready], settings: Settings) -> Result<Vec<Seeding>, Failure> {
    let mut seeding = Vec::with_capacity(ready.len());
    for ready in ready {
        seeding.push(Seeding::start(engine, ready, settings).await?);
    }
    Ok(seeding)
}

impl Seeding {
    async fn start(engine: &Engine, ready: &Ready, settings: Settings) -> Result<Self, Failure> {
        let torrent = Arc::clone(&ready.torrent);
        let company = Company { tiers: ready.tiers.clone(), settings, ..Company::default() };
        // What is missing is not fetched: a seed never writes to its payload.
        let priorities = vec![Priority::Skip; torrent.info().geometry().piece_count() as usize];
        let member = engine.add(Arc::clone(&torrent), priorities, company).await?;
        Ok(Self { torrent, member })
    }

    /// Keeps what trackers are told true.
    fn count(&self) {
        self.member.stats.uploaded.store(self.torrent.uploaded(), Ordering::Relaxed);
    }
}

/// Gets everything ready. What can be refused is refused before anything is hashed.
fn prepare(config: SeedConfig, is_quiet: bool) -> Result<(ServeConfig, Vec<Ready>), Failure> {
    probe::io_uring()?;
    let output = config.torrent_file.as_ref();
    let sources: Result<Vec<Source>, Failure> =
        config.sources.into_iter().map(|source| Source::look(source, output)).collect();
    let sources = sources?;
    check_distinct(&sources)?;
    let serve = config.serve.usable()?;
    let ready: Result<Vec<Ready>, Failure> =
        sources.into_iter().map(|source| source.hash(&config.new, is_quiet)).collect();
    Ok((serve, ready?))
}

/// The line that says that peers can connect.
fn announcement(ready: &Ready, server: &Server, is_json: bool) -> Result<String, Failure> {
    let info = ready.torrent.info();
    let reachable = interfaces::reachable(server.addresses());
    let magnet = Magnet {
        display_name: Some(info.name().to_owned()),
        trackers: ready.tiers.concat(),
        web_seeds: ready.web_seeds.clone(),
        length: Some(info.geometry().length()),
        peers: reachable.iter().filter_map(|address| MagnetPeer::parse(&address.to_string())).collect(),
        ..Magnet::new(info.info_hash())
    };
    if !is_json {
        return Ok(magnet.to_string());
    }
    Ok(serde_json::to_string(&Report {
        summary: Summary::new(info),
        magnet: magnet.to_string(),
        listen: server.addresses().iter().map(ToString::to_string).collect(),
        torrent: ready.file.as_deref(),
    })?)
}

/// Prints `lines`, and then keeps watch.
async fn serve_until_failure(
    server: &Server,
    seeding: &[Seeding],
    lines: Vec<String>,
    status: &StatusLine,
) -> Failure {
    match print(lines).await {
        Ok(()) => watch(server, seeding, status).await,
        Err(failure) => failure,
    }
}

/// Prints `lines` on a thread of its own: stdout may be a pipe that nobody reads, and a signal is to be heard.
async fn print(lines: Vec<String>) -> Result<(), Failure> {
    let (done, is_done) = oneshot::channel();
    let thread = std::thread::Builder::new().name("btd-announce".into());
    thread.spawn(move || {
        // Magnet links and JSON need no escapes: they have brought their own.
        let _ = done.send(lines.iter().try_for_each(|line| write_line(line)));
    })?;
    Ok(is_done.await??)
}

/// Keeps the status line, until there is nothing left to serve or nobody to do it.
async fn watch(server: &Server, seeding: &[Seeding], status: &StatusLine) -> Failure {
    let length = seeding.iter().map(|seeding| seeding.torrent.info().geometry().length()).sum();
    let mut ticks = tokio::time::interval(STATUS_INTERVAL);
    let mut sent_before = 0;
    loop {
        ticks.tick().await;
        let totals = server.totals();
        let rate = totals.bytes_sent - sent_before;
        status.show(terminal::seeding(rate, totals.connections, totals.payload_bytes_sent, length));
        sent_before = totals.bytes_sent;
        seeding.iter().for_each(Seeding::count);
        if seeding.iter().all(|seeding| seeding.torrent.error().is_some()) {
            return "nothing is left to serve".into();
        }
        if server.has_lost_a_thread() {
            return "a thread has ended on its own".into();
        }
    }
}
