//! Figures for Prometheus, in the text format of OpenMetrics: never one a torrent.

use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use protocol::control::{ErrorCode, Stats};
use service::control::Refusal;
use service::openmetrics::{self, CONTENT, counter, counters, gauge, gauges};

use super::api::Api;
use crate::PROGRAM;
use crate::bus::{Figures, TrackerFigures, WorkerFigures};

/// Takes one figure out of a worker's.
type OfWorker = fn(&WorkerFigures) -> u64;

/// What each worker counts: its name, what it means, and where it is found.
const WORKER_COUNTERS: [(&str, &str, OfWorker); 8] = [
    ("worker_sent_bytes", "Bytes given to sockets", |it| it.bytes_sent),
    ("worker_payload_sent_bytes", "Bytes of blocks that were sent", |it| it.payload_bytes_sent),
    ("worker_blocks_sent", "Blocks that were sent", |it| it.blocks_sent),
    ("worker_sends", "Operations that moved bytes", |it| it.sends),
    ("worker_received_bytes", "Bytes taken from sockets", |it| it.bytes_received),
    ("worker_accepted", "Peers that were let in", |it| it.accepted),
    ("worker_refused", "Peers that were turned away, for want of a place", |it| it.refused),
    ("worker_dialled", "Connections that were begun", |it| it.dialled),
];

/// Figures for Prometheus.
#[utoipa::path(
    get, path = "/metrics", tag = "daemon",
    responses((
        status = 200,
        description = "Figures, in the text format of OpenMetrics.",
        body = String,
        content_type = "application/openmetrics-text",
    )),
)]
pub(super) async fn metrics(State(api): State<Arc<Api>>) -> Result<Response, Refusal> {
    let figures = (api.figures)();
    let snapshot = Snapshot { stats: api.stats(&figures), figures };
    let text =
        snapshot.into_text().map_err(|_| Refusal::new(ErrorCode::Failed, "figures cannot be written"))?;
    Ok(([(CONTENT_TYPE, CONTENT)], text).into_response())
}

/// All figures of a moment.
#[derive(Debug)]
struct Snapshot {
    stats: Stats,
    figures: Figures,
}

impl Snapshot {
    fn into_text(self) -> Result<String, fmt::Error> {
        openmetrics::text(PROGRAM, self)
    }

    /// How the process is.
    fn write_process(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let version = [("version", self.stats.version.as_str())];
        to.encode_descriptor("build", "What is running", None, MetricType::Info)?.encode_info(&version)?;
        gauge(to, "uptime_seconds", "How long it has been running", self.stats.uptime_s)?;
        let memory = self.stats.memory;
        let memory = [("anonymous", memory.anonymous), ("file_backed", memory.file_backed)];
        gauges(to, "memory_bytes", "Resident memory: btd's own, and mapped payload", "kind", &memory)?;
        counters(to, "errors", "What went wrong, by kind", "kind", &self.figures.errors)
    }

    /// What the torrents add up to.
    fn write_torrents(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Self { stats, figures } = self;
        let states: Vec<_> = stats.torrents.iter().map(|(state, count)| (state.name(), count)).collect();
        gauges(to, "torrents", "Torrents by what they are doing", "state", &states)?;
        gauge(to, "wanted_bytes", "Payload that is wanted", stats.size)?;
        gauge(to, "have_bytes", "Payload that is here and verified", stats.have)?;
        gauge(to, "peers", "Connected peers", stats.peers)?;
        gauge(to, "upload_bytes_per_second", "Payload that peers get", stats.upload_rate)?;
        gauge(to, "download_bytes_per_second", "Payload that peers give", stats.download_rate)?;
        counter(to, "uploaded_bytes", "Payload that peers got", stats.uploaded)?;
        counter(to, "downloaded_bytes", "Payload that peers gave", stats.downloaded)?;
        counter(to, "wasted_bytes", "Payload that came in vain, or failed its hash", figures.wasted)
    }

    fn write_workers(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let of = |figure: OfWorker| -> Vec<(String, u64)> {
            let workers = self.figures.workers.iter().enumerate();
            workers.map(|(number, worker)| (number.to_string(), figure(worker))).collect()
        };
        gauges(to, "worker_connections", "Open connections", "worker", &of(|it| it.connections))?;
        WORKER_COUNTERS
            .iter()
            .try_for_each(|(name, help, figure)| counters(to, name, help, "worker", &of(*figure)))
    }

    fn write_disk(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let disk = self.figures.disk;
        counter(to, "hashed_bytes", "Payload that was hashed", disk.bytes_hashed)?;
        counter(to, "written_bytes", "Payload that was written to files", disk.bytes_written)?;
        counter(to, "pieces_verified", "Downloaded pieces that matched their hash", disk.pieces_verified)?;
        counter(to, "pieces_failed", "Downloaded pieces that did not match their hash", disk.pieces_failed)?;
        counter(to, "lane_jobs", "Batches of blocks that were not in memory", disk.lane_jobs)?;
        gauge(to, "open_files", "Payload files that are open", disk.open_files)
    }

    fn write_trackers(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let hosts = &self.figures.trackers;
        let of = |figure: fn(&TrackerFigures) -> u64| -> Vec<(&str, u64)> {
            hosts.iter().map(|it| (it.host.as_str(), figure(it))).collect()
        };
        let (announces, failures) = (of(|it| it.announces), of(|it| it.failures));
        counters(to, "tracker_announces", "Announces that were sent", "host", &announces)?;
        counters(to, "tracker_failures", "Announces that failed", "host", &failures)?;
        let is_working = of(|it| it.is_working.into());
        gauges(to, "tracker_up", "Whether the latest announce was answered", "host", &is_working)
    }
}

impl Collector for Snapshot {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> fmt::Result {
        self.write_process(&mut to)?;
        self.write_torrents(&mut to)?;
        self.write_workers(&mut to)?;
        self.write_disk(&mut to)?;
        self.write_trackers(&mut to)
    }
}
