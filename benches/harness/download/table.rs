//! The figures of a download benchmark as people read them.

use std::fmt::Write;

use super::Leecher;
use super::result::{Outcome, Row};
use crate::{goal, size};

const NAME_WIDTH: usize = 12;
const CELL_WIDTH: usize = 20;

/// The table, the goals, failures, versions and settings.
pub fn render(outcome: &Outcome) -> String {
    let settings = &outcome.settings;
    let columns = ["wall s", "CPU s", "CPU / libtorrent", "anonymous memory"].map(str::to_owned);
    let mut text = format!(
        "download: seconds until verified and written, median (min-max) of {} round(s)\n\
         {} from one seed in the page cache to disk, leecher and seed on a core each\n\
         congestion control of TCP: {}\n\n{}\n",
        settings.rounds,
        size::show(settings.size),
        outcome.congestion_control,
        line("", &columns),
    );
    for row in &outcome.rows {
        let _ = writeln!(text, "{}", show_row(outcome, row));
    }
    text.push_str(&notes(outcome));
    text
}

fn line(name: &str, cells: &[String]) -> String {
    cells.iter().fold(format!("{name:NAME_WIDTH$}"), |line, cell| format!("{line}{cell:>CELL_WIDTH$}"))
}

fn show_row(outcome: &Outcome, row: &Row) -> String {
    let show = |figure: Option<String>| figure.unwrap_or_else(|| "-".to_owned());
    let (wall, cpu) = (row.spread(|report| report.wall_s), row.spread(|report| report.cpu_s));
    let memory = row.rss_anon_bytes().map(size::show);
    let cells = [
        wall.map_or_else(|| "FAILED".to_owned(), |spread| spread.to_string()),
        show(cpu.map(|spread| spread.to_string())),
        show(ratio(outcome, row.contender).map(|ratio| format!("{ratio:.2}"))),
        show(memory),
    ];
    line(&row.contender.to_string(), &cells)
}

/// CPU time of `contender` for each second of libtorrent's.
fn ratio(outcome: &Outcome, contender: Leecher) -> Option<f64> {
    let cpu_s = |contender| outcome.median(contender, |report| report.cpu_s);
    Some(cpu_s(contender)? / cpu_s(Leecher::Libtorrent)?)
}

fn notes(outcome: &Outcome) -> String {
    let mut text = format!("\n{}\n", goal::render(&outcome.goals));
    if let Some(load) = outcome.seed_load() {
        let _ = writeln!(text, "the seed was at work for {:.0} % of a download at most", load * 100.0);
    }
    for row in &outcome.rows {
        if let Some(failure) = &row.failure {
            let _ = writeln!(text, "{}: FAILED: {failure}", row.contender);
        }
        if row.version.is_some() || row.settings.is_some() {
            let version = row.version.as_deref().unwrap_or("");
            let settings = row.settings.as_ref().map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(text, "{} {version} {settings}", row.contender);
        }
    }
    text
}
