//! Runs the upload benchmark, prints its table, and fails when a contender did.

use std::error::Error;
use std::process::ExitCode;

use benches::network;
use benches::upload::{self, Options};
use clap::Parser;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = Options::parse();
    network::enter()?;
    let outcome = upload::run(&options.settings(), &options.common.places()?)?;
    if let Some(path) = &options.plot {
        upload::draw(&outcome, path)?;
    }
    options.common.finish(&upload::render(&outcome), &outcome, outcome.has_failed())
}
