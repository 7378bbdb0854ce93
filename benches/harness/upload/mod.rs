//! The upload benchmark: what a seeder makes of a core.
//!
//! Its parts have a file each. All start seeders on one core, and a load in a process of its own on another; what the
//! kernel charged to the seeder is the result.

mod btd;
mod cold;
mod connections;
mod contest;
mod goals;
mod many;
mod options;
mod plan;
mod plot;
mod result;
mod stall;
mod table;
mod verify;

use std::io;

use crate::cores::Cores;
use crate::load::Order;
use crate::network;
use crate::payload;
use crate::places::Places;
use crate::torrent::{self, Torrent};
pub use options::{Options, Part, Settings};
use plan::Plan;
pub use plot::draw;
pub use result::{Outcome, Program, Round, Row};
pub use table::render;

const SERVER_CORE: Cores = Cores::One(0);
const LOAD_CORE: Option<usize> = Some(1);
/// Volume of a round, in payloads: long enough that a timer tick does not show.
const VOLUME_PER_SIZE: u64 = 2;
/// Share of the volume that passes before the window opens.
const WARM_SHARE: u64 = 4;
/// Connections of a hot torrent that is measured alone and beside something else.
const HOT_CONNECTIONS: usize = 16;
/// Rounds of such a pair for each round of others: what it loses is less than what rounds differ by.
const PAIR_ROUNDS: u32 = 2;
/// From so many connections on a window goes by time.
const MANY: usize = 500;

/// What all parts have in common.
struct Bench<'a> {
    settings: &'a Settings,
    places: &'a Places,
    /// One torrent, hot.
    torrent: Torrent,
}

/// Runs the benchmark with the programs and files of `places`.
///
/// # Errors
/// When a payload cannot be made; a contender that fails is a result.
pub fn run(settings: &Settings, places: &Places) -> io::Result<Outcome> {
    let path = payload::prepare(&places.directory, settings.size)?;
    let torrent = torrent::create(&path, torrent::PIECE_LENGTH)?;
    let bench = Bench { settings, places, torrent };
    let mut outcome = Outcome::new(settings, network::congestion_control()?);
    for part in &settings.parts {
        match part {
            Part::Connections => bench.measure_connections(&mut outcome),
            Part::Crowd => bench.measure_crowd(&mut outcome)?,
            Part::Idle => bench.measure_idle(&mut outcome),
            Part::Workers => bench.measure_workers(&mut outcome),
            Part::Cold => bench.measure_cold(&mut outcome)?,
            Part::Stall => bench.measure_stall(&mut outcome)?,
            Part::Verify => bench.measure_verify(&mut outcome)?,
        }
    }
    outcome.goals = goals::of(&outcome);
    Ok(outcome)
}

impl Bench<'_> {
    /// Measured rounds of a hot torrent alone and beside something else.
    fn pair_rounds(&self) -> u32 {
        self.settings.rounds * PAIR_ROUNDS
    }

    /// So many connections that ask for `torrents` as fast as they are answered, for a volume that is a multiple of the
    /// payload.
    fn plan<'a>(&self, torrents: &'a [Torrent], connections: usize) -> Plan<'a> {
        let volume = self.settings.size * VOLUME_PER_SIZE;
        Plan {
            torrents,
            connections,
            idle: 0,
            outstanding: self.settings.outstanding,
            order: Order::InOrder,
            rate: None,
            warm: (volume / WARM_SHARE).to_string(),
            window: volume.to_string(),
            core: LOAD_CORE,
            threads: 1,
        }
    }

    /// As [`Bench::plan`] for few connections. For many it goes by time: until each has filled its buffers, and they are
    /// emptied as fast as they are filled, seconds pass.
    fn plan_for<'a>(&self, torrents: &'a [Torrent], connections: usize) -> Plan<'a> {
        if connections < MANY {
            self.plan(torrents, connections)
        } else {
            self.timed_plan(torrents, connections)
        }
    }

    /// As [`Bench::plan`], for a window that goes by time: beside something else that goes on.
    fn timed_plan<'a>(&self, torrents: &'a [Torrent], connections: usize) -> Plan<'a> {
        let window_s = self.settings.window_s;
        Plan {
            warm: format!("{}s", window_s / 2.0),
            window: format!("{window_s}s"),
            ..self.plan(torrents, connections)
        }
    }
}
