//! Prints what is wanted of btd and what came of it, read from the JSON of benchmarks that have run; fails when a figure is
//! missing.

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use benches::goal::{self, Goal};
use clap::Parser;
use serde::Deserialize;
use serde_json::{Map, Value};

/// All goals of several benchmarks, as one table.
#[derive(Debug, Parser)]
#[command(name = "goals", version)]
struct Options {
    /// What benchmarks wrote with --json
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Write all figures of all of them there, by the names of the files
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// The part of a benchmark's figures that is read here.
#[derive(Debug, Deserialize)]
struct Outcome {
    /// Some measure without a goal.
    #[serde(default)]
    goals: Vec<Goal>,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = Options::parse();
    let mut all = Map::new();
    let mut goals = Vec::new();
    for file in &options.files {
        let figures: Value = serde_json::from_str(&fs::read_to_string(file)?)?;
        goals.extend(Outcome::deserialize(&figures)?.goals);
        all.insert(file.file_stem().unwrap_or_default().to_string_lossy().into_owned(), figures);
    }
    if let Some(path) = &options.json {
        fs::write(path, serde_json::to_vec_pretty(&all)?)?;
    }
    print!("{}", goal::render(&goals));
    let has_failed = goals.iter().any(|goal| goal.got.is_none());
    Ok(if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
