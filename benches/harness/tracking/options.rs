//! What the benchmark of trackers is asked to do.

use std::time::Duration;

use clap::Parser;
use serde::Serialize;

use super::Contender;
use super::population::Population;
use crate::common::{Common, in_order};

/// Source addresses of the load over HTTP: one for each connection that is kept.
const HTTP_CONNECTIONS: u32 = 64;

/// Trackers: requests for each CPU second over HTTP and UDP, memory, sweeps and snapshots of bttracker, and a soak.
#[derive(Debug, Clone, Parser)]
#[command(name = "announce", version)]
pub struct Options {
    /// What is measured; all is everything but the soak
    #[arg(value_enum, default_value = "all")]
    part: Part,
    /// Who takes part, as far as it speaks the protocol
    #[arg(long, value_delimiter = ',', default_value = "bttracker,hyper,opentracker,aquatic_udp")]
    contenders: Vec<Contender>,
    /// Look fully at every answer over HTTP instead of one in 16, at the expense of the load
    #[arg(long)]
    verify: bool,
    /// Peers of memory, sweep and snapshot, two in each torrent [default: 1000000]
    #[arg(long, value_parser = clap::value_parser!(u32).range(2_000..=50_000_000))]
    peers: Option<u32>,
    /// Minutes of a soak
    #[arg(long, default_value = "60", value_parser = clap::value_parser!(u32).range(1..))]
    minutes: u32,
    /// Requests a second of a soak
    #[arg(long, default_value = "5000", value_parser = clap::value_parser!(u32).range(500..))]
    rate: u32,
    /// What every benchmark may be told
    #[command(flatten)]
    pub common: Common,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Announces over HTTP.
    Http,
    /// Announces over UDP.
    Udp,
    /// Memory of a million peers.
    Memory,
    /// Latency while peers are pruned.
    Sweep,
    /// Stop and start with a million peers.
    Snapshot,
    /// An hour of everything.
    Soak,
    /// All but the soak.
    All,
}

/// The options, checked and completed.
#[derive(Debug, Clone, Serialize)]
pub struct Settings {
    /// What is measured, in the order of the tables.
    pub parts: Vec<Part>,
    /// Who takes part.
    pub contenders: Vec<Contender>,
    /// Measured rounds of http and udp.
    pub rounds: u32,
    /// Measured rounds of the parts with a million peers.
    pub large_rounds: u32,
    /// One answer over HTTP in so many is looked at fully.
    pub verify_one_in: u32,
    /// Length of a round over HTTP.
    pub http_time: Duration,
    /// Seconds of aquatic's load in a round over UDP, and those of them at the beginning that do not count.
    pub udp_time_s: (u32, u32),
    /// Length of a round of paced announces.
    pub paced_time: Duration,
    /// Paced announces a second.
    pub paced_rate: f64,
    /// Torrents of the parts http and udp.
    pub torrents: u32,
    /// Torrents of aquatic's load; it has twice as many peers.
    pub load_torrents: u32,
    /// Torrents of two peers, of the other parts.
    pub large_torrents: u32,
    /// Length of a soak.
    pub soak_time: Duration,
    /// Requests a second of a soak.
    pub soak_rate: u32,
}

impl Options {
    /// What to do: what is not said is as usual, or small where it is to be quick.
    pub fn settings(&self) -> Settings {
        let parts = match self.part {
            Part::All => vec![Part::Http, Part::Udp, Part::Memory, Part::Sweep, Part::Snapshot],
            part => vec![part],
        };
        let seconds = Duration::from_secs;
        let either = |usual, quick| if self.common.quick { quick } else { usual };
        Settings {
            parts,
            contenders: in_order(self.contenders.clone()),
            rounds: self.common.rounds(5),
            large_rounds: self.common.rounds(2),
            verify_one_in: if self.verify { 1 } else { 16 },
            http_time: seconds(either(8, 1)),
            udp_time_s: if self.common.quick { (10, 5) } else { (30, 10) },
            paced_time: seconds(either(10, 2)),
            paced_rate: 20_000.0,
            torrents: if self.common.quick { 1_600 } else { 10_000 },
            load_torrents: if self.common.quick { 10_000 } else { 100_000 },
            large_torrents: self.peers.unwrap_or(if self.common.quick { 20_000 } else { 1_000_000 }) / 2,
            soak_time: seconds(u64::from(self.minutes) * 60),
            soak_rate: self.rate,
        }
    }
}

impl Settings {
    /// Whom the load over HTTP plays: about twenty peers in each torrent.
    pub(super) fn http_population(&self) -> Population {
        Population { torrents: self.torrents, peers_each: 20, sources: HTTP_CONNECTIONS, salt: 1 }
    }

    /// Whom paced announces over UDP play.
    pub(super) fn paced_population(&self) -> Population {
        Population { torrents: self.torrents, peers_each: 20, sources: 1_000, salt: 2 }
    }

    /// Two peers in each of many torrents.
    pub(super) fn large_population(&self) -> Population {
        Population { torrents: self.large_torrents, peers_each: 2, sources: 1_000, salt: 3 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_as_usual() {
        let settings =
            |args: &[&str]| Options::try_parse_from([&["announce"], args].concat()).unwrap().settings();
        let usual = settings(&[]);
        assert_eq!((usual.parts.len(), usual.rounds, usual.large_torrents), (5, 5, 500_000));
        assert!(!usual.parts.contains(&Part::Soak));
        let said = settings(&["sweep", "--rounds", "3", "--quick", "--contenders", "aquatic_udp,bttracker"]);
        assert_eq!((said.parts, said.rounds, said.large_rounds), (vec![Part::Sweep], 3, 3));
        assert_eq!(said.contenders, [Contender::Bttracker, Contender::AquaticUdp]);
        for args in [&["--quick"][..], &[]] {
            let who = settings(args).http_population();
            assert!(who.peers().is_multiple_of(who.sources), "each connection has as many peers");
        }
    }
}
