//! Runs the hash benchmark, prints its table, and fails when a contender did.

use std::error::Error;
use std::process::ExitCode;

use benches::hashing::{self, Options};
use clap::Parser;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = Options::parse();
    let outcome = hashing::run(&options.settings(), &options.common.places()?)?;
    options.common.finish(&hashing::render(&outcome), &outcome, outcome.has_failed())
}
