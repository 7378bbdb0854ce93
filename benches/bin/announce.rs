//! Runs the benchmark of trackers, prints its tables, and fails when a contender did.

use std::error::Error;
use std::fs::File;
use std::process::ExitCode;

use benches::places::Places;
use benches::tracking::{self, Options};
use clap::Parser;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = Options::parse();
    let places = Places::find(options.directory.as_deref())?;
    let outcome = tracking::run(&options.settings(), &places)?;
    print!("{}", tracking::render(&outcome));
    if let Some(path) = &options.json {
        serde_json::to_writer_pretty(File::create(path)?, &outcome)?;
    }
    Ok(if outcome.has_failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
