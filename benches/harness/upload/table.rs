//! The figures of an upload benchmark as people read them.

use std::fmt::Write;

use super::result::{Cell, Outcome, Row};
use crate::contender::Contender;
use crate::size;

const NAME_WIDTH: usize = 18;
const CELL_WIDTH: usize = 18;

/// What is claimed: btd against whom, and how many times as much it serves at least.
const CLAIMS: [(Contender, f64); 2] = [(Contender::Reference, 0.7), (Contender::Libtorrent, 1.5)];

/// The table, the ratios that are claimed, memory, failures, settings.
pub fn render(outcome: &Outcome) -> String {
    let mut text = head(outcome);
    for row in &outcome.rows {
        let _ = writeln!(text, "{}", line(&row.contender.to_string(), row.cells.iter().map(show_cell)));
    }
    for (other, least) in CLAIMS {
        let ratios =
            outcome.settings.connections.iter().map(|&column| show_ratio(outcome, other, column, least));
        let _ = writeln!(text, "{}   claimed: {least}", line(&format!("btd / {other}"), ratios));
    }
    text.push_str(&notes(outcome));
    text
}

fn head(outcome: &Outcome) -> String {
    let settings = &outcome.settings;
    let columns = settings.connections.iter().map(ToString::to_string);
    format!(
        "upload: GB per CPU second of the server, median (min-max) of {} round(s)\n\
         {} of payload in the page cache, {} requests of 16 KiB open on each connection\n\n{}\n",
        settings.rounds,
        size::show(settings.size),
        settings.outstanding,
        line("connections", columns),
    )
}

fn line(name: &str, cells: impl Iterator<Item = String>) -> String {
    cells.fold(format!("{name:NAME_WIDTH$}"), |line, cell| format!("{line}{cell:>CELL_WIDTH$}"))
}

fn show_cell(cell: &Cell) -> String {
    cell.gb_per_cpu_s().map_or_else(|| "FAILED".to_owned(), |spread| spread.to_string())
}

fn show_ratio(outcome: &Outcome, other: Contender, connections: usize, least: f64) -> String {
    let median = |contender| Some(outcome.cell(contender, connections)?.gb_per_cpu_s()?.median);
    let (Some(ours), Some(theirs)) = (median(Contender::Btd), median(other)) else { return "-".to_owned() };
    let ratio = ours / theirs;
    format!("{ratio:.2}{}", if ratio < least { " MISSED" } else { "" })
}

fn notes(outcome: &Outcome) -> String {
    let mut text = "\n".to_owned();
    for row in &outcome.rows {
        let name = row.contender;
        if let Some((cell, bytes)) = row.cells.last().and_then(|cell| Some((cell, cell.rss_anon_bytes()?))) {
            let _ = writeln!(
                text,
                "{name}: {} of anonymous memory at {} connections",
                size::show(bytes),
                cell.connections
            );
        }
        for cell in &row.cells {
            note_cell(&mut text, row, cell);
        }
    }
    for row in outcome.rows.iter().filter(|row| row.version.is_some() || row.settings.is_some()) {
        let version = row.version.as_deref().unwrap_or("");
        let settings = row.settings.as_ref().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(text, "{} {version} {settings}", row.contender);
    }
    text
}

fn note_cell(text: &mut String, row: &Row, cell: &Cell) {
    let (name, connections) = (row.contender, cell.connections);
    if let Some(failure) = &cell.failure {
        let _ = writeln!(text, "{name}: FAILED at {connections} connections: {failure}");
    }
    if let Some(unchoked) = cell.unchoked().filter(|unchoked| *unchoked < connections) {
        let _ = writeln!(text, "{name}: only {unchoked} of {connections} connections were unchoked");
    }
}
