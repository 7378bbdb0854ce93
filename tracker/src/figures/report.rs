//! Figures for people and scripts: JSON, and a small page.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::{Door, DoorSums, Reading, Reason};

/// All figures, as `/stats` tells them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The version of bttracker.
    pub version: &'static str,
    /// Seconds since it was started.
    pub uptime_s: u64,
    /// Torrents that are known.
    pub torrents: u64,
    /// Peers at IPv4 addresses.
    pub peers_ipv4: u64,
    /// Peers at IPv6 addresses.
    pub peers_ipv6: u64,
    /// Those of both that are seeds.
    pub seeds: u64,
    /// Those of both that are not.
    pub leechers: u64,
    /// Bytes of memory that torrents and peers take.
    pub bytes: u64,
    /// Torrents that were pushed out, since there were too many.
    pub evicted: u64,
    /// What came over HTTP.
    pub http: DoorReport,
    /// What came over UDP.
    pub udp: DoorReport,
}

/// What came in at one door, since the start.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DoorReport {
    /// Announces from IPv4 addresses that were answered.
    pub announces_ipv4: u64,
    /// Announces from IPv6 addresses that were answered.
    pub announces_ipv6: u64,
    /// Scrapes that were answered.
    pub scrapes: u64,
    /// Connections over HTTP, connection ids over UDP.
    pub connects: u64,
    /// Peers in answers.
    pub peers_told: u64,
    /// Requests that were refused, by reason; reasons that never came up are left out.
    pub refused: BTreeMap<&'static str, u64>,
    /// How long half of the answers took at most, in microseconds; a power of two, 0 where there were none.
    pub latency_p50_us: u64,
    /// How long 99 % of them took.
    pub latency_p99_us: u64,
    /// How long 99.9 % of them took.
    pub latency_p999_us: u64,
}

impl From<&Reading> for Report {
    fn from(reading: &Reading) -> Self {
        let totals = reading.totals;
        Self {
            version: env!("CARGO_PKG_VERSION"),
            uptime_s: reading.uptime.as_secs(),
            torrents: totals.torrents,
            peers_ipv4: totals.peers_v4,
            peers_ipv6: totals.peers_v6,
            seeds: totals.seeds,
            leechers: (totals.peers_v4 + totals.peers_v6).saturating_sub(totals.seeds),
            bytes: totals.bytes,
            evicted: reading.evicted,
            http: reading.sums.of(Door::Http).into(),
            udp: reading.sums.of(Door::Udp).into(),
        }
    }
}

impl From<&DoorSums> for DoorReport {
    fn from(sums: &DoorSums) -> Self {
        let [announces_ipv4, announces_ipv6] = sums.announces;
        let counted = Reason::ALL.into_iter().zip(sums.refused).filter(|(_, count)| *count > 0);
        let latency = |part| {
            let bound = sums.latency.quantile(part).unwrap_or_default();
            u64::try_from(bound.as_micros()).unwrap_or(u64::MAX)
        };
        Self {
            announces_ipv4,
            announces_ipv6,
            scrapes: sums.scrapes,
            connects: sums.connects,
            peers_told: sums.peers,
            refused: counted.map(|(reason, count)| (reason.name(), count)).collect(),
            latency_p50_us: latency(0.5),
            latency_p99_us: latency(0.99),
            latency_p999_us: latency(0.999),
        }
    }
}

impl Report {
    /// The same as a page of HTML. Nothing in it comes from a client.
    pub fn page(&self) -> String {
        let mut rows = String::new();
        let mut row = |name: &str, value: String| {
            // Writing to a string cannot fail.
            let _ = writeln!(rows, "<tr><th>{name}</th><td>{value}</td></tr>");
        };
        row("Torrents", self.torrents.to_string());
        row(
            "Peers",
            format!("{} (IPv4 {}, IPv6 {})", self.seeds + self.leechers, self.peers_ipv4, self.peers_ipv6),
        );
        row("Seeds", self.seeds.to_string());
        row("Leechers", self.leechers.to_string());
        let up = std::time::Duration::from_secs(self.uptime_s);
        row("Up", humantime::format_duration(up).to_string());
        for (name, door) in [("HTTP", &self.http), ("UDP", &self.udp)] {
            row(&format!("Announces over {name}"), (door.announces_ipv4 + door.announces_ipv6).to_string());
            row(&format!("Scrapes over {name}"), door.scrapes.to_string());
            row(&format!("Refused over {name}"), door.refused.values().sum::<u64>().to_string());
        }
        format!(
            "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>bttracker</title>\n\
             <style>body{{font:16px sans-serif;margin:2em}}th{{text-align:left;padding-right:2em}}</style>\n\
             <h1>bttracker {}</h1>\n<table>\n{rows}</table>\n</html>\n",
            self.version
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use protocol::announce::Family;

    use super::*;
    use crate::figures::Figures;
    use crate::swarms::Totals;

    fn report() -> Report {
        let figures = Figures::default();
        let counters = figures.counters(Door::Http);
        counters.announced(Family::V6, 7);
        counters.refused(Reason::Rate);
        counters.answered(Duration::from_micros(3), 1);
        let totals = Totals { torrents: 3, peers_v4: 4, peers_v6: 5, seeds: 6, bytes: 7 };
        let uptime = Duration::from_secs(61);
        Report::from(&Reading { totals, evicted: 1, sums: figures.sums(), uptime })
    }

    #[test]
    fn scripts_find_every_figure_by_its_name() {
        let json = serde_json::to_value(report()).unwrap();
        for (path, value) in [
            ("/torrents", 3),
            ("/leechers", 3),
            ("/uptime_s", 61),
            ("/evicted", 1),
            ("/http/announces_ipv6", 1),
            ("/http/peers_told", 7),
            ("/http/refused/rate", 1),
            ("/http/latency_p99_us", 4),
            ("/udp/scrapes", 0),
        ] {
            assert_eq!(json.pointer(path).and_then(serde_json::Value::as_u64), Some(value), "{path}: {json}");
        }
        assert!(json.pointer("/http/refused/malformed").is_none());
    }

    #[test]
    fn people_find_the_most_of_it_on_a_page() {
        let page = report().page();
        assert!(page.contains("<td>9 (IPv4 4, IPv6 5)</td>") && page.contains("<td>1m 1s</td>"), "{page}");
    }
}
