//! The command line as it is typed. What it means is checked in `config`.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::{Parser, Subcommand, ValueHint};
use protocol::geometry::MAX_PIECE_LENGTH;
use protocol::meta::MagnetPeer;

/// Not a comment as the others: rustdoc takes `[::]` for a link.
const LISTEN_HELP: &str =
    "Address and port to listen on, repeatable; port 0 picks one [default: 0.0.0.0:6881 and [::]:6881]";

/// As [`LISTEN_HELP`], for a command of which several may run.
const GET_LISTEN_HELP: &str = "Address and port to listen on, repeatable; port 0 picks one [default: 0.0.0.0:6881 and \
     [::]:6881, or any port where that is taken]";

/// Shortest piece of a new torrent: a block. Other clients read shorter ones badly or not at all.
const MIN_PIECE_LENGTH: u32 = protocol::geometry::BLOCK_LENGTH;

/// Lowest rate that can be set: less than a block in four seconds looks dead to peers.
const MIN_RATE: u64 = 4096;

/// A BitTorrent seeder that serves memory-mapped payload over io_uring.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What btd can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Share files, folders or torrents until interrupted; prints a magnet link for each.
    Seed(SeedArgs),
    /// Download a torrent; started again, it continues where it was.
    Get(GetArgs),
    /// Show what a .torrent file or a magnet link says.
    Inspect(InspectArgs),
    /// Make a .torrent file of a file or folder.
    Create(CreateArgs),
    /// Compare a torrent's payload on disk with its hashes; exits with 0 only when it is complete.
    Verify(VerifyArgs),
}

impl Command {
    /// How much the command is to say, where that can be chosen.
    pub fn log(&self) -> Option<&LogArgs> {
        match self {
            Self::Seed(args) => Some(&args.log),
            Self::Get(args) => Some(&args.log),
            Self::Create(args) => Some(&args.log),
            Self::Verify(args) => Some(&args.log),
            Self::Inspect(_) => None,
        }
    }
}

/// Options of every command that takes its time.
#[derive(Debug, clap::Args)]
pub struct LogArgs {
    /// Print nothing but results and errors.
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more; twice for every connection.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// `btd seed`.
#[derive(Debug, clap::Args)]
pub struct SeedArgs {
    /// A file, a folder, or a .torrent whose payload lies under --data.
    #[arg(required = true, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub paths: Vec<PathBuf>,
    /// Where the paths of a .torrent's files start from [default: the current folder].
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data: Option<PathBuf>,
    /// Address and port to listen on, repeatable; port 0 picks one.
    #[arg(long, value_name = "ADDR:PORT", help = LISTEN_HELP)]
    pub listen: Vec<SocketAddr>,
    /// Also write the new torrent to this file.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub torrent: Option<PathBuf>,
    /// What a new torrent is to say.
    #[command(flatten)]
    pub new: NewArgs,
    /// Threads that serve, each with its own ring [default: one a core].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub workers: Option<u16>,
    /// Most connections at a time [default: what the limit of open files leaves].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_connections: Option<u32>,
    /// Most bytes a second that peers get, with k, M or G [default: no limit].
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub upload_limit: Option<u64>,
    /// Print one line of JSON for each path instead of its magnet link.
    #[arg(long)]
    pub json: bool,
    /// How much to say.
    #[command(flatten)]
    pub log: LogArgs,
}

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

/// When the disk gives room to files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Preallocate {
    /// As they are written.
    Sparse,
    /// Before anything is fetched.
    Full,
}

/// What goes into a new torrent.
#[derive(Debug, clap::Args)]
pub struct NewArgs {
    /// Announce URL of a tracker, repeatable.
    #[arg(long = "tracker", value_name = "URL", value_hint = ValueHint::Url)]
    pub trackers: Vec<String>,
    /// Bytes in a piece, or with a unit: 256KiB, 4MiB [default: chosen by size].
    #[arg(long, value_name = "SIZE", value_parser = piece_length)]
    pub piece_length: Option<u32>,
    /// Peers may come from the trackers only (BEP 27).
    #[arg(long)]
    pub private: bool,
}

