//! The figures of a benchmark of trackers as people read them.

use std::fmt::Write;

use super::result::{Outcome, Row};
use super::{Part, udp};

const NAME_WIDTH: usize = 26;
const CELL_WIDTH: usize = 28;
/// A core that is busy for such a part of the time has no more to give.
const SATURATED: f64 = 0.95;

/// A figure in a table: its heading, its name, and by what it is divided.
type Column = (&'static str, &'static str, f64);

const THROUGHPUT: [Column; 6] = [
    ("answers/CPU s", "answers_per_cpu_s", 1.0),
    ("answers/s", "answers_per_s", 1.0),
    ("p50 us", "p50_us", 1.0),
    ("p99 us", "p99_us", 1.0),
    ("p99.9 us", "p999_us", 1.0),
    ("server core %", "server_share", 0.01),
];
const FLOOD: [Column; 5] = [
    ("announces/CPU s", "answers_per_cpu_s", 1.0),
    ("all answers/CPU s", "responses_per_cpu_s", 1.0),
    ("announces/s", "answers_per_s", 1.0),
    ("peers each", "peers_each", 1.0),
    ("server core %", "server_share", 0.01),
];
const MEMORY: [Column; 5] = [
    ("bytes/peer", "bytes_each", 1.0),
    ("RssAnon MB", "rss_anon_bytes", 1e6),
    ("VmRSS MB", "rss_bytes", 1e6),
    ("empty RssAnon MB", "empty_rss_anon_bytes", 1e6),
    ("puts/s", "put_per_s", 1.0),
];
const SWEEP: [Column; 6] = [
    ("p99.9 ratio", "ratio_p999", 1.0),
    ("quiet p50 us", "quiet_p50_us", 1.0),
    ("quiet p99.9 us", "quiet_p999_us", 1.0),
    ("sweeping p50 us", "p50_us", 1.0),
    ("sweeping p99.9 us", "p999_us", 1.0),
    ("window s", "window_s", 1.0),
];
const SNAPSHOT: [Column; 5] = [
    ("ready ms", "ready_ms", 1.0),
    ("stop ms", "stop_ms", 1.0),
    ("file bytes/peer", "file_bytes_each", 1.0),
    ("file MB", "file_bytes", 1e6),
    ("RssAnon MB after", "rss_anon_bytes", 1e6),
];
const SOAK: [Column; 6] = [
    ("growth", "growth", 1.0),
    ("RssAnon MB", "rss_anon_bytes", 1e6),
    ("HTTP, kept", "kept_answers", 1.0),
    ("HTTP, new", "new_answers", 1.0),
    ("UDP", "udp_answers", 1.0),
    ("refused", "malformed_refused", 1.0),
];

/// The tables, ratios, failures and versions.
pub fn render(outcome: &Outcome) -> String {
    let settings = &outcome.settings;
    let mut text = format!(
        "trackers: median (min-max) of {} round(s) over HTTP and UDP, of {} with {} peers\n",
        settings.rounds,
        settings.large_rounds,
        settings.large_torrents * 2
    );
    let mut rest = &outcome.rows[..];
    while let Some(first) = rest.first() {
        let length = rest.iter().take_while(|row| (row.part, row.case) == (first.part, first.case)).count();
        let (rows, others) = rest.split_at(length);
        text.push_str(&table(rows));
        rest = others;
    }
    text.push('\n');
    for row in &outcome.rows {
        if let Some(failure) = &row.failure {
            let _ = writeln!(text, "{:?}, {}: {}: FAILED: {failure}", row.part, row.case, row.contender);
        }
    }
    outcome.versions.iter().for_each(|version| text.extend([version, "\n"]));
    text
}

/// One case: its contenders, ratios to the first, and what is odd.
fn table(rows: &[Row]) -> String {
    let Some(first) = rows.first() else { return String::new() };
    let columns = columns(first);
    let headings = columns.iter().map(|column| column.0.to_owned());
    let mut text =
        format!("\n{}\n", line(&format!("{:?}, {}", first.part, first.case).to_lowercase(), headings));
    for row in rows {
        let cells = columns.iter().map(|column| cell(row, column));
        let _ = writeln!(text, "{}", line(&format!("  {}", row.contender), cells));
    }
    for row in &rows[1..] {
        text.push_str(&ratio(first, row, columns[0]));
    }
    rows.iter().for_each(|row| text.push_str(&oddities(row)));
    text
}

