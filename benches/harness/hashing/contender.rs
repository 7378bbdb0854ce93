//! Who is compared, and how each is started: to hash one payload on all cores, then to end.

use std::fmt;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

use super::Work;
use crate::places::Places;
use crate::torrent::Torrent;

/// A program that takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Contender {
    /// Ours.
    Btd,
    /// mktorrent, which only makes torrents.
    Mktorrent,
    /// transmission-create; what checks payload is no program of its own.
    Transmission,
    /// libtorrent-rasterbar under Python, which only starts it.
    Libtorrent,
    /// openssl dgst: plain SHA-1 of the whole file on one thread, a measure for the others.
    Openssl,
}

/// What is hashed, and where a new torrent goes.
#[derive(Debug)]
pub(super) struct Job<'a> {
    pub(super) torrent: &'a Torrent,
    /// The folder of the payload that is compared.
    pub(super) data: &'a Path,
    /// The torrent that is made; there is none yet.
    pub(super) output: &'a Path,
    /// How many cores there are.
    pub(super) cores: usize,
}

const CREATE_SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/contenders/libtorrent_create.py");
const VERIFY_SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/contenders/libtorrent_verify.py");
/// mktorrent makes none without a tracker.
const TRACKER: &str = "http://127.0.0.1/announce";

impl Contender {
    /// Whether it does such work.
    pub(super) fn can(self, work: Work) -> bool {
        match self {
            Self::Btd | Self::Libtorrent | Self::Openssl => true,
            Self::Mktorrent | Self::Transmission => work == Work::Create,
        }
    }

    /// The command that does `job` and ends with success when all is well; of work that it [`can`](Self::can) do.
    pub(super) fn command(self, work: Work, places: &Places, job: &Job<'_>) -> Command {
        let (payload, torrent) = (&job.torrent.payload, &job.torrent.file);
        let piece_length = job.torrent.geometry.piece_length();
        let mut command = self.program(places);
        match (self, work) {
            (Self::Btd, Work::Create) => {
                command.args(["create", "--quiet", "--piece-length", &piece_length.to_string()]);
                command.arg("--output").arg(job.output).arg(payload);
            }
            (Self::Btd, Work::Verify) => {
                command.args(["verify", "--json", "--data"]).arg(job.data).arg(torrent);
            }
            (Self::Mktorrent, _) => {
                let (exponent, threads) = (piece_length.trailing_zeros(), job.cores);
                command.args(["-a", TRACKER, "-l", &exponent.to_string(), "-t", &threads.to_string()]);
                command.arg("-o").arg(job.output).arg(payload);
            }
            (Self::Transmission, _) => {
                let kibibytes = piece_length / 1024;
                command.args(["-s", &kibibytes.to_string(), "-o"]).arg(job.output).arg(payload);
            }
            (Self::Libtorrent, Work::Create) => {
                command.arg(CREATE_SCRIPT).arg(payload).arg(job.output).arg(piece_length.to_string());
            }
            (Self::Libtorrent, Work::Verify) => {
                command.arg(VERIFY_SCRIPT).arg(torrent).arg(job.data);
            }
            (Self::Openssl, _) => {
                command.args(["dgst", "-sha1"]).arg(payload);
            }
        }
        command
    }

    /// Its version, if it says one; libtorrent says it with its result.
    pub(super) fn version(self, places: &Places) -> Option<String> {
        let question = match self {
            Self::Btd | Self::Transmission => "--version",
            Self::Mktorrent => "-h",
            Self::Openssl => "version",
            Self::Libtorrent => return None,
        };
        let output = self.program(places).arg(question).output().ok()?;
        // transmission says it on stderr.
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit())).map(str::to_owned)
    }

    fn program(self, places: &Places) -> Command {
        match self {
            Self::Btd => Command::new(places.binaries.join("btd")),
            Self::Mktorrent => Command::new("mktorrent"),
            Self::Transmission => Command::new("transmission-create"),
            Self::Libtorrent => places.python(),
            Self::Openssl => Command::new("openssl"),
        }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Btd => "btd",
            Self::Mktorrent => "mktorrent",
            Self::Transmission => "transmission",
            Self::Libtorrent => "libtorrent",
            Self::Openssl => "openssl",
        })
    }
}
