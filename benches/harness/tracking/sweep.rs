//! What those who announce notice of sweeps: half of a million peers go silently and are pruned, the others go on.
//!
//! Quiet is a tracker with the same peers that has no reason to prune, in its first minute, before it sweeps at all.

use std::io;
use std::time::Duration;

use protocol::announce::Event;

use super::checks::Rule;
use super::contender::Setting;
use super::population::Population;
use super::result::quantiles;
use super::scripts::{self, Paced, check, paced_figures};
use super::udp_load::{LOST_AFTER, Op, Pace, Said, Script, Udp};
use super::{Bench, Contender, Part, Row};
use crate::latencies::Latencies;

const CASE: &str = "half of the peers pruned";
/// Peers are pruned after two of these and a margin, and looked for four times in each.
const INTERVAL: (&str, Duration) = ("20s", Duration::from_secs(20));
/// How long it may take until all are pruned that have gone.
const PATIENCE: Duration = Duration::from_secs(300);
/// One question in so many asks for torrents whose peers have gone.
const LOOK_ONE_IN: u64 = 500;
const LOOKED_AT: u32 = 50;
/// When so many looks have seen nobody, all are gone.
const LAST_LOOKS: u32 = 200;

/// Those who stay announce, those who have gone are looked for.
struct Sweep {
    who: Population,
    stay: Paced,
    asked: u64,
    /// When some of those who had gone were first seen to be pruned, and when some were last seen not to be.
    first_gone: Option<Duration>,
    last_there: Duration,
    looks: u32,
    /// All announces: when each was due, and how long it took.
    times: Vec<(Duration, Duration)>,
}

/// The row of bttracker, if it takes part.
pub(super) fn run(bench: &Bench<'_>) -> Vec<Row> {
    let mut rows = bench.rows(Part::Sweep, CASE, &[Contender::Bttracker]);
    for row in &mut rows {
        bench.repeat(row, || measure(bench));
    }
    rows
}

fn measure(bench: &Bench<'_>) -> io::Result<Vec<(&'static str, f64)>> {
    let quiet = quiet(bench).map_err(|error| io::Error::other(format!("quiet: {error}")))?;
    let sweeping = sweeping(bench).map_err(|error| io::Error::other(format!("sweeping: {error}")))?;
    let find = |name: &str| quiet.iter().find(|figure| figure.0 == name).map_or(f64::NAN, |figure| figure.1);
    let ratio = sweeping.iter().find(|figure| figure.0 == "p999_us").map_or(f64::NAN, |figure| figure.1);
    let mut figures = vec![
        ("ratio_p999", ratio / find("p999_us")),
        ("quiet_p50_us", find("p50_us")),
        ("quiet_p99_us", find("p99_us")),
        ("quiet_p999_us", find("p999_us")),
        ("quiet_lost", find("lost")),
    ];
    figures.extend(sweeping);
    Ok(figures)
}

/// Those who stay, who are the second half.
fn stay(who: Population) -> (u32, u32) {
    (who.torrents / 2 * who.peers_each, who.peers())
}

/// At least as in other paced parts, and so fast that all who stay announce in each interval.
fn rate(bench: &Bench<'_>) -> f64 {
    let (begin, end) = stay(bench.settings.large_population());
    let needed = f64::from(end - begin) / INTERVAL.1.as_secs_f64();
    bench.settings.paced_rate.max(needed)
}

fn quiet(bench: &Bench<'_>) -> io::Result<Vec<(&'static str, f64)>> {
    let who = bench.settings.large_population();
    let running = bench.start(Contender::Bttracker, &Setting::default(), &who)?;
    let mut udp = Udp::open(running.server, who.sources)?;
    scripts::put(&mut udp, who, 0, who.peers())?;
    let mut script = Paced::new(who, bench.settings.paced_time);
    paced_figures(udp.run(Pace::Rate(rate(bench)), &mut script)?)
}

