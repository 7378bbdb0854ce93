//! Announces over HTTP: over connections that are kept, and over a new one for each.

use std::io;
use std::time::Duration;

use protocol::announce::Event;

use super::checks::Rule;
use super::contender::{Running, Setting};
use super::http_load::{self, Plan};
use super::meter::Meter;
use super::requests::{Look, Requests, Walk};
use super::result::{float, quantiles};
use super::{Bench, Contender, Part, Row, typical_answer};

/// How long all peers may take to announce for the first time.
const WARM_LIMIT: Duration = Duration::from_secs(120);
const KEPT: &str = "kept alive";
const NEW: &str = "connection each";
/// opentracker closes every connection.
const KEEPERS: [Contender; 2] = [Contender::Bttracker, Contender::Hyper];
const ALL: [Contender; 3] = [Contender::Bttracker, Contender::Hyper, Contender::Opentracker];

/// All rows over HTTP.
pub(super) fn run(bench: &Bench<'_>) -> Vec<Row> {
    let who = bench.settings.http_population();
    let entrants = bench.rows(Part::Http, NEW, &ALL);
    let start = |row: &Row| {
        let contender = row.contender;
        let running = bench.start(contender, &Setting::default(), &who)?;
        warm(bench, contender, &running)?;
        Ok((contender, running))
    };
    let mut servers = Vec::new();
    for row in &entrants {
        servers.push(start(row).map_err(|error: io::Error| (row.contender, error.to_string())));
    }
    let mut rows = Vec::new();
    for (case, is_kept, able) in [(KEPT, true, &KEEPERS[..]), (NEW, false, &ALL)] {
        let requests = Requests::write(&who, is_kept, Event::None);
        let mut of_case = bench.rows(Part::Http, case, able);
        for round in 0..=bench.settings.rounds {
            for row in of_case.iter_mut().filter(|row| row.failure.is_none()) {
                let server = servers.iter().find_map(|server| match server {
                    Ok((contender, running)) => (*contender == row.contender).then_some(Ok(running)),
                    Err((contender, error)) => (*contender == row.contender).then_some(Err(error)),
                });
                let figures = match server {
                    Some(Ok(running)) => measure(bench, row.contender, running, &requests, is_kept),
                    Some(Err(error)) => Err(io::Error::other(error.clone())),
                    None => Err(io::Error::other("it was not started")),
                };
                match figures {
                    Ok(figures) => row.add(round, &figures),
                    Err(error) => row.fail(&error),
                }
            }
        }
        rows.extend(of_case);
    }
    rows
}

/// Lets all peers announce themselves, so that answers have peers.
fn warm(bench: &Bench<'_>, contender: Contender, running: &Running) -> io::Result<()> {
    if contender == Contender::Hyper {
        return Ok(());
    }
    let is_kept = KEEPERS.contains(&contender);
    let requests = Requests::write(&bench.settings.http_population(), is_kept, Event::Started);
    let mut plan = plan(bench, running, is_kept);
    plan.duration = WARM_LIMIT;
    let who = bench.settings.http_population();
    let answers = http_load::run(&plan, &mut Walk::new(who, &requests, Look::Warm, rule(contender)))?.len();
    match u32::try_from(answers) == Ok(who.peers()) {
        true => Ok(()),
        false => Err(io::Error::other(format!("{answers} of {} announced in time", who.peers()))),
    }
}

/// One round.
fn measure(
    bench: &Bench<'_>,
    contender: Contender,
    running: &Running,
    requests: &Requests,
    is_kept: bool,
) -> io::Result<Vec<(&'static str, f64)>> {
    let who = bench.settings.http_population();
    let look = Look::Sampled(bench.settings.verify_one_in);
    let fixed = typical_answer(who.peers_each);
    let mut walk = Walk::new(who, requests, look, rule(contender));
    walk.fixed = (contender == Contender::Hyper).then_some(&fixed);
    let meter = Meter::start(running.daemon.pid())?;
    let mut latencies = http_load::run(&plan(bench, running, is_kept), &mut walk)?;
    let used = meter.used()?;
    let answers = float(u64::try_from(latencies.len()).unwrap_or(u64::MAX));
    Ok([&used.figures(answers)[..], &quantiles(&mut latencies)].concat())
}

fn plan(bench: &Bench<'_>, running: &Running, is_kept: bool) -> Plan {
    let connections = usize::try_from(bench.settings.http_population().sources).unwrap_or_default();
    Plan { server: running.server, connections, is_kept, rate: None, duration: bench.settings.http_time }
}

fn rule(contender: Contender) -> Rule {
    Rule { is_lax_about_asker: contender != Contender::Bttracker, ..Rule::STRICT }
}
