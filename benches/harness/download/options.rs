//! What the download benchmark is asked to do.

use clap::Parser;
use serde::Serialize;

use super::Leecher;
use crate::common::{Common, in_order};
use crate::size;

/// Download benchmark: wall and CPU seconds from a fast seed, beside libtorrent and aria2, in the same run.
#[derive(Debug, Clone, Parser)]
#[command(name = "download", version)]
pub struct Options {
    /// Payload [default: 1GiB]
    #[arg(long, value_parser = size::parse)]
    size: Option<u64>,
    /// Who takes part
    #[arg(long, value_delimiter = ',', default_value = "btd,libtorrent,aria2")]
    contenders: Vec<Leecher>,
    /// Who takes part besides
    #[arg(long, value_delimiter = ',')]
    with: Vec<Leecher>,
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
    /// Who takes part, in the order of the table.
    pub contenders: Vec<Leecher>,
}

impl Options {
    /// What to do: what is not said is as usual, or small where it is to be quick.
    pub fn settings(&self) -> Settings {
        let size = if self.common.quick { 64 << 20 } else { 1 << 30 };
        Settings {
            size: self.size.unwrap_or(size),
            rounds: self.common.rounds(5),
            contenders: in_order([self.contenders.as_slice(), &self.with].concat()),
        }
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
