//! What is wanted of btd beside other programs, in the same run.

use super::result::{Outcome, Report};
use super::{Contender, Work};
use crate::goal::Goal;

/// How many times as much of a CPU second as plain SHA-1 makes, which is what most programs have.
const LEAST_OF_OPENSSL: f64 = 2.0;
/// The most of mktorrent's time that making a torrent is to take.
const MOST_OF_MKTORRENT: f64 = 0.5;

/// The goals, as far as their work was measured.
pub(super) fn of(outcome: &Outcome) -> Vec<Goal> {
    let ratio = |work, other, figure: fn(&Report) -> f64| {
        let median = |contender| outcome.median(work, contender, figure);
        Some(median(Contender::Btd)? / median(other)?)
    };
    let of_openssl = |work| ratio(work, Contender::Openssl, |report| report.gb_per_cpu_s);
    let of_mktorrent = ratio(Work::Create, Contender::Mktorrent, |report| report.wall_s);
    let over = "GB per CPU s of btd / openssl";
    vec![
        Goal::at_least(format!("create: {over}"), of_openssl(Work::Create), LEAST_OF_OPENSSL),
        Goal::at_most("create: wall s of btd / mktorrent", of_mktorrent, MOST_OF_MKTORRENT),
        Goal::at_least(format!("verify: {over}"), of_openssl(Work::Verify), LEAST_OF_OPENSSL),
    ]
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

    fn verdicts(outcome: &Outcome) -> Vec<&'static str> {
        of(outcome).iter().map(Goal::verdict).collect()
    }

    #[test]
    fn seconds_are_to_be_few_and_what_is_done_in_them_much() {
        let others = [(Contender::Mktorrent, 4.0, 1.0), (Contender::Openssl, 9.0, 1.0)];
        let with =
            |wall_s, gb_per_cpu_s| outcome(&[others[0], others[1], (Contender::Btd, wall_s, gb_per_cpu_s)]);
        assert_eq!(verdicts(&with(2.0, 2.0)), ["met"; 3]);
        assert_eq!(verdicts(&with(2.1, 2.0)), ["met", "MISSED", "met"]);
        assert_eq!(verdicts(&with(2.0, 1.9)), ["MISSED", "met", "MISSED"]);
    }

    #[test]
    fn there_is_no_figure_beside_one_who_failed_or_is_not_there() {
        let mut outcome = outcome(&[(Contender::Btd, 1.0, 3.0), (Contender::Openssl, 1.0, 1.0)]);
        outcome.rows[1].failure = Some("missing".to_owned());
        assert_eq!(verdicts(&outcome), ["FAILED", "FAILED", "met"]);
    }
}
