//! What every benchmark may be told, and what it does with that.

use std::error::Error;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::places::Places;

/// Options of every benchmark.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Measured rounds, after one that is not counted [default: 5; fewer where a round is long]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// A smoke test: little payload, few of everything, one round; its figures say little
    #[arg(long)]
    pub(crate) quick: bool,
    /// Write all figures there as well
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Directory of payload, logs and what was installed [default: bench beside the directory of this program]
    #[arg(long)]
    directory: Option<PathBuf>,
}

impl Common {
    /// Measured rounds: `usual`, but for a smoke test, unless something else is said.
    pub(crate) fn rounds(&self, usual: u32) -> u32 {
        self.rounds.unwrap_or(if self.quick { 1 } else { usual })
    }

    /// Where programs and files lie.
    ///
    /// # Errors
    /// When the system does not say where this program lies.
    pub fn places(&self) -> io::Result<Places> {
        Places::find(self.directory.as_deref())
    }

    /// Prints `text`, writes all of `outcome` where it was asked for, and says how to exit.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(
        &self,
        text: &str,
        outcome: &impl Serialize,
        has_failed: bool,
    ) -> Result<ExitCode, Box<dyn Error>> {
        print!("{text}");
        if let Some(path) = &self.json {
            serde_json::to_writer_pretty(File::create(path)?, outcome)?;
        }
        Ok(if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

/// What takes part, in the order of the table and once.
pub(crate) fn in_order<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort_unstable();
    list.dedup();
    list
}
