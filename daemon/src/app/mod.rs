//! Wires the rooms together, one module for each command, and nothing else wires.

mod check_config;
mod create;
mod get;
mod hashing;
mod inspect;
mod manual;
mod report;
mod run;
mod seed;
mod source;
mod terminal;
mod verify;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use service::log::{Log, LogConfig};

use crate::args::{Args, Command};

use terminal::{BetweenBars, printable};

/// Why a command failed: text for a person, from whatever room it came.
type Failure = Box<dyn Error + Send + Sync>;

/// Runs what the command line asks for: 0 done, 1 failed, others as the command says. Usage errors exit with 2 before
/// it comes to this.
pub fn run(args: Args) -> ExitCode {
    let command = args.into_command();
    let log = LogConfig::of_command(command.log());
    match command {
        Command::Run(args) => match run::configure(&args) {
            Ok(config) => logged(config.log, |log| run::run(&args, config, log)),
            Err(failure) => logged(LogConfig::of_failure(), |_| Err(failure)),
        },
        Command::CheckConfig(args) => logged(log, |_| check_config::run(args)),
        Command::Seed(args) => logged(log, |_| seed::run(args)),
        Command::Get(args) => logged(log, |_| get::run(args)),
        Command::Inspect(args) => logged(log, |_| inspect::run(&args)),
        Command::Create(args) => logged(log, |_| create::run(args)),
        Command::Verify(args) => logged(log, |_| verify::run(&args)),
        Command::Completions(args) => logged(log, |_| manual::completions(&args)),
        Command::Man(args) => logged(log, |_| manual::pages(&args)),
    }
}

/// Does `work` with a log, which ends with the reason if it fails.
fn logged(config: LogConfig, work: impl FnOnce(&Log) -> Result<ExitCode, Failure>) -> ExitCode {
    let log = Log::start(config, BetweenBars);
    match work(&log) {
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

/// Writes a line to stdout, at once: scripts wait for it.
fn write_line(line: &str) -> Result<(), Failure> {
    write_bytes(format!("{line}\n").as_bytes())
}

/// Writes to stdout. One who has heard enough, as `head` has, is no failure.
fn write_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
