//! Figures for Prometheus, in the text format of OpenMetrics: never one a torrent.

use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use service::openmetrics::{self, count, counter, gauge, gauges};

use super::{Door, DoorSums, Reason, Sums};
use crate::PROGRAM;
use crate::swarms::Totals;

/// Takes one figure out of a door's.
type OfDoor = fn(&DoorSums) -> u64;

/// All figures of a moment.
#[derive(Debug)]
pub struct Reading {
    /// Torrents and peers.
    pub totals: Totals,
    /// Torrents that were pushed out.
    pub evicted: u64,
    /// Requests.
    pub sums: Sums,
    /// How long the tracker has been up.
    pub uptime: Duration,
}

/// All figures, as text.
///
/// # Errors
/// None that a string has.
pub fn text(reading: Reading) -> Result<String, fmt::Error> {
    openmetrics::text(PROGRAM, reading)
}

impl Reading {
    fn write_swarms(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let totals = self.totals;
        gauge(to, "uptime_seconds", "How long the tracker has been up", self.uptime.as_secs())?;
        gauge(to, "torrents", "Torrents that are known", totals.torrents)?;
        let peers = [("ipv4", totals.peers_v4), ("ipv6", totals.peers_v6)];
        gauges(to, "peers", "Peers, by family", "family", &peers)?;
        gauge(to, "seeds", "Peers that have everything", totals.seeds)?;
        gauge(to, "swarms_bytes", "Memory that torrents and peers take", totals.bytes)?;
        counter(to, "torrents_evicted", "Torrents that were pushed out, for want of room", self.evicted)
    }

    fn write_requests(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut announces =
            to.encode_descriptor("announces", "Announces that were answered", None, MetricType::Counter)?;
        for (door, sums) in self.doors() {
            for (family, sum) in ["ipv4", "ipv6"].into_iter().zip(sums.announces) {
                count(announces.encode_family(&[("door", door), ("family", family)])?, sum)?;
            }
        }
        let of_door: [(&str, &str, OfDoor); 3] = [
            ("scrapes", "Scrapes that were answered", |sums| sums.scrapes),
            ("connects", "Connections over HTTP, connection ids over UDP", |sums| sums.connects),
            ("peers_told", "Peers in answers", |sums| sums.peers),
        ];
        for (name, help, of) in of_door {
            let mut family = to.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (door, sums) in self.doors() {
                count(family.encode_family(&[("door", door)])?, of(sums))?;
            }
        }
        let mut refused = to.encode_descriptor(
            "refused",
            "Requests that were refused, by reason",
            None,
            MetricType::Counter,
        )?;
        for (door, sums) in self.doors() {
            for (reason, sum) in Reason::ALL.into_iter().zip(sums.refused) {
                count(refused.encode_family(&[("door", door), ("reason", reason.name())])?, sum)?;
            }
        }
        Ok(())
    }

    fn write_latency(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "From a request being read to its answer being written";
        let mut family = to.encode_descriptor("answer_seconds", help, None, MetricType::Histogram)?;
        for (door, sums) in self.doors() {
            let latency = &sums.latency;
            family.encode_family(&[("door", door)])?.encode_histogram::<NoLabelSet>(
                latency.sum().as_secs_f64(),
                latency.count(),
                &latency.buckets(),
                None,
            )?;
        }
        Ok(())
    }

    fn doors(&self) -> impl Iterator<Item = (&'static str, &DoorSums)> {
        Door::ALL.into_iter().map(|door| (door.name(), self.sums.of(door)))
    }
}

impl Collector for Reading {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> fmt::Result {
        self.write_swarms(&mut to)?;
        self.write_requests(&mut to)?;
        self.write_latency(&mut to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Figures;

    #[test]
    fn all_that_is_counted_is_there() {
        let figures = Figures::default();
        figures.counters(Door::Udp).answered(Duration::from_micros(3), 5);
        figures.counters(Door::Http).refused(Reason::Rate);
        figures.counters(Door::Http).announced(protocol::announce::Family::V6, 7);
        let totals = Totals { torrents: 3, peers_v4: 4, peers_v6: 5, seeds: 6, bytes: 7 };
        let uptime = Duration::from_secs(8);
        let text = text(Reading { totals, evicted: 9, sums: figures.sums(), uptime }).unwrap();
        for line in [
            "bttracker_torrents 3",
            "bttracker_peers{family=\"ipv6\"} 5",
            "bttracker_seeds 6",
            "bttracker_swarms_bytes 7",
            "bttracker_uptime_seconds 8",
            "bttracker_torrents_evicted_total 9",
            "bttracker_announces_total{door=\"http\",family=\"ipv6\"} 1",
            "bttracker_peers_told_total{door=\"http\"} 7",
            "bttracker_refused_total{door=\"http\",reason=\"rate\"} 1",
            "bttracker_refused_total{door=\"udp\",reason=\"rate\"} 0",
            "bttracker_answer_seconds_bucket{le=\"0.000004\",door=\"udp\"} 5",
            "bttracker_answer_seconds_bucket{le=\"+Inf\",door=\"udp\"} 5",
            "bttracker_answer_seconds_count{door=\"udp\"} 5",
            "# EOF",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} is not in\n{text}");
        }
    }
}
