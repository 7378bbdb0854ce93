//! The command line as it is typed. What it means is checked in `config`.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use bytesize::ByteSize;
use clap::{Parser, Subcommand, ValueHint};
use protocol::geometry::MAX_PIECE_LENGTH;

/// Not a comment as the others: rustdoc takes `[::]` for a link.
const LISTEN_HELP: &str =
    "Address and port to listen on, repeatable; port 0 picks one [default: 0.0.0.0:6881 and [::]:6881]";

/// Shortest piece of a new torrent: a block. Other clients read shorter ones badly or not at all.
const MIN_PIECE_LENGTH: u32 = protocol::geometry::BLOCK_LENGTH;

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
    /// Print one line of JSON for each path instead of its magnet link.
    #[arg(long)]
    pub json: bool,
    /// How much to say.
    #[command(flatten)]
    pub log: LogArgs,
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
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
