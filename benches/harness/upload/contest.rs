//! Contenders in turn, round by round, so that what disturbs the machine disturbs all of them. The first round is not
//! counted.

use std::fmt;
use std::io;

use super::result::{Round, Row};
use crate::size;

/// One round of an entrant.
type Measure<'a> = Box<dyn FnMut() -> io::Result<Round> + 'a>;

/// Who takes part, and what is done in each round.
pub(super) struct Entrant<'a> {
    row: Row,
    measure: Option<Measure<'a>>,
}

impl<'a> Entrant<'a> {
    /// Whoever could not be started has failed.
    pub(super) fn new(mut row: Row, measure: io::Result<impl FnMut() -> io::Result<Round> + 'a>) -> Self {
        let measure = match measure {
            Ok(measure) => Some(Box::new(measure) as Measure<'a>),
            Err(error) => {
                fail(&mut row, &error);
                None
            }
        };
        Self { row, measure }
    }

    fn run(&mut self, number: u32) {
        let Some(measure) = &mut self.measure else { return };
        match measure() {
            Ok(round) => {
                progress(&self.row, number, &round);
                if number > 0 {
                    self.row.rounds.push(round);
                }
            }
            Err(error) => {
                fail(&mut self.row, &error);
                self.measure = None;
            }
        }
    }
}

impl fmt::Debug for Entrant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.row.fmt(f)
    }
}

/// `rounds` of all `entrants`, after one that is not counted.
pub(super) fn contest(rounds: u32, mut entrants: Vec<Entrant<'_>>) -> Vec<Row> {
    for number in 0..=rounds {
        entrants.iter_mut().for_each(|entrant| entrant.run(number));
    }
    entrants.into_iter().map(|entrant| entrant.row).collect()
}

/// One round of `entrant` alone, which counts.
pub(super) fn once(mut entrant: Entrant<'_>) -> Row {
    entrant.run(1);
    entrant.row
}

fn fail(row: &mut Row, error: &io::Error) {
    eprintln!("{} at {} failed: {error}", row.contender, row.case);
    row.failure = Some(error.to_string());
}

/// A line on stderr for each round, so that a run of minutes is seen to live.
fn progress(row: &Row, number: u32, round: &Round) {
    let report = &round.report;
    let cpu_s = report.server.as_ref().map_or(0.0, |server| server.cpu_s);
    eprintln!(
        "{:10} {:30} round {number}: {} in {:.2} s, server {cpu_s:.2} s of CPU time, load {:.2} s, {} unchoked",
        row.contender,
        row.case,
        size::show(report.bytes),
        report.wall_s,
        report.load_cpu_s,
        report.unchoked,
    );
}
