//! What the hash benchmark found.

use serde::Serialize;
use serde_json::Value;

use super::{Contender, Settings, Work};
use crate::goal::Goal;
use crate::run::Run;
use crate::spread::Spread;

const BYTES_PER_GB: f64 = 1e9;

/// All figures of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// What was asked for.
    pub settings: Settings,
    /// One row for each contender and each work that it can do.
    pub rows: Vec<Row>,
    /// What is wanted of btd.
    pub goals: Vec<Goal>,
}

/// What one contender did.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What.
    pub work: Work,
    /// Who.
    pub contender: Contender,
    /// Which version, if it said.
    pub version: Option<String>,
    /// How it was set, if it said.
    pub settings: Option<Value>,
    /// Why there is no result.
    pub failure: Option<String>,
    /// The measured rounds.
    pub reports: Vec<Report>,
}

/// What hashing the payload once took.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Until the answer was there: of the whole process, or what it measured of itself.
    pub wall_s: f64,
    /// CPU time in it, user and system, all threads.
    pub cpu_s: f64,
    /// GB of payload for each second of `cpu_s`.
    pub gb_per_cpu_s: f64,
    /// From the start of the process to its end.
    pub process_wall_s: f64,
    /// CPU time of the whole process.
    pub process_cpu_s: f64,
    /// Most anonymous memory that was seen; 0 when it ended before anybody looked.
    pub rss_anon_bytes: u64,
}

impl Outcome {
    pub(super) fn new(settings: &Settings) -> Self {
        let row = |work, contender| Row {
            work,
            contender,
            version: None,
            settings: None,
            failure: None,
            reports: Vec::new(),
        };
        let rows = Work::ALL.into_iter().flat_map(|work| {
            let able = settings.contenders.iter().filter(move |contender| contender.can(work));
            able.map(move |contender| row(work, *contender))
        });
        Self { settings: settings.clone(), rows: rows.collect(), goals: Vec::new() }
    }

    /// Whether some contender has no result.
    pub fn has_failed(&self) -> bool {
        self.rows.iter().any(|row| row.failure.is_some())
    }

    /// The median of a figure, if `contender` takes part and did not fail.
    pub(super) fn median(&self, work: Work, contender: Contender, figure: fn(&Report) -> f64) -> Option<f64> {
        let row = self.rows.iter().find(|row| row.work == work && row.contender == contender)?;
        Some(row.spread(figure)?.median)
    }
}

impl Row {
    /// One figure of all rounds; `None` where the contender failed.
    pub(super) fn spread(&self, figure: impl Fn(&Report) -> f64) -> Option<Spread> {
        Spread::of(self.measured().map(figure))
    }

    /// Most anonymous memory that was seen in any round; `None` where the contender failed, or was too quick to be seen.
    pub(super) fn rss_anon_bytes(&self) -> Option<u64> {
        self.measured().map(|report| report.rss_anon_bytes).filter(|bytes| *bytes > 0).max()
    }

    fn measured(&self) -> impl Iterator<Item = &Report> {
        self.reports.iter().filter(|_| self.failure.is_none())
    }
}

impl Report {
    /// What `run` took to hash `length` bytes; what it said of itself comes first.
    pub(super) fn new(run: &Run, length: u64) -> Self {
        let (wall_s, cpu_s) = run.seconds();
        // Payloads are far below 2^53 bytes, where a float is exact.
        #[expect(clippy::cast_precision_loss)]
        let gb = length as f64 / BYTES_PER_GB;
        Self {
            wall_s,
            cpu_s,
            gb_per_cpu_s: gb / cpu_s,
            process_wall_s: run.wall_s,
            process_cpu_s: run.cpu_s,
            rss_anon_bytes: run.rss_anon_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::ExitStatus;

    use super::*;
    use crate::run::Said;

    fn run(said: Option<Said>) -> Run {
        let (status, stdout) = (ExitStatus::default(), Vec::new());
        Run { wall_s: 3.0, cpu_s: 4.0, rss_anon_bytes: 5, status, stdout, said }
    }

    #[test]
    fn what_a_program_says_of_itself_counts_and_that_of_its_process_is_kept() {
        let report = Report::new(&run(None), 2_000_000_000);
        assert_eq!((report.wall_s, report.cpu_s, report.gb_per_cpu_s), (3.0, 4.0, 0.5));
        let said = Said { wall_s: 1.0, cpu_s: 2.0, version: String::new(), settings: Value::Null };
        let report = Report::new(&run(Some(said)), 2_000_000_000);
        assert_eq!((report.wall_s, report.cpu_s, report.gb_per_cpu_s), (1.0, 2.0, 1.0));
        assert_eq!((report.process_wall_s, report.process_cpu_s), (3.0, 4.0));
    }

    #[test]
    fn memory_that_nobody_saw_is_not_none() {
        let contenders = vec![Contender::Btd];
        let mut outcome = Outcome::new(&Settings { size: 1, rounds: 1, cores: 1, contenders });
        let row = &mut outcome.rows[0];
        row.reports.push(Report { rss_anon_bytes: 0, ..Report::new(&run(None), 1) });
        assert_eq!(row.rss_anon_bytes(), None);
        row.reports.push(Report::new(&run(None), 1));
        assert_eq!(row.rss_anon_bytes(), Some(5));
    }

    #[test]
    fn there_is_a_row_only_for_work_that_a_contender_can_do() {
        let contenders = vec![Contender::Btd, Contender::Mktorrent];
        let outcome = Outcome::new(&Settings { size: 1, rounds: 1, cores: 1, contenders });
        let rows: Vec<_> = outcome.rows.iter().map(|row| (row.work, row.contender)).collect();
        assert_eq!(
            rows,
            [
                (Work::Create, Contender::Btd),
                (Work::Create, Contender::Mktorrent),
                (Work::Verify, Contender::Btd)
            ]
        );
    }
}
