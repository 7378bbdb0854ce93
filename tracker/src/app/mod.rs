//! Wires the rooms together, and nothing else wires.

mod keeping;
mod life;
mod serve;
mod sweeping;

use std::error::Error;
use std::io;
use std::process::ExitCode;

use clap::CommandFactory;
use service::limits::raise_open_files;
use service::log::{Log, LogConfig};
use service::manual;
use service::output::{print_json, print_line, write_line};

use crate::PROGRAM;
use crate::args::{Args, CheckConfigArgs, Command, RunArgs};
use crate::config::Config;

/// Why a command failed: text for a person, from whatever room it came.
type Failure = Box<dyn Error + Send + Sync>;

/// Runs what the command line asks for: 0 done, 1 failed. Usage errors exit with 2 before it comes to this.
pub fn run(args: Args) -> ExitCode {
    match args.command {
        None => match configure(&args.run) {
            Ok(config) => logged(config.log, |log| serve::run(&args.run, config, log)),
            Err(failure) => logged(LogConfig::of_failure(), |_| Err(failure)),
        },
        Some(Command::CheckConfig(args)) => logged(LogConfig::of_command(None), |_| check_config(args)),
        Some(Command::Completions { shell }) => {
            logged(LogConfig::of_command(None), |_| Ok(manual::completions(Args::command(), shell)?))
        }
        Some(Command::Man { folder }) => {
            logged(LogConfig::of_command(None), |_| Ok(manual::pages(Args::command(), folder.as_deref())?))
        }
    }
}

/// What file and command line come to.
fn configure(args: &RunArgs) -> Result<Config, Failure> {
    Ok(Config::load(args, raise_open_files()?)?)
}

/// Does `work` with a log, which ends with the reason if it fails.
fn logged(config: LogConfig, work: impl FnOnce(&Log) -> Result<(), Failure>) -> ExitCode {
    let log = Log::start(PROGRAM, config, Stderr);
    match work(&log) {
        Ok(()) => {
            log.end(None);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            log.end(Some(failure.to_string()));
            ExitCode::FAILURE
        }
    }
}

/// Whether a configuration would be taken, and what it comes to: all keys, as a file that says the same.
fn check_config(args: CheckConfigArgs) -> Result<(), Failure> {
    let config = configure(&RunArgs { config: args.config, ..RunArgs::default() })?;
    if args.json {
        return Ok(print_json(&config.file)?);
    }
    match &config.path {
        Some(path) => print_line(&format!("# ok: {}", path.display()))?,
        None => print_line("# ok: no file, so these are the defaults")?,
    }
    Ok(write_line(toml::to_string(&config.file)?.trim_end())?)
}

/// Standard error, as the log writes to it.
#[derive(Debug, Clone, Copy)]
struct Stderr;

impl io::Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::stderr().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
