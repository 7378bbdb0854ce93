//! What the scale benchmark is asked to do.

use std::fmt;
use std::time::Duration;

use clap::Parser;
use serde::Serialize;

use crate::common::{Common, in_order};

/// With more torrents than this transmission takes too long to load: with each it looks at all others.
const MAX_TRANSMISSION: usize = 10_000;

/// Scale benchmark: start, list, memory and idling with many torrents, beside transmission, in the same run.
#[derive(Debug, Clone, Parser)]
#[command(name = "scale", version)]
pub struct Options {
    /// How many torrents [default: 10000,100000]
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    torrents: Vec<u32>,
    /// Who takes part; transmission only with 10,000 torrents or less
    #[arg(long, value_delimiter = ',', default_value = "btd,transmission")]
    contenders: Vec<Keeper>,
    /// What every benchmark may be told
    #[command(flatten)]
    pub common: Common,
}

/// Who keeps the torrents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Keeper {
    /// Ours.
    Btd,
    /// transmission-daemon.
    Transmission,
}

/// The options, checked and completed.
#[derive(Debug, Clone, Serialize)]
pub struct Settings {
    /// Who takes part with how many torrents, in the order of the table.
    pub contests: Vec<(Keeper, usize)>,
    /// Measured rounds.
    pub rounds: u32,
    /// How long it is watched while nothing is asked of it.
    pub idle: Duration,
}

impl Options {
    /// What to do: what is not said is as usual, or small where it is to be quick.
    pub fn settings(&self) -> Settings {
        let (usual, idle_s) = match self.common.quick {
            true => (&[200][..], 2),
            false => (&[10_000, 100_000][..], 30),
        };
        let counts = if self.torrents.is_empty() { usual } else { &self.torrents };
        let keepers = in_order(self.contenders.clone());
        let contests = counts.iter().filter_map(|count| usize::try_from(*count).ok());
        let contests = contests.flat_map(|count| keepers.iter().map(move |keeper| (*keeper, count)));
        let takes_part =
            |(keeper, count): &(Keeper, usize)| *keeper == Keeper::Btd || *count <= MAX_TRANSMISSION;
        Settings {
            contests: contests.filter(takes_part).collect(),
            rounds: self.common.rounds(5),
            idle: Duration::from_secs(idle_s),
        }
    }
}

impl fmt::Display for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Btd => "btd",
            Self::Transmission => "transmission",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transmission_takes_part_with_what_it_can_load() {
        let settings =
            |args: &[&str]| Options::try_parse_from([&["scale"], args].concat()).unwrap().settings();
        let (btd, transmission) = (Keeper::Btd, Keeper::Transmission);
        assert_eq!(settings(&[]).contests, [(btd, 10_000), (transmission, 10_000), (btd, 100_000)]);
        let said = settings(&["--quick", "--rounds", "2", "--contenders", "transmission"]);
        assert_eq!((said.contests, said.rounds), (vec![(transmission, 200)], 2));
        assert_eq!(settings(&["--torrents", "5", "--contenders", "btd,btd"]).contests, [(btd, 5)]);
    }
}