/// `btd create`.
#[derive(Debug, clap::Args)]
pub struct CreateArgs {
    /// A file or folder.
    #[arg(value_hint = ValueHint::AnyPath)]
    pub path: PathBuf,
    /// The .torrent file to write.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: PathBuf,
    /// What it is to say.
    #[command(flatten)]
    pub new: NewArgs,
    /// A remark for whoever reads it.
    #[arg(long, value_name = "TEXT")]
    pub comment: Option<String>,
    /// Print one line of JSON.
    #[arg(long)]
    pub json: bool,
    /// How much to say.
    #[command(flatten)]
    pub log: LogArgs,
}

/// `btd verify`.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// The .torrent file.
    #[arg(value_name = "FILE.torrent", value_hint = ValueHint::FilePath)]
    pub torrent: PathBuf,
    /// Where the paths of its files start from.
    #[arg(long, value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    pub data: PathBuf,
    /// Print one line of JSON.
    #[arg(long)]
    pub json: bool,
    /// How much to say.
    #[command(flatten)]
    pub log: LogArgs,
}

/// `btd inspect`.
#[derive(Debug, clap::Args)]
pub struct InspectArgs {
    /// A .torrent file, or a magnet link.
    #[arg(value_name = "FILE|MAGNET", value_hint = ValueHint::FilePath)]
    pub what: OsString,
    /// Print one line of JSON.
    #[arg(long)]
    pub json: bool,
}

/// Reads a piece length: bytes, or with KiB, MiB, GiB; a power of two from a block up.
///
/// # Errors
/// A text that says what is allowed.
fn piece_length(text: &str) -> Result<u32, String> {
    let allowed = || "a piece length is a power of two from 16KiB to 512MiB".to_owned();
    let size: ByteSize = text.parse().map_err(|_| allowed())?;
    let length = u32::try_from(size.as_u64()).map_err(|_| allowed())?;
    let is_allowed = length.is_power_of_two() && (MIN_PIECE_LENGTH..=MAX_PIECE_LENGTH).contains(&length);
    if is_allowed { Ok(length) } else { Err(allowed()) }
}

/// Reads the address of a peer.
///
/// # Errors
/// A text that says what is expected.
fn peer(text: &str) -> Result<MagnetPeer, String> {
    MagnetPeer::parse(text)
        .ok_or_else(|| "a peer is HOST:PORT, as 192.0.2.1:6881 or [2001:db8::1]:6881".to_owned())
}

/// Reads a rate: bytes a second, or with k, M, G (thousands) or KiB, MiB, GiB.
///
/// # Errors
/// A text that says what is allowed.
fn rate(text: &str) -> Result<u64, String> {
    let allowed = || format!("a rate is bytes a second from {MIN_RATE}, as 500k, 2M or 1.5MiB");
    let size: ByteSize = text.parse().map_err(|_| allowed())?;
    Some(size.as_u64()).filter(|rate| *rate >= MIN_RATE).ok_or_else(allowed)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_rate_is_bytes_with_or_without_a_unit() {
        assert_eq!(rate("5000"), Ok(5_000));
        assert_eq!(rate("500k"), Ok(500_000));
        assert_eq!(rate("2M"), Ok(2_000_000));
        assert_eq!(rate("1.5MiB"), Ok(1_572_864));
        assert_eq!(rate("1G"), Ok(1_000_000_000));
        for text in ["", "x", "0", "10", "-5M", "M"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_piece_length_is_a_power_of_two_with_or_without_a_unit() {
        assert_eq!(piece_length("16384"), Ok(16_384));
        assert_eq!(piece_length("1MiB"), Ok(1 << 20));
        assert_eq!(piece_length("512 MiB"), Ok(512 << 20));
        for text in ["", "x", "0", "8KiB", "24KiB", "1GiB", "-1", "1MB"] {
            assert!(piece_length(text).is_err(), "{text}");
        }
    }
}
