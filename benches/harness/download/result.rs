//! What the download benchmark found.

use serde::Serialize;
use serde_json::Value;

use super::{Leecher, Settings};
use crate::goal::Goal;
use crate::spread::Spread;

/// The most of libtorrent's CPU time that btd is to take.
const MOST_CPU: f64 = 0.6;

/// All figures of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// What was asked for.
    pub settings: Settings,
    /// The congestion control of TCP.
    pub congestion_control: String,
    /// One row for each contender.
    pub rows: Vec<Row>,
    /// What is wanted of btd.
    pub goals: Vec<Goal>,
}

/// What one contender did.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Who.
    pub contender: Leecher,
    /// Which version, if it said.
    pub version: Option<String>,
    /// How it was set, if it said.
    pub settings: Option<Value>,
    /// Why there is no result.
    pub failure: Option<String>,
    /// The measured rounds.
    pub reports: Vec<Report>,
}

/// What one download took.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Until all was verified and written: of the whole process, or what it measured of itself.
    pub wall_s: f64,
    /// CPU time in it, user and system, all threads.
    pub cpu_s: f64,
    /// From the start of the process to its end.
    pub process_wall_s: f64,
    /// CPU time of the whole process.
    pub process_cpu_s: f64,
    /// Most anonymous memory that was seen.
    pub rss_anon_bytes: u64,
    /// CPU time of the seed meanwhile.
    pub seed_cpu_s: f64,
}

impl Outcome {
    pub(super) fn new(settings: &Settings, congestion_control: String) -> Self {
        let row = |&contender: &Leecher| Row {
            contender,
            version: None,
            settings: None,
            failure: None,
            reports: Vec::new(),
        };
        Self {
            settings: settings.clone(),
            congestion_control,
            rows: settings.contenders.iter().map(row).collect(),
            goals: Vec::new(),
        }
    }

    /// Whether some contender has no result.
    pub fn has_failed(&self) -> bool {
        self.rows.iter().any(|row| row.failure.is_some())
    }

    /// The median of `figure` of `contender`, if it takes part and did not fail.
    pub(super) fn median(&self, contender: Leecher, figure: fn(&Report) -> f64) -> Option<f64> {
        let row = self.rows.iter().find(|row| row.contender == contender)?;
        Some(row.spread(figure)?.median)
    }

    /// What is wanted of btd beside libtorrent.
    pub(super) fn to_goals(&self) -> Vec<Goal> {
        let ratio = |figure: fn(&Report) -> f64| {
            Some(self.median(Leecher::Btd, figure)? / self.median(Leecher::Libtorrent, figure)?)
        };
        let cpu = ratio(|report| report.cpu_s);
        let wall = ratio(|report| report.wall_s);
        vec![
            Goal::at_most("download: CPU s of btd / libtorrent", cpu, MOST_CPU),
            Goal::at_most("download: wall s of btd / libtorrent", wall, 1.0),
        ]
    }

    /// The greatest share of the time of a download in which the seed was at work.
    pub(super) fn seed_load(&self) -> Option<f64> {
        let loads =
            self.rows.iter().flat_map(|row| &row.reports).map(|report| report.seed_cpu_s / report.wall_s);
        Some(Spread::of(loads)?.max)
    }
}

impl Row {
    /// One figure of all rounds; `None` where the contender failed.
    pub(super) fn spread(&self, figure: impl Fn(&Report) -> f64) -> Option<Spread> {
        Spread::of(self.reports.iter().filter(|_| self.failure.is_none()).map(figure))
    }

    /// Most anonymous memory that was seen in any round.
    pub(super) fn rss_anon_bytes(&self) -> Option<u64> {
        self.reports.iter().map(|report| report.rss_anon_bytes).max()
    }
}
