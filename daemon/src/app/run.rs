//! `btd run`: the daemon.

use std::process::ExitCode;

use crate::args::RunArgs;
use crate::config::RunConfig;
use crate::sys::limits;

use super::Failure;
use super::log::Log;

/// What file and command line come to.
pub(super) fn configure(args: &RunArgs) -> Result<RunConfig, Failure> {
    Ok(RunConfig::load(args, limits::raise_open_files()?)?)
}

/// Serves until a signal ends it.
pub(super) fn run(_args: &RunArgs, config: RunConfig, log: &Log) -> Result<ExitCode, Failure> {
    log.set_level(config.log.level);
    Err("btd run is not built yet".into())
}
