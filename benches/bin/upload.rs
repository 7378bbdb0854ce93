//! Runs the upload benchmark, prints its table, and fails when a contender did.

use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::process::ExitCode;

use benches::contender::Programs;
use benches::upload::{self, Options};
use clap::Parser;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = Options::parse();
    let program = std::env::current_exe()?;
    let binaries = program.parent().ok_or("this program lies nowhere")?;
    let directory = match &options.directory {
        Some(directory) => directory.clone(),
        None => binaries.parent().unwrap_or(Path::new(".")).join("bench"),
    };
    let programs = Programs { binaries: binaries.to_owned(), python: directory.join("venv/bin/python") };
    let outcome = upload::run(&options.settings(), programs, &directory)?;
    print!("{}", upload::render(&outcome));
    if let Some(path) = &options.json {
        serde_json::to_writer_pretty(File::create(path)?, &outcome)?;
    }
    Ok(if outcome.has_failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
