//! What the hash benchmark is asked to do.

use std::thread;

use clap::Parser;
use serde::Serialize;

use super::Contender;
use crate::common::{Common, in_order};
use crate::size;

/// Hash benchmark: wall and CPU seconds of making a torrent and of checking one, on all cores, beside mktorrent,
/// transmission, libtorrent and plain SHA-1 of openssl, in the same run.
#[derive(Debug, Clone, Parser)]
#[command(name = "hash", version)]
pub struct Options {
    /// Payload [default: 1GiB]
    #[arg(long, value_parser = size::parse)]
    size: Option<u64>,
    /// Who takes part
    #[arg(long, value_delimiter = ',', default_value = "btd,mktorrent,transmission,libtorrent,openssl")]
    contenders: Vec<Contender>,
    /// What every benchmark may be told
    #[command(flatten)]
    pub common: Common,
}

/// The options, checked and completed.
#[derive(Debug, Clone, Serialize)]
pub struct Settings {
    /// Bytes of payload.
    pub size: u64,
    /// Measured rounds.
    pub rounds: u32,
    /// Cores of this machine, which all take part.
    pub cores: usize,
    /// Who takes part, in the order of the table.
    pub contenders: Vec<Contender>,
}

impl Options {
    /// What to do: what is not said is as usual, or small where it is to be quick.
    pub fn settings(&self) -> Settings {
        let size = if self.common.quick { 64 << 20 } else { 1 << 30 };
        Settings {
            size: self.size.unwrap_or(size),
            rounds: self.common.rounds(5),
            cores: thread::available_parallelism().map_or(1, usize::from),
            contenders: in_order(self.contenders.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(args: &[&str]) -> Settings {
        Options::try_parse_from([&["hash"], args].concat()).unwrap().settings()
    }

    #[test]
    fn what_is_said_comes_before_what_is_quick() {
        let usual = settings(&[]);
        assert_eq!((usual.size, usual.rounds, usual.contenders.len()), (1 << 30, 5, 5));
        let quick = settings(&["--quick"]);
        assert_eq!((quick.size, quick.rounds), (64 << 20, 1));
        let said = settings(&["--quick", "--rounds", "2", "--size", "3MiB"]);
        assert_eq!((said.size, said.rounds), (3 << 20, 2));
    }

    #[test]
    fn contenders_stand_in_the_order_of_the_table_and_once() {
        let contenders = settings(&["--contenders", "openssl,btd,openssl"]).contenders;
        assert_eq!(contenders, [Contender::Btd, Contender::Openssl]);
    }
}
