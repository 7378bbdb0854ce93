//! Wires the rooms together, one module for each command, and nothing else wires.

mod check_config;
mod create;
mod get;
mod hashing;
mod inspect;
mod report;
mod run;
mod seed;
mod source;
mod terminal;
mod verify;

use std::error::Error;
use std::process::ExitCode;

use clap::CommandFactory;
use service::log::{Log, LogConfig};
use service::manual::{self, ManualError};
use service::memory;

use crate::PROGRAM;
use crate::args::{Args, Command};

use terminal::BetweenBars;

/// Why a command failed: text for a person, from whatever room it came.
type Failure = Box<dyn Error + Send + Sync>;

/// Runs what the command line asks for: 0 done, 1 failed, others as the command says. Usage errors exit with 2 before
/// it comes to this.
pub fn run(args: Args) -> ExitCode {
    memory::share_one_arena();
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
        Command::Completions(args) => logged(log, |_| done(manual::completions(Args::command(), args.shell))),
        Command::Man(args) => logged(log, |_| done(manual::pages(Args::command(), args.folder.as_deref()))),
    }
}

/// Does `work` with a log, which ends with the reason if it fails.
fn logged(config: LogConfig, work: impl FnOnce(&Log) -> Result<ExitCode, Failure>) -> ExitCode {
    let log = Log::start(PROGRAM, config, BetweenBars);
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

/// A manual that was written is all that was asked for.
fn done(written: Result<(), ManualError>) -> Result<ExitCode, Failure> {
    Ok(written.map(|()| ExitCode::SUCCESS)?)
}
