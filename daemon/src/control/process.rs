//! The daemon as a whole: who it is, what it is doing, a copy of its state, its end.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use protocol::control::{BackupRequest, ErrorCode, Stats, Version};
use service::control::{Caller, Json, Refusal};

use super::api::Api;
use crate::bus::Request;

/// The number in `/v1`.
const API_VERSION: u32 = 1;

/// Who answers.
#[utoipa::path(
    get, path = "/v1/version", tag = "daemon",
    responses((status = 200, description = "The version.", body = Version)),
)]
pub(super) async fn version() -> Json<Version> {
    Json(Version { version: env!("CARGO_PKG_VERSION").to_owned(), api: API_VERSION, pid: std::process::id() })
}

/// What is going on.
#[utoipa::path(
    get, path = "/v1/stats", tag = "daemon",
    responses((status = 200, description = "The figures.", body = Stats)),
)]
pub(super) async fn stats(State(api): State<Arc<Api>>) -> Json<Stats> {
    Json(api.stats(&(api.figures)()))
}

/// Write a copy of the state, while the daemon runs.
#[utoipa::path(
    post, path = "/v1/backup", tag = "daemon", request_body = BackupRequest,
    responses((status = 204, description = "It is written."), Refusal),
)]
pub(super) async fn backup(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Json(request): Json<BackupRequest>,
) -> Result<StatusCode, Refusal> {
    let path = PathBuf::from(request.path);
    if !path.is_absolute() {
        let message =
            format!("path {}: the daemon has another working directory: name it from /", path.display());
        return Err(Refusal::new(ErrorCode::BadRequest, message));
    }
    api.requests.ask(|reply| Request::Backup { path, caller, reply }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// End the daemon, in order.
///
/// The reply comes when it has begun to stop.
#[utoipa::path(
    post, path = "/v1/shutdown", tag = "daemon",
    responses((status = 204, description = "It is stopping."), Refusal),
)]
pub(super) async fn shutdown(State(api): State<Arc<Api>>) -> Result<StatusCode, Refusal> {
    api.requests.ask(Request::Shutdown).await?;
    Ok(StatusCode::NO_CONTENT)
}
