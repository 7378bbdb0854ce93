//! `btd seed` as it is typed.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::ValueHint;
use service::log::LogArgs;

use super::NewArgs;
use protocol::amount::rate;

/// Not a comment as the others: rustdoc takes `[::]` for a link.
const LISTEN_HELP: &str =
    "Address and port to listen on, repeatable; port 0 picks one [default: 0.0.0.0:6881 and [::]:6881]";

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
