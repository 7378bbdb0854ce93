//! The upload benchmark: payload bytes for each second of CPU time, over the number of connections.
//!
//! For each number of connections all contenders are started afresh on one core, and measured in turn, round by
//! round, so that what disturbs the machine disturbs all of them. The first round is not counted.

mod options;
mod result;
mod table;

use std::io;
use std::process::Command;
use std::time::Duration;

use protocol::id::InfoHash;

use crate::contender::Contender;
use crate::load::Report;
use crate::places::Places;
use crate::server::Server;
use crate::torrent::{self, Torrent};
use crate::{payload, size};
pub use options::{Options, Settings};
pub use result::{Cell, Outcome, Row};
pub use table::render;

const SERVER_CORE: usize = 0;
const LOAD_CORE: usize = 1;
/// Volume of a round, in payloads: long enough that a timer tick does not show.
const VOLUME_PER_SIZE: u64 = 2;
/// Share of the volume that passes before the window opens.
const WARM_SHARE: u64 = 4;
/// Longest a round may take.
const ROUND_LIMIT: Duration = Duration::from_secs(120);

struct Bench<'a> {
    settings: &'a Settings,
    places: &'a Places,
    torrent: Torrent,
}

/// Runs the benchmark with the programs and files of `places`.
///
/// # Errors
/// When the payload cannot be made; a contender that fails is a result.
pub fn run(settings: &Settings, places: &Places) -> io::Result<Outcome> {
    let path = payload::prepare(&places.directory, settings.size)?;
    let torrent = torrent::create(&path, torrent::PIECE_LENGTH)?;
    let bench = Bench { settings, places, torrent };
    let mut outcome = Outcome::new(settings);
    for &connections in &settings.connections {
        bench.measure_column(connections, &mut outcome);
    }
    Ok(outcome)
}

impl Bench<'_> {
    fn measure_column(&self, connections: usize, outcome: &mut Outcome) {
        let mut servers: Vec<(Contender, io::Result<Server>)> =
            self.settings.contenders.iter().map(|&contender| (contender, self.start(contender))).collect();
        for (contender, server) in &servers {
            if let Ok(server) = server {
                outcome.row(*contender).describe(server.ready());
            }
        }
        for round in 0..=self.settings.rounds {
            for (contender, server) in &mut servers {
                let report = match server {
                    Ok(running) => self.measure(running, connections),
                    Err(_) => continue,
                };
                match report {
                    Ok(report) => {
                        progress(*contender, connections, round, &report);
                        if round > 0 {
                            outcome.row(*contender).cell(connections).reports.push(report);
                        }
                    }
                    Err(error) => *server = Err(error),
                }
            }
        }
        for (contender, server) in servers {
            if let Err(error) = server {
                eprintln!("{contender} at {connections} connections failed: {error}");
                outcome.row(contender).cell(connections).failure = Some(error.to_string());
            }
        }
    }

    fn start(&self, contender: Contender) -> io::Result<Server> {
        let command = contender.command(self.places, &self.torrent);
        Server::start(command, SERVER_CORE, &self.places.log(&contender.to_string()))
    }

    /// One round: a load in a process of its own, on the other core.
    fn measure(&self, server: &Server, connections: usize) -> io::Result<Report> {
        let ready = server.ready();
        let address = ready.listen.first().ok_or_else(|| io::Error::other("it listens nowhere"))?;
        let info_hash =
            ready.info_hash.as_ref().map_or(Ok(self.torrent.info_hash), |hash| hash.parse::<InfoHash>());
        let volume = self.settings.size * VOLUME_PER_SIZE;
        let options = [
            ("--info-hash", info_hash.map_err(io::Error::other)?.to_string()),
            ("--piece-length", self.torrent.geometry.piece_length().to_string()),
            ("--connections", connections.to_string()),
            ("--outstanding", self.settings.outstanding.to_string()),
            ("--volume", volume.to_string()),
            ("--warm-volume", (volume / WARM_SHARE).to_string()),
            ("--server-pid", server.pid().to_string()),
            ("--core", LOAD_CORE.to_string()),
            ("--deadline-s", ROUND_LIMIT.as_secs().to_string()),
        ];
        let mut load = Command::new(self.places.binaries.join("load"));
        load.arg(address.to_string()).arg("--payload").arg(&self.torrent.payload);
        load.args(options.iter().flat_map(|(name, value)| [*name, value.as_str()]));
        let output = load.output()?;
        if !output.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        serde_json::from_slice(&output.stdout).map_err(io::Error::other)
    }
}

/// A line on stderr for each round, so that a run of minutes is seen to live.
fn progress(contender: Contender, connections: usize, round: u32, report: &Report) {
    let cpu_s = report.server.as_ref().map_or(0.0, |server| server.cpu_s);
    let (wall_s, load_cpu_s) = (report.wall_s, report.load_cpu_s);
    eprintln!(
        "{contender:10} {connections:5} connections, round {round}: {} in {wall_s:.2} s, server {cpu_s:.2} s of CPU \
         time, load {load_cpu_s:.2} s, {} unchoked",
        size::show(report.bytes),
        report.unchoked,
    );
}
