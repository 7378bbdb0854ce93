//! `btd check-config`: whether `btd run` would take the configuration, and what it comes to.

use std::process::ExitCode;

use service::limits;
use service::output::{print_json, print_line, write_line};

use crate::args::{CheckConfigArgs, RunArgs};
use crate::config::RunConfig;

use super::Failure;

/// Prints all keys with their values, as a configuration that says the same.
pub(super) fn run(args: CheckConfigArgs) -> Result<ExitCode, Failure> {
    let given = RunArgs { config: args.config, ..RunArgs::default() };
    let config = RunConfig::load(&given, limits::raise_open_files()?)?;
    if args.json {
        print_json(&config.file)?;
        return Ok(ExitCode::SUCCESS);
    }
    match &config.path {
        Some(path) => print_line(&format!("# ok: {}", path.display()))?,
        None => print_line("# ok: no file, so these are the defaults")?,
    }
    write_line(config.file.to_toml()?.trim_end())?;
    Ok(ExitCode::SUCCESS)
}
