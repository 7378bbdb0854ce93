//! What the operator sees: the tracker, its figures, a torrent with its peers.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Path, State};
use data_encoding::HEXLOWER;
use protocol::control::ErrorCode;
use protocol::id::InfoHash;
use serde::{Deserialize, Serialize};
use service::control::{Json, Query, Refusal};

use super::api::Api;
use crate::figures::Report;
use crate::swarms;

/// Peers of a torrent that are shown where nobody says how many.
const DEFAULT_LIMIT: usize = 1_000;
/// Most peers that are shown: the torrent is locked meanwhile.
const MAX_LIMIT: usize = 10_000;

/// The tracker as a process.
#[derive(Debug, Serialize)]
pub(super) struct Server {
    version: &'static str,
    pid: u32,
    uptime_s: u64,
    http: Vec<SocketAddr>,
    udp: Vec<SocketAddr>,
}

/// A torrent.
#[derive(Debug, Serialize)]
pub(super) struct Torrent {
    info_hash: InfoHash,
    seeds: u32,
    leechers: u32,
    paused: u32,
    downloaded: u32,
    peers: Vec<Peer>,
}

/// One of its peers.
#[derive(Debug, Serialize)]
struct Peer {
    address: SocketAddr,
    /// 40 hex digits, for it is any bytes.
    peer_id: String,
    state: &'static str,
    /// For how long it has not announced.
    idle_s: u32,
}

/// How much of a torrent is shown.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Amount {
    limit: Option<usize>,
}

pub(super) async fn server(State(api): State<Arc<Api>>) -> Json<Server> {
    Json(Server {
        version: env!("CARGO_PKG_VERSION"),
        pid: std::process::id(),
        uptime_s: api.desk.clock().uptime().as_secs(),
        http: api.addresses.http.clone(),
        udp: api.addresses.udp.clone(),
    })
}

pub(super) async fn stats(State(api): State<Arc<Api>>) -> Json<Report> {
    Json(Report::from(&api.desk.figures()))
}

pub(super) async fn torrent(
    State(api): State<Arc<Api>>,
    Path(hash): Path<String>,
    Query(amount): Query<Amount>,
) -> Result<Json<Torrent>, Refusal> {
    let info_hash = parse(&hash)?;
    let limit = amount.limit.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT);
    let found = api.desk.swarms().look_up(&info_hash, api.desk.clock().now().s, limit);
    let unknown = || Refusal::new(ErrorCode::NotFound, format!("nobody shares {info_hash} here"));
    let (numbers, rows) = found.ok_or_else(unknown)?;
    let leechers = numbers.leechers;
    Ok(Json(Torrent {
        info_hash,
        seeds: numbers.seeds,
        leechers,
        paused: leechers - numbers.downloaders.unwrap_or(leechers),
        downloaded: numbers.downloaded,
        peers: rows.iter().map(Peer::from).collect(),
    }))
}

/// An info-hash as it stands in a path.
pub(super) fn parse(hash: &str) -> Result<InfoHash, Refusal> {
    hash.parse().map_err(|error| Refusal::new(ErrorCode::BadRequest, format!("{error}")))
}

impl From<&swarms::PeerRow> for Peer {
    fn from(row: &swarms::PeerRow) -> Self {
        let state = match row.state {
            swarms::State::Seed => "seed",
            swarms::State::Leecher => "leecher",
            swarms::State::Paused => "paused",
        };
        let peer_id = HEXLOWER.encode(row.peer_id.as_bytes());
        Self { address: row.address, peer_id, state, idle_s: row.idle_s }
    }
}
