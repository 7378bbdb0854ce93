//! Reads what the engine has done so far, for the control API: it outlives the server that it reads.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::bus::{DiskFigures, Figures};
use crate::storage::lane::Lanes;
use crate::storage::write;
use crate::worker::Counters;

use super::Engine;

/// Where figures are read.
#[derive(Debug, Clone)]
pub struct Gauge {
    addresses: Vec<SocketAddr>,
    workers: Vec<Arc<Counters>>,
    engine: Engine,
}

impl Gauge {
    pub(super) fn new(addresses: Vec<SocketAddr>, workers: Vec<Arc<Counters>>, engine: Engine) -> Self {
        Self { addresses, workers, engine }
    }

    /// What has been done so far.
    pub fn read(&self) -> Figures {
        let written = self.engine.writer().map(|writer| writer.totals()).unwrap_or_default();
        let trackers = self.engine.trackers().figures();
        let mut errors = self.engine.faults().read();
        errors.push(("piece", written.failed_pieces));
        errors.push(("tracker", trackers.iter().map(|host| host.failures).sum()));
        Figures {
            listen: self.addresses.clone(),
            workers: self.workers.iter().map(|counters| counters.figures()).collect(),
            downloaded: written.received_bytes,
            wasted: written.wasted_bytes,
            errors,
            disk: disk(self.engine.lanes(), written),
            trackers,
        }
    }
}

fn disk(lanes: &Lanes, written: write::Totals) -> DiskFigures {
    let fetched = lanes.totals();
    DiskFigures {
        bytes_hashed: written.hashed_bytes + lanes.meter().hashed_bytes(),
        bytes_written: written.written_bytes,
        pieces_verified: written.verified_pieces,
        pieces_failed: written.failed_pieces,
        lane_jobs: fetched.jobs,
        open_files: fetched.open_files as u64,
    }
}
