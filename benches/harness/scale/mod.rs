//! The scale benchmark: what it takes to hold many torrents of which nobody asks for any.
//!
//! Torrents are loaded through the door of each contender, which is then ended and started again, and measured when
//! its trackers have heard of all. The contender has one core, this process and the clients have the other.

mod btd;
mod options;
mod result;
mod table;
mod torrents;
mod trackers;
mod transmission;

use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::cores::{self, Cores};
use crate::places::Places;
use crate::process;
pub use options::{Keeper, Options, Settings};
pub use result::{Outcome, Report, Row};
pub use table::render;

const DAEMON_CORE: Cores = Cores::One(0);
const CLIENT_CORE: usize = 1;
/// They take a moment each.
const DELTAS_PER_ROUND: u32 = 10;

/// What a contender is: a daemon that can be started on what it knows, and asked.
trait Contender {
    /// How many torrents it is to have.
    fn count(&self) -> usize;

    /// Starts it; returns how long that took, until it said that it serves.
    fn start(&mut self) -> io::Result<Duration>;

    /// Ends it in order; returns how long that took.
    fn stop(&mut self) -> io::Result<Duration>;

    /// Its process.
    fn pid(&self) -> io::Result<i32>;

    /// Gives it all torrents; returns when they are all seeding.
    fn load(&mut self) -> io::Result<Duration>;

    /// Returns when it has nothing left to do.
    fn settle(&mut self) -> io::Result<()>;

    /// Lists all torrents, and makes sure that all are there; returns wall and CPU time of that.
    fn list(&mut self) -> io::Result<(Duration, Duration)>;

    /// Asks what has changed since the last change; `None` where that cannot be asked.
    fn ask_for_changes(&mut self) -> io::Result<Option<Duration>>;
}

/// Runs the benchmark with the programs of `places`, in a folder there that is gone afterwards.
///
/// # Errors
/// When this machine does not let us; a contender that fails is a result.
pub fn run(settings: &Settings, places: &Places) -> io::Result<Outcome> {
    cores::pin(CLIENT_CORE)?;
    let mut outcome = Outcome::new(settings);
    for row in &mut outcome.rows {
        let folder = places.directory.join("scale");
        clear(&folder)?;
        fs::create_dir_all(&folder)?;
        match measure(row, settings, places, &folder) {
            Ok(report) => row.report = Some(report),
            Err(error) => {
                eprintln!("{} with {} failed: {error}", row.keeper, row.torrents);
                row.failure = Some(error.to_string());
            }
        }
        clear(&folder)?;
    }
    Ok(outcome)
}

fn clear(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn measure(row: &Row, settings: &Settings, places: &Places, folder: &Path) -> io::Result<Report> {
    let mut contender: Box<dyn Contender> = match row.keeper {
        Keeper::Btd => Box::new(btd::Btd::prepare(places, folder, row.torrents)?),
        Keeper::Transmission => Box::new(transmission::Transmission::prepare(places, folder, row.torrents)?),
    };
    run_all(contender.as_mut(), settings, &format!("{} {}", row.keeper, row.torrents))
}

/// All figures of one contender with so many torrents.
fn run_all(contender: &mut dyn Contender, settings: &Settings, name: &str) -> io::Result<Report> {
    let mut report = Report::default();
    contender.start()?;
    contender.settle()?;
    report.empty_rss_anon_bytes = process::rss_anon_bytes(contender.pid()?)?;
    let loading = contender.load()?;
    report.adds_per_s = count(contender.count()) / loading.as_secs_f64();
    eprintln!("{name}: loaded in {:.1} s", loading.as_secs_f64());
    contender.settle()?;
    report.loaded_rss_anon_bytes = process::rss_anon_bytes(contender.pid()?)?;
    for round in 0..=settings.rounds {
        let stop = contender.stop()?;
        let start = contender.start()?;
        eprintln!("{name} round {round}: stopped in {stop:.2?}, started in {start:.2?}");
        if round > 0 {
            report.stop_s.push(stop.as_secs_f64());
            report.ready_s.push(start.as_secs_f64());
        }
    }
    contender.settle()?;
    eprintln!("{name}: settled");
    ask(contender, settings, &mut report)?;
    rest(contender, settings, &mut report)?;
    contender.stop()?;
    Ok(report)
}

/// Lists, and deltas with nothing changed.
fn ask(contender: &mut dyn Contender, settings: &Settings, report: &mut Report) -> io::Result<()> {
    for round in 0..=settings.rounds {
        let (wall, cpu) = contender.list()?;
        if round > 0 {
            report.list_s.push(wall.as_secs_f64());
            report.list_cpu_s.push(cpu.as_secs_f64());
        }
    }
    for round in 0..=settings.rounds * DELTAS_PER_ROUND {
        let delta = contender.ask_for_changes()?.filter(|_| round > 0);
        report.delta_s.extend(delta.map(|delta| delta.as_secs_f64()));
    }
    Ok(())
}

/// CPU time and memory of one that nobody asks for anything.
fn rest(contender: &mut dyn Contender, settings: &Settings, report: &mut Report) -> io::Result<()> {
    let pid = contender.pid()?;
    let (begin, before) = (Instant::now(), process::cpu_time(pid)?);
    thread::sleep(settings.idle);
    let cpu = process::cpu_time(pid)?.saturating_sub(before);
    report.idle_cpu = cpu.as_secs_f64() / begin.elapsed().as_secs_f64();
    report.rss_anon_bytes = process::rss_anon_bytes(pid)?;
    let more = report.rss_anon_bytes.saturating_sub(report.empty_rss_anon_bytes);
    report.bytes_per_torrent = count(usize::try_from(more).unwrap_or(usize::MAX)) / count(contender.count());
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "a hundred thousand, or bytes of memory")]
fn count(number: usize) -> f64 {
    number as f64
}
