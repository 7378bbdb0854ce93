//! The stream of what happens.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use protocol::control::{Event, EventKind};
use protocol::id::InfoHash;
use serde::Deserialize;
use service::control::{Lines, Query, Refusal};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::api::Api;
use crate::bus::board::now_unix_s;

/// Of what.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventsQuery {
    /// Only what happens to this torrent, and what is about all.
    #[param(value_type = Option<String>)]
    info_hash: Option<InfoHash>,
}

/// What happens to torrents, as it happens.
///
/// A line of JSON for each event, `hello` first. Who reads too slowly gets a `lagged` line in the place of what was
/// missed. Ends with a `shutdown` line.
#[utoipa::path(
    get, path = "/v1/events", tag = "daemon", params(EventsQuery),
    responses(
        (status = 200, description = "Events.", body = Event, content_type = "application/x-ndjson"),
        Refusal,
    ),
)]
pub(super) async fn events(
    State(api): State<Arc<Api>>,
    Query(query): Query<EventsQuery>,
) -> Result<Response, Refusal> {
    let events = api.board.subscribe();
    let (lines, reply) = Lines::reply();
    tokio::spawn(tell(api, events, query.info_hash, lines));
    Ok(reply)
}

/// Writes events until the client has gone or the daemon goes.
async fn tell(api: Arc<Api>, mut events: Receiver<Event>, only: Option<InfoHash>, lines: Lines) {
    let about_all =
        |kind| Event { revision: api.board.revision(), at: now_unix_s(), info_hash: None, name: None, kind };
    let mut stopping = api.stopping.clone();
    let mut event = about_all(EventKind::Hello);
    loop {
        let is_wanted = only.is_none() || event.info_hash.is_none() || event.info_hash == only;
        if is_wanted && lines.write(&event).await.is_err() || event.kind == EventKind::Shutdown {
            return;
        }
        event = tokio::select! {
            // What has happened is told before the end is.
            biased;
            () = lines.closed() => return,
            event = events.recv() => match event {
                Ok(event) => event,
                Err(RecvError::Lagged(missed)) => about_all(EventKind::Lagged { missed }),
                Err(RecvError::Closed) => return,
            },
            () = stopping.wait() => about_all(EventKind::Shutdown),
        };
    }
}
