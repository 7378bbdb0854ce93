//! Announces over UDP: as many as aquatic's load can place, with answers checked beside it, and at a steady pace.

use std::io;
use std::net::SocketAddrV4;
use std::thread;
use std::time::Duration;

use super::checks::Rule;
use super::contender::{Running, Setting};
use super::meter::Meter;
use super::population::Population;
use super::scripts::{self, Paced};
use super::udp_load::{Pace, Run, Udp};
use super::{Bench, Contender, Part, Row, aquatic};

pub(super) const FLOOD: &str = "aquatic's load";
const PACED: &str = "paced";
const ALL: [Contender; 2] = [Contender::Bttracker, Contender::AquaticUdp];
/// Whom those are that are checked beside aquatic's load.
const CHECKED: Population = Population { torrents: 500, peers_each: 20, sources: 100, salt: 4 };
/// So many are checked a second, one in ten of them a scrape.
const CHECK_RATE: f64 = 200.0;
const SCRAPE_ONE_IN: u64 = 10;

/// A tracker that runs, and the peers that are at it.
struct Server {
    rule: Rule,
    running: Running,
    paced: Udp,
}

/// All rows over UDP.
pub(super) fn run(bench: &Bench<'_>) -> Vec<Row> {
    let mut flood = bench.rows(Part::Udp, FLOOD, &ALL);
    let mut paced = bench.rows(Part::Udp, PACED, &ALL);
    let mut servers = Vec::new();
    for (flood, paced) in flood.iter_mut().zip(&mut paced) {
        let server = start(bench, flood.contender);
        if let Err(error) = &server {
            flood.fail(error);
            paced.fail(error);
        }
        servers.push(server.ok());
    }
    for round in 0..=bench.settings.rounds {
        let rows = flood.iter_mut().zip(&mut paced).zip(&mut servers);
        for ((flood, paced), server) in rows {
            let Some(server) = server else { continue };
            one(flood, round, || measure_flood(bench, server));
            one(paced, round, || measure_paced(bench, server));
        }
    }
    flood.append(&mut paced);
    flood
}

fn one(row: &mut Row, round: u32, measure: impl FnOnce() -> io::Result<Vec<(&'static str, f64)>>) {
    if row.failure.is_some() {
        return;
    }
    match measure() {
        Ok(figures) => row.add(round, &figures),
        Err(error) => row.fail(&error),
    }
}

/// Starts a tracker, and lets those peers announce themselves that are to be there.
fn start(bench: &Bench<'_>, contender: Contender) -> io::Result<Server> {
    let who = bench.settings.paced_population();
    let running = bench.start(contender, &Setting::default(), &who)?;
    let mut paced = Udp::open(running.server, who.sources)?;
    scripts::put(&mut paced, who, 0, who.peers())?;
    let mut checked = Udp::open(running.server, CHECKED.sources)?;
    scripts::put(&mut checked, CHECKED, 0, CHECKED.peers())?;
    let rule = Rule { is_lax_about_asker: contender != Contender::Bttracker, ..Rule::STRICT };
    Ok(Server { rule, running, paced })
}

/// One round of aquatic's load, while a few answers are checked.
fn measure_flood(bench: &Bench<'_>, server: &Server) -> io::Result<Vec<(&'static str, f64)>> {
    let (address, pid) = (server.running.server, server.running.daemon.pid());
    let time = Duration::from_secs(bench.settings.udp_time_s.0.into());
    let (report, checked) = thread::scope(|scope| {
        let checker = scope.spawn(|| check(address, time, server.rule));
        let report = aquatic::run(bench, address, pid);
        let checked = checker.join().unwrap_or_else(|_| Err(io::Error::other("the checker panicked")));
        (report, checked)
    });
    let (report, checked) = (report?, checked?);
    let (used, mean) = (report.used, report.mean);
    if checked.latencies.len() == 0 {
        return Err(io::Error::other("no answer could be checked: all were lost"));
    }
    let all = mean.connects + mean.announces + mean.scrapes;
    let count = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    let mut figures = Vec::from(used.figures(mean.announces * used.wall_s));
    figures.extend([
        ("responses_per_cpu_s", all * used.wall_s / used.server_cpu_s),
        ("responses_per_s", all),
        ("unanswered_share", 1.0 - (all + mean.errors) / mean.requests),
        ("errors_per_s", mean.errors),
        ("peers_each", mean.peers_each),
        ("checked", count(checked.latencies.len())),
        ("checked_lost", count(usize::try_from(checked.lost).unwrap_or(usize::MAX))),
    ]);
    Ok(figures)
}

/// A low rate of announces and scrapes, from connections of its own, whose answers are checked fully.
fn check(server: SocketAddrV4, time: Duration, rule: Rule) -> io::Result<Run> {
    let mut udp = Udp::open(server, CHECKED.sources)?;
    let mut script = Paced::new(CHECKED, time);
    (script.scrape_one_in, script.rule) = (SCRAPE_ONE_IN, rule);
    udp.run(Pace::Polite(CHECK_RATE), &mut script)
        .map_err(|error| io::Error::other(format!("checked beside the load: {error}")))
}

/// One round of announces at a steady pace, however fast they are answered.
fn measure_paced(bench: &Bench<'_>, server: &mut Server) -> io::Result<Vec<(&'static str, f64)>> {
    let settings = bench.settings;
    let mut script = Paced::new(settings.paced_population(), settings.paced_time);
    script.rule = server.rule;
    let meter = Meter::start(server.running.daemon.pid())?;
    let run = server.paced.run(Pace::Rate(settings.paced_rate), &mut script)?;
    let used = meter.used()?;
    let answers = f64::from(u32::try_from(run.latencies.len()).unwrap_or(u32::MAX));
    let mut figures = Vec::from(used.figures(answers));
    figures.extend(scripts::paced_figures(run)?);
    Ok(figures)
}
