//! Torrents: the list, one in detail, and adding one.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use protocol::control::{
    AddRequest, Detail, FileRow, ListQuery, ListReply, PeerRow, Pieces, Torrent, TrackerRow,
};
use service::control::{Caller, Id, Json, Query, Refusal};

use super::api::Api;
use crate::bus::{Reply, Request, TorrentId};

/// Longest name of a file that is proposed for a .torrent file: what file systems take, less the suffix.
const MAX_FILE_NAME: usize = 240;

/// Torrents: filtered, sorted, in pages; or what has changed.
#[utoipa::path(
    get, path = "/v1/torrents", tag = "torrents", params(ListQuery),
    responses((status = 200, description = "A page of them.", body = ListReply), Refusal),
)]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Query(query): Query<ListQuery>,
) -> Result<Json<ListReply>, Refusal> {
    Ok(Json(api.board.list(&query)?))
}

/// Add a torrent.
#[utoipa::path(
    post, path = "/v1/torrents", tag = "torrents", request_body = AddRequest,
    responses((status = 201, description = "It is added, and in the state.", body = Torrent), Refusal),
)]
pub(super) async fn add(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Json(request): Json<AddRequest>,
) -> Result<(StatusCode, Json<Torrent>), Refusal> {
    let request = Box::new(request);
    let torrent = api.requests.ask(|reply| Request::Add { request, caller, reply }).await?;
    Ok((StatusCode::CREATED, Json(torrent)))
}

/// Asks for something about the torrent that a client calls `id`.
async fn ask<T>(
    api: &Api,
    id: &str,
    request: impl FnOnce(TorrentId, Reply<T>) -> Request,
) -> Result<T, Refusal> {
    let id = api.board.find(id)?;
    Ok(api.requests.ask(|reply| request(id, reply)).await?)
}

/// A torrent in detail.
#[utoipa::path(
    get, path = "/v1/torrents/{id}", tag = "torrents",
    params(("id" = String, Path, description = "An info-hash, its beginning, or a name.")),
    responses((status = 200, description = "The torrent.", body = Detail), Refusal),
)]
pub(super) async fn show(State(api): State<Arc<Api>>, Id(id): Id) -> Result<Json<Detail>, Refusal> {
    Ok(Json(ask(&api, &id, Request::Detail).await?))
}

/// The files of a torrent.
#[utoipa::path(
    get, path = "/v1/torrents/{id}/files", tag = "torrents",
    params(("id" = String, Path, description = "An info-hash, its beginning, or a name.")),
    responses(
        (status = 200, description = "Its files, in the order of the torrent.", body = Vec<FileRow>),
        Refusal,
    ),
)]
pub(super) async fn files(State(api): State<Arc<Api>>, Id(id): Id) -> Result<Json<Vec<FileRow>>, Refusal> {
    Ok(Json(ask(&api, &id, Request::Files).await?))
}

/// The connected peers of a torrent.
#[utoipa::path(
    get, path = "/v1/torrents/{id}/peers", tag = "torrents",
    params(("id" = String, Path, description = "An info-hash, its beginning, or a name.")),
    responses((status = 200, description = "Its peers.", body = Vec<PeerRow>), Refusal),
)]
pub(super) async fn peers(State(api): State<Arc<Api>>, Id(id): Id) -> Result<Json<Vec<PeerRow>>, Refusal> {
    Ok(Json(ask(&api, &id, Request::Peers).await?))
}

/// The trackers of a torrent.
#[utoipa::path(
    get, path = "/v1/torrents/{id}/trackers", tag = "torrents",
    params(("id" = String, Path, description = "An info-hash, its beginning, or a name.")),
    responses((status = 200, description = "Its trackers, tier by tier.", body = Vec<TrackerRow>), Refusal),
)]
pub(super) async fn trackers(
    State(api): State<Arc<Api>>,
    Id(id): Id,
) -> Result<Json<Vec<TrackerRow>>, Refusal> {
    Ok(Json(ask(&api, &id, Request::Trackers).await?))
}

/// Which pieces of a torrent are here.
#[utoipa::path(
    get, path = "/v1/torrents/{id}/pieces", tag = "torrents",
    params(("id" = String, Path, description = "An info-hash, its beginning, or a name.")),
    responses((status = 200, description = "Its pieces.", body = Pieces), Refusal),
)]
pub(super) async fn pieces(State(api): State<Arc<Api>>, Id(id): Id) -> Result<Json<Pieces>, Refusal> {
    Ok(Json(ask(&api, &id, Request::Pieces).await?))
}

/// The .torrent file of a torrent.
#[utoipa::path(
    get, path = "/v1/torrents/{id}/metainfo", tag = "torrents",
    params(("id" = String, Path, description = "An info-hash, its beginning, or a name.")),
    responses(
        (status = 200, description = "The file.", body = String, content_type = "application/x-bittorrent"),
        Refusal,
    ),
)]
pub(super) async fn metainfo(State(api): State<Arc<Api>>, Id(id): Id) -> Result<Response, Refusal> {
    let id = api.board.find(&id)?;
    let name = api.board.with(id, |row| file_name(&row.name)).unwrap_or_default();
    let metainfo = api.requests.ask(|reply| Request::Metainfo(id, reply)).await?;
    let disposition = format!("attachment; filename=\"{name}.torrent\"");
    let headers = [(CONTENT_TYPE, "application/x-bittorrent"), (CONTENT_DISPOSITION, disposition.as_str())];
    Ok((headers, metainfo).into_response())
}

/// What a file may be called in a header and on every file system: the name is a stranger's.
fn file_name(name: &str) -> String {
    let is_safe = |letter: char| letter.is_ascii_alphanumeric() || " -_.()[]".contains(letter);
    let letters = name.chars().take(MAX_FILE_NAME);
    let name: String = letters.map(|letter| if is_safe(letter) { letter } else { '_' }).collect();
    match name.trim_matches([' ', '.']) {
        "" => "torrent".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn the_name_of_a_torrent_becomes_one_of_a_file() {
        assert_eq!(file_name("debian-13.1 (amd64)"), "debian-13.1 (amd64)");
        assert_eq!(file_name("../a/b\"\r\nX: y\u{fc}"), "_a_b___X_ y_");
        assert_eq!(file_name(" .. "), "torrent");
        assert_eq!(file_name(&"x".repeat(999)).len(), 240);
    }
}
