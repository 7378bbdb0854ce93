//! The figures of a hash benchmark as people read them.

use std::fmt::Write;

use super::Work;
use super::result::{Outcome, Row};
use crate::{goal, size};

const NAME_WIDTH: usize = 14;
const CELL_WIDTH: usize = 22;

/// A table for each work, then goals, failures, versions and settings.
pub fn render(outcome: &Outcome) -> String {
    let settings = &outcome.settings;
    let mut text = format!(
        "hash: seconds of whole programs, median (min-max) of {} round(s)\n\
         {} in the page cache, on all {} core(s)\n",
        settings.rounds,
        size::show(settings.size),
        settings.cores,
    );
    for work in Work::ALL {
        text.push_str(&section(outcome, work));
    }
    text.push_str(&notes(outcome));
    text
}

fn section(outcome: &Outcome, work: Work) -> String {
    let columns = ["wall s", "CPU s", "GB per CPU second", "anonymous memory"].map(str::to_owned);
    let mut text = format!("\n{}\n", line(&work.to_string(), &columns));
    for row in outcome.rows.iter().filter(|row| row.work == work) {
        let _ = writeln!(text, "{}", show_row(row));
    }
    text
}

fn line(name: &str, cells: &[String]) -> String {
    cells.iter().fold(format!("{name:NAME_WIDTH$}"), |line, cell| format!("{line}{cell:>CELL_WIDTH$}"))
}

fn show_row(row: &Row) -> String {
    let show = |figure: Option<String>| figure.unwrap_or_else(|| "-".to_owned());
    let cells = [
        row.spread(|report| report.wall_s)
            .map_or_else(|| "FAILED".to_owned(), |spread| format!("{spread:.3}")),
        show(row.spread(|report| report.cpu_s).map(|spread| format!("{spread:.3}"))),
        show(row.spread(|report| report.gb_per_cpu_s).map(|spread| spread.to_string())),
        show(row.rss_anon_bytes().map(size::show)),
    ];
    line(&row.contender.to_string(), &cells)
}

fn notes(outcome: &Outcome) -> String {
    let mut text = format!("\n{}\n", goal::render(&outcome.goals));
    for row in &outcome.rows {
        let (work, contender) = (row.work, row.contender);
        if let Some(failure) = &row.failure {
            let _ = writeln!(text, "{work} {contender}: FAILED: {failure}");
        }
        if row.version.is_some() || row.settings.is_some() {
            let version = row.version.as_deref().unwrap_or("");
            let settings = row.settings.as_ref().map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(text, "{work} {contender} {version} {settings}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::{Contender, Report, Settings, goals};
    use super::*;

    fn outcome() -> Outcome {
        let contenders = vec![Contender::Btd, Contender::Mktorrent, Contender::Openssl];
        let mut outcome = Outcome::new(&Settings { size: 1 << 30, rounds: 1, cores: 2, contenders });
        for row in &mut outcome.rows {
            let (wall_s, gb_per_cpu_s) = match row.contender {
                Contender::Btd => (0.125, 3.0),
                Contender::Mktorrent => (0.2, 1.0),
                _ => (0.75, 1.25),
            };
            row.reports.push(Report {
                wall_s,
                cpu_s: 0.5,
                gb_per_cpu_s,
                process_wall_s: wall_s,
                process_cpu_s: 0.5,
                rss_anon_bytes: 1 << 20,
            });
        }
        outcome.goals = goals::of(&outcome);
        outcome
    }

    #[test]
    fn each_work_has_a_table_and_a_goal_that_is_missed_says_so() {
        let text = render(&outcome());
        let (create, verify) = text.split_once("\nverify").unwrap();
        assert!(create.contains("0.125 (0.125-0.125)") && create.contains("3.00 (3.00-3.00)"), "{text}");
        let line = |what: &str| verify.lines().find(|line| line.starts_with(what)).unwrap();
        assert!(line("create: wall").contains("0.62") && line("create: wall").ends_with("MISSED"), "{text}");
        assert!(line("create: GB").contains("2.40") && line("create: GB").ends_with("met"), "{text}");
    }

    #[test]
    fn who_failed_has_no_figures_but_a_reason() {
        let mut outcome = outcome();
        outcome.rows[1].failure = Some("no such program".to_owned());
        outcome.goals = goals::of(&outcome);
        let text = render(&outcome);
        let row = text.lines().find(|line| line.starts_with("mktorrent")).unwrap();
        assert!(row.contains("FAILED") && !row.contains("0.2") && !row.contains("MiB"), "{text}");
        assert!(text.contains("create mktorrent: FAILED: no such program\n"), "{text}");
    }
}
