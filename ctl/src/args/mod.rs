//! The command line as it is typed: `btctl --help`, the man pages and the completions are made from it. Values become
//! types here (`values`), so that what makes no sense never leaves: it ends with exit code 2.

mod add;
mod change;
mod look;
#[cfg(test)]
mod tests;
mod values;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueHint};
use clap_complete::Shell;

pub use add::{AddArgs, CreateArgs};
pub use change::{LabelArgs, LimitArgs, MoveArgs, RemoveArgs, SelectArgs, VerifyArgs};
pub use look::{ExportArgs, FilterArgs, ListArgs, Torrent, Torrents, WaitArgs, WatchArgs};
pub use values::{Setting, Source, absolute};

/// What `--help` and the man page say of it all.
const ABOUT: &str = "\
The control tool of btd, the daemon that seeds and downloads torrents.

It talks to a running btd over its Unix socket: --socket or BTD_SOCKET name it, else /run/btd/btd.sock is taken if it \
is there, else btd/btd.sock below XDG_RUNTIME_DIR.

A torrent is named by its info-hash, by the beginning of it if only one torrent begins so (4 digits or more), or by \
its whole name. Actions take several, and `all` for every torrent.

Tables are for people. With --json every command prints JSON whose fields stay as they are: sizes in bytes, rates in \
bytes a second, durations in seconds, times in seconds since 1970.";

/// The end of `--help` and of the man page.
const AFTER: &str = "\
Examples:
  btctl add ubuntu.torrent --dir /srv/iso --wait     download it, and come back when it is here
  btctl add --seed-only --skip-check --dir /srv *.torrent
  btctl list --state downloading --sort -download_rate
  btctl watch                                        what is going on, live
  btctl list --json | jq -r '.[] | select(.ratio > 2) | .info_hash' | xargs -r btctl remove
  btctl create /srv/iso/new.iso --tracker https://tracker.example/announce --seed -o new.torrent

Exit codes:
  0  done
  1  refused by the daemon, or failed
  2  usage: an argument makes no sense, or names a file that cannot be read
  3  no daemon can be reached at the socket, or it went away
  4  there is no such torrent
  5  timed out";

/// The control tool of btd.
#[derive(Debug, Parser)]
#[command(
    name = "btctl",
    version,
    about = "The control tool of btd",
    long_about = ABOUT,
    after_help = AFTER,
    arg_required_else_help = true,
    subcommand_required = true
)]
pub struct Args {
    /// How to talk, whatever is said.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Options of every command")]
pub struct GlobalArgs {
    /// The daemon's socket [default: /run/btd/btd.sock, or btd/btd.sock below XDG_RUNTIME_DIR].
    #[arg(
        long,
        global = true,
        env = "BTD_SOCKET",
        hide_env_values = true,
        value_name = "PATH",
        value_hint = ValueHint::FilePath
    )]
    pub socket: Option<PathBuf>,
    /// Print JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// When to use colours; `auto` is on a terminal, unless NO_COLOR is set.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On a terminal.
    Auto,
    /// Also in files and pipes.
    Always,
    /// In black and white.
    Never,
}

/// What btctl can do.
#[derive(Debug, PartialEq, Subcommand)]
pub enum Command {
    /// Add torrents: magnet links, info-hashes, .torrent files or their URLs
    #[command(after_help = add::EXAMPLES)]
    Add(Box<AddArgs>),
    /// List torrents
    #[command(visible_alias = "ls", after_help = look::LIST_EXAMPLES)]
    List(ListArgs),
    /// Show all about torrents
    Show(Torrents),
    /// List the files of a torrent
    Files(Torrent),
    /// List the connected peers of a torrent
    Peers(Torrent),
    /// List the trackers of a torrent, and how they answer
    Trackers(Torrent),
    /// Show which pieces of a torrent are here
    Pieces(Torrent),
    /// Show what the daemon is doing
    Stats,
    /// Stop torrents; peers get nothing of them until they are resumed
    Pause(Torrents),
    /// Go on with torrents, also after an error
    Resume(Torrents),
    /// Forget torrents; their payload stays unless --data is given
    #[command(visible_alias = "rm", after_help = change::REMOVE_EXAMPLES)]
    Remove(RemoveArgs),
    /// Hash all of the payload of torrents
    #[command(after_help = change::VERIFY_EXAMPLES)]
    Verify(VerifyArgs),
    /// Ask the trackers of torrents for peers, as soon as they allow it
    Reannounce(Torrents),
    /// Move the payload of a torrent to another folder
    #[command(visible_alias = "set-location", after_help = change::MOVE_EXAMPLES)]
    Move(MoveArgs),
    /// Limit rates, ratio and seed time of torrents
    #[command(after_help = change::LIMIT_EXAMPLES)]
    Limit(LimitArgs),
    /// Label a torrent, or take its label away
    #[command(after_help = change::LABEL_EXAMPLES)]
    Label(LabelArgs),
    /// Choose which files of a torrent to fetch, and in which order
    #[command(after_help = change::SELECT_EXAMPLES)]
    Select(SelectArgs),
    /// Have the daemon make a torrent of a file or folder
    #[command(after_help = add::CREATE_EXAMPLES)]
    Create(CreateArgs),
    /// Give the .torrent file of a torrent back
    #[command(after_help = look::EXPORT_EXAMPLES)]
    Export(ExportArgs),
    /// Print the magnet links of torrents
    Magnet(Torrents),
    /// Wait until torrents are complete
    #[command(after_help = look::WAIT_EXAMPLES)]
    Wait(WaitArgs),
    /// Show the list live; q quits
    #[command(after_help = look::WATCH_EXAMPLES)]
    Watch(WatchArgs),
    /// Write a copy of the daemon's state to a file, while it runs
    Backup {
        /// A file that is not there yet.
        #[arg(value_hint = ValueHint::FilePath, value_parser = values::path_parser())]
        file: String,
    },
    /// Print what happens to torrents, as it happens
    #[command(after_help = look::EVENTS_EXAMPLES)]
    Events,
    /// End the daemon, in order
    Shutdown,
    /// Print the versions of btctl and of the daemon
    Version,
    /// Print completions for a shell
    #[command(
        after_help = "Example:\n  btctl completions bash > ~/.local/share/bash-completion/completions/btctl"
    )]
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Write the man pages
    #[command(hide = true)]
    Man {
        /// Where to; one page to stdout if it is left out.
        #[arg(value_hint = ValueHint::DirPath)]
        dir: Option<PathBuf>,
    },
}
