//! Arguments of commands that change torrents.

use clap::{ArgGroup, ValueHint};

use super::values::{self, Setting};

pub(super) const REMOVE_EXAMPLES: &str = "\
Examples:
  btctl remove 2e8f04
  btctl remove --data 'Some Name'      its files are deleted too";

pub(super) const VERIFY_EXAMPLES: &str = "\
With --wait it exits with 0 only when all that is wanted is here and right, else with 1.

Example:
  btctl verify --wait all";

pub(super) const MOVE_EXAMPLES: &str = "\
Examples:
  btctl move 2e8f04 /mnt/big                     the daemon moves the files, and goes on from there
  btctl move 2e8f04 /mnt/big --already-there     they have been moved; look there from now on";

pub(super) const LIMIT_EXAMPLES: &str = "\
Examples:
  btctl limit 2e8f04 --up 500k --down 2M
  btctl limit all --ratio 2 --seed-time 14d
  btctl limit 2e8f04 --up none --ratio never --seed-time default";

pub(super) const LABEL_EXAMPLES: &str = "\
Examples:
  btctl label 2e8f04 linux
  btctl label 2e8f04               no label any more";

pub(super) const SELECT_EXAMPLES: &str = "\
Examples:
  btctl select 2e8f04 0,2,5-7 '*.iso'
  btctl select 2e8f04 --all --sequential";

/// `btctl remove`.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct RemoveArgs {
    /// Info-hashes, beginnings of them, names, or `all`.
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<String>,
    /// Delete their payload too.
    #[arg(long)]
    pub data: bool,
}

/// `btctl verify`.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct VerifyArgs {
    /// Info-hashes, beginnings of them, names, or `all`.
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<String>,
    /// Come back when it is done, and say what was found.
    #[arg(long)]
    pub wait: bool,
    /// Give up waiting after this time, with exit code 5: 90s, 10m, 2h.
    #[arg(long, requires = "wait", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub timeout: Option<std::time::Duration>,
}

/// `btctl move`.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct MoveArgs {
    /// An info-hash, the beginning of one, a name, or `all`.
    pub id: String,
    /// The folder where the paths of its files are to start.
    #[arg(value_hint = ValueHint::DirPath, value_parser = values::path_parser())]
    pub dir: String,
    /// The payload lies there already: move nothing.
    #[arg(long)]
    pub already_there: bool,
}

/// `btctl limit`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(group = ArgGroup::new("limits").required(true).multiple(true).args(["up", "down", "ratio", "seed_time"]))]
pub struct LimitArgs {
    /// Info-hashes, beginnings of them, names, or `all`.
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<String>,
    /// Most bytes a second that peers get, with k, M or G; `none` for no limit.
    #[arg(long, value_name = "RATE", value_parser = values::rate_setting)]
    pub up: Option<Setting<u64>>,
    /// Most bytes a second that peers give, with k, M or G; `none` for no limit.
    #[arg(long, value_name = "RATE", value_parser = values::rate_setting)]
    pub down: Option<Setting<u64>>,
    /// Pause when the ratio is as high; `never`, or `default` for the daemon's own.
    #[arg(long, value_name = "RATIO", value_parser = values::ratio_setting)]
    pub ratio: Option<Setting<f64>>,
    /// Pause when seeded as long: 90m, 12h, 7d; `never`, or `default` for the daemon's own.
    #[arg(long, value_name = "TIME", value_parser = values::seed_time_setting)]
    pub seed_time: Option<Setting<u64>>,
}

/// `btctl label`.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct LabelArgs {
    /// An info-hash, the beginning of one, a name, or `all`.
    pub id: String,
    /// What to call its kind; without it the label is taken away.
    #[arg(value_parser = values::label)]
    pub label: Option<String>,
}

/// `btctl select`.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
#[command(
    group = ArgGroup::new("choice").required(true).multiple(true).args(["files", "all", "sequential", "rarest_first"])
)]
pub struct SelectArgs {
    /// An info-hash, the beginning of one, a name, or `all`.
    pub id: String,
    /// Fetch these files only: numbers from 0 as `0,2,5-7`, or patterns as `*.iso`.
    #[arg(value_name = "INDEX,..|GLOB")]
    pub files: Vec<String>,
    /// Fetch all files.
    #[arg(long, conflicts_with = "files")]
    pub all: bool,
    /// Fetch pieces in order, to read while they come.
    #[arg(long)]
    pub sequential: bool,
    /// Fetch pieces that few peers have first, as usual.
    #[arg(long, conflicts_with = "sequential")]
    pub rarest_first: bool,
}
