//! The memory of a million peers, all of them checked to be there.

use std::io;

use super::contender::Setting;
use super::result::float;
use super::scripts;
use super::udp_load::Udp;
use super::{Bench, Contender, Part, Row};
use crate::process::{rss_anon_bytes, rss_bytes};

const CASE: &str = "two in each torrent";
const ALL: [Contender; 2] = [Contender::Bttracker, Contender::AquaticUdp];

/// One row for each contender.
pub(super) fn run(bench: &Bench<'_>) -> Vec<Row> {
    let mut rows = bench.rows(Part::Memory, CASE, &ALL);
    for round in 0..=bench.settings.large_rounds {
        for row in rows.iter_mut().filter(|row| row.failure.is_none()) {
            match measure(bench, row.contender) {
                Ok(figures) => row.add(round, &figures),
                Err(error) => row.fail(&error),
            }
        }
    }
    rows
}

/// One round: it starts empty.
fn measure(bench: &Bench<'_>, contender: Contender) -> io::Result<Vec<(&'static str, f64)>> {
    let who = bench.settings.large_population();
    let running = bench.start(contender, &Setting::default(), &who)?;
    let pid = running.daemon.pid();
    let mut udp = Udp::open(running.server, who.sources)?;
    let empty = rss_anon_bytes(pid)?;
    let run = scripts::put(&mut udp, who, 0, who.peers())?;
    let full = rss_anon_bytes(pid)?;
    let resident = rss_bytes(pid)?;
    scripts::count(&mut udp, who)?;
    Ok(vec![
        ("bytes_each", float(full.saturating_sub(empty)) / f64::from(who.peers())),
        ("rss_anon_bytes", float(full)),
        ("rss_bytes", float(resident)),
        ("empty_rss_anon_bytes", float(empty)),
        ("put_per_s", f64::from(who.peers()) / run.wall.as_secs_f64()),
    ])
}
