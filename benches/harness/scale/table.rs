//! The figures of a scale benchmark as people read them.

use std::fmt::Write;

use super::Keeper;
use super::result::{Outcome, Report, Row};
use crate::size;
use crate::spread::Spread;

const NAME_WIDTH: usize = 14;
const COUNT_WIDTH: usize = 9;
const CELL_WIDTH: usize = 30;

/// What is claimed of btd with so many torrents.
struct Claim {
    torrents: usize,
    ready_s: f64,
    list_s: f64,
}

const CLAIMS: [Claim; 2] = [
    Claim { torrents: 10_000, ready_s: 0.5, list_s: 0.06 },
    Claim { torrents: 100_000, ready_s: 3.0, list_s: 0.6 },
];
const MAX_DELTA_S: f64 = 0.002;
const MAX_BYTES_PER_TORRENT: f64 = 2048.0;
/// None, as far as that can be measured.
const MAX_IDLE_CPU: f64 = 0.01;

/// The table, what is claimed, failures and versions.
pub fn render(outcome: &Outcome) -> String {
    let columns = ["ready ms", "list ms", "delta ms", "memory each", "idle CPU", "adds/s"].map(str::to_owned);
    let mut text = format!(
        "scale: many torrents of which nobody asks for any, median (min-max) of {} round(s)\n\
         btd: ten files, 1,000 pieces, two trackers each; list is the whole life of `btctl list --json`\n\
         transmission: one file, two pieces, no tracker each, paused; list is one call of its RPC\n\n{}\n",
        outcome.settings.rounds,
        line("", "torrents", &columns),
    );
    for row in &outcome.rows {
        let _ = writeln!(text, "{}", show_row(row));
    }
    text.push('\n');
    outcome.rows.iter().for_each(|row| text.push_str(&verdicts(row)));
    for row in &outcome.rows {
        if let Some(failure) = &row.failure {
            let _ = writeln!(text, "{} with {} torrents: FAILED: {failure}", row.keeper, row.torrents);
        }
    }
    if let Some(version) = &outcome.transmission {
        let _ = writeln!(text, "transmission {version}");
    }
    text
}

fn line(name: &str, count: &str, cells: &[String]) -> String {
    let begin = format!("{name:NAME_WIDTH$}{count:>COUNT_WIDTH$}");
    cells.iter().fold(begin, |line, cell| format!("{line}{cell:>CELL_WIDTH$}"))
}

fn show_row(row: &Row) -> String {
    let millis = |figure: fn(&Report) -> &[f64]| {
        let spread = row.spread(figure);
        let millis =
            |Spread { median, min, max }| Spread { median: median * 1e3, min: min * 1e3, max: max * 1e3 };
        spread.map_or_else(|| "-".to_owned(), |spread| millis(spread).to_string())
    };
    let cells = match &row.report {
        None => vec!["FAILED".to_owned()],
        Some(report) => vec![
            millis(|report| &report.ready_s),
            millis(|report| &report.list_s),
            millis(|report| &report.delta_s),
            format!("{:.2} KiB", report.bytes_per_torrent / 1024.0),
            format!("{:.2} %", report.idle_cpu * 100.0),
            format!("{:.0}", report.adds_per_s),
        ],
    };
    line(&row.keeper.to_string(), &row.torrents.to_string(), &cells)
}

/// What is claimed of btd, and how it stands.
fn verdicts(row: &Row) -> String {
    let claim = CLAIMS.iter().find(|claim| claim.torrents == row.torrents);
    let (Some(claim), Some(report), Keeper::Btd) = (claim, &row.report, row.keeper) else {
        return String::new();
    };
    let median = |figures: &[f64]| Spread::of(figures.iter().copied()).map_or(f64::INFINITY, |it| it.median);
    let verdict = |is_met: bool| if is_met { "" } else { " MISSED" };
    let mut text = format!(
        "btd with {}: {} without, {} after adding, {} at the end; btctl took {:.0} ms of CPU time, the end {:.2} s\n",
        row.torrents,
        size::show(report.empty_rss_anon_bytes),
        size::show(report.loaded_rss_anon_bytes),
        size::show(report.rss_anon_bytes),
        median(&report.list_cpu_s) * 1e3,
        median(&report.stop_s),
    );
    let mut claims = |what: &str, found: f64, most: f64| {
        let _ = writeln!(text, "  {what}: {found:.4}{}   claimed: at most {most}", verdict(found <= most));
    };
    claims("seconds until ready", median(&report.ready_s), claim.ready_s);
    claims("seconds for a list", median(&report.list_s), claim.list_s);
    claims("seconds for a delta", median(&report.delta_s), MAX_DELTA_S);
    claims("bytes for each torrent", report.bytes_per_torrent, MAX_BYTES_PER_TORRENT);
    claims("part of a core when idle", report.idle_cpu, MAX_IDLE_CPU);
    text
}
