//! The command line as typed.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueHint};
use clap_complete::Shell;
use service::log::LogArgs;

/// A standalone BitTorrent tracker.
///
/// Without a command it tells peers of each other, over HTTP and UDP, until a signal ends it.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
#[command(after_help = "Examples:\n  bttracker\n  bttracker --http 127.0.0.1:8080 --udp 0.0.0.0:6969\n  \
    bttracker check-config --config /etc/bttracker/bttracker.toml")]
pub struct Args {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to serve.
    #[command(flatten)]
    pub run: RunArgs,
}

/// What bttracker can do beside serving.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say whether a configuration is right, and what it comes to.
    CheckConfig(CheckConfigArgs),
    /// Print what a shell needs to complete the command line.
    Completions {
        /// Which shell.
        shell: Shell,
    },
    /// Write the manual pages.
    #[command(hide = true)]
    Man {
        /// Where to write a page for each command [default: the page of bttracker itself, to stdout].
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        folder: Option<PathBuf>,
    },
}

/// How to serve.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct RunArgs {
    /// Serve HTTP at this address instead of those of the configuration [default: port 6969 of all addresses].
    #[arg(long, value_name = "ADDR")]
    pub http: Vec<SocketAddr>,
    /// Serve UDP at this address instead of those of the configuration [default: port 6969 of all addresses].
    #[arg(long, value_name = "ADDR")]
    pub udp: Vec<SocketAddr>,
    /// The configuration [default: /etc/bttracker/bttracker.toml, or one in your own configuration folder].
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// What is said.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Which configuration to check.
#[derive(Debug, Clone, clap::Args)]
pub struct CheckConfigArgs {
    /// The configuration [default: the one that would be served by].
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Print it as JSON.
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

    #[test]
    fn addresses_are_given_one_by_one() {
        let args = Args::try_parse_from(["bttracker", "--http", "127.0.0.1:1", "--http", "[::1]:2", "-v"]);
        let run = args.unwrap().run;
        assert_eq!((run.http.len(), run.udp.len(), run.log.verbose), (2, 0, 1));
        for wrong in [&["--http", "127.0.0.1"][..], &["--udp", "localhost:1"], &["--http"], &["serve"]] {
            assert!(Args::try_parse_from([&["bttracker"], wrong].concat()).is_err(), "{wrong:?}");
        }
    }
}
