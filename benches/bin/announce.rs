//! Runs the benchmark of trackers, prints its tables, and fails when a contender did.

use std::error::Error;
use std::process::ExitCode;

use benches::tracking::{self, Options};
use clap::Parser;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = Options::parse();
    let outcome = tracking::run(&options.settings(), &options.common.places()?)?;
    options.common.finish(&tracking::render(&outcome), &outcome, outcome.has_failed())
}
