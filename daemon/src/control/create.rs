//! Making a torrent, with progress.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use protocol::control::{CreateEvent, CreateRequest, ErrorCode, ErrorReply};
use protocol::meta::unusable_tracker;
use service::control::{Caller, Json, Lines, Refusal};
use tokio::sync::mpsc::{self, Receiver};

use super::api::Api;
use crate::bus::{MAX_PROGRESS, Request};

/// Make a torrent of a file or folder.
///
/// A line of JSON for each piece of news; the last is `done` or `failed`. What is refused before anything was hashed is
/// a refusal as any other. A client that goes ends it.
#[utoipa::path(
    post, path = "/v1/create", tag = "torrents", request_body = CreateRequest,
    responses(
        (status = 200, description = "Progress.", body = CreateEvent, content_type = "application/x-ndjson"),
        Refusal,
    ),
)]
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Json(request): Json<CreateRequest>,
) -> Result<Response, Refusal> {
    let (sender, mut events) = mpsc::channel(MAX_PROGRESS);
    // Before hours are spent on hashing.
    if let Some(url) = unusable_tracker(&request.trackers) {
        let expected = "a tracker is http://HOST/PATH, https://HOST/PATH or udp://HOST:PORT, and named once";
        return Err(Refusal::new(ErrorCode::BadRequest, format!("`{url}`: {expected}")));
    }
    api.requests.send(Request::Create { request, caller, events: sender })?;
    match events.recv().await.unwrap_or_else(broken_off) {
        CreateEvent::Failed(refusal) => Err(refusal.into()),
        first => {
            let (lines, reply) = Lines::reply();
            tokio::spawn(tell(first, events, lines));
            Ok(reply)
        }
    }
}

/// Writes events until one is the last, or the client has gone.
async fn tell(mut event: CreateEvent, mut events: Receiver<CreateEvent>, lines: Lines) {
    loop {
        let is_last = !matches!(event, CreateEvent::Progress { .. });
        if lines.write(&event).await.is_err() || is_last {
            return;
        }
        event = tokio::select! {
            () = lines.closed() => return,
            event = events.recv() => event.unwrap_or_else(broken_off),
        };
    }
}

/// How it ended if nobody says so.
fn broken_off() -> CreateEvent {
    CreateEvent::Failed(ErrorReply::new(ErrorCode::Stopping, "btd stopped before the torrent was made"))
}
