//! `btd seed`: gets torrents ready, serves them, and says so.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use protocol::meta::{Info, Magnet, MagnetPeer};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::{LogArgs, SeedArgs};
use crate::config::{SeedConfig, SeedSource};
use crate::storage::create::{self, Options};
use crate::storage::{Torrent, scan};
use crate::sys::{interfaces, limits, probe};

use super::server::Server;
use super::terminal::{self, StatusLine};
use super::{Failure, print_json, print_line, read_torrent};

/// How often the status line is renewed, and failures are looked for.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// A torrent that is ready to be served.
struct Ready {
    torrent: Arc<Torrent>,
    trackers: Vec<String>,
    web_seeds: Vec<String>,
    /// Where its .torrent file is, if there is one.
    file: Option<PathBuf>,
}

/// What `--json` prints for each path.
#[derive(Serialize)]
struct Report<'a> {
    info_hash: String,
    name: &'a str,
    length: u64,
    piece_length: u32,
    piece_count: u32,
    magnet: String,
    listen: Vec<String>,
    torrent: Option<&'a Path>,
}

/// Seeds until interrupted.
pub(super) fn run(args: SeedArgs) -> Result<ExitCode, Failure> {
    terminal::start_log(&args.log);
    let (is_json, log) = (args.json, LogArgs { ..args.log });
    let files = limits::raise_open_files()?;
    let config = SeedConfig::new(args, files)?;
    probe::io_uring()?;
    let ready: Result<Vec<Ready>, Failure> =
        config.sources.iter().map(|source| prepare(source, &config, log.quiet)).collect();
    let ready = ready?;
    let torrents = ready.iter().map(|ready| Arc::clone(&ready.torrent)).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _guard = runtime.enter();
    // From here on a signal ends the program in order.
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let server = Server::start(&config.serve, torrents)?;
    for ready in &ready {
        announce(ready, &server, is_json)?;
    }
    let status = StatusLine::new(log.quiet);
    let failed = runtime.block_on(async {
        tokio::select! {
            _ = interrupt.recv() => None,
            _ = terminate.recv() => None,
            failure = watch(&server, &status) => Some(failure),
        }
    });
    status.clear();
    let totals = server.totals();
    tracing::info!(
        "sent {} in {} blocks and {} sends",
        terminal::bytes(totals.bytes_sent),
        totals.blocks_sent,
        totals.sends
    );
    server.stop();
    match failed {
        Some(failure) => Err(failure),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// Makes a path into a torrent that can be served.
fn prepare(source: &SeedSource, config: &SeedConfig, is_quiet: bool) -> Result<Ready, Failure> {
    let mut ready = match source {
        SeedSource::Payload(path) => prepare_payload(path, config, is_quiet)?,
        SeedSource::Torrent { file, data } => prepare_torrent(file, data, config, is_quiet)?,
    };
    for tracker in &config.new.trackers {
        if !ready.trackers.contains(tracker) {
            ready.trackers.push(tracker.clone());
        }
    }
    Ok(ready)
}

fn prepare_payload(path: &Path, config: &SeedConfig, is_quiet: bool) -> Result<Ready, Failure> {
    let scan = scan::scan(path)?;
    let name = scan.name.clone();
    let options = Options { creation_date: super::create::now_unix_s(), ..config.new.clone() };
    let created =
        terminal::with_progress(&format!("hashing {name}"), create::length(&scan), is_quiet, |done| {
            create::create(scan, options, done)
        })?;
    if let Some(file) = &config.torrent_file {
        super::create::write(file, &created.bytes)?;
    }
    Ok(Ready {
        trackers: created.metainfo.trackers.concat(),
        web_seeds: Vec::new(),
        torrent: Arc::new(created.into_torrent()),
        file: config.torrent_file.clone(),
    })
}

/// Checks the payload of a torrent. What matches of it is served, and it is said what does not.
fn prepare_torrent(file: &Path, data: &Path, config: &SeedConfig, is_quiet: bool) -> Result<Ready, Failure> {
    let metainfo = read_torrent(file)?;
    let info = Arc::clone(&metainfo.info);
    let verification = super::verify::hash(&info, data, is_quiet);
    let (have, count) = (verification.have.have_count(), info.geometry().piece_count());
    let bad_file = verification.first_bad_file(&info);
    let explained = bad_file.map(|bad| format!(" ({bad})")).unwrap_or_default();
    if have == 0 {
        let data = data.display();
        return Err(format!(
            "{}: no piece of it lies under {data}{explained}; name the folder with --data",
            file.display()
        )
        .into());
    }
    if have < count {
        tracing::warn!(
            "{}: {have} of {count} pieces match, and only they are served{explained}",
            file.display()
        );
    }
    let written = match &config.torrent_file {
        Some(to) => {
            std::fs::copy(file, to).map(|_| to.clone()).map_err(|e| format!("{}: {e}", to.display()))?
        }
        None => file.to_owned(),
    };
    Ok(Ready {
        torrent: Arc::new(verification.into_torrent(info)),
        trackers: metainfo.trackers.concat(),
        web_seeds: metainfo.web_seeds,
        file: Some(written),
    })
}

/// Prints the line that says that peers can connect.
fn announce(ready: &Ready, server: &Server, is_json: bool) -> Result<(), Failure> {
    let info: &Info = ready.torrent.info();
    let reachable = interfaces::reachable(server.addresses());
    let magnet = Magnet {
        display_name: Some(info.name().to_owned()),
        trackers: ready.trackers.clone(),
        web_seeds: ready.web_seeds.clone(),
        length: Some(info.geometry().length()),
        peers: reachable.iter().filter_map(|address| MagnetPeer::parse(&address.to_string())).collect(),
        ..Magnet::new(info.info_hash())
    };
    if !is_json {
        return print_line(&magnet.to_string());
    }
    print_json(&Report {
        info_hash: info.info_hash().to_string(),
        name: info.name(),
        length: info.geometry().length(),
        piece_length: info.geometry().piece_length(),
        piece_count: info.geometry().piece_count(),
        magnet: magnet.to_string(),
        listen: server.addresses().iter().map(ToString::to_string).collect(),
        torrent: ready.file.as_deref(),
    })
}

/// Keeps the status line, until there is nothing left to serve or nobody to do it.
async fn watch(server: &Server, status: &StatusLine) -> Failure {
    let length = server.torrents().iter().map(|torrent| torrent.info().geometry().length()).sum();
    let mut ticks = tokio::time::interval(STATUS_INTERVAL);
    let mut sent_before = 0;
    loop {
        ticks.tick().await;
        let totals = server.totals();
        status.show(totals.bytes_sent - sent_before, totals.connections, totals.payload_bytes_sent, length);
        sent_before = totals.bytes_sent;
        if server.torrents().iter().all(|torrent| torrent.error().is_some()) {
            return "nothing is left to serve".into();
        }
        if server.has_lost_a_worker() {
            return "a worker has ended on its own".into();
        }
    }
}
