//! What the download benchmark is asked to do.

use std::path::PathBuf;

use clap::Parser;
use serde::Serialize;

use super::Leecher;
use crate::size;

/// Download benchmark: wall and CPU seconds from a fast seed, beside libtorrent and aria2, in the same run.
#[derive(Debug, Clone, Parser)]
#[command(name = "download", version)]
pub struct Options {
    /// Payload [default: 1GiB]
    #[arg(long, value_parser = size::parse)]
    size: Option<u64>,
    /// Measured rounds, after one that is not counted [default: 5]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Who takes part
    #[arg(long, value_delimiter = ',', default_value = "btd,libtorrent,aria2")]
    contenders: Vec<Leecher>,
    /// Who takes part besides
    #[arg(long, value_delimiter = ',')]
    with: Vec<Leecher>,
    /// A smoke test: 64 MiB, one round; its figures say little
    #[arg(long)]
    quick: bool,
    /// Write all figures there as well
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Directory of payload, downloads, logs and Python [default: bench beside the directory of this program]
    #[arg(long)]
    pub directory: Option<PathBuf>,
}

/// The options, checked and completed.
#[derive(Debug, Clone, Serialize)]
pub struct Settings {
    /// Bytes of payload.
    pub size: u64,
    /// Measured rounds.
    pub rounds: u32,
    /// Who takes part, in the order of the table.
    pub contenders: Vec<Leecher>,
}

impl Options {
    /// What to do: what is not said is as usual, or small where it is to be quick.
    pub fn settings(&self) -> Settings {
        let (size, rounds) = if self.quick { (64 << 20, 1) } else { (1 << 30, 5) };
        let mut contenders = [self.contenders.as_slice(), &self.with].concat();
        contenders.sort_unstable();
        contenders.dedup();
        Settings { size: self.size.unwrap_or(size), rounds: self.rounds.unwrap_or(rounds), contenders }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_comes_before_what_is_quick() {
        let settings =
            |args: &[&str]| Options::try_parse_from([&["download"], args].concat()).unwrap().settings();
        assert_eq!(settings(&[]).size, 1 << 30);
        let said = settings(&["--quick", "--rounds", "2", "--with", "rqbit"]);
        assert_eq!((said.size, said.rounds), (64 << 20, 2));
        assert_eq!(said.contenders, [Leecher::Btd, Leecher::Libtorrent, Leecher::Aria2, Leecher::Rqbit]);
    }
}
