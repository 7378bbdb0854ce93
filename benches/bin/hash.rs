//! Runs the hash benchmark, prints its table, and fails when a contender did.

use std::error::Error;
use std::fs::File;
use std::process::ExitCode;

use benches::hashing::{self, Options};
use benches::places::Places;
use clap::Parser;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = Options::parse();
    let places = Places::find(options.directory.as_deref())?;
    let outcome = hashing::run(&options.settings(), &places)?;
    print!("{}", hashing::render(&outcome));
    if let Some(path) = &options.json {
        serde_json::to_writer_pretty(File::create(path)?, &outcome)?;
    }
    Ok(if outcome.has_failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
