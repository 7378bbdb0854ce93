//! What the upload benchmark is asked to do.

use std::path::PathBuf;

use clap::Parser;
use serde::Serialize;

use crate::contender::Contender;
use crate::size;

/// Upload benchmark: GB for each CPU second, beside libtorrent and a bound, in the same run.
#[derive(Debug, Clone, Parser)]
#[command(name = "upload", version)]
pub struct Options {
    /// Numbers of connections, one column each [default: 1,4,16,64,128]
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..))]
    connections: Vec<u16>,
    /// Payload [default: 1GiB]
    #[arg(long, value_parser = size::parse)]
    size: Option<u64>,
    /// Measured rounds, after one that is not counted [default: 3]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Requests of 16 KiB that each connection keeps open
    #[arg(long, default_value = "64", value_parser = clap::value_parser!(u32).range(1..))]
    outstanding: u32,
    /// Who takes part
    #[arg(long, value_delimiter = ',', default_value = "btd,libtorrent,reference")]
    contenders: Vec<Contender>,
    /// A smoke test: 64 MiB, one round, 1 and 4 connections; its figures say little
    #[arg(long)]
    quick: bool,
    /// Write all figures there as well
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Directory of payload, logs and Python [default: bench beside the directory of this program]
    #[arg(long)]
    pub directory: Option<PathBuf>,
}

/// The options, checked and completed.
#[derive(Debug, Clone, Serialize)]
pub struct Settings {
    /// Numbers of connections.
    pub connections: Vec<usize>,
    /// Bytes of payload.
    pub size: u64,
    /// Measured rounds.
    pub rounds: u32,
    /// Open requests of a connection.
    pub outstanding: u32,
    /// Who takes part, in the order of the table.
    pub contenders: Vec<Contender>,
}

impl Options {
    /// What to do: what is not said is as usual, or small where it is to be quick.
    pub fn settings(&self) -> Settings {
        let (columns, size, rounds): (&[u16], _, _) =
            if self.quick { (&[1, 4], 64 << 20, 1) } else { (&[1, 4, 16, 64, 128], 1 << 30, 3) };
        let asked = if self.connections.is_empty() { columns } else { &self.connections };
        let mut contenders = self.contenders.clone();
        contenders.sort_unstable();
        contenders.dedup();
        let mut connections: Vec<usize> = asked.iter().copied().map(usize::from).collect();
        connections.sort_unstable();
        connections.dedup();
        Settings {
            connections,
            size: self.size.unwrap_or(size),
            rounds: self.rounds.unwrap_or(rounds),
            outstanding: self.outstanding,
            contenders,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_comes_before_what_is_quick() {
        let settings =
            |args: &[&str]| Options::try_parse_from([&["upload"], args].concat()).unwrap().settings();
        assert_eq!(settings(&[]).connections, [1, 4, 16, 64, 128]);
        assert_eq!(settings(&["--quick"]).size, 64 << 20);
        let said = settings(&["--quick", "--connections", "8,2,8", "--contenders", "reference,btd"]);
        assert_eq!((said.connections, said.rounds), (vec![2, 8], 1));
        assert_eq!(said.contenders, [Contender::Btd, Contender::Reference]);
    }
}
