//! Wires the rooms together, one module for each command, and nothing else wires.

mod create;
mod inspect;
mod seed;
mod server;
mod terminal;
mod verify;

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use protocol::meta::Metainfo;

use crate::args::{Args, Command};

pub use server::{Server, ServerError};

/// Why a command failed: text for a person, from whatever room it came.
type Failure = Box<dyn Error + Send + Sync>;

/// Largest .torrent file that is read, in bytes: what the scanner takes.
const MAX_TORRENT_FILE_LENGTH: u64 = protocol::bencode::MAX_INPUT_LENGTH as u64;

/// Runs what the command line asks for: 0 done, 1 failed. Usage errors exit with 2 before it comes to this.
pub fn run(args: Args) -> ExitCode {
    let result = match args.command {
        Command::Seed(args) => seed::run(args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Create(args) => create::run(args),
        Command::Verify(args) => verify::run(&args),
    };
    result.unwrap_or_else(|error| {
        terminal::print_error(&error.to_string());
        ExitCode::FAILURE
    })
}

/// Reads a .torrent file.
fn read_torrent(path: &Path) -> Result<Metainfo, Failure> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let metadata = path.metadata().map_err(|error| named(&error))?;
    if !metadata.is_file() {
        return Err(named(&"not a regular file").into());
    }
    if metadata.len() > MAX_TORRENT_FILE_LENGTH {
        return Err(named(&format!("{} bytes are too many for a torrent", metadata.len())).into());
    }
    let bytes = std::fs::read(path).map_err(|error| named(&error))?;
    Ok(Metainfo::parse(&bytes).map_err(|error| named(&error))?)
}

/// Prints a value as one line of JSON.
fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    print_line(&serde_json::to_string(value)?)
}

/// Prints a line to stdout, at once: scripts wait for it. One who has heard enough, as `head` has, is no failure.
fn print_line(line: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
