//! What handlers work with, and which handler has which path.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use protocol::control::{ErrorCode, ErrorReply};
use service::control::{Json, Refusal};
use service::openmetrics;

use super::{Addresses, lists, look};
use crate::desk::Desk;
use crate::figures;

/// What handlers work with.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) desk: Arc<Desk>,
    pub(super) addresses: Addresses,
}

/// What is served on the Unix socket.
pub(super) fn router(api: Arc<Api>) -> Router {
    let list = || get(lists::show).put(lists::add).delete(lists::remove);
    let router = Router::new()
        .route("/v1/server", get(look::server))
        .route("/v1/stats", get(look::stats))
        .route("/v1/torrents/{hash}", get(look::torrent))
        .route("/v1/{list}/{entry}", list())
        .route("/metrics", get(metrics));
    with_fallbacks(router).with_state(api)
}

/// What is served to whoever reaches `metrics_listen`.
pub(super) fn metrics_router(api: Arc<Api>) -> Router {
    with_fallbacks(Router::new().route("/metrics", get(metrics))).with_state(api)
}

async fn metrics(State(api): State<Arc<Api>>) -> Result<Response, Refusal> {
    let text = figures::text(api.desk.figures());
    let text = text.map_err(|_| Refusal::new(ErrorCode::Failed, "figures cannot be written"))?;
    Ok(([(CONTENT_TYPE, openmetrics::CONTENT)], text).into_response())
}

fn with_fallbacks(router: Router<Arc<Api>>) -> Router<Arc<Api>> {
    router.fallback(no_such_path).method_not_allowed_fallback(no_such_method)
}

async fn no_such_path(uri: Uri) -> Refusal {
    Refusal::new(ErrorCode::NotFound, format!("there is no {}: see bttracker(1)", uri.path()))
}

async fn no_such_method(method: Method, uri: Uri) -> Response {
    let message = format!("{} cannot be asked to {method}: see bttracker(1)", uri.path());
    (StatusCode::METHOD_NOT_ALLOWED, Json(ErrorReply::new(ErrorCode::NotFound, message))).into_response()
}
