//! What is done to torrents that are there, one of them or all.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use protocol::control::{ActionReply, ErrorCode, ErrorReply, MoveRequest, Patch};
use protocol::id::InfoHash;
use serde::Deserialize;
use service::control::{Caller, Id, Json, Query, Refusal};

use super::api::Api;
use crate::bus::{Action, Request, TorrentId};

/// How an action ends.
type Acted = Result<Json<ActionReply>, Refusal>;

/// What goes with a removal.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RemoveQuery {
    /// Whether its payload is to be deleted too.
    with_data: bool,
}

/// Change what the user chose: label, limits, files.
#[utoipa::path(
    patch, path = "/v1/torrents/{id}", tag = "actions", request_body = Patch,
    params(("id" = String, Path, description = "An info-hash, its beginning, a name, or `all`.")),
    responses((status = 200, description = "It is done, and in the state.", body = ActionReply), Refusal),
)]
pub(super) async fn change(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Json(patch): Json<Patch>,
) -> Acted {
    act(&api, caller, &id, Action::Change(patch)).await
}

/// Forget a torrent.
#[utoipa::path(
    delete, path = "/v1/torrents/{id}", tag = "actions",
    params(("id" = String, Path, description = "An info-hash, its beginning, a name, or `all`."), RemoveQuery),
    responses((status = 200, description = "It is done, and in the state.", body = ActionReply), Refusal),
)]
pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Query(RemoveQuery { with_data }): Query<RemoveQuery>,
) -> Acted {
    act(&api, caller, &id, Action::Remove { with_data }).await
}

/// Stop a torrent.
#[utoipa::path(
    post, path = "/v1/torrents/{id}/pause", tag = "actions",
    params(("id" = String, Path, description = "An info-hash, its beginning, a name, or `all`.")),
    responses((status = 200, description = "It is done, and in the state.", body = ActionReply), Refusal),
)]
pub(super) async fn pause(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Acted {
    act(&api, caller, &id, Action::Pause).await
}

/// Go on with a torrent, also after an error.
#[utoipa::path(
    post, path = "/v1/torrents/{id}/resume", tag = "actions",
    params(("id" = String, Path, description = "An info-hash, its beginning, a name, or `all`.")),
    responses((status = 200, description = "It is done, and in the state.", body = ActionReply), Refusal),
)]
pub(super) async fn resume(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Acted {
    act(&api, caller, &id, Action::Resume).await
}

/// Hash all payload of a torrent.
///
/// The reply comes when it is about to begin: the torrent's state and events tell the rest.
#[utoipa::path(
    post, path = "/v1/torrents/{id}/verify", tag = "actions",
    params(("id" = String, Path, description = "An info-hash, its beginning, a name, or `all`.")),
    responses((status = 200, description = "It will be done.", body = ActionReply), Refusal),
)]
pub(super) async fn verify(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Acted {
    act(&api, caller, &id, Action::Verify).await
}

/// Ask the trackers of a torrent for peers, as soon as they allow it.
#[utoipa::path(
    post, path = "/v1/torrents/{id}/reannounce", tag = "actions",
    params(("id" = String, Path, description = "An info-hash, its beginning, a name, or `all`.")),
    responses((status = 200, description = "It will be done.", body = ActionReply), Refusal),
)]
pub(super) async fn reannounce(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Acted {
    act(&api, caller, &id, Action::Reannounce).await
}

/// Let the payload of a torrent lie elsewhere.
#[utoipa::path(
    post, path = "/v1/torrents/{id}/move", tag = "actions", request_body = MoveRequest,
    params(("id" = String, Path, description = "An info-hash, its beginning, a name, or `all`.")),
    responses((status = 200, description = "It is done, and in the state.", body = ActionReply), Refusal),
)]
pub(super) async fn relocate(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Json(request): Json<MoveRequest>,
) -> Acted {
    act(&api, caller, &id, Action::Move(request)).await
}

/// Does `action` to the torrents that a client calls `id`, one after the other.
///
/// One torrent that refuses is the whole answer. Of many, those that refuse for reasons of their own are named beside
/// those that were done; what would meet every torrent ends it.
async fn act(api: &Api, caller: Caller, id: &str, action: Action) -> Acted {
    let ids = api.board.find_all(id)?;
    if let [id] = ids[..] {
        let torrents = vec![act_on(api, caller, id, action).await?];
        return Ok(Json(ActionReply { torrents, ..ActionReply::default() }));
    }
    let mut reply = ActionReply::default();
    for id in &ids {
        match act_on(api, caller, *id, action.clone()).await {
            Ok(info_hash) => reply.torrents.push(info_hash),
            // It has gone meanwhile.
            Err(refusal) if refusal.error == ErrorCode::NotFound => {}
            Err(refusal) if is_its_own(refusal.error) => reply.refused.push(refusal),
            Err(refusal) => {
                let message = format!("{refusal} (after {} of {} torrents)", reply.torrents.len(), ids.len());
                return Err(ErrorReply { message, ..refusal }.into());
            }
        }
    }
    Ok(Json(reply))
}

/// Does `action` to one torrent, and tells which it was.
async fn act_on(api: &Api, caller: Caller, id: TorrentId, action: Action) -> Result<InfoHash, ErrorReply> {
    let gone = || ErrorReply::new(ErrorCode::NotFound, "the torrent was removed meanwhile");
    let info_hash = api.board.with(id, |row| row.info_hash).ok_or_else(gone)?;
    let done = api.requests.ask(|reply| Request::Act { id, action, caller, reply }).await;
    done.map(|()| info_hash).map_err(|refusal| refusal.about(info_hash))
}

/// Whether another torrent may fare better.
fn is_its_own(error: ErrorCode) -> bool {
    matches!(error, ErrorCode::Forbidden | ErrorCode::Exists | ErrorCode::Conflict | ErrorCode::Unusable)
}
