//! Arguments of commands that bring torrents: `add` and `create`.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueHint;
use protocol::control::FilePath;

use super::values::{self, Source};

pub(super) const EXAMPLES: &str = "\
Prints the info-hash and the name of each.

Examples:
  btctl add 'magnet:?xt=urn:btih:...' --dir /srv/iso --label linux
  btctl add big.torrent --select '*.iso' --select 0,2,5-7 --wait --timeout 2h
  btctl add --seed-only --skip-check --dir /srv/payload *.torrent";

pub(super) const CREATE_EXAMPLES: &str = "\
The daemon reads PATH, so it must be one that the daemon may read.

Examples:
  btctl create /srv/iso/new.iso -o new.torrent --tracker https://tracker.example/announce
  btctl create /srv/photos --seed --label photos --private --tracker https://tracker.example/announce";

/// `btctl add`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct AddArgs {
    /// A magnet link, an info-hash, a .torrent file (- for stdin), or the http(s) URL of one.
    #[arg(
        required = true,
        value_name = "MAGNET|FILE|URL",
        value_hint = ValueHint::FilePath,
        value_parser = values::source_parser()
    )]
    pub sources: Vec<Source>,
    /// The folder where the paths of its files start [default: the daemon's data_dir].
    #[arg(short, long, value_hint = ValueHint::DirPath, value_parser = values::path_parser())]
    pub dir: Option<String>,
    /// What to call its kind.
    #[arg(short, long, value_parser = values::label)]
    pub label: Option<String>,
    /// Let it wait until it is resumed.
    #[arg(long)]
    pub paused: bool,
    /// Never fetch or write anything.
    #[arg(long, conflicts_with_all = ["select", "sequential", "download_limit"])]
    pub seed_only: bool,
    /// Take files of the right size for whole; a piece is hashed when it is first asked for.
    #[arg(long)]
    pub skip_check: bool,
    /// Fetch these files only: numbers from 0 as `0,2,5-7`, or a pattern as `*.iso`; repeatable.
    #[arg(long, value_name = "INDEX,..|GLOB")]
    pub select: Vec<String>,
    /// Fetch pieces in order, to read while they come.
    #[arg(long)]
    pub sequential: bool,
    /// Let a file lie elsewhere below the folder, as `3=other/name.iso`; repeatable.
    #[arg(long = "file-path", value_name = "INDEX=PATH", value_parser = values::file_path)]
    pub file_paths: Vec<FilePath>,
    /// Most bytes a second that peers get, with k, M or G.
    #[arg(long, value_name = "RATE", value_parser = values::rate)]
    pub upload_limit: Option<u64>,
    /// Most bytes a second that peers give, with k, M or G.
    #[arg(long, value_name = "RATE", value_parser = values::rate)]
    pub download_limit: Option<u64>,
    /// Pause it when its ratio is as high; `never` to let it go on for ever [default: the daemon's].
    #[arg(long, value_name = "RATIO", value_parser = values::ratio)]
    pub ratio_limit: Option<f64>,
    /// Pause it when it has been seeded as long: 90m, 12h, 7d; `never` for no end [default: the daemon's].
    #[arg(long, value_name = "TIME", value_parser = values::seed_time)]
    pub seed_time_limit: Option<u64>,
    /// Come back when it is complete.
    #[arg(long, conflicts_with = "paused")]
    pub wait: bool,
    /// Give up waiting after this time, with exit code 5: 90s, 10m, 2h.
    #[arg(long, requires = "wait", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub timeout: Option<Duration>,
}

/// `btctl create`.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct CreateArgs {
    /// A file or folder.
    #[arg(value_hint = ValueHint::AnyPath, value_parser = values::path_parser())]
    pub path: String,
    /// The .torrent file to write, - for stdout [default: NAME.torrent here, or none with --seed].
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// Announce URL of a tracker, repeatable.
    #[arg(short, long = "tracker", value_name = "URL", value_hint = ValueHint::Url)]
    pub trackers: Vec<String>,
    /// Bytes in a piece, or with a unit: 256KiB, 4MiB [default: chosen by size].
    #[arg(long, value_name = "SIZE", value_parser = values::piece_length)]
    pub piece_length: Option<u32>,
    /// Peers may come from the trackers only (BEP 27).
    #[arg(long)]
    pub private: bool,
    /// A remark for whoever reads it.
    #[arg(long, value_name = "TEXT")]
    pub comment: Option<String>,
    /// Add it, and seed it.
    #[arg(long)]
    pub seed: bool,
    /// What to call its kind.
    #[arg(short, long, requires = "seed", value_parser = values::label)]
    pub label: Option<String>,
}