fn sweeping(bench: &Bench<'_>) -> io::Result<Vec<(&'static str, f64)>> {
    let who = bench.settings.large_population();
    let setting = Setting { interval: INTERVAL.0, ..Setting::default() };
    let running = bench.start(Contender::Bttracker, &setting, &who)?;
    let mut udp = Udp::open(running.server, who.sources)?;
    scripts::put(&mut udp, who, 0, who.peers())?;
    let mut script = Sweep::new(who);
    let run = udp.run(Pace::Rate(rate(bench)), &mut script)?;
    let first = script.first_gone.ok_or_else(|| io::Error::other("those who went are not pruned"))?;
    if script.looks < LAST_LOOKS {
        return Err(io::Error::other(format!(
            "some of those who went are there after {:?}",
            script.last_there
        )));
    }
    // The sweep in which the first went may have begun long before that was seen.
    let window = first.saturating_sub(INTERVAL.1 / 4)..script.last_there;
    let mut latencies = Latencies::default();
    script.times.iter().filter(|(due, _)| window.contains(due)).for_each(|(_, time)| latencies.add(*time));
    let mut figures = Vec::from(quantiles(&mut latencies));
    figures.push(("lost", f64::from(u32::try_from(run.lost).unwrap_or(u32::MAX))));
    figures.push(("lag_us", run.lag.as_secs_f64() * 1e6));
    figures.push(("window_s", (window.end.saturating_sub(window.start)).as_secs_f64()));
    Ok(figures)
}

impl Sweep {
    fn new(who: Population) -> Self {
        let stay = Paced::new(who, PATIENCE);
        let (first_gone, last_there) = (None, Duration::ZERO);
        Self { who, stay, asked: 0, first_gone, last_there, looks: 0, times: Vec::new() }
    }
}

impl Script for Sweep {
    fn next(&mut self, now: Duration) -> Option<Op> {
        if self.looks >= LAST_LOOKS {
            return None;
        }
        self.asked += 1;
        let (begin, end) = stay(self.who);
        if self.asked.is_multiple_of(LOOK_ONE_IN) {
            let looks = u32::try_from(self.asked / LOOK_ONE_IN).ok()?;
            let last = (self.who.torrents / 2).saturating_sub(LOOKED_AT);
            let torrent = looks.wrapping_mul(7_919) % last.max(1);
            return Some(Op::Scrape { who: self.who, torrent, count: LOOKED_AT });
        }
        // The order of the paced ones, of which only those who stay have their turn.
        loop {
            match self.stay.next(now)? {
                Op::Announce { who, peer, .. } => {
                    let peer = begin + peer % (end - begin);
                    return Some(Op::Announce { who, peer, event: Event::None });
                }
                Op::Scrape { .. } => {}
            }
        }
    }

    fn check(&mut self, op: &Op, said: Said, due: Duration, latency: Duration) -> Result<(), String> {
        let Said::Counts(counts) = &said else {
            self.times.push((due, latency));
            return check(op, &said, Rule::STRICT);
        };
        let there = counts.iter().filter(|it| it.seeds + it.leechers > 0).count();
        if there < counts.len() {
            self.first_gone.get_or_insert(due);
        }
        if there > 0 {
            self.last_there = self.last_there.max(due);
        }
        self.looks = if there == 0 { self.looks + 1 } else { 0 };
        Ok(())
    }

    fn lost(&mut self, op: Op, due: Duration) {
        if let Op::Announce { .. } = op {
            self.times.push((due, LOST_AFTER));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scrape::Counts;
    use super::*;

    #[test]
    fn those_who_stay_all_announce_and_those_who_went_do_not() {
        let who = Population { torrents: 1_000, peers_each: 2, sources: 100, salt: 0 };
        let mut script = Sweep::new(who);
        let mut seen = std::collections::HashSet::new();
        for _ in 0..6_000 {
            match script.next(Duration::ZERO).unwrap() {
                Op::Announce { peer, .. } => {
                    assert!((1_000..2_000).contains(&peer), "{peer}");
                    seen.insert(peer);
                }
                Op::Scrape { torrent, count, .. } => assert!(torrent + count <= 500),
            }
        }
        assert_eq!(seen.len(), 1_000);
    }

    #[test]
    fn it_is_over_when_nobody_was_seen_for_a_while() {
        let who = Population { torrents: 1_000, peers_each: 2, sources: 100, salt: 0 };
        let mut script = Sweep::new(who);
        let op = Op::Scrape { who, torrent: 0, count: LOOKED_AT };
        let look = |script: &mut Sweep, second, there: usize| {
            let counts =
                (0..50).map(|index| Counts { seeds: u32::from(index < there), leechers: 0 }).collect();
            script.check(&op, Said::Counts(counts), Duration::from_secs(second), Duration::ZERO).unwrap();
        };
        look(&mut script, 1, 50);
        assert_eq!(script.first_gone, None);
        look(&mut script, 2, 49);
        look(&mut script, 3, 1);
        (0..LAST_LOOKS).for_each(|_| look(&mut script, 4, 0));
        assert_eq!(script.first_gone, Some(Duration::from_secs(2)));
        assert_eq!(script.last_there, Duration::from_secs(3));
        assert_eq!(script.next(Duration::ZERO), None);
    }
}
