//! transmission-daemon as a contender: one file, two pieces and no tracker for each torrent, all of them paused, which is
//! the least it can be given; it would take a tenth of a second to check each. They lie where it looks for them when it
//! starts.

use std::fs;
use std::io;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::torrents::Kind;
use super::{Contender, DAEMON_CORE};
use crate::daemon::Daemon;
use crate::http::Http;
use crate::places::Places;

/// What `transmission-remote --list` asks for.
const FIELDS: [&str; 14] = [
    "error",
    "errorString",
    "eta",
    "id",
    "isFinished",
    "leftUntilDone",
    "name",
    "peersGettingFromUs",
    "peersSendingToUs",
    "rateDownload",
    "rateUpload",
    "sizeWhenDone",
    "status",
    "uploadRatio",
];
const PATIENCE: Duration = Duration::from_secs(900);
/// How long it gets to come to rest: nothing tells when it has.
const SETTLE_TIME: Duration = Duration::from_secs(5);
const POLL_PERIOD: Duration = Duration::from_millis(50);

/// transmission-daemon, and where all that it knows lies.
#[derive(Debug)]
pub(super) struct Transmission {
    folder: PathBuf,
    log: PathBuf,
    count: usize,
    is_loaded: bool,
    port: u16,
    daemon: Option<Daemon>,
}

#[derive(Debug, Deserialize)]
struct Reply {
    arguments: Arguments,
}

#[derive(Debug, Deserialize)]
struct Arguments {
    torrents: Vec<IgnoredAny>,
}

impl Transmission {
    /// Lays out the payload of `count` torrents below `folder`.
    ///
    /// # Errors
    /// When that cannot be done.
    pub(super) fn prepare(places: &Places, folder: &Path, count: usize) -> io::Result<Self> {
        kind().lay_out(&folder.join("payload"), count)?;
        let port = free_port()?;
        let settings = json!({
            "dht-enabled": false, "lpd-enabled": false, "pex-enabled": false, "utp-enabled": false,
            "port-forwarding-enabled": false, "bind-address-ipv4": "127.0.0.1", "peer-port": free_port()?,
            "rpc-bind-address": "127.0.0.1", "rpc-port": port, "rpc-whitelist-enabled": false,
            "rpc-host-whitelist-enabled": false, "rpc-authentication-required": false,
            "download-queue-enabled": false, "download-dir": folder.join("payload"),
        });
        fs::create_dir_all(folder.join("config/torrents"))?;
        fs::write(folder.join("config/settings.json"), settings.to_string())?;
        let log = places.log("scale-transmission");
        Ok(Self { folder: folder.to_owned(), log, count, is_loaded: false, port, daemon: None })
    }

    /// One call of its RPC for all torrents; how many there are, and how long it took.
    fn ask(&self) -> io::Result<(usize, Duration)> {
        let request = json!({"method": "torrent-get", "arguments": {"fields": FIELDS}}).to_string();
        let mut http = Http::new(TcpStream::connect(("127.0.0.1", self.port))?);
        let line = "POST /transmission/rpc";
        let refusal = http.ask(line, "", b"{}")?;
        let session = refusal.header("x-transmission-session-id").unwrap_or_default();
        let header = format!("X-Transmission-Session-Id: {session}\r\n");
        let begin = Instant::now();
        let answer = http.ask(line, &header, request.as_bytes())?;
        let took = begin.elapsed();
        let reply: Reply = serde_json::from_slice(&answer.accepted()?).map_err(io::Error::other)?;
        Ok((reply.arguments.torrents.len(), took))
    }

    /// Returns when it lists all torrents.
    fn await_all(&self) -> io::Result<()> {
        let begin = Instant::now();
        let count = if self.is_loaded { self.count } else { 0 };
        while self.ask().map_or(true, |(found, _)| found < count) {
            if begin.elapsed() > PATIENCE {
                return Err(io::Error::other("it does not list all torrents"));
            }
            thread::sleep(POLL_PERIOD);
        }
        Ok(())
    }
}

fn kind() -> Kind {
    Kind { files: 1, pieces: 2, trackers: Vec::new() }
}

/// A port that is free now, and that nobody else takes meanwhile: it lets none be chosen by the system.
fn free_port() -> io::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

impl Contender for Transmission {
    fn count(&self) -> usize {
        self.count
    }

    /// It says that it is ready before it has its torrents: it counts from when it lists them.
    fn start(&mut self) -> io::Result<Duration> {
        let begin = Instant::now();
        let mut command = Command::new("transmission-daemon");
        command.args(["--foreground", "--paused", "--config-dir"]).arg(self.folder.join("config"));
        let (daemon, _) = Daemon::start(command, DAEMON_CORE, &self.log)?;
        self.daemon = Some(daemon);
        self.await_all()?;
        Ok(begin.elapsed())
    }

    fn stop(&mut self) -> io::Result<Duration> {
        self.daemon.take().map_or(Ok(Duration::ZERO), Daemon::stop)
    }

    fn pid(&self) -> io::Result<i32> {
        self.daemon.as_ref().map(Daemon::pid).ok_or_else(|| io::Error::other("it does not run"))
    }

    /// Through a restart: that is much faster for it than to be given one after the other.
    fn load(&mut self) -> io::Result<Duration> {
        self.stop()?;
        for number in 0..self.count {
            let path = self.folder.join("config/torrents").join(format!("{number:06}.torrent"));
            fs::write(path, kind().metainfo(number))?;
        }
        self.is_loaded = true;
        self.start()
    }

    fn settle(&mut self) -> io::Result<()> {
        thread::sleep(SETTLE_TIME);
        Ok(())
    }

    /// Through its RPC, without a client's own time.
    fn list(&mut self) -> io::Result<(Duration, Duration)> {
        let (found, took) = self.ask()?;
        if found != self.count {
            return Err(io::Error::other(format!("{found} of {} torrents are in the list", self.count)));
        }
        Ok((took, Duration::ZERO))
    }

    fn ask_for_changes(&mut self) -> io::Result<Option<Duration>> {
        Ok(None)
    }
}

/// Its version, if it is there.
pub(super) fn version() -> Option<String> {
    let output = Command::new("transmission-daemon").arg("--version").output().ok()?;
    // It says so on stderr.
    let text = String::from_utf8_lossy(&output.stderr);
    Some(text.split_whitespace().nth(1)?.to_owned())
}
