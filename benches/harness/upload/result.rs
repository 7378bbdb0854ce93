//! What the upload benchmark found.

use serde::Serialize;
use serde_json::Value;

use super::Settings;
use crate::contender::Contender;
use crate::load::Report;
use crate::server::Ready;
use crate::spread::Spread;

const BYTES_PER_GB: f64 = 1e9;

/// All figures of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// What was asked for.
    pub settings: Settings,
    /// One row for each contender.
    pub rows: Vec<Row>,
}

/// What one contender did.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Who.
    pub contender: Contender,
    /// Which version, if it said.
    pub version: Option<String>,
    /// How it was set, if it said.
    pub settings: Option<Value>,
    /// One cell for each number of connections.
    pub cells: Vec<Cell>,
}

/// What one contender did at one number of connections.
#[derive(Debug, Clone, Serialize)]
pub struct Cell {
    /// How many.
    pub connections: usize,
    /// Why there is no result.
    pub failure: Option<String>,
    /// The measured rounds.
    pub reports: Vec<Report>,
}

impl Outcome {
    pub(super) fn new(settings: &Settings) -> Self {
        let cell = |&connections: &usize| Cell { connections, failure: None, reports: Vec::new() };
        let row = |&contender: &Contender| Row {
            contender,
            version: None,
            settings: None,
            cells: settings.connections.iter().map(cell).collect(),
        };
        Self { settings: settings.clone(), rows: settings.contenders.iter().map(row).collect() }
    }

    /// Whether some contender has no result somewhere.
    pub fn has_failed(&self) -> bool {
        self.rows.iter().flat_map(|row| &row.cells).any(|cell| cell.failure.is_some())
    }

    /// What `contender` did at so many connections.
    pub(super) fn cell(&self, contender: Contender, connections: usize) -> Option<&Cell> {
        let row = self.rows.iter().find(|row| row.contender == contender)?;
        row.cells.iter().find(|cell| cell.connections == connections)
    }

    /// The row of a contender that takes part.
    pub(super) fn row(&mut self, contender: Contender) -> &mut Row {
        let place = self.rows.iter().position(|row| row.contender == contender);
        &mut self.rows[place.unwrap_or(0)]
    }
}

impl Row {
    pub(super) fn describe(&mut self, ready: &Ready) {
        self.version.clone_from(&ready.version);
        self.settings.clone_from(&ready.settings);
    }

    /// The cell of a column that was asked for.
    pub(super) fn cell(&mut self, connections: usize) -> &mut Cell {
        let place = self.cells.iter().position(|cell| cell.connections == connections);
        &mut self.cells[place.unwrap_or(0)]
    }
}

impl Cell {
    /// GB of payload for each CPU second of the server; `None` where it failed.
    pub(super) fn gb_per_cpu_s(&self) -> Option<Spread> {
        let measured = self.reports.iter().filter(|_| self.failure.is_none());
        // Payloads are far below 2^53 bytes, where a float is exact.
        #[expect(clippy::cast_precision_loss)]
        let figures = measured
            .filter_map(|report| Some(report.bytes as f64 / BYTES_PER_GB / report.server.as_ref()?.cpu_s));
        Spread::of(figures)
    }

    /// Most anonymous memory that the server held with all connections open.
    pub(super) fn rss_anon_bytes(&self) -> Option<u64> {
        self.reports.iter().filter_map(|report| Some(report.server.as_ref()?.rss_anon_bytes)).max()
    }

    /// Fewest connections that were unchoked in a round.
    pub(super) fn unchoked(&self) -> Option<usize> {
        self.reports.iter().map(|report| report.unchoked).min()
    }
}
