//! Arguments of commands that look at torrents, and change nothing.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueHint;
use protocol::control::{ListQuery, Sort, State};

use super::values;

pub(super) const LIST_EXAMPLES: &str = "\
Examples:
  btctl list --state seeding --sort -upload_rate
  btctl list --label '' --tracker tracker.example
  btctl list --json | jq -r '.[] | [.info_hash, .name] | @tsv'";

pub(super) const EXPORT_EXAMPLES: &str = "\
Examples:
  btctl export 2e8f04 -o ubuntu.torrent
  btctl export 2e8f04 | btd inspect /dev/stdin";

pub(super) const WAIT_EXAMPLES: &str = "\
It ends with 0 when all of them are complete, with 1 when one of them fails, with 4 when one is removed, with 5 when \
it takes too long. A torrent that is paused makes no progress, and is waited for.

Example:
  btctl wait 2e8f04 --timeout 2h && notify-send 'It is here'";

pub(super) const WATCH_EXAMPLES: &str = "\
Keys: q, Esc or Ctrl-C quits; arrows, PgUp, PgDn, Home and End scroll.";

pub(super) const EVENTS_EXAMPLES: &str = "\
The first event is `hello`: whatever is done from then on will be told. With --json each is a line of JSON.

Example:
  btctl events --json | jq --unbuffered -r 'select(.event == \"completed\") | .name'";

/// One torrent.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Torrent {
    /// An info-hash, the beginning of one, or a name.
    pub id: String,
}

/// Some torrents.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Torrents {
    /// Info-hashes, beginnings of them, names, or `all`.
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<String>,
}

/// Which torrents, in which order.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct FilterArgs {
    /// Only those in this state.
    #[arg(short, long, value_parser = values::state_parser())]
    pub state: Option<State>,
    /// Only those with this label; '' for those without one.
    #[arg(short, long)]
    pub label: Option<String>,
    /// Only those that have a tracker on this host.
    #[arg(short, long, value_name = "HOST")]
    pub tracker: Option<String>,
    /// A field of the JSON to sort by, with a - before it for the largest first [default: as they were added].
    #[arg(long, value_name = "[-]FIELD", allow_hyphen_values = true)]
    pub sort: Option<Sort>,
}

impl FilterArgs {
    /// What to ask the daemon for.
    pub fn query(&self) -> ListQuery {
        let Self { state, label, tracker, sort } = self.clone();
        ListQuery { state, label, tracker, sort, ..ListQuery::default() }
    }
}

/// `btctl list`.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct ListArgs {
    /// Which.
    #[command(flatten)]
    pub filter: FilterArgs,
}

/// `btctl watch`.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct WatchArgs {
    /// Which.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// How often to look: 500ms, 5s.
    #[arg(short, long, value_name = "TIME", default_value = "1s", value_parser = values::interval)]
    pub interval: Duration,
}

/// `btctl wait`.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct WaitArgs {
    /// Info-hashes, beginnings of them, names, or `all`.
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<String>,
    /// Give up after this time, with exit code 5: 90s, 10m, 2h.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub timeout: Option<Duration>,
}

/// `btctl export`.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct ExportArgs {
    /// An info-hash, the beginning of one, or a name.
    pub id: String,
    /// The file to write [default: stdout].
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
}
