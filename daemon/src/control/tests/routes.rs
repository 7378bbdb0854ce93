//! Every route does what it says.

use nix::unistd::{getegid, geteuid};
use protocol::control::{
    ActionReply, Detail, FileRow, ListReply, MoveRequest, Patch, PeerRow, Pieces, Stats, Torrent, TrackerRow,
    Version,
};
use serde_json::{Value, json};

use super::*;
use crate::bus::Action;

#[tokio::test]
async fn the_daemon_says_who_it_is_and_what_it_does() {
    let daemon = Daemon::start(3);
    daemon.board.update(TorrentId(1), |row| row.state = State::Paused);
    let version: Version = daemon.get("/v1/version").await.read();
    let expected = (env!("CARGO_PKG_VERSION"), 1, std::process::id());
    assert_eq!((version.version.as_str(), version.api, version.pid), expected);
    let stats: Stats = daemon.get("/v1/stats").await.read();
    assert_eq!((stats.torrents.paused, stats.torrents.seeding), (1, 2));
    assert_eq!((stats.uploaded, stats.downloaded, stats.workers), (27, 5, 2));
    assert_eq!((stats.uploaded_total, stats.downloaded_total), (21, 9));
    assert_eq!((stats.listen, stats.revision), (vec!["127.0.0.1:6881".to_owned()], daemon.board.revision()));
    assert!(stats.memory.anonymous > 0 && stats.memory.file_backed > 0);
}

#[tokio::test]
async fn a_list_comes_in_pages_sorted_and_filtered() {
    let daemon = Daemon::start(5);
    daemon.board.update(TorrentId(4), |row| row.label = Some("a b".into()));
    let mut path = "/v1/torrents?sort=-added_at&limit=2".to_owned();
    let mut pages = Vec::new();
    loop {
        let reply: ListReply = daemon.get(&path).await.read();
        assert_eq!(reply.total, 5);
        pages.push(reply.torrents.iter().map(|torrent| torrent.added_at).collect::<Vec<_>>());
        let Some(next) = reply.next else { break };
        path = format!("/v1/torrents?sort=-added_at&limit=2&after={next}");
    }
    assert_eq!(pages, [vec![5, 4], vec![3, 2], vec![1]]);
    let labelled: ListReply = daemon.get("/v1/torrents?label=a%20b&state=seeding").await.read();
    assert_eq!(labelled.torrents.iter().map(|it| it.added_at).collect::<Vec<_>>(), [4]);
}

#[tokio::test]
async fn a_delta_tells_what_has_changed() {
    let daemon = Daemon::start(3);
    let all: ListReply = daemon.get("/v1/torrents").await.read();
    let since = format!("/v1/torrents?since={}", all.revision);
    let nothing: ListReply = daemon.get(&since).await.read();
    let (no_torrents, no_removals) = (nothing.torrents.is_empty(), nothing.removed.is_empty());
    assert!(no_torrents && no_removals && !nothing.is_full && nothing.revision == all.revision);
    daemon.board.update(TorrentId(2), |row| row.uploaded = 99);
    daemon.board.remove(TorrentId(3));
    let delta: ListReply = daemon.get(&since).await.read();
    assert_eq!(delta.torrents.iter().map(|it| it.uploaded).collect::<Vec<_>>(), [99]);
    assert_eq!(delta.removed, [InfoHash::new([3; 20])]);
}

#[tokio::test]
async fn a_torrent_is_added_in_the_name_of_the_caller() {
    let daemon = Daemon::start(0);
    let answer = daemon.post("/v1/torrents", &json!({"magnet": "magnet:?", "label": "new"})).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.read::<Torrent>().label.as_deref(), Some("new"));
    let ourselves = Caller { uid: geteuid().as_raw(), gid: getegid().as_raw() };
    assert_eq!(*daemon.catalog.callers.lock().unwrap(), [ourselves]);
}

#[tokio::test]
async fn a_torrent_is_told_in_detail_by_any_of_its_names() {
    let daemon = Daemon::start(2);
    for id in ["02".repeat(20), "0202".to_owned(), "name%202".to_owned()] {
        let path = |what: &str| format!("/v1/torrents/{id}{what}");
        let detail: Detail = daemon.get(&path("")).await.read();
        assert_eq!(detail.torrent.info_hash, InfoHash::new([2; 20]));
        assert_eq!(daemon.get(&path("/files")).await.read::<Vec<FileRow>>()[0].path, "a/b");
        assert_eq!(daemon.get(&path("/peers")).await.read::<Vec<PeerRow>>()[0].address, "127.0.0.1:1");
        assert_eq!(daemon.get(&path("/trackers")).await.read::<Vec<TrackerRow>>()[0].peers, 2);
        assert_eq!(daemon.get(&path("/pieces")).await.read::<Pieces>().piece_count, 9);
    }
}

