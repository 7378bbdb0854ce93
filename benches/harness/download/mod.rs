//! The download benchmark: what it takes to fetch a payload from a seed that is faster than all who ask.
//!
//! The leechers run one after the other on one core, round by round, so that what disturbs the machine disturbs all
//! of them; the first round is not counted. The seed, which is the reference of the upload benchmark, and this
//! process have the other core. When the clock has stopped every byte is compared with the payload.

mod compare;
mod leecher;
mod options;
mod result;
mod table;

use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

use crate::contender::Contender;
use crate::cores::{self, Cores};
use crate::places::Places;
use crate::server::Server;
use crate::torrent::{self, Torrent};
use crate::{network, payload, process, run, size, tracker};
use leecher::Job;
pub use leecher::Leecher;
pub use options::{Options, Settings};
pub use result::{Outcome, Report, Row};
pub use table::render;

const LEECHER_CORE: usize = 0;
const SEED_CORE: usize = 1;
/// Longest a download may take.
const ROUND_LIMIT: Duration = Duration::from_secs(60);

struct Bench<'a> {
    places: &'a Places,
    torrent: Torrent,
    seed: Server,
    address: SocketAddrV4,
    tracker: String,
    folder: PathBuf,
}

/// Runs the benchmark with the programs and files of `places`.
///
/// # Errors
/// When payload or seed cannot be made; a contender that fails is a result.
pub fn run(settings: &Settings, places: &Places) -> io::Result<Outcome> {
    cores::pin(SEED_CORE)?;
    let bench = Bench::prepare(settings, places)?;
    let mut outcome = Outcome::new(settings, network::congestion_control()?);
    for row in &mut outcome.rows {
        row.version = row.contender.version(places);
    }
    for round in 0..=settings.rounds {
        for row in outcome.rows.iter_mut().filter(|row| row.failure.is_none()) {
            match bench.measure(row) {
                Ok(report) => {
                    progress(row.contender, round, settings.size, &report);
                    row.reports.extend((round > 0).then_some(report));
                }
                Err(error) => {
                    eprintln!("{} failed: {error}", row.contender);
                    row.failure = Some(error.to_string());
                }
            }
        }
    }
    outcome.goals = outcome.to_goals();
    Ok(outcome)
}

impl<'a> Bench<'a> {
    fn prepare(settings: &Settings, places: &'a Places) -> io::Result<Self> {
        let path = payload::prepare(&places.directory, settings.size)?;
        let torrent = torrent::create(&path, torrent::PIECE_LENGTH)?;
        let seed = Contender::Reference.start(places, &torrent, Cores::One(SEED_CORE))?;
        let SocketAddr::V4(address) = seed.address() else {
            return Err(io::Error::other("the seed has no IPv4 address"));
        };
        let tracker = tracker::start(address)?;
        Ok(Self { places, torrent, seed, address, tracker, folder: places.directory.join("download") })
    }

    /// One download by the contender of `row`, into a new folder that is gone afterwards.
    fn measure(&self, row: &mut Row) -> io::Result<Report> {
        self.clear()?;
        let result = self.download(row);
        self.clear()?;
        result
    }

    /// Removes the folder, and waits until what others left to write is written.
    fn clear(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(nix::unistd::syncfs(File::open(&self.places.directory)?)?)
    }

    fn download(&self, row: &mut Row) -> io::Result<Report> {
        fs::create_dir(&self.folder)?;
        let (torrent, seed, folder) = (&self.torrent, self.address, self.folder.as_path());
        let job = Job { torrent, seed, folder, tracker: &self.tracker };
        let command = row.contender.command(self.places, &job);
        let log = self.places.log(&format!("{}-get", row.contender));
        let seed_cpu_before = process::cpu_time(self.seed.pid())?;
        let run = run::to_success(command, Cores::One(LEECHER_CORE), &log, ROUND_LIMIT)?;
        let seed_cpu = process::cpu_time(self.seed.pid())? - seed_cpu_before;
        compare::files(&torrent.payload, &folder.join(torrent.payload.file_name().unwrap_or_default()))?;
        let (wall_s, cpu_s) = run.seconds();
        if let Some(said) = run.said {
            (row.version, row.settings) = (Some(said.version), Some(said.settings));
        }
        Ok(Report {
            wall_s,
            cpu_s,
            process_wall_s: run.wall_s,
            process_cpu_s: run.cpu_s,
            rss_anon_bytes: run.rss_anon_bytes,
            seed_cpu_s: seed_cpu.as_secs_f64(),
        })
    }
}

/// A line on stderr for each download, so that a run of minutes is seen to live.
fn progress(contender: Leecher, round: u32, bytes: u64, report: &Report) {
    eprintln!(
        "{contender:10} round {round}: {} in {:.2} s, {:.2} s of CPU time, {} of memory; seed {:.2} s of CPU time",
        size::show(bytes),
        report.wall_s,
        report.cpu_s,
        size::show(report.rss_anon_bytes),
        report.seed_cpu_s,
    );
}