fn columns(row: &Row) -> &'static [Column] {
    match row.part {
        Part::Udp if row.case == udp::FLOOD => &FLOOD,
        Part::Http | Part::Udp | Part::All => &THROUGHPUT,
        Part::Memory => &MEMORY,
        Part::Sweep => &SWEEP,
        Part::Snapshot => &SNAPSHOT,
        Part::Soak => &SOAK,
    }
}

fn line(name: &str, cells: impl Iterator<Item = String>) -> String {
    cells.fold(format!("{name:NAME_WIDTH$}"), |line, cell| format!("{line}{cell:>CELL_WIDTH$}"))
}

fn cell(row: &Row, (_, name, unit): &Column) -> String {
    match (row.spread(name), &row.failure) {
        (Some(spread), _) => {
            let digits = if spread.median / unit < 1_000.0 { 2 } else { 0 };
            let show = |value: f64| format!("{:.digits$}", value / unit);
            format!("{} ({}-{})", show(spread.median), show(spread.min), show(spread.max))
        }
        (None, Some(_)) => "FAILED".to_owned(),
        (None, None) => "-".to_owned(),
    }
}

/// How the first contender compares with another in the first figure, by medians.
fn ratio(first: &Row, row: &Row, (heading, name, _): Column) -> String {
    let (Some(ours), Some(theirs)) = (first.spread(name), row.spread(name)) else { return String::new() };
    let ratio = ours.median / theirs.median;
    format!("  {}: {ratio:.2} times the {heading} of {}\n", first.contender, row.contender)
}

/// What makes a figure doubtful.
fn oddities(row: &Row) -> String {
    let median = |name| row.spread(name).map_or(0.0, |spread| spread.median);
    let mut text = String::new();
    // The paced load never sleeps.
    let is_paced = row.figures.contains_key("lag_us");
    if !is_paced && median("load_share") > SATURATED && median("server_share") < SATURATED {
        let (load, server) = (median("load_share") * 100.0, median("server_share") * 100.0);
        let _ = writeln!(
            text,
            "  {}: the load was at its limit ({load:.0} % of its core), the server was not ({server:.0} %): only figures \
             for each CPU second say something",
            row.contender
        );
    }
    let most = |name| row.spread(name).map_or(0.0, |spread| spread.max);
    for (name, what) in [
        ("lost", "announces were not answered, and count as two seconds"),
        ("quiet_lost", "announces were not answered while it was quiet, and count as two seconds"),
        ("checked_lost", "of those that were to be checked beside the load were not answered"),
        ("udp_lost", "datagrams were not answered"),
    ] {
        if most(name) > 0.0 {
            let _ = writeln!(text, "  {}: up to {:.0} {what}", row.contender, most(name));
        }
    }
    if most("lag_us") > 1_000.0 {
        let _ =
            writeln!(text, "  {}: the load itself was late by up to {:.0} us", row.contender, most("lag_us"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::{Contender, Options};
    use super::*;
    use clap::Parser;

    fn row(contender: Contender, figures: &[(&'static str, f64)]) -> Row {
        let mut row = Row::new(Part::Http, "kept alive", contender);
        row.add(0, &[("answers_per_cpu_s", 1.0)]);
        row.add(1, figures);
        row
    }

    #[test]
    fn tables_have_ratios_failures_and_what_is_odd() {
        let ours = row(Contender::Bttracker, &[("answers_per_cpu_s", 90_000.0)]);
        let bound = [("answers_per_cpu_s", 100_000.0), ("load_share", 0.99), ("server_share", 0.5)];
        let mut failed = row(Contender::Opentracker, &[]);
        failed.fail(&std::io::Error::other("cannot start it"));
        let rows = vec![ours, row(Contender::Hyper, &bound), failed];
        let settings = Options::try_parse_from(["announce", "http"]).unwrap().settings();
        let text = render(&Outcome { settings, versions: vec!["bttracker 1".to_owned()], rows });
        for wanted in [
            "http, kept alive",
            "90000 (90000-90000)",
            "bttracker: 0.90 times the answers/CPU s of hyper",
            "hyper: the load was at its limit (99 %",
            "opentracker: FAILED: cannot start it",
            "bttracker 1\n",
        ] {
            assert!(text.contains(wanted), "{wanted} in\n{text}");
        }
    }
}
