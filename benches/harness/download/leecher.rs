//! Who is compared as a leecher, and how each is started: to download one torrent from one peer, then to end.

use std::fmt;
use std::net::SocketAddrV4;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

use crate::places::Places;
use crate::torrent::Torrent;

/// A leecher that takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Leecher {
    /// Ours.
    Btd,
    /// libtorrent-rasterbar under Python, which only starts it.
    Libtorrent,
    /// aria2c.
    Aria2,
    /// rqbit.
    Rqbit,
}

/// What is downloaded, from where and to where.
#[derive(Debug)]
pub(super) struct Job<'a> {
    pub(super) torrent: &'a Torrent,
    pub(super) seed: SocketAddrV4,
    /// A tracker that names the seed.
    pub(super) tracker: &'a str,
    pub(super) folder: &'a Path,
}

const LIBTORRENT_SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/contenders/libtorrent_get.py");

/// aria2 on nothing but what is asked for; a larger disk cache than its 16 MiB changes nothing.
const ARIA2_OPTIONS: [&str; 11] = [
    "--no-conf",
    "--quiet",
    "--seed-time=0",
    "--file-allocation=none",
    "--auto-save-interval=0",
    "--bt-max-peers=1",
    "--bt-enable-lpd=false",
    "--enable-dht=false",
    "--enable-dht6=false",
    "--enable-peer-exchange=false",
    "--disable-ipv6",
];
/// rqbit the same, and with the runtime that suits one core best.
const RQBIT_OPTIONS: [&str; 9] = [
    "--single-thread-runtime",
    "--disable-tcp-listen",
    "--disable-trackers",
    "--disable-dht",
    "--disable-lsd",
    "--disable-upnp-port-forward",
    "download",
    "--disable-http-api",
    "--exit-on-finish",
];

impl Leecher {
    /// The command that does `job` and exits with success once all pieces are verified and written.
    pub(super) fn command(self, places: &Places, job: &Job<'_>) -> Command {
        let seed = job.seed.to_string();
        let mut command = self.program(places);
        match self {
            Self::Btd => {
                command.arg("get").arg("--dir").arg(job.folder).args(["--peer", &seed]);
                command.args(["--listen", "127.0.0.1:0", "--quiet"]).arg(&job.torrent.file);
            }
            Self::Libtorrent => {
                command.arg(LIBTORRENT_SCRIPT).arg(&job.torrent.file).arg(job.folder).arg(seed);
            }
            Self::Aria2 => {
                command.args(ARIA2_OPTIONS).arg(format!("--bt-tracker={}", job.tracker));
                command.arg("--dir").arg(job.folder).arg(&job.torrent.file);
            }
            Self::Rqbit => {
                command.args(RQBIT_OPTIONS).args(["--initial-peers", &seed]);
                command.arg("--output-folder").arg(job.folder).arg(&job.torrent.file);
            }
        }
        command
    }

    /// Its version, if it says one; libtorrent says it with its result.
    pub(super) fn version(self, places: &Places) -> Option<String> {
        let output = self.program(places).arg("--version").output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout);
        text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit())).map(str::to_owned)
    }

    fn program(self, places: &Places) -> Command {
        match self {
            Self::Btd => Command::new(places.binaries.join("btd")),
            Self::Libtorrent => places.python(),
            Self::Aria2 => Command::new("aria2c"),
            Self::Rqbit => Command::new(places.rqbit()),
        }
    }
}

impl fmt::Display for Leecher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Btd => "btd",
            Self::Libtorrent => "libtorrent",
            Self::Aria2 => "aria2",
            Self::Rqbit => "rqbit",
        })
    }
}
