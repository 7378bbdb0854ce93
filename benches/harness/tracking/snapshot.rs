//! What it takes bttracker to stop and to start with a million peers.

use std::fs;
use std::io;
use std::path::Path;

use super::contender::Setting;
use super::population::Population;
use super::result::float;
use super::scripts;
use super::udp_load::Udp;
use super::{Bench, Contender, Part, Row};
use crate::process::rss_anon_bytes;

const CASE: &str = "stop and start";

/// The row of bttracker, if it takes part.
pub(super) fn run(bench: &Bench<'_>) -> Vec<Row> {
    let mut rows = bench.rows(Part::Snapshot, CASE, &[Contender::Bttracker]);
    for row in &mut rows {
        bench.repeat(row, || measure(bench));
    }
    rows
}

/// One round: peers are put in, it stops, it starts, and they are all there.
fn measure(bench: &Bench<'_>) -> io::Result<Vec<(&'static str, f64)>> {
    let who: Population = bench.settings.large_population();
    let folder = bench.clean_folder(Contender::Bttracker)?;
    let state = folder.join("state");
    fs::create_dir(&state)?;
    let setting = Setting { state_dir: Some(state.clone()), ..Setting::default() };
    let start = || Contender::Bttracker.start(bench.places, &folder, &setting, &who);
    let running = start()?;
    let mut udp = Udp::open(running.server, who.sources)?;
    scripts::put(&mut udp, who, 0, who.peers())?;
    let before = rss_anon_bytes(running.daemon.pid())?;
    let stop = running.daemon.stop()?;
    let size = size_of_all(&state)?;
    let running = start()?;
    let after = rss_anon_bytes(running.daemon.pid())?;
    let mut udp = Udp::open(running.server, who.sources)?;
    scripts::count(&mut udp, who).map_err(|error| io::Error::other(format!("after the start: {error}")))?;
    Ok(vec![
        ("ready_ms", running.ready.unwrap_or_default().as_secs_f64() * 1e3),
        ("stop_ms", stop.as_secs_f64() * 1e3),
        ("file_bytes_each", float(size) / f64::from(who.peers())),
        ("file_bytes", float(size)),
        ("rss_anon_bytes_before", float(before)),
        ("rss_anon_bytes", float(after)),
    ])
}

/// Bytes of all files in a folder.
fn size_of_all(folder: &Path) -> io::Result<u64> {
    let mut size = 0;
    for entry in fs::read_dir(folder)? {
        size += entry?.metadata()?.len();
    }
    Ok(size)
}
