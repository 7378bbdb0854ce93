//! Runs the download benchmark, prints its table, and fails when a contender did.

use std::error::Error;
use std::process::ExitCode;

use benches::download::{self, Options};
use benches::network;
use clap::Parser;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = Options::parse();
    network::enter()?;
    let outcome = download::run(&options.settings(), &options.common.places()?)?;
    options.common.finish(&download::render(&outcome), &outcome, outcome.has_failed())
}
