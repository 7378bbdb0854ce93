//! What a load is told: its command line, and the process that it runs in.

use std::io;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::load::{Order, Report};
use crate::places::Places;
use crate::torrent::Torrent;

/// Longest a load may take.
const LIMIT: Duration = Duration::from_secs(180);

/// A load on one seeder.
#[derive(Debug, Clone)]
pub(super) struct Plan<'a> {
    pub(super) torrents: &'a [Torrent],
    pub(super) connections: usize,
    pub(super) idle: usize,
    pub(super) outstanding: u32,
    pub(super) order: Order,
    /// Requests a second of all connections; none for as many as are answered.
    pub(super) rate: Option<f64>,
    /// Payload or a time, as the load takes it.
    pub(super) warm: String,
    pub(super) window: String,
    pub(super) core: Option<usize>,
    /// How many of the load share the connections.
    pub(super) threads: usize,
}

/// A load that is under way. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Running(Option<Child>);

impl Plan<'_> {
    /// Starts it on whoever listens at `address`, and has it measure the process `server`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start(&self, places: &Places, address: SocketAddr, server: i32) -> io::Result<Running> {
        let mut command = Command::new(places.binaries.join("load"));
        command.arg(address.to_string());
        for torrent in self.torrents {
            command.arg("--torrent").arg(format!("{}={}", torrent.info_hash, torrent.payload.display()));
        }
        let piece_length = self.torrents.first().map_or(0, |torrent| torrent.geometry.piece_length());
        let order = match self.order {
            Order::InOrder => "in-order",
            Order::Random => "random",
        };
        let options = [
            ("--piece-length", Some(piece_length.to_string())),
            ("--connections", Some(self.connections.to_string())),
            ("--threads", Some(self.threads.to_string())),
            ("--idle", Some(self.idle.to_string())),
            ("--outstanding", Some(self.outstanding.to_string())),
            ("--order", Some(order.to_owned())),
            ("--rate", self.rate.map(|rate| rate.to_string())),
            ("--warm", Some(self.warm.clone())),
            ("--window", Some(self.window.clone())),
            ("--server-pid", Some(server.to_string())),
            ("--core", self.core.map(|core| core.to_string())),
            ("--deadline-s", Some(LIMIT.as_secs().to_string())),
        ];
        for (name, value) in options {
            command.args(value.iter().flat_map(|value| [name, value]));
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(Running(Some(command.spawn()?)))
    }

    /// As [`Plan::start`], to its end.
    ///
    /// # Errors
    /// When it cannot be started, or has no result.
    pub(super) fn run(&self, places: &Places, address: SocketAddr, server: i32) -> io::Result<Report> {
        self.start(places, address, server)?.finish()
    }
}

impl Running {
    /// Waits for its end.
    ///
    /// # Errors
    /// When it has no result.
    pub(super) fn finish(mut self) -> io::Result<Report> {
        let child = self.0.take().ok_or_else(|| io::Error::other("it has ended"))?;
        let output = child.wait_with_output()?;
        if !output.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        serde_json::from_slice(&output.stdout).map_err(io::Error::other)
    }

    /// Whether it still goes on.
    ///
    /// # Errors
    /// When the system does not say.
    pub(super) fn is_running(&mut self) -> io::Result<bool> {
        self.0.as_mut().map_or(Ok(false), |child| Ok(child.try_wait()?.is_none()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
