//! What the scale benchmark found.

use serde::Serialize;

use super::transmission;
use super::{Keeper, Settings};
use crate::spread::Spread;

/// All figures of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// What was asked for.
    pub settings: Settings,
    /// The version of transmission, if it is there.
    pub transmission: Option<String>,
    /// One row for each contest.
    pub rows: Vec<Row>,
}

/// What one contender did with so many torrents.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Who.
    pub keeper: Keeper,
    /// With how many torrents.
    pub torrents: usize,
    /// Why there is no result.
    pub failure: Option<String>,
    /// What was measured.
    pub report: Option<Report>,
}

/// What it takes to keep so many torrents.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Torrents that were added in a second; those of transmission lay there at a start.
    pub adds_per_s: f64,
    /// From the start of the process until it serves all torrents.
    pub ready_s: Vec<f64>,
    /// From the signal to the end of the process.
    pub stop_s: Vec<f64>,
    /// A list of all torrents: of btd the whole life of `btctl list --json`, of transmission one call of its RPC.
    pub list_s: Vec<f64>,
    /// CPU time of btctl in it.
    pub list_cpu_s: Vec<f64>,
    /// One request for what has changed, which is nothing.
    pub delta_s: Vec<f64>,
    /// Anonymous memory without any torrent.
    pub empty_rss_anon_bytes: u64,
    /// Anonymous memory after all torrents were added.
    pub loaded_rss_anon_bytes: u64,
    /// Anonymous memory at the end: after a restart, lists and deltas.
    pub rss_anon_bytes: u64,
    /// How much more that is than without any torrent, for each torrent.
    pub bytes_per_torrent: f64,
    /// The part of a core that it uses while nothing is asked of it.
    pub idle_cpu: f64,
}

impl Outcome {
    pub(super) fn new(settings: &Settings) -> Self {
        let row =
            |&(keeper, torrents): &(Keeper, usize)| Row { keeper, torrents, failure: None, report: None };
        let rows = settings.contests.iter().map(row).collect();
        Self { settings: settings.clone(), transmission: transmission::version(), rows }
    }

    /// Whether some contender has no result.
    pub fn has_failed(&self) -> bool {
        self.rows.iter().any(|row| row.failure.is_some())
    }
}

impl Row {
    /// One figure of all rounds; `None` where the contender failed, or has no such figure.
    pub(super) fn spread(&self, figure: impl Fn(&Report) -> &[f64]) -> Option<Spread> {
        Spread::of(figure(self.report.as_ref()?).iter().copied())
    }
}
