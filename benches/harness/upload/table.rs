//! The figures of an upload benchmark as people read them.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::connections::case;
use super::result::{Figure, Outcome, Round, Row};
use super::{Part, stall, verify};
use crate::contender::Contender;
use crate::{goal, size};

const NAME_WIDTH: usize = 12;
const CASE_WIDTH: usize = 34;
const CELL_WIDTH: usize = 18;

/// Columns of the parts that are a list: heading, figure.
const COLUMNS: [(&str, Figure); 6] = [
    ("GB per CPU s", Round::gb_per_cpu_s),
    ("GB per s", Round::gb_per_s),
    ("p99 ms", Round::p99_ms),
    ("slowest / mean", Round::slowest_share),
    ("KiB/connection", Round::anon_kib_per_connection),
    ("disk / sent", Round::disk_share),
];
/// What else some parts measure.
const EXTRA: [(&str, &str); 4] = [
    ("control API, longest ms", stall::API[0]),
    ("control API, p50 ms", stall::API[1]),
    ("verified GB per s", verify::VERIFIED),
    ("fewest connections of a worker", super::many::WORKER_SHARES[0]),
];

/// The tables, the goals, memory, failures, settings.
pub fn render(outcome: &Outcome) -> String {
    let settings = &outcome.settings;
    let mut text = format!(
        "upload: median (min-max) of {} round(s), {} of payload, {} requests of 16 KiB open on each connection\n\
         congestion control of TCP: {}\n\n",
        settings.rounds,
        size::show(settings.size),
        settings.outstanding,
        outcome.congestion_control,
    );
    if settings.parts.contains(&Part::Connections) {
        text.push_str(&matrix(outcome));
    }
    for part in settings.parts.iter().filter(|part| **part != Part::Connections) {
        text.push_str(&list(outcome, *part));
    }
    let _ = write!(text, "{}\n{}", goal::render(&outcome.goals), notes(outcome));
    text
}

fn matrix(outcome: &Outcome) -> String {
    let settings = &outcome.settings;
    let columns = settings.connections.iter().map(ToString::to_string);
    let mut text = format!("GB per CPU s{}\n", cells(columns));
    for &contender in &settings.contenders {
        let row = settings.connections.iter().map(|connections| {
            let row = outcome.row(Part::Connections, &case(*connections), contender);
            show(row, Round::gb_per_cpu_s)
        });
        let _ = writeln!(text, "{contender:NAME_WIDTH$}{}", cells(row));
    }
    text.push('\n');
    text
}

fn list(outcome: &Outcome, part: Part) -> String {
    let headings = COLUMNS.iter().map(|(heading, _)| (*heading).to_owned());
    let head = format!("{part}:");
    let mut text = format!("{head:width$}{}\n", cells(headings), width = NAME_WIDTH + CASE_WIDTH);
    for row in outcome.rows.iter().filter(|row| row.part == part) {
        let figures = COLUMNS.iter().map(|(_, figure)| show(Some(row), figure));
        let _ = writeln!(text, "{:NAME_WIDTH$}{:CASE_WIDTH$}{}", row.contender, row.case, cells(figures));
        for (name, key) in EXTRA {
            if let Some(spread) = row.spread(|round| round.figure(key)) {
                let _ = writeln!(text, "{:NAME_WIDTH$}  {name}: {spread}", "");
            }
        }
    }
    text.push('\n');
    text
}

fn cells(cells: impl Iterator<Item = String>) -> String {
    cells.fold(String::new(), |line, cell| format!("{line}{cell:>CELL_WIDTH$}"))
}

fn show(row: Option<&Row>, figure: impl Fn(&Round) -> Option<f64>) -> String {
    row.and_then(|row| row.spread(figure)).map_or_else(|| "FAILED".to_owned(), |spread| spread.to_string())
}

fn notes(outcome: &Outcome) -> String {
    let mut text = String::new();
    // Where the most connections were.
    let mut memory: BTreeMap<Contender, (usize, u64, u64)> = BTreeMap::new();
    for row in outcome.rows.iter().filter(|row| row.part == Part::Connections) {
        for report in row.rounds.iter().map(|round| &round.report) {
            if let Some(server) = &report.server {
                let figures = (report.connections, server.rss_anon_bytes, server.rss_file_bytes);
                memory.entry(row.contender).and_modify(|most| *most = figures.max(*most)).or_insert(figures);
            }
        }
    }
    for (contender, (connections, anonymous, of_files)) in memory {
        let (anonymous, of_files) = (size::show(anonymous), size::show(of_files));
        let _ = writeln!(
            text,
            "{contender}: {anonymous} of anonymous memory and {of_files} of files at {connections} connections"
        );
    }
    outcome.rows.iter().for_each(|row| note_row(&mut text, row));
    for (name, program) in &outcome.programs {
        let version = program.version.as_deref().unwrap_or("");
        let settings = program.settings.as_ref().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(text, "{name} {version} {settings}");
    }
    text
}

fn note_row(text: &mut String, row: &Row) {
    let (name, case) = (row.contender, &row.case);
    if let Some(failure) = &row.failure {
        let _ = writeln!(text, "{name}, {case}: FAILED: {failure}");
    }
    let reports = row.rounds.iter().map(|round| &round.report);
    let choked = reports.map(|report| report.connections + report.idle - report.unchoked).max();
    if let Some(choked @ 1..) = choked {
        let _ = writeln!(text, "{name}, {case}: {choked} connections were not unchoked");
    }
}
