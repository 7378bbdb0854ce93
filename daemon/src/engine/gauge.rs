//! Reads what the engine has done so far, for the control API: it outlives the server that it reads.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::bus::{DiskFigures, Figures, TrackerFigures, WorkerFigures};
use crate::worker::{Counters, Totals};

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
        let worker = |counters: &Arc<Counters>| {
            let totals: Totals = counters.totals();
            WorkerFigures {
                connections: totals.connections as u64,
                bytes_sent: totals.bytes_sent,
                payload_bytes_sent: totals.payload_bytes_sent,
                blocks_sent: totals.blocks_sent,
                sends: totals.sends,
            }
        };
        Figures {
            listen: self.addresses.clone(),
            workers: self.workers.iter().map(worker).collect(),
            downloaded: written.written_bytes,
            errors: vec![
                ("piece_failed", written.failed_pieces),
                ("duplicate_block", written.duplicate_blocks),
            ],
            disk: DiskFigures {
                bytes_written: written.written_bytes,
                pieces_failed: written.failed_pieces,
                ..DiskFigures::default()
            },
            wasted: 0,
            trackers: self.engine.trackers().figures().into_iter().map(tracker).collect(),
        }
    }
}

fn tracker(host: crate::discovery::HostFigures) -> TrackerFigures {
    TrackerFigures {
        host: host.host,
        announces: host.announces,
        failures: host.failures,
        is_working: host.last_answer.is_some(),
    }
}
