//! The benchmark of trackers: what an answer costs over HTTP and UDP, what a million peers take, what a sweep delays.
//!
//! Each contender has one core, the load has the other. Contenders take turns, and the first round does not count. An
//! answer counts only when it was checked; a wrong one, or a contender that is not there, fails its row.

mod aquatic;
mod checks;
mod contender;
mod http;
mod http_answer;
mod http_connection;
mod http_load;
mod memory;
mod meter;
mod options;
mod population;
mod requests;
mod result;
mod scrape;
mod scripts;
mod snapshot;
mod soak;
mod soak_load;
mod soak_script;
mod sweep;
mod table;
mod udp;
mod udp_ids;
mod udp_load;
mod udp_slots;
mod udp_socket;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use protocol::announce::{Answer, PeerForm, Reply};

use crate::cores::{self, Cores};
use crate::places::Places;
pub use contender::Contender;
use contender::{Running, Setting};
pub use options::{Options, Part, Settings};
use population::Population;
pub use result::{Outcome, Row};
pub use table::render;

const SERVER_CORE: Cores = Cores::One(0);
const LOAD_CORE: usize = 1;

/// A run: what is to be done, and where.
struct Bench<'a> {
    settings: &'a Settings,
    places: &'a Places,
    folder: PathBuf,
}

/// Runs the benchmark with the programs of `places`, in a folder there that is gone afterwards.
///
/// # Errors
/// When this machine does not let us; a contender that fails is a result.
pub fn run(settings: &Settings, places: &Places) -> io::Result<Outcome> {
    cores::pin(LOAD_CORE)?;
    let bench = Bench { settings, places, folder: places.directory.join("tracker") };
    fs::create_dir_all(&bench.folder)?;
    let versions = settings.contenders.iter().filter_map(|contender| contender.version(places)).collect();
    let mut outcome = Outcome { settings: settings.clone(), versions, rows: Vec::new() };
    for part in &settings.parts {
        outcome.rows.extend(match part {
            Part::Http => http::run(&bench),
            Part::Udp => udp::run(&bench),
            Part::Memory => memory::run(&bench),
            Part::Sweep => sweep::run(&bench),
            Part::Snapshot => snapshot::run(&bench),
            Part::Soak => soak::run(&bench),
            Part::All => Vec::new(),
        });
    }
    fs::remove_dir_all(&bench.folder)?;
    Ok(outcome)
}

impl Bench<'_> {
    /// One row for each of `able` that takes part.
    fn rows(&self, part: Part, case: &'static str, able: &[Contender]) -> Vec<Row> {
        let takes_part = |contender: &&Contender| self.settings.contenders.contains(contender);
        able.iter().filter(takes_part).map(|contender| Row::new(part, case, *contender)).collect()
    }

    /// A folder of a contender with nothing in it.
    fn clean_folder(&self, contender: Contender) -> io::Result<PathBuf> {
        let folder = self.folder.join(contender.to_string());
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(&folder)?,
        }
        Ok(folder)
    }

    /// Starts a contender in a clean folder.
    fn start(&self, contender: Contender, setting: &Setting, who: &Population) -> io::Result<Running> {
        contender.start(self.places, &self.clean_folder(contender)?, setting, who)
    }

    /// All rounds of a row for which one does all, one after the other.
    fn repeat(&self, row: &mut Row, mut round: impl FnMut() -> io::Result<Vec<(&'static str, f64)>>) {
        for number in 0..=self.settings.large_rounds {
            match round() {
                Ok(figures) => row.add(number, &figures),
                Err(error) => return row.fail(&error),
            }
        }
    }
}

/// The body of an answer to an announce in a torrent of so many peers, for the bound.
pub fn typical_answer(peers: u32) -> Vec<u8> {
    let who = Population { torrents: 1, peers_each: peers, sources: peers, salt: 0 };
    let address = |peer| (population::source_address(who.source_of(peer)), who.port(peer)).into();
    let answer = Answer {
        interval: Some(Duration::from_secs(1800)),
        min_interval: Some(Duration::from_secs(300)),
        seeds: Some(who.seeds_each()),
        leechers: Some(who.leechers_each()),
        downloaded: Some(0),
        peers: (1..peers).map(address).collect(),
        ..Answer::default()
    };
    Reply::Answer(answer).encode(PeerForm::Compact)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_typical_answer_lists_all_but_one() {
        let Ok(Reply::Answer(answer)) = Reply::decode(&typical_answer(20)) else { panic!("a refusal") };
        assert_eq!(answer.peers.len(), 19);
    }
}
