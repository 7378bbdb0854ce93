//! The command line as it is typed. What it means is checked in `config`.

mod files;
mod get;
mod seed;
mod value;

use clap::{Parser, Subcommand};

pub use files::{CreateArgs, InspectArgs, NewArgs, VerifyArgs};
pub use get::{GetArgs, Preallocate};
pub use seed::SeedArgs;

/// A BitTorrent seeder that serves memory-mapped payload over io_uring.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What btd can do.
#[derive(Debug, Subcommand)]
pub enum Command {
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
}

impl Command {
    /// How much the command is to say, where that can be chosen.
    pub fn log(&self) -> Option<&LogArgs> {
        match self {
            Self::Seed(args) => Some(&args.log),
            Self::Get(args) => Some(&args.log),
            Self::Create(args) => Some(&args.log),
            Self::Verify(args) => Some(&args.log),
            Self::Inspect(_) => None,
        }
    }
}

/// Options of every command that takes its time.
#[derive(Debug, clap::Args)]
pub struct LogArgs {
    /// Print nothing but results and errors.
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more; twice for every connection.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
