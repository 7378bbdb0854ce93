//! bttracker: a standalone tracker. Its service comes later; until then it says who it is, and writes its manual.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand, ValueHint};
use clap_complete::Shell;

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
        Command::Completions { shell } => complete(command, shell),
        Command::Man { folder } => write_manual(command, folder.as_deref()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn complete(mut command: clap::Command, shell: Shell) -> io::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "bttracker", &mut script);
    io::stdout().write_all(&script)
}

fn write_manual(command: clap::Command, folder: Option<&Path>) -> io::Result<()> {
    match folder {
        Some(folder) => clap_mangen::generate_to(command, folder),
        None => clap_mangen::Man::new(command).render(&mut io::stdout()),
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
        write_manual(Args::command(), Some(folder.path())).unwrap();
        let page = std::fs::read_to_string(folder.path().join("bttracker.1")).unwrap();
        assert!(page.contains("A standalone BitTorrent tracker"), "{page}");
        assert!(folder.path().join("bttracker-completions.1").exists());
        assert!(!folder.path().join("bttracker-man.1").exists());
        assert!(write_manual(Args::command(), Some(&folder.path().join("none"))).is_err());
    }
}
