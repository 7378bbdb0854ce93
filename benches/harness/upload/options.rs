//! What the upload benchmark is asked to do.

use std::fmt;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::common::{Common, in_order};
use crate::contender::Contender;
use crate::size;

/// Upload benchmark: GB for each CPU second, beside others and a bound, in the same run; fairness, latencies, disks.
#[derive(Debug, Clone, Parser)]
#[command(name = "upload", version)]
pub struct Options {
    /// What to measure [default: all parts]
    parts: Vec<Part>,
    /// Numbers of connections of the part `connections` [default: 1,4,16,64,128,1000]
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..))]
    connections: Vec<u16>,
    /// Payload [default: 1GiB]
    #[arg(long, value_parser = size::parse)]
    size: Option<u64>,
    /// Requests of 16 KiB that each connection keeps open
    #[arg(long, default_value = "64", value_parser = clap::value_parser!(u32).range(1..))]
    outstanding: u32,
    /// Who takes part in the part `connections`
    #[arg(long, value_delimiter = ',', default_value = "btd,libtorrent,rtorrent,rqbit,reference")]
    contenders: Vec<Contender>,
    /// Draw the throughput by connections there (SVG)
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
    /// What every benchmark may be told
    #[command(flatten)]
    pub common: Common,
}

/// A part of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// One torrent in memory, over the number of connections, beside all others
    Connections,
    /// Very many connections over many torrents
    Crowd,
    /// Very many connections of which few ask
    Idle,
    /// Two workers with one torrent
    Workers,
    /// Payload that is not in memory
    Cold,
    /// Payload on a file system that stalls
    Stall,
    /// Payload that is verified meanwhile
    Verify,
}

/// The options, checked and completed.
#[derive(Debug, Clone, Serialize)]
pub struct Settings {
    /// What is measured.
    pub parts: Vec<Part>,
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
    /// How many connections and torrents a crowd has.
    pub crowd: (usize, usize),
    /// How many ask, and how many are idle beside them.
    pub idle: (usize, usize),
    /// Seconds of a window that goes by time.
    pub window_s: f64,
    /// Seconds after which the memory of a crowd is looked at.
    pub memory_after_s: f64,
}

impl Options {
    /// What to do: what is not said is as usual, or small where it is to be quick.
    pub fn settings(&self) -> Settings {
        let quick = self.common.quick;
        let columns: &[u16] = if quick { &[1, 4] } else { &[1, 4, 16, 64, 128, 1000] };
        let asked = if self.connections.is_empty() { columns } else { &self.connections };
        let parts = if self.parts.is_empty() { Part::value_variants() } else { &self.parts };
        Settings {
            parts: in_order(parts.to_vec()),
            connections: in_order(asked.iter().copied().map(usize::from).collect()),
            size: self.size.unwrap_or(if quick { 64 << 20 } else { 1 << 30 }),
            rounds: self.common.rounds(5),
            outstanding: self.outstanding,
            contenders: in_order(self.contenders.clone()),
            crowd: if quick { (40, 10) } else { (1_000, 100) },
            idle: if quick { (8, 192) } else { (64, 9_936) },
            window_s: if quick { 0.5 } else { 4.0 },
            memory_after_s: if quick { 1.0 } else { 60.0 },
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.to_possible_value();
        f.pad(name.as_ref().map_or("", |name| name.get_name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_comes_before_what_is_quick() {
        let settings =
            |args: &[&str]| Options::try_parse_from([&["upload"], args].concat()).unwrap().settings();
        assert_eq!(settings(&[]).connections, [1, 4, 16, 64, 128, 1000]);
        assert_eq!(settings(&[]).parts.len(), 7);
        assert_eq!(settings(&["--quick"]).size, 64 << 20);
        let said = settings(&["--quick", "--connections", "8,2,8", "--contenders", "reference,btd", "cold"]);
        assert_eq!((said.connections, said.rounds), (vec![2, 8], 1));
        assert_eq!(said.contenders, [Contender::Btd, Contender::Reference]);
        assert_eq!(said.parts, [Part::Cold]);
    }
}
