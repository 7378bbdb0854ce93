//! What the benchmark of trackers found.

use std::collections::BTreeMap;
use std::io;

use serde::Serialize;

use super::{Contender, Part, Settings};
use crate::latencies::Latencies;
use crate::spread::Spread;

/// All figures of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// What was asked for.
    pub settings: Settings,
    /// What the contenders say that they are.
    pub versions: Vec<String>,
    /// One row for each part, case and contender.
    pub rows: Vec<Row>,
}

/// What one contender did.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Of which part.
    pub part: Part,
    /// In which case of it.
    pub case: &'static str,
    /// Who.
    pub contender: Contender,
    /// Why there is no result.
    pub failure: Option<String>,
    /// Each figure of all measured rounds, by its name, which ends with its unit.
    pub figures: BTreeMap<&'static str, Vec<f64>>,
}

impl Outcome {
    /// Whether some row has no result.
    pub fn has_failed(&self) -> bool {
        self.rows.iter().any(|row| row.failure.is_some())
    }
}

impl Row {
    pub(super) fn new(part: Part, case: &'static str, contender: Contender) -> Self {
        Self { part, case, contender, failure: None, figures: BTreeMap::new() }
    }

    /// Notes why there is no result, and drops what was found so far.
    pub(super) fn fail(&mut self, error: &io::Error) {
        eprintln!("{:?}, {}: {} failed: {error}", self.part, self.case, self.contender);
        self.failure = Some(error.to_string());
        self.figures.clear();
    }

    /// Adds the figures of a round, and shows them. Those of round 0 do not count.
    pub(super) fn add(&mut self, round: u32, figures: &[(&'static str, f64)]) {
        let shown = figures.iter().map(|(name, value)| format!(" {name} {value:.2}")).collect::<String>();
        eprintln!("{:?}, {}, round {round}: {:11}{shown}", self.part, self.case, self.contender);
        if round > 0 {
            for (name, value) in figures {
                self.figures.entry(name).or_default().push(*value);
            }
        }
    }

    /// One figure of all rounds; `None` where there is none.
    pub(super) fn spread(&self, name: &str) -> Option<Spread> {
        Spread::of(self.figures.get(name)?.iter().copied())
    }
}

/// The quantiles of a round as figures.
pub(super) fn quantiles(latencies: &mut Latencies) -> [(&'static str, f64); 3] {
    [("p50_us", 500), ("p99_us", 990), ("p999_us", 999)]
        .map(|(name, thousandths)| (name, latencies.quantile_us(thousandths)))
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(super) fn float(number: u64) -> f64 {
    number as f64
}
