//! bttracker: a standalone tracker. Its service comes later; until then it says who it is, and writes its manual.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand, ValueHint};
use clap_complete::Shell;
use service::manual;

/// A standalone BitTorrent tracker.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Args {
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

/// What bttracker can do.
#[derive(Debug, Subcommand)]
enum Command {
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

fn main() -> ExitCode {
    let command = Args::command();
    let result = match Args::parse().command {
        Command::Completions { shell } => manual::completions(command, shell),
        Command::Man { folder } => manual::pages(command, folder.as_deref()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_page_is_written_for_each_command_that_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        manual::pages(Args::command(), Some(folder.path())).unwrap();
        let page = std::fs::read_to_string(folder.path().join("bttracker.1")).unwrap();
        assert!(page.contains("A standalone BitTorrent tracker"), "{page}");
        assert!(folder.path().join("bttracker-completions.1").exists());
        assert!(!folder.path().join("bttracker-man.1").exists());
    }
}
