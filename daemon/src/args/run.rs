//! The daemon as it is started by hand or by systemd: `btd run` and `btd check-config`, as they are typed.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::ValueHint;
use service::log::LogArgs;

/// The end of `btd run --help` and of its manual page.
const AFTER: &str = "\
Signals:
  SIGHUP           reads the configuration again, and says what needs a restart
  SIGTERM, SIGINT  end it in order: trackers hear of it, the state is written

The command that on_complete or on_error names is run without a shell. Its environment has BTD_EVENT (completed or \
error), BTD_INFO_HASH, BTD_NAME, BTD_DIR, BTD_LABEL, BTD_SIZE, BTD_DOWNLOADED, BTD_UPLOADED, BTD_RATIO, BTD_ADDED_AT \
and BTD_ERROR. It is held to what the service may do: to write elsewhere it takes the same drop-in as btd.

Files of the service, and of a user:
  /etc/btd/btd.toml   ~/.config/btd/btd.toml             the configuration, if there is one
  /var/lib/btd/data   ~/.local/share/btd/data            torrents that name no other folder
  /var/lib/btd/state  ~/.local/state/btd                 the list of torrents
  /run/btd/btd.sock   $XDG_RUNTIME_DIR/btd/btd.sock      the socket that btctl speaks to";

/// `btd run`. What is given here goes above what the file says.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(after_long_help = AFTER)]
pub struct RunArgs {
    /// The configuration [default: /etc/btd/btd.toml as root or as a service, else ~/.config/btd/btd.toml, where it
    /// exists].
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Address and port to listen on, repeatable; port 0 picks one.
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Vec<SocketAddr>,
    /// Where torrents lie that name no other folder.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data_dir: Option<PathBuf>,
    /// Where the list of torrents is kept.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub state_dir: Option<PathBuf>,
    /// The Unix socket that btctl speaks to.
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub socket: Option<PathBuf>,
    /// Where .torrent files are added from as they appear.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub watch_dir: Option<PathBuf>,
    /// Address and port where Prometheus may read metrics, beside the socket.
    #[arg(long, value_name = "ADDR:PORT")]
    pub metrics_listen: Option<SocketAddr>,
    /// Threads that move data, each with its own ring [default: one a core].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub workers: Option<u16>,
    /// How much to say.
    #[command(flatten)]
    pub log: LogArgs,
}

/// `btd check-config`.
#[derive(Debug, clap::Args)]
pub struct CheckConfigArgs {
    /// The configuration [default: as for `btd run`].
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Print one line of JSON instead of TOML.
    #[arg(long)]
    pub json: bool,
}
