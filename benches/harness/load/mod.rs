//! The load: asks a seeder for blocks over many connections, in a thread or several, and drops what it gets in the kernel.
//!
//! Every answer's header must match a request that is open, and a sample of the payload is compared with the file.
//! The CPU time of the server is taken around a window in steady state: after all are unchoked and a part of the
//! volume has passed, and before the first connection is closed.

mod connection;
mod crowd;
mod cursor;
mod judge;
mod options;
mod pace;
mod threads;

use std::io;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::latencies::{Latencies, Quantiles};
use crate::process;
pub use options::{Asked, Options, Order, Span};

/// Why a run has no result.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The system refused something.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The payload cannot be cut as the options say.
    #[error(transparent)]
    Geometry(#[from] protocol::geometry::GeometryError),
    /// The seeder closed a connection.
    #[error("the seeder closed connection {0}")]
    Closed(usize),
    /// The seeder sent what nobody asked for, or wrong bytes.
    #[error("connection {connection}: {what}")]
    Wrong {
        /// Number of the connection.
        connection: usize,
        /// What was wrong.
        what: String,
    },
    /// Nobody may ask for anything.
    #[error("no connection of {0} was unchoked")]
    Choked(usize),
    /// The deadline has passed.
    #[error("the deadline passed with {received} bytes received and {unchoked} connections unchoked")]
    Deadline {
        /// Bytes until then.
        received: u64,
        /// Connections that may ask.
        unchoked: usize,
    },
}

/// What was measured in the window.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// Connections that asked.
    pub connections: usize,
    /// Connections that did not.
    pub idle: usize,
    /// Connections of both kinds that were unchoked at the end.
    pub unchoked: usize,
    /// How often a connection was choked again.
    pub chokes: u64,
    /// Payload bytes received.
    pub bytes: u64,
    /// How long that took.
    pub wall_s: f64,
    /// Payload of the connection that got least.
    pub connection_bytes_min: u64,
    /// Payload of a connection on the average.
    pub connection_bytes_mean: u64,
    /// Payload of the connection that got most.
    pub connection_bytes_max: u64,
    /// From a request to the last byte of its block.
    pub latency: Quantiles,
    /// From the first request of a connection to its first byte of payload; before the window.
    pub first_byte: Quantiles,
    /// Blocks of the whole run that were compared with the payload; of all others the header was checked.
    pub compared_blocks: u64,
    /// CPU time of the load itself.
    pub load_cpu_s: f64,
    /// What the server used, if its process was named.
    pub server: Option<ServerReport>,
}

/// What the server used in the window.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServerReport {
    /// CPU time, user and system.
    pub cpu_s: f64,
    /// Anonymous memory at the end of the window, all connections open.
    pub rss_anon_bytes: u64,
    /// What it has mapped of files and is in memory, then.
    pub rss_file_bytes: u64,
    /// What it had read from disk.
    pub disk_bytes: u64,
}

/// Clocks at one end of the window.
struct Sample {
    at: Instant,
    load_cpu: Duration,
    server_cpu: Duration,
    disk_bytes: u64,
}

/// What happened on some of the connections, in the window or as it says.
#[derive(Debug, Default)]
struct Tally {
    /// Payload of each connection that asked.
    each: Vec<u64>,
    latencies: Latencies,
    /// Before the window.
    first_bytes: Latencies,
    unchoked: usize,
    chokes: u64,
    /// In the whole run.
    compared_blocks: u64,
}

/// Asks for as much as `options.warm` says, then measures `options.window`.
///
/// # Errors
/// When the seeder answers wrongly, closes a connection in use, unchokes nobody, or does not do it in time.
pub fn run(options: &Options) -> Result<Report, LoadError> {
    let (mut tally, before, after) = threads::run(options)?;
    let server = options.server_pid.map(|pid| ServerReport::new(pid, &before, &after)).transpose()?;
    let bytes = tally.each.iter().sum();
    Ok(Report {
        connections: options.connections,
        idle: options.idle,
        unchoked: tally.unchoked,
        chokes: tally.chokes,
        bytes,
        wall_s: (after.at - before.at).as_secs_f64(),
        connection_bytes_min: tally.each.iter().min().copied().unwrap_or(0),
        connection_bytes_mean: bytes / options.connections as u64,
        connection_bytes_max: tally.each.iter().max().copied().unwrap_or(0),
        latency: tally.latencies.quantiles(),
        first_byte: tally.first_bytes.quantiles(),
        compared_blocks: tally.compared_blocks,
        load_cpu_s: (after.load_cpu - before.load_cpu).as_secs_f64(),
        server,
    })
}

