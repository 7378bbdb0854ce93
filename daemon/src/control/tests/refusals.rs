//! Every way to be refused, each with its code and a text that helps.

use protocol::control::ErrorCode;
use serde_json::json;

use super::*;

const CODES: [ErrorCode; 11] = [
    ErrorCode::BadRequest,
    ErrorCode::Forbidden,
    ErrorCode::NotFound,
    ErrorCode::Ambiguous,
    ErrorCode::Exists,
    ErrorCode::Conflict,
    ErrorCode::TooLarge,
    ErrorCode::Unusable,
    ErrorCode::Busy,
    ErrorCode::Failed,
    ErrorCode::Stopping,
];

#[track_caller]
fn assert_refused(answer: &Answer, status: u16, error: ErrorCode, says: &str) {
    let refusal = answer.refusal();
    assert_eq!((answer.status, refusal.error), (status, error), "{refusal}");
    assert!(refusal.message.contains(says), "`{}` does not say `{says}`", refusal.message);
}

#[tokio::test]
async fn what_the_catalog_refuses_with_reaches_the_client() {
    let daemon = Daemon::start(1);
    for error in CODES {
        let refusal = ErrorReply::new(error, format!("because {error:?}"));
        daemon.catalog.refusals.lock().unwrap().insert(TorrentId(1), refusal);
        let answer = daemon.post("/v1/torrents/0101/pause", &json!(null)).await;
        assert_refused(&answer, error.http_status(), error, &format!("because {error:?}"));
        assert_eq!(answer.refusal().info_hash, Some(InfoHash::new([1; 20])));
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let daemon = Daemon::start(1);
    for path in ["/", "/v1", "/v1/torrent", "/v2/version", "/v1/torrents/0101/nothing", "/v1/torrents/"] {
        assert_refused(&daemon.get(path).await, 404, ErrorCode::NotFound, path);
    }
    for path in
        ["/v1/torrents/0202", "/v1/torrents/0202/files", "/v1/torrents/all", "/v1/torrents/0202/metainfo"]
    {
        assert_refused(&daemon.get(path).await, 404, ErrorCode::NotFound, "no torrent has");
    }
    daemon.board.insert(TorrentId(9), Row { name: "name 1".into(), ..row(9) }, false);
    let answer = daemon.get("/v1/torrents/name%201").await;
    assert_refused(&answer, 409, ErrorCode::Ambiguous, "2 torrents are called `name 1`");
}

#[tokio::test]
async fn another_method_is_refused_with_those_there_are() {
    let daemon = Daemon::start(0);
    let answer = daemon.ask(&Method::DELETE, "/v1/torrents", "").await;
    assert_refused(&answer, 405, ErrorCode::NotFound, "/v1/torrents cannot be asked to DELETE");
    assert_eq!(answer.header("allow"), "GET,HEAD,POST");
}

#[tokio::test]
async fn what_makes_no_sense_is_named() {
    let daemon = Daemon::start(1);
    let bodies = [
        (Method::POST, "/v1/torrents", "{", "EOF"),
        (Method::POST, "/v1/torrents", "", "EOF"),
        (Method::POST, "/v1/torrents", "\u{ff}", "expected value"),
        (Method::POST, "/v1/torrents", r#"{"magnte": "x"}"#, "unknown field `magnte`"),
        (Method::POST, "/v1/torrents", r#"{"paused": 1}"#, "expected a boolean"),
        (Method::PATCH, "/v1/torrents/0101", r#"{"upload_limit": -1}"#, "`-1`"),
        (Method::POST, "/v1/torrents/0101/move", "{}", "missing field `dir`"),
        (Method::POST, "/v1/create", r#"{"piece_length": "x"}"#, "expected u32"),
        (Method::POST, "/v1/create", r#"{"path": "/payload", "trackers": ["udp://t"]}"#, "`udp://t`"),
        (Method::POST, "/v1/backup", r#"{"path": "here"}"#, "path here"),
        (Method::GET, "/v1/torrents?limit=x", "", "limit"),
        (Method::GET, "/v1/torrents?limit=0", "", "limit 0"),
        (Method::GET, "/v1/torrents?state=lost", "", "unknown variant `lost`"),
        (Method::GET, "/v1/torrents?sort=luck", "", "a list is sorted by"),
        (Method::GET, "/v1/torrents?stat=paused", "", "unknown field `stat`"),
        (Method::GET, "/v1/torrents?after=x", "", "`after`"),
        (Method::GET, "/v1/events?info_hash=12", "", "40 hex digits"),
        (Method::DELETE, "/v1/torrents/0101?with_data=1", "", "with_data"),
        (Method::DELETE, "/v1/torrents/0101?data=true", "", "unknown field `data`"),
        (Method::GET, "/v1/torrents/%ff", "", "UTF-8"),
    ];
    for (method, path, body, says) in bodies {
        assert_refused(&daemon.ask(&method, path, body).await, 400, ErrorCode::BadRequest, says);
    }
    assert!(daemon.catalog.acted.lock().unwrap().is_empty(), "nothing of that was done");
}

#[tokio::test]
async fn without_a_catalog_all_but_the_board_is_stopping() {
    let daemon = Daemon::without_catalog();
    daemon.board.insert(TorrentId(1), row(1), false);
    assert_eq!(daemon.get("/v1/torrents").await.status, 200);
    for path in ["/v1/torrents", "/v1/create"] {
        assert_refused(&daemon.post(path, &json!({})).await, 503, ErrorCode::Stopping, "btd is stopping");
    }
    assert_refused(&daemon.get("/v1/torrents/0101").await, 503, ErrorCode::Stopping, "btd is stopping");
}
