//! The command line as it is typed. What it means is checked in `config`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueHint};

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

/// Options of every command.
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
    /// Where the paths of a .torrent's files start from.
    #[arg(long, value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    pub data: PathBuf,
    /// Address and port to listen on, repeatable; port 0 picks one [default: 0.0.0.0:6881 and [::]:6881].
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Vec<SocketAddr>,
    /// Also write the torrent to this file.
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
    #[arg(long, value_name = "SIZE", value_parser = crate::config::piece_length)]
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
    pub what: String,
    /// Print one line of JSON.
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
