//! Runs a load against a seeder and prints its report as one JSON line.

use std::error::Error;

use benches::cores;
use benches::load::{self, Options};
use clap::Parser;

/// Asks a seeder for blocks over many connections, checks them and drops them.
#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    options: Options,
}

fn main() -> Result<(), Box<dyn Error>> {
    let Args { options } = Args::parse();
    if let Some(core) = options.core {
        cores::pin(core)?;
    }
    println!("{}", serde_json::to_string(&load::run(&options)?)?);
    Ok(())
}
