//! The commands that look at files and make them, as they are typed: `btd create`, `btd verify`, `btd inspect`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::ValueHint;
use service::log::LogArgs;

use protocol::amount::piece_length;

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
