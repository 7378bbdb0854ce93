//! An hour of everything at a bounded rate: no wrong answer, no error, and no more memory at the end than before.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use protocol::announce::Event;

use super::checks::Rule;
use super::contender::{Running, Setting};
use super::http_load::{self, Plan};
use super::requests::{Look, Requests, Walk};
use super::result::float;
use super::soak_load::{self, Shared, Tally};
use super::soak_script::STAY;
use super::{Bench, Contender, Part, Row};
use crate::process::rss_anon_bytes;
use crate::spread::Spread;

const CASE: &str = "mixed load";
/// Short enough that those who go silently are pruned several times in each quarter of an hour.
const INTERVAL: &str = "2m";
const SAMPLE_PERIOD: Duration = Duration::from_secs(10);
/// So many samples are taken at least, however short it is.
const MIN_SAMPLES: u32 = 24;
/// So much more memory than in the second quarter is allowed in the last.
const MAX_GROWTH: f64 = 1.05;
/// So many datagrams may be lost, as Linux may do when its buffers are full.
const MAX_LOST_SHARE: f64 = 0.0001;
const WARM_LIMIT: Duration = Duration::from_secs(120);

/// The row of bttracker, if it takes part. It has one round, which counts.
pub(super) fn run(bench: &Bench<'_>) -> Vec<Row> {
    let mut rows = bench.rows(Part::Soak, CASE, &[Contender::Bttracker]);
    for row in &mut rows {
        if let Err(error) = measure(bench, row) {
            // What was found until then tells why.
            let figures = std::mem::take(&mut row.figures);
            row.fail(&error);
            row.figures = figures;
        }
    }
    rows
}

fn measure(bench: &Bench<'_>, row: &mut Row) -> io::Result<()> {
    let setting = Setting { interval: INTERVAL, ..Setting::default() };
    let mut running = bench.start(Contender::Bttracker, &setting, &STAY)?;
    warm(&running)?;
    let shared = Shared {
        server: running.server,
        rate: f64::from(bench.settings.soak_rate),
        verify_one_in: bench.settings.verify_one_in,
        is_over: AtomicBool::new(false),
        tally: Mutex::default(),
    };
    let kept = Requests::write(&STAY, true, Event::None);
    let new = Requests::write(&STAY, false, Event::None);
    let samples = thread::scope(|scope| {
        scope.spawn(|| shared.end("HTTP, kept", soak_load::http(&shared, &kept, true)));
        scope.spawn(|| shared.end("HTTP, new", soak_load::http(&shared, &new, false)));
        scope.spawn(|| shared.end("UDP", soak_load::udp(&shared)));
        scope.spawn(|| shared.end("malformed", soak_load::malformed(&shared)));
        let samples = watch(bench, &mut running, &shared);
        shared.is_over.store(true, Ordering::Relaxed);
        samples
    });
    let mut tally = Tally::default();
    shared.note(|found| tally.clone_from(found));
    let samples = samples?;
    let counts = [
        ("kept_answers", tally.kept),
        ("new_answers", tally.new),
        ("udp_answers", tally.udp),
        ("udp_lost", tally.udp_lost),
        ("malformed_refused", tally.malformed),
    ];
    row.add(1, &counts.map(|(name, count)| (name, float(count))));
    row.figures.insert("rss_anon_bytes", samples.clone());
    if let Some(failure) = tally.failure {
        return Err(io::Error::other(failure));
    }
    let growth = growth(&samples).ok_or_else(|| io::Error::other("too few samples of memory"))?;
    row.add(1, &[("growth", growth)]);
    judge(growth, &tally)
}

/// Lets those announce who stay.
fn warm(running: &Running) -> io::Result<()> {
    let requests = Requests::write(&STAY, true, Event::Started);
    let connections = usize::try_from(STAY.sources).unwrap_or_default();
    let plan = Plan { server: running.server, connections, is_kept: true, rate: None, duration: WARM_LIMIT };
    http_load::run(&plan, &mut Walk::new(STAY, &requests, Look::Warm, Rule::STRICT)).map(drop)
}

/// Samples its memory until the time is over, or a load has failed.
fn watch(bench: &Bench<'_>, running: &mut Running, shared: &Shared) -> io::Result<Vec<f64>> {
    let (begin, length) = (Instant::now(), bench.settings.soak_time);
    let period = SAMPLE_PERIOD.min(length / MIN_SAMPLES);
    let mut samples = Vec::new();
    while begin.elapsed() < length && !shared.is_over.load(Ordering::Relaxed) {
        thread::sleep(period);
        running.daemon.check()?;
        let bytes = float(rss_anon_bytes(running.daemon.pid())?);
        let mut tally = Tally::default();
        shared.note(|found| tally.clone_from(found));
        eprintln!(
            "soak after {:.0} s: {:.1} MiB, {tally:?}",
            begin.elapsed().as_secs_f64(),
            bytes / f64::from(1 << 20)
        );
        samples.push(bytes);
    }
    Ok(samples)
}

/// The median of the last quarter, in those of the second.
fn growth(samples: &[f64]) -> Option<f64> {
    let quarter = samples.len() / 4;
    let second = Spread::of(samples[quarter..2 * quarter].iter().copied())?;
    let last = Spread::of(samples[samples.len() - quarter..].iter().copied())?;
    Some(last.median / second.median)
}

fn judge(growth: f64, tally: &Tally) -> io::Result<()> {
    if growth.is_nan() || growth > MAX_GROWTH {
        return Err(io::Error::other(format!("its memory grew by the factor {growth:.3}")));
    }
    let lost = float(tally.udp_lost);
    match lost <= MAX_LOST_SHARE * float(tally.udp) {
        true => Ok(()),
        false => Err(io::Error::other(format!("{lost} datagrams were not answered, of {}", tally.udp))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_compared_over_quarters() {
        assert_eq!(growth(&[]), None);
        assert_eq!(growth(&[1.0, 4.0, 9.0, 5.0]), Some(1.25));
        let rising = Vec::from_iter((0..16).map(f64::from));
        assert_eq!(growth(&rising), Some(13.5 / 5.5));
        let tally = Tally { udp: 100_000, udp_lost: 10, ..Tally::default() };
        assert!(judge(1.05, &tally).is_ok());
        assert!(judge(1.06, &tally).is_err() && judge(f64::NAN, &tally).is_err());
        assert!(judge(1.0, &Tally { udp_lost: 11, ..tally }).is_err());
    }
}