#[tokio::test]
async fn the_torrent_file_comes_back_as_bytes_with_a_name() {
    let daemon = Daemon::start(1);
    let answer = daemon.get("/v1/torrents/0101/metainfo").await;
    assert_eq!((answer.status, answer.text()), (200, "d4:infode"));
    assert_eq!(answer.header("content-type"), "application/x-bittorrent");
    assert_eq!(answer.header("content-disposition"), "attachment; filename=\"name 1.torrent\"");
}

#[tokio::test]
async fn every_action_reaches_the_catalog() {
    let daemon = Daemon::start(1);
    let relocation = json!({"dir": "/mnt", "is_there": true});
    let plain = [
        ("pause", json!(null), Action::Pause),
        ("resume", json!(null), Action::Resume),
        ("verify", json!(null), Action::Verify),
        ("reannounce", json!(null), Action::Reannounce),
        ("move", relocation, Action::Move(MoveRequest { dir: "/mnt".to_owned(), is_there: true })),
    ];
    let mut expected = Vec::new();
    for (name, body, action) in plain {
        let reply: ActionReply = daemon.post(&format!("/v1/torrents/0101/{name}"), &body).await.read();
        assert_eq!(reply.torrents, [InfoHash::new([1; 20])]);
        expected.push(action);
    }
    let patch = Patch { upload_limit: Some(None), ..Patch::default() };
    let body = r#"{"upload_limit": null}"#;
    daemon.ask(&Method::PATCH, "/v1/torrents/0101", body).await.read::<ActionReply>();
    expected.push(Action::Change(patch));
    for (query, with_data) in [("", false), ("?with_data=true", true), ("?with_data=false", false)] {
        let path = format!("/v1/torrents/0101{query}");
        daemon.ask(&Method::DELETE, &path, "").await.read::<ActionReply>();
        expected.push(Action::Remove { with_data });
    }
    let acted: Vec<Action> = daemon.catalog.acted.lock().unwrap().iter().map(|it| it.1.clone()).collect();
    assert_eq!(acted, expected);
}

#[tokio::test]
async fn an_action_on_all_goes_on_where_one_refuses_for_itself() {
    use protocol::control::ErrorCode;
    let daemon = Daemon::start(4);
    let refuse = |id, error| {
        daemon.catalog.refusals.lock().unwrap().insert(TorrentId(id), ErrorReply::new(error, "no"));
    };
    refuse(2, ErrorCode::Conflict);
    refuse(3, ErrorCode::NotFound);
    let reply: ActionReply = daemon.post("/v1/torrents/all/pause", &json!(null)).await.read();
    assert_eq!(reply.torrents, [InfoHash::new([1; 20]), InfoHash::new([4; 20])]);
    let refusal = ErrorReply::new(ErrorCode::Conflict, "no").about(InfoHash::new([2; 20]));
    assert_eq!(reply.refused, [refusal]);
    refuse(2, ErrorCode::Failed);
    let answer = daemon.post("/v1/torrents/all/pause", &json!(null)).await;
    let refusal = answer.refusal();
    assert_eq!((answer.status, refusal.error), (500, ErrorCode::Failed));
    assert_eq!(refusal.message, "no (after 1 of 4 torrents)");
    assert_eq!(daemon.catalog.acted.lock().unwrap().len(), 4 + 2, "nobody was asked after that");
}

#[tokio::test]
async fn an_action_on_all_of_none_is_done() {
    let daemon = Daemon::start(0);
    let answer = daemon.post("/v1/torrents/all/resume", &json!(null)).await;
    assert_eq!(answer.read::<Value>(), json!({"torrents": []}));
}

#[tokio::test]
async fn a_backup_and_the_end_need_no_words() {
    let daemon = Daemon::start(0);
    for (path, body) in [("/v1/backup", json!({"path": "/new"})), ("/v1/shutdown", json!(null))] {
        let answer = daemon.post(path, &body).await;
        assert_eq!((answer.status, answer.text()), (204, ""), "{path}");
    }
}

#[tokio::test]
async fn the_document_is_served() {
    let daemon = Daemon::start(0);
    let document: Value = daemon.get("/v1/openapi.json").await.read();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"]["/v1/torrents/{id}/pause"]["post"].is_object());
}
