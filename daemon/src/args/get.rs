//! `btd get` as it is typed.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueHint;
use protocol::amount::rate;
use protocol::meta::MagnetPeer;
use serde::{Deserialize, Serialize};
use service::log::LogArgs;

/// Not a comment as the others: rustdoc takes `[::]` for a link.
const GET_LISTEN_HELP: &str = "Address and port to listen on, repeatable; port 0 picks one [default: 0.0.0.0:6881 and \
     [::]:6881, or any port where that is taken]";

/// `btd get`.
#[derive(Debug, clap::Args)]
pub struct GetArgs {
    /// A magnet link, a .torrent file, or the URL of one.
    #[arg(value_name = "MAGNET|FILE|URL", value_hint = ValueHint::FilePath)]
    pub what: OsString,
    /// Where the paths of its files start from.
    #[arg(short, long, value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// Address and port of a peer, repeatable.
    #[arg(long = "peer", value_name = "ADDR:PORT", value_parser = peer)]
    pub peers: Vec<MagnetPeer>,
    /// Address and port to listen on, repeatable; port 0 picks one.
    #[arg(long, value_name = "ADDR:PORT", help = GET_LISTEN_HELP)]
    pub listen: Vec<SocketAddr>,
    /// Fetch these files only: numbers from 0 as `0,2,5-7`, or a pattern as `*.iso`; repeatable.
    #[arg(long, value_name = "INDEX,..|GLOB")]
    pub select: Vec<String>,
    /// Fetch pieces in order, to read while they come.
    #[arg(long)]
    pub sequential: bool,
    /// Go on seeding when all is here.
    #[arg(long)]
    pub seed: bool,
    /// Give up, with exit code 5, when it is not complete after this time: 90s, 10m, 2h.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub timeout: Option<Duration>,
    /// When the disk gives room to files: as they are written, or before.
    #[arg(long, value_name = "HOW", default_value = "sparse")]
    pub preallocate: Preallocate,
    /// Give files names that end in this until they are complete, as `.part`.
    #[arg(long, value_name = "SUFFIX")]
    pub incomplete_suffix: Option<String>,
    /// Threads that move data, each with its own ring [default: one a core].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub workers: Option<u16>,
    /// Most bytes a second that peers get, with k, M or G [default: no limit].
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub upload_limit: Option<u64>,
    /// Most bytes a second that peers give, with k, M or G [default: no limit].
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub download_limit: Option<u64>,
    /// Print one line of JSON for each event.
    #[arg(long)]
    pub json: bool,
    /// How much to say.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Reads the address of a peer.
///
/// # Errors
/// A text that says what is expected.
fn peer(text: &str) -> Result<MagnetPeer, String> {
    MagnetPeer::parse(text)
        .ok_or_else(|| "a peer is HOST:PORT, as 192.0.2.1:6881 or [2001:db8::1]:6881".to_owned())
}

/// When the disk gives room to files: spelled the same on the command line and in the configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preallocate {
    /// As they are written.
    #[default]
    Sparse,
    /// Before anything is fetched.
    Full,
}
