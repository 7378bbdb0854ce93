//! The hash benchmark: what it takes to make a torrent of a payload that is in the page cache, and to check one.
//!
//! Whole programs run one after the other on all cores, round by round, so that what disturbs the machine disturbs
//! all of them; the first round is not counted. This process sleeps meanwhile. An answer counts only when it is that
//! of the harness, which hashes with another implementation.

mod answer;
mod contender;
mod damage;
mod goals;
mod options;
mod result;
mod table;
mod work;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::cores::Cores;
use crate::places::Places;
use crate::torrent::{self, Torrent};
use crate::{payload, run, size};
use answer::Truth;
pub use contender::Contender;
use contender::Job;
use damage::Damage;
pub use options::{Options, Settings};
pub use result::{Outcome, Report, Row};
pub use table::render;
pub use work::Work;

/// Longest a run may take.
const ROUND_LIMIT: Duration = Duration::from_secs(60);

struct Bench<'a> {
    places: &'a Places,
    torrent: Torrent,
    truth: Truth,
    cores: usize,
    /// Of what is made; emptied for each run.
    folder: PathBuf,
}

/// Runs the benchmark with the programs and files of `places`.
///
/// # Errors
/// When the payload cannot be made; a contender that fails is a result.
pub fn run(settings: &Settings, places: &Places) -> io::Result<Outcome> {
    let bench = Bench::prepare(settings, places)?;
    let mut outcome = Outcome::new(settings);
    for row in &mut outcome.rows {
        row.version = row.contender.version(places);
    }
    bench.refuse(&mut outcome.rows)?;
    for work in Work::ALL {
        for round in 0..=settings.rounds {
            let rows = outcome.rows.iter_mut().filter(|row| row.work == work);
            for row in rows.filter(|row| row.failure.is_none()) {
                match bench.measure(row) {
                    Ok(report) => {
                        progress(row, round, settings.size, &report);
                        row.reports.extend((round > 0).then_some(report));
                    }
                    Err(error) => fail(row, &error),
                }
            }
        }
    }
    bench.clear()?;
    outcome.goals = goals::of(&outcome);
    Ok(outcome)
}

impl<'a> Bench<'a> {
    fn prepare(settings: &Settings, places: &'a Places) -> io::Result<Self> {
        let path = payload::prepare(&places.directory, settings.size)?;
        payload::settle(&path)?;
        let torrent = torrent::create(&path, torrent::PIECE_LENGTH)?;
        let truth = Truth::of(&torrent)?;
        Ok(Self { places, torrent, truth, cores: settings.cores, folder: places.directory.join("hash") })
    }

    /// Shows a damaged payload to all who verify. Who does not see it has failed.
    fn refuse(&self, rows: &mut [Row]) -> io::Result<()> {
        self.clear()?;
        fs::create_dir(&self.folder)?;
        let damage = Damage::new(&self.torrent, &self.folder.join("damaged"))?;
        // openssl compares nothing.
        let verifies = |row: &&mut Row| row.work == Work::Verify && row.contender != Contender::Openssl;
        for row in rows.iter_mut().filter(verifies) {
            let command = self.command(row, &damage.folder);
            let refused = run::to_end(command, Cores::All, &self.log(row), ROUND_LIMIT)
                .and_then(|run| answer::check_refusal(&run, damage.piece));
            if let Err(error) = refused {
                fail(row, &error);
            }
        }
        drop(damage);
        // What is still to be written must not be written under the first contender.
        Ok(nix::unistd::syncfs(File::open(&self.places.directory)?)?)
    }

    fn measure(&self, row: &mut Row) -> io::Result<Report> {
        self.clear()?;
        fs::create_dir(&self.folder)?;
        let data = self.torrent.payload.parent().unwrap_or(Path::new("."));
        let command = self.command(row, data);
        let run = run::to_success(command, Cores::All, &self.log(row), ROUND_LIMIT)?;
        self.truth.check(row.work, row.contender, &run, &self.output())?;
        let report = Report::new(&run, self.torrent.geometry.length());
        if let Some(said) = run.said {
            (row.version, row.settings) = (Some(said.version), Some(said.settings));
        }
        Ok(report)
    }

    fn command(&self, row: &Row, data: &Path) -> Command {
        let job = Job { torrent: &self.torrent, data, output: &self.output(), cores: self.cores };
        row.contender.command(row.work, self.places, &job)
    }

    /// Removes the folder and what was made in it.
    fn clear(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn output(&self) -> PathBuf {
        self.folder.join("made.torrent")
    }

    fn log(&self, row: &Row) -> PathBuf {
        self.places.log(&format!("{}-{}", row.contender, row.work))
    }
}

fn fail(row: &mut Row, error: &io::Error) {
    eprintln!("{} {} failed: {error}", row.work, row.contender);
    row.failure = Some(error.to_string());
}

/// A line on stderr for each run, so that the benchmark is seen to live.
fn progress(row: &Row, round: u32, length: u64, report: &Report) {
    eprintln!(
        "{} {:12} round {round}: {} in {:.3} s, {:.3} s of CPU time, {} of memory",
        row.work,
        row.contender,
        size::show(length),
        report.wall_s,
        report.cpu_s,
        size::show(report.rss_anon_bytes),
    );
}
