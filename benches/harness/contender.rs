//! Who is compared as a seeder, and how each is started: always with one JSON line on stdout once peers can connect.

use std::fmt;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

use crate::places::Places;
use crate::torrent::Torrent;

/// A seeder that takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Contender {
    /// Ours.
    Btd,
    /// libtorrent-rasterbar under Python, which only starts it.
    Libtorrent,
    /// The bound.
    Reference,
}

const LIBTORRENT_SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/contenders/libtorrent_seed.py");

impl Contender {
    /// The command that seeds `torrent` on loopback, on one core, at a port that it chooses.
    pub fn command(self, places: &Places, torrent: &Torrent) -> Command {
        let piece_length = torrent.geometry.piece_length().to_string();
        match self {
            Self::Btd => {
                let mut command = Command::new(places.binaries.join("btd"));
                command.arg("seed").arg(&torrent.payload).args(["--listen", "127.0.0.1:0", "--json"]);
                command.args(["--workers", "1", "--piece-length", &piece_length]);
                command
            }
            Self::Libtorrent => {
                let mut command = Command::new(places.python());
                let directory = torrent.payload.parent().unwrap_or(Path::new("."));
                command.arg(LIBTORRENT_SCRIPT).arg(&torrent.file).arg(directory);
                command
            }
            Self::Reference => {
                let mut command = Command::new(places.binaries.join("reference"));
                command.arg(&torrent.payload).args(["--piece-length", &piece_length]);
                command
            }
        }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Btd => "btd",
            Self::Libtorrent => "libtorrent",
            Self::Reference => "reference",
        })
    }
}
