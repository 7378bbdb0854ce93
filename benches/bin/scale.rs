//! Runs the scale benchmark, prints its table, and fails when a contender did.

use std::error::Error;
use std::process::ExitCode;

use benches::scale::{self, Options};
use clap::Parser;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = Options::parse();
    let outcome = scale::run(&options.settings(), &options.common.places()?)?;
    options.common.finish(&scale::render(&outcome), &outcome, outcome.has_failed())
}
