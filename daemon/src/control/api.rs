//! What handlers work with, and which handler has which path.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use protocol::control::{ErrorCode, ErrorReply, Memory, Stats};
use service::control::{Json, Refusal, Stopping};
use service::memory;

use super::{FiguresSource, actions, create, events, metrics, openapi, process, torrents};
use crate::bus::{Board, Figures, Requests};

/// What handlers work with.
pub(super) struct Api {
    pub(super) board: Arc<Board>,
    pub(super) requests: Requests,
    pub(super) figures: FiguresSource,
    pub(super) started: Instant,
    pub(super) stopping: Stopping,
}

impl Api {
    /// What is going on.
    pub(super) fn stats(&self, figures: &Figures) -> Stats {
        let resident = memory::resident().unwrap_or_default();
        Stats {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: self.started.elapsed().as_secs(),
            uploaded: figures.uploaded(),
            downloaded: figures.downloaded,
            listen: figures.listen.iter().map(ToString::to_string).collect(),
            workers: u32::try_from(figures.workers.len()).unwrap_or(u32::MAX),
            memory: Memory { anonymous: resident.anonymous, file_backed: resident.file_backed },
            ..self.board.totals()
        }
    }
}

/// Every path of the API. [`openapi`] documents each of them, and a test says so.
pub(super) fn routes() -> Vec<(&'static str, MethodRouter<Arc<Api>>)> {
    vec![
        ("/v1/version", get(process::version)),
        ("/v1/stats", get(process::stats)),
        ("/v1/backup", post(process::backup)),
        ("/v1/shutdown", post(process::shutdown)),
        ("/v1/openapi.json", get(openapi::document)),
        ("/v1/events", get(events::events)),
        ("/v1/create", post(create::create)),
        ("/v1/torrents", get(torrents::list).post(torrents::add)),
        ("/v1/torrents/{id}", get(torrents::show).patch(actions::change).delete(actions::remove)),
        ("/v1/torrents/{id}/files", get(torrents::files)),
        ("/v1/torrents/{id}/peers", get(torrents::peers)),
        ("/v1/torrents/{id}/trackers", get(torrents::trackers)),
        ("/v1/torrents/{id}/pieces", get(torrents::pieces)),
        ("/v1/torrents/{id}/metainfo", get(torrents::metainfo)),
        ("/v1/torrents/{id}/pause", post(actions::pause)),
        ("/v1/torrents/{id}/resume", post(actions::resume)),
        ("/v1/torrents/{id}/verify", post(actions::verify)),
        ("/v1/torrents/{id}/reannounce", post(actions::reannounce)),
        ("/v1/torrents/{id}/move", post(actions::relocate)),
        ("/metrics", get(metrics::metrics)),
    ]
}

/// What is served on the Unix socket.
pub(super) fn router(api: Arc<Api>) -> Router {
    let routes = routes().into_iter();
    let router = routes.fold(Router::new(), |router, (path, methods)| router.route(path, methods));
    with_fallbacks(router).with_state(api)
}

/// What is served to whoever reaches `metrics_listen`.
pub(super) fn metrics_router(api: Arc<Api>) -> Router {
    with_fallbacks(Router::new().route("/metrics", get(metrics::metrics))).with_state(api)
}

fn with_fallbacks(router: Router<Arc<Api>>) -> Router<Arc<Api>> {
    router.fallback(no_such_path).method_not_allowed_fallback(no_such_method)
}

async fn no_such_path(uri: Uri) -> Refusal {
    Refusal::new(ErrorCode::NotFound, format!("there is no {}: see /v1/openapi.json", uri.path()))
}

async fn no_such_method(method: Method, uri: Uri) -> Response {
    let message = format!("{} cannot be asked to {method}: see /v1/openapi.json", uri.path());
    (StatusCode::METHOD_NOT_ALLOWED, Json(ErrorReply::new(ErrorCode::NotFound, message))).into_response()
}
