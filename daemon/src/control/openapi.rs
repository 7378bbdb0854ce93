//! The documentation of the API: `daemon/openapi.json`, which a test compares with what the handlers say.

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

/// As committed.
const DOCUMENT: &str = include_str!("../../openapi.json");

/// This document.
#[utoipa::path(
    get, path = "/v1/openapi.json", tag = "daemon",
    responses((status = 200, description = "OpenAPI 3.1.", content_type = "application/json", body = Object)),
)]
pub(super) async fn document() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use axum::http::Method;
    use utoipa::OpenApi as _;

    use super::super::tests::Daemon;
    use super::super::{actions, api, create, events, metrics, process, torrents};
    use super::DOCUMENT;

    /// What the handlers say.
    #[derive(utoipa::OpenApi)]
    #[openapi(
        info(
            title = "btd control API",
            description = "HTTP/1.1 and JSON over the Unix socket of btd. Sizes are bytes, rates bytes a second, \
                times seconds since 1970, durations seconds. What a reader does not know it ignores.",
        ),
        paths(
            process::version,
            process::stats,
            process::backup,
            process::shutdown,
            super::document,
            events::events,
            create::create,
            torrents::list,
            torrents::add,
            torrents::show,
            torrents::files,
            torrents::peers,
            torrents::trackers,
            torrents::pieces,
            torrents::metainfo,
            actions::change,
            actions::remove,
            actions::pause,
            actions::resume,
            actions::verify,
            actions::reannounce,
            actions::relocate,
            metrics::metrics,
        )
    )]
    struct Document;

    /// With `UPDATE_OPENAPI=1` it writes the file instead.
    #[test]
    fn the_document_is_what_the_handlers_say() {
        let said = Document::openapi().to_pretty_json().unwrap() + "\n";
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json"), said).unwrap();
        } else {
            let how = "UPDATE_OPENAPI=1 cargo test -p btd --lib openapi";
            assert!(said == DOCUMENT, "daemon/openapi.json is out of date; to write it again: {how}");
        }
    }

    #[tokio::test]
    async fn every_route_is_in_the_document_and_the_other_way_round() {
        let document: serde_json::Value = serde_json::from_str(DOCUMENT).unwrap();
        let documented: BTreeSet<(String, String)> = document["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, methods)| {
                methods.as_object().unwrap().keys().map(|it| (path.clone(), it.clone()))
            })
            .collect();
        let daemon = Daemon::without_catalog();
        let mut routed = BTreeSet::new();
        for (path, _) in api::routes() {
            for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
                let status = daemon.open(&method, &path.replace("{id}", "x"), "").await.status();
                if status != 405 {
                    routed.insert((path.to_owned(), method.as_str().to_ascii_lowercase()));
                }
            }
        }
        assert_eq!(routed, documented);
        assert!(documented.len() >= 23, "{documented:?}");
    }
}
