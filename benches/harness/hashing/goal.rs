//! What btd is to reach beside another program, in the same run.

use serde::Serialize;

use super::result::{Outcome, Report};
use super::{Contender, Work};

/// A figure that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Seconds, of which few are good.
    WallS,
    /// GB of payload for each CPU second, of which many are good.
    GbPerCpuS,
}

/// A ratio of medians that btd is to reach.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Goal {
    /// Of which work.
    pub work: Work,
    /// Of which figure.
    pub figure: Figure,
    /// Beside whom.
    pub other: Contender,
    /// btd's by that of the other: at most for seconds, at least for what is done in one.
    pub bound: f64,
}

/// A goal, and what became of it.
#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    /// What was to be reached.
    #[serde(flatten)]
    pub goal: Goal,
    /// What was; nothing when one of the two did not take part or failed.
    pub ratio: Option<f64>,
    /// Whether that is enough.
    pub is_met: Option<bool>,
}

impl Figure {
    pub(super) fn of(self, report: &Report) -> f64 {
        match self {
            Self::WallS => report.wall_s,
            Self::GbPerCpuS => report.gb_per_cpu_s,
        }
    }
}

impl Goal {
    pub(super) const ALL: [Self; 3] = [
        Self { work: Work::Create, figure: Figure::GbPerCpuS, other: Contender::Openssl, bound: 2.0 },
        Self { work: Work::Create, figure: Figure::WallS, other: Contender::Mktorrent, bound: 0.5 },
        Self { work: Work::Verify, figure: Figure::GbPerCpuS, other: Contender::Openssl, bound: 2.0 },
    ];

    pub(super) fn judge(&self, outcome: &Outcome) -> Verdict {
        let median = |contender| outcome.median(self.work, contender, self.figure);
        let ratio = median(Contender::Btd).zip(median(self.other)).map(|(ours, theirs)| ours / theirs);
        Verdict { goal: *self, ratio, is_met: ratio.map(|ratio| self.is_met_by(ratio)) }
    }

    fn is_met_by(&self, ratio: f64) -> bool {
        match self.figure {
            Figure::WallS => ratio <= self.bound,
            Figure::GbPerCpuS => ratio >= self.bound,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;

    fn outcome(figures: &[(Contender, f64, f64)]) -> Outcome {
        let contenders = figures.iter().map(|(contender, ..)| *contender).collect();
        let mut outcome = Outcome::new(&Settings { size: 1, rounds: 1, cores: 1, contenders });
        for row in &mut outcome.rows {
            let (_, wall_s, gb_per_cpu_s) =
                *figures.iter().find(|(contender, ..)| *contender == row.contender).unwrap();
            row.reports.push(Report {
                wall_s,
                cpu_s: 1.0,
                gb_per_cpu_s,
                process_wall_s: 0.0,
                process_cpu_s: 0.0,
                rss_anon_bytes: 0,
            });
        }
        outcome
    }

    fn verdicts(outcome: &Outcome) -> Vec<Option<bool>> {
        Goal::ALL.iter().map(|goal| goal.judge(outcome).is_met).collect()
    }

    #[test]
    fn seconds_are_to_be_few_and_what_is_done_in_them_much() {
        let others = [(Contender::Mktorrent, 4.0, 1.0), (Contender::Openssl, 9.0, 1.0)];
        let with =
            |wall_s, gb_per_cpu_s| outcome(&[others[0], others[1], (Contender::Btd, wall_s, gb_per_cpu_s)]);
        assert_eq!(verdicts(&with(2.0, 2.0)), [Some(true); 3]);
        assert_eq!(verdicts(&with(2.1, 2.0)), [Some(true), Some(false), Some(true)]);
        assert_eq!(verdicts(&with(2.0, 1.9)), [Some(false), Some(true), Some(false)]);
    }

    #[test]
    fn there_is_no_verdict_beside_one_who_failed_or_is_not_there() {
        let mut outcome = outcome(&[(Contender::Btd, 1.0, 3.0), (Contender::Openssl, 1.0, 1.0)]);
        outcome.rows[1].failure = Some("missing".to_owned());
        assert_eq!(verdicts(&outcome), [None, None, Some(true)]);
    }
}
