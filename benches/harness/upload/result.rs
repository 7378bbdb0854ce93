//! What the upload benchmark found.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::{Part, Settings};
use crate::contender::Contender;
use crate::goal::Goal;
use crate::load::Report;
use crate::server::Ready;
use crate::spread::Spread;

const BYTES_PER_GB: f64 = 1e9;
const BYTES_PER_KIB: f64 = 1024.0;

/// All figures of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// What was asked for.
    pub settings: Settings,
    /// The congestion control of TCP.
    pub congestion_control: String,
    /// Who took part, as far as they say.
    pub programs: BTreeMap<String, Program>,
    /// What each did, in the order in which it was measured.
    pub rows: Vec<Row>,
    /// What is wanted of btd, as far as it was measured.
    pub goals: Vec<Goal>,
}

/// A contender.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Program {
    /// Which version, if it said.
    pub version: Option<String>,
    /// How it was set, if it said.
    pub settings: Option<Value>,
}

/// What one contender did at one task.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The part that the task belongs to.
    pub part: Part,
    /// The task.
    pub case: String,
    /// Who.
    pub contender: Contender,
    /// Why there is no result.
    pub failure: Option<String>,
    /// The measured rounds.
    pub rounds: Vec<Round>,
}

/// Something that is read off a round.
pub(super) type Figure = fn(&Round) -> Option<f64>;

/// What was measured in a round.
#[derive(Debug, Clone, Serialize)]
pub struct Round {
    /// What the load saw.
    pub report: Report,
    /// What else was measured, by name.
    pub figures: BTreeMap<&'static str, f64>,
}

impl From<Report> for Round {
    fn from(report: Report) -> Self {
        Self { report, figures: BTreeMap::new() }
    }
}

impl Outcome {
    pub(super) fn new(settings: &Settings, congestion_control: String) -> Self {
        Self {
            settings: settings.clone(),
            congestion_control,
            programs: BTreeMap::new(),
            rows: Vec::new(),
            goals: Vec::new(),
        }
    }

    /// Whether some contender has no result somewhere.
    pub fn has_failed(&self) -> bool {
        self.rows.iter().any(|row| row.failure.is_some())
    }

    pub(super) fn describe(&mut self, contender: Contender, ready: &Ready) {
        let program = Program { version: ready.version.clone(), settings: ready.settings.clone() };
        self.programs.insert(contender.to_string(), program);
    }

    /// What `contender` did at `case`.
    pub(super) fn row(&self, part: Part, case: &str, contender: Contender) -> Option<&Row> {
        self.rows.iter().find(|row| row.part == part && row.case == case && row.contender == contender)
    }

    /// The median of `figure` over the rounds of a row.
    pub(super) fn median(&self, part: Part, case: &str, contender: Contender, figure: Figure) -> Option<f64> {
        Some(self.row(part, case, contender)?.spread(figure)?.median)
    }

    /// What is left at `case` of btd's `figure` at `other`, as the ratios in each round say: the two measurements of a round
    /// follow each other, so that what the machine does from minute to minute touches both.
    pub(super) fn kept(&self, part: Part, case: &str, other: &str, figure: Figure) -> Option<f64> {
        let figures = |case| {
            let row = self.row(part, case, Contender::Btd).filter(|row| row.failure.is_none())?;
            row.rounds.iter().map(figure).collect::<Option<Vec<f64>>>()
        };
        Some(Spread::of_ratios(&figures(case)?, &figures(other)?)?.median)
    }
}

impl Row {
    pub(super) fn new(part: Part, case: impl Into<String>, contender: Contender) -> Self {
        Self { part, case: case.into(), contender, failure: None, rounds: Vec::new() }
    }

    /// The spread of `figure` over the rounds; `None` where the contender failed.
    pub(super) fn spread(&self, figure: impl Fn(&Round) -> Option<f64>) -> Option<Spread> {
        Spread::of(self.rounds.iter().filter(|_| self.failure.is_none()).filter_map(figure))
    }
}

/// Payloads are far below 2^53 bytes, where a float is exact.
#[expect(clippy::cast_precision_loss)]
fn float(bytes: u64) -> f64 {
    bytes as f64
}

impl Round {
    /// GB of payload for each CPU second of the server.
    pub(super) fn gb_per_cpu_s(&self) -> Option<f64> {
        Some(float(self.report.bytes) / BYTES_PER_GB / self.report.server.as_ref()?.cpu_s)
    }

    /// GB of payload a second.
    pub(super) fn gb_per_s(&self) -> Option<f64> {
        Some(float(self.report.bytes) / BYTES_PER_GB / self.report.wall_s)
    }

    /// What the connection that got least has of the mean.
    pub(super) fn slowest_share(&self) -> Option<f64> {
        let mean = float(self.report.connection_bytes_mean);
        (mean > 0.0).then(|| float(self.report.connection_bytes_min) / mean)
    }

    /// From a request to the last byte of its block, 99 of 100, in milliseconds.
    pub(super) fn p99_ms(&self) -> Option<f64> {
        Some(self.report.latency.p99_us / 1e3)
    }

    /// Anonymous memory for each connection that is open.
    pub(super) fn anon_kib_per_connection(&self) -> Option<f64> {
        let connections = float((self.report.connections + self.report.idle) as u64);
        Some(float(self.report.server.as_ref()?.rss_anon_bytes) / BYTES_PER_KIB / connections)
    }

    /// Bytes read from disk for each byte that was sent.
    pub(super) fn disk_share(&self) -> Option<f64> {
        let sent = float(self.report.bytes);
        (sent > 0.0).then_some(float(self.report.server.as_ref()?.disk_bytes) / sent)
    }

    /// What was measured beside the load.
    pub(super) fn figure(&self, name: &str) -> Option<f64> {
        self.figures.get(name).copied()
    }
}
