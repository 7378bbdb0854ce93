//! The command line as it is typed. What it means is checked in `config`.

mod files;
mod get;
mod manual;
mod run;
mod seed;

use clap::{Parser, Subcommand};
use service::log::LogArgs;

pub use files::{CreateArgs, InspectArgs, NewArgs, VerifyArgs};
pub use get::{GetArgs, Preallocate};
pub use manual::{CompletionsArgs, ManArgs};
pub use run::{CheckConfigArgs, RunArgs};
pub use seed::SeedArgs;

/// The end of `--help` and of the manual page.
const AFTER: &str = "\
As a service, which btctl controls:
  systemctl start btd                    or `btd run`, for yourself alone
  btctl add 'magnet:?xt=urn:btih:...'    also a .torrent file or its URL
  btctl add --seed-only --dir /srv/iso *.torrent
  btctl watch                            what is going on, live
  btctl list --json | jq -r '.[].name'
  curl --unix-socket /run/btd/btd.sock http://btd/v1/stats

Without one:
  btd get debian.torrent --dir /srv/iso
  btd seed /srv/iso

Exit codes:
  0    done
  1    failed: stderr says why
  2    usage: an argument makes no sense
  5    get: not complete within --timeout
  130  get: interrupted";

/// A BitTorrent client and daemon that seeds and downloads over io_uring.
#[derive(Debug, Parser)]
#[command(version, after_long_help = AFTER)]
pub struct Args {
    /// What to do [default: run].
    #[command(subcommand)]
    pub command: Option<Command>,
}

impl Args {
    /// What to do: to run as a daemon, unless something else is asked for.
    pub fn into_command(self) -> Command {
        self.command.unwrap_or_else(|| Command::Run(RunArgs::default()))
    }
}

/// What btd can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run as a daemon, which btctl talks to; also what btd does when nothing is asked of it.
    Run(RunArgs),
    /// Say whether the configuration of the daemon is good, and what it comes to.
    CheckConfig(CheckConfigArgs),
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
    /// Print what a shell needs to complete the command line.
    Completions(CompletionsArgs),
    /// Write the manual pages.
    #[command(hide = true)]
    Man(ManArgs),
}

impl Command {
    /// How much the command is to say, where that can be chosen.
    pub fn log(&self) -> Option<&LogArgs> {
        match self {
            Self::Run(args) => Some(&args.log),
            Self::Seed(args) => Some(&args.log),
            Self::Get(args) => Some(&args.log),
            Self::Create(args) => Some(&args.log),
            Self::Verify(args) => Some(&args.log),
            Self::Inspect(_) | Self::CheckConfig(_) | Self::Completions(_) | Self::Man(_) => None,
        }
    }
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
    fn nothing_asked_for_is_to_run() {
        let command = |arguments: &[&str]| Args::parse_from(arguments).into_command();
        assert!(matches!(command(&["btd"]), Command::Run(RunArgs { config: None, .. })));
        let Command::Run(args) = command(&["btd", "run", "--config", "x"]) else { panic!("run is run") };
        assert_eq!(args.config, Some("x".into()));
    }
}