impl Sample {
    fn take(options: &Options) -> io::Result<Self> {
        let load_cpu = process::cpu_time(0)?;
        let server_cpu = options.server_pid.map(process::cpu_time).transpose()?.unwrap_or_default();
        let disk_bytes = options.server_pid.map(process::disk_bytes).transpose()?.unwrap_or_default();
        Ok(Self { at: Instant::now(), load_cpu, server_cpu, disk_bytes })
    }
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.each.extend(other.each);
        self.latencies.append(other.latencies);
        self.first_bytes.append(other.first_bytes);
        self.unchoked += other.unchoked;
        self.chokes += other.chokes;
        self.compared_blocks += other.compared_blocks;
    }
}

impl ServerReport {
    fn new(pid: i32, before: &Sample, after: &Sample) -> io::Result<Self> {
        Ok(Self {
            cpu_s: (after.server_cpu - before.server_cpu).as_secs_f64(),
            rss_anon_bytes: process::rss_anon_bytes(pid)?,
            rss_file_bytes: process::rss_file_bytes(pid)?,
            disk_bytes: after.disk_bytes - before.disk_bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::TcpListener;
    use std::path::Path;
    use std::thread;

    use clap::Parser;
    use protocol::geometry::Geometry;

    use super::*;
    use crate::{mapping, payload, reference};

    const SIZE: u64 = (3 << 20) + 1000;
    const PIECE_LENGTH: u64 = 1 << 18;

    #[derive(Parser)]
    struct Args {
        #[command(flatten)]
        options: Options,
    }

    /// A load that compares everything with `payload`, on a reference that serves `served`.
    fn load(served: &Path, payload: &Path, more: &[&str]) -> Result<Report, LoadError> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = listener.local_addr().unwrap().to_string();
        let (served, geometry) = (mapping::map(served).unwrap(), Geometry::new(SIZE, PIECE_LENGTH).unwrap());
        // It serves until the tests end.
        thread::spawn(move || reference::serve(&listener, &served, &geometry));
        let (payload, hash) = (payload.to_str().unwrap(), "5ba93c9db0cff93f52b521d7420e43f6eda2784f");
        let torrent = format!("{hash}={payload}");
        let args = ["load", &peer, "--torrent", &torrent, "--piece-length", "256KiB"];
        run(&Args::parse_from([&args, more].concat()).options)
    }

    #[test]
    fn a_load_gets_the_payload_from_the_reference() {
        let directory = tempfile::tempdir().unwrap();
        let payload = payload::prepare(directory.path(), SIZE).unwrap();
        let options = ["--connections", "5", "--window", "40MiB", "--warm", "1MiB", "--verify"];
        let report = load(&payload, &payload, &options).unwrap();
        assert!(report.bytes >= 40 << 20 && report.connection_bytes_min > 0, "{report:?}");
        assert!(report.compared_blocks >= report.bytes / (16 << 10), "{report:?}");
        assert_eq!((report.unchoked, report.chokes), (5, 0));
    }

    #[test]
    fn threads_share_the_connections_and_the_window() {
        let directory = tempfile::tempdir().unwrap();
        let payload = payload::prepare(directory.path(), SIZE).unwrap();
        let options =
            ["--connections", "5", "--idle", "2", "--threads", "2", "--window", "40MiB", "--verify"];
        let report = load(&payload, &payload, &options).unwrap();
        assert!(report.bytes >= 40 << 20 && report.connection_bytes_min > 0, "{report:?}");
        assert!(report.compared_blocks >= report.bytes / (16 << 10), "{report:?}");
        assert_eq!((report.unchoked, report.connection_bytes_mean), (7, report.bytes / 5));
    }

    #[test]
    fn a_thread_that_fails_does_not_leave_the_others_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let payload = payload::prepare(directory.path(), SIZE).unwrap();
        let other = directory.path().join("other");
        fs::write(&other, vec![0; SIZE.try_into().unwrap()]).unwrap();
        // Connections take the torrents in turn, and so do the threads: only the second finds wrong bytes.
        let torrent = format!("6ba93c9db0cff93f52b521d7420e43f6eda2784f={}", other.display());
        let options = ["--torrent", &torrent, "--connections", "2", "--threads", "2"];
        let error = load(&payload, &payload, &options).unwrap_err();
        assert!(matches!(error, LoadError::Wrong { connection: 1, .. }), "{error}");
    }

    #[test]
    fn other_bytes_than_the_payload_are_found_in_the_sample() {
        let directory = tempfile::tempdir().unwrap();
        let payload = payload::prepare(directory.path(), SIZE).unwrap();
        let other = directory.path().join("other");
        fs::write(&other, vec![0; SIZE.try_into().unwrap()]).unwrap();
        let error = load(&other, &payload, &[]).unwrap_err();
        assert!(matches!(error, LoadError::Wrong { .. }), "{error}");
    }

    #[test]
    fn a_load_ends_at_its_deadline() {
        let directory = tempfile::tempdir().unwrap();
        let payload = payload::prepare(directory.path(), SIZE).unwrap();
        let error = load(&payload, &payload, &["--deadline-s", "0"]).unwrap_err();
        assert!(matches!(error, LoadError::Deadline { received: 0, .. }), "{error}");
    }
}
