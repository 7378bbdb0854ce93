//! Wires the rooms together, one module for each command, and nothing else wires.

mod create;
mod get;
mod hashing;
mod inspect;
mod log;
mod report;
mod seed;
mod source;
mod terminal;
mod verify;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::args::{Args, Command};

use log::Log;
use terminal::printable;

/// Why a command failed: text for a person, from whatever room it came.
type Failure = Box<dyn Error + Send + Sync>;

/// Runs what the command line asks for: 0 done, 1 failed, others as the command says. Usage errors exit with 2 before
/// it comes to this.
pub fn run(args: Args) -> ExitCode {
    let log = Log::start(args.command.log());
    let result = match args.command {
        Command::Seed(args) => seed::run(args),
        Command::Get(args) => get::run(args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Create(args) => create::run(args),
        Command::Verify(args) => verify::run(&args),
    };
    match result {
        Ok(code) => {
            log.end(None);
            code
        }
        Err(failure) => {
            log.end(Some(failure.to_string()));
            ExitCode::FAILURE
        }
    }
}

/// Prints a value as one line of JSON, which escapes in its own way.
fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    write_line(&serde_json::to_string(value)?)
}

/// Prints a line for a person; what is in it that would command the terminal is spelled out.
fn print_line(line: &str) -> Result<(), Failure> {
    write_line(&printable(line))
}

/// Writes a line to stdout, at once: scripts wait for it. One who has heard enough, as `head` has, is no failure.
fn write_line(line: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
