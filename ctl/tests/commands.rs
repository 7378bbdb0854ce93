//! The real btctl against a daemon of the tests' own: what is asked, what is printed, and the exit code.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a failed test is a panic")]

mod daemon;

use std::io::Read;
use std::process::Stdio;

use protocol::control::ErrorCode;
use serde_json::{Value, json};

use daemon::{Daemon, Ending, Reply, Seen, btctl, refusal};

const HASH: &str = "5ba93c9db0cff93f52b521d7420e43f6eda2784f";

/// A row, as the daemon sends it; half of it is there.
fn row(state: &str) -> Value {
    json!({
        "info_hash": HASH, "name": "a\u{1b}[2J.iso", "state": state, "progress": 0.5, "size": 10, "have": 5, "uploaded": 0,
        "downloaded": 5, "ratio": 0.0, "upload_rate": 0, "download_rate": 0, "peers": 0, "seeds": 0, "eta_s": null,
        "label": null, "error": null, "dir": "/srv", "added_at": 7
    })
}

/// The same with all of it there.
fn whole(state: &str) -> Value {
    let mut row = row(state);
    (row["have"], row["progress"]) = (json!(10), json!(1.0));
    row
}

fn page(rows: &[Value], next: Option<&str>) -> Reply {
    Reply::Json(json!({
        "revision": 9, "total": 5, "torrents": rows, "removed": [], "is_full": false, "has_more": false, "next": next
    }))
}

/// Three pages: two rows, none, one.
fn paged(seen: &Seen) -> Reply {
    match seen.line.split_once("after=") {
        None => page(&[json!({"n": 1, "name": "[,]"}), json!({"n": 2})], Some("1:n5")),
        Some((_, "1%3An5&limit=10000&sort=-size&state=seeding")) => page(&[], Some("2:n5")),
        Some((_, "2%3An5&limit=10000&sort=-size&state=seeding")) => page(&[json!({"n": 3})], None),
        Some((_, other)) => panic!("{other}"),
    }
}

#[test]
fn all_pages_of_a_list_are_one_array() {
    let daemon = Daemon::start(paged);
    let said = daemon.btctl(&["list", "--json", "--state", "seeding", "--sort", "-size"]);
    assert_eq!((said.code, said.stderr.as_str()), (0, ""));
    assert_eq!(said.json(), json!([{"n": 1, "name": "[,]"}, {"n": 2}, {"n": 3}]));
    assert_eq!(said.stdout.lines().count(), 1);
    assert_eq!(daemon.seen().len(), 3);
    let empty = Daemon::start(|_| page(&[], None));
    assert_eq!(empty.btctl(&["list", "--json"]).stdout, "[]\n");
}

#[test]
fn a_page_that_follows_itself_is_no_endless_list() {
    let daemon = Daemon::start(|_| page(&[], Some("1:")));
    let said = daemon.btctl(&["list", "--json"]);
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("follows itself"), "{said:?}");
}

#[test]
fn a_table_shows_rows_and_no_commands() {
    let daemon = Daemon::start(|_| page(&[row("downloading")], None));
    let said = daemon.btctl(&["list"]);
    assert_eq!(said.code, 0);
    assert!(
        said.stdout.contains("5ba93c9d  downloading") && said.stdout.contains("a\\u{1b}[2J.iso"),
        "{said:?}"
    );
    assert!(!said.stdout.contains('\u{1b}'));
    assert!(daemon.btctl(&["list", "--color", "always"]).stdout.contains('\u{1b}'));
}

#[test]
fn of_all_torrents_those_that_refuse_are_told() {
    let refused = json!([{"error": "conflict", "message": "no metadata yet", "info_hash": HASH}]);
    let daemon = Daemon::start(move |_| Reply::Json(json!({"torrents": [HASH], "refused": refused})));
    let said = daemon.btctl(&["verify", "all"]);
    assert_eq!((said.code, said.stderr.trim_end()), (1, "btctl: no metadata yet"), "{said:?}");
    assert!(said.stdout.contains(HASH), "{said:?}");
}

#[test]
fn exit_codes_tell_failures_apart() {
    for (code, exit) in [
        (ErrorCode::NotFound, 4),
        (ErrorCode::Ambiguous, 1),
        (ErrorCode::Forbidden, 1),
        (ErrorCode::Busy, 1),
        (ErrorCode::Stopping, 1),
    ] {
        let daemon = Daemon::start(move |_| refusal(code));
        for args in [&["pause", "x"][..], &["show", "x"], &["files", "x"], &["export", "x"], &["wait", "x"]] {
            let said = daemon.btctl(args);
            assert_eq!(said.code, exit, "{args:?}: {said:?}");
            assert!(said.stderr.contains(&format!("btctl: it is {code:?}")), "{said:?}");
        }
    }
}

#[test]
fn nobody_at_the_socket_is_exit_code_3_and_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("none.sock");
    for env in [true, false] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_btctl"));
        match env {
            true => command.arg("stats").env("BTD_SOCKET", &socket),
            // What is said counts more than what is set.
            false => command.args(["stats", "--socket"]).arg(&socket).env("BTD_SOCKET", "/nowhere"),
        };
        let said = btctl(&mut command);
        assert_eq!(said.code, 3, "{said:?}");
        assert!(
            said.stderr.contains(socket.to_str().unwrap()) && said.stderr.contains("btd run"),
            "{said:?}"
        );
        assert_eq!(said.stderr.lines().count(), 1);
    }
}

#[test]
fn a_daemon_that_hangs_up_or_is_none_is_noticed() {
    let said = Daemon::start(|_| Reply::HangUp).btctl(&["stats"]);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.stderr.contains("hung up"), "{said:?}");
    for reply in [Reply::Status(502), Reply::Json(json!("x")), Reply::Bytes(b"<html>".to_vec())] {
        let said = Daemon::start(move |_| reply.clone()).btctl(&["stats"]);
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.stderr.contains("does not answer as btd does"), "{said:?}");
    }
}

#[test]
fn a_usage_error_asks_for_nothing() {
    let daemon = Daemon::start(|_| Reply::Status(500));
    for args in [
        &["add", "magnet:?xt=urn:btih:12"][..],
        &["add", "magnet:?dn=x", "http://t/a.torrent"],
        &["list", "--state", "lost"],
        &["limit", "x"],
        &["watch"],
        &["create", "a", "-o", "-", "--json"],
        &["add", "no-such.torrent"],
    ] {
        let said = daemon.btctl(args);
        assert_eq!(said.code, 2, "{args:?}: {said:?}");
        assert!(!said.stderr.is_empty());
    }
    assert_eq!(daemon.seen(), []);
}

#[test]
fn one_refusal_does_not_keep_others_back() {
    let daemon = Daemon::start(|seen| match seen.line.contains("/a/") {
        true => refusal(ErrorCode::NotFound),
        false => Reply::Json(json!({"torrents": [HASH]})),
    });
    let said = daemon.btctl(&["pause", "a", "b", "c", "--json"]);
    assert_eq!((said.code, said.json()), (4, json!({"torrents": [HASH, HASH]})));
    assert_eq!(daemon.seen().len(), 3);
}

#[test]
fn every_action_is_asked_for_by_its_own_path() {
    let daemon = Daemon::start(|_| Reply::Json(json!({"torrents": [HASH]})));
    let id = "a%20b";
    for (args, line, body) in [
        (&["pause", "a b"][..], format!("POST /v1/torrents/{id}/pause"), Value::Null),
        (&["resume", "a b"], format!("POST /v1/torrents/{id}/resume"), Value::Null),
        (&["verify", "a b"], format!("POST /v1/torrents/{id}/verify"), Value::Null),
        (&["reannounce", "a b"], format!("POST /v1/torrents/{id}/reannounce"), Value::Null),
        (&["remove", "a b"], format!("DELETE /v1/torrents/{id}"), Value::Null),
        (&["remove", "a b", "--data"], format!("DELETE /v1/torrents/{id}?with_data=true"), Value::Null),
        (
            &["move", "a b", "/x"],
            format!("POST /v1/torrents/{id}/move"),
            json!({"dir": "/x", "is_there": false}),
        ),
        (
            &["move", "a b", "/x", "--already-there"],
            format!("POST /v1/torrents/{id}/move"),
            json!({"dir": "/x", "is_there": true}),
        ),
        (&["label", "a b"], format!("PATCH /v1/torrents/{id}"), json!({"label": null})),
        (&["limit", "a b", "--up", "5k"], format!("PATCH /v1/torrents/{id}"), json!({"upload_limit": 5_000})),
        (&["select", "a b", "1,2"], format!("PATCH /v1/torrents/{id}"), json!({"select": ["1,2"]})),
        (&["backup", "/x"], "POST /v1/backup".to_owned(), json!({"path": "/x"})),
        (&["shutdown"], "POST /v1/shutdown".to_owned(), Value::Null),
    ] {
        let said = daemon.btctl(args);
        assert_eq!(said.code, 0, "{args:?}: {said:?}");
        assert_eq!(daemon.seen().last(), Some(&Seen { line, body }), "{args:?}");
    }
}

#[test]
fn what_is_asked_for_comes_as_json_or_for_people() {
    let value = json!([{"index": 0, "path": "a", "on_disk": null, "size": 5, "have": 5, "progress": 1.0, "wanted": true}]);
    let sent = value.clone();
    let daemon = Daemon::start(move |_| Reply::Json(sent.clone()));
    assert_eq!(daemon.btctl(&["files", "x", "--json"]).json(), value);
    assert!(daemon.btctl(&["files", "x"]).stdout.contains("100.0%"));
    assert!(daemon.seen().iter().all(|seen| seen.line == "GET /v1/torrents/x/files"));
}

#[test]
fn a_torrent_is_exported_as_it_is() {
    let daemon = Daemon::start(|_| Reply::Bytes(b"d4:infode\x00".to_vec()));
    assert_eq!(daemon.btctl(&["export", "x"]).stdout, "d4:infode\0");
    let path = daemon.socket().with_file_name("x.torrent");
    assert_eq!(daemon.btctl(&["export", "x", "-o", path.to_str().unwrap()]).code, 0);
    assert_eq!(std::fs::read(path).unwrap(), b"d4:infode\x00");
    assert!(daemon.seen().iter().all(|seen| seen.line == "GET /v1/torrents/x/metainfo"));
}

#[test]
fn the_version_of_btctl_needs_no_daemon() {
    let daemon = Daemon::start(|_| Reply::Json(json!({"version": "9.9", "api": 1, "pid": 5})));
    assert!(daemon.btctl(&["version"]).stdout.ends_with("btd 9.9 (API 1, process 5)\n"));
    assert_eq!(daemon.btctl(&["version", "--json"]).json()["btd"]["version"], "9.9");
    let said = btctl(daemon.command().args(["version", "--socket", "/nowhere"]));
    assert_eq!(said.code, 3);
    assert!(said.stdout.starts_with("btctl "), "{said:?}");
}

#[test]
fn completions_and_manuals_need_no_daemon() {
    let daemon = Daemon::start(|_| Reply::Status(500));
    let said = daemon.btctl(&["completions", "bash"]);
    assert!(said.code == 0 && said.stdout.contains("reannounce"), "{said:?}");
    assert_eq!(daemon.btctl(&["man", "pages"]).code, 0);
    assert!(daemon.socket().with_file_name("pages").join("btctl-wait.1").exists());
    assert_eq!(daemon.seen(), []);
}

#[test]
fn one_who_has_heard_enough_is_no_failure() {
    let rows: Vec<Value> = (0..9_000).map(|_| row("seeding")).collect();
    let daemon = Daemon::start(move |_| page(&rows, None));
    let mut child = daemon.command();
    let mut child =
        child.args(["list", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A few bytes of some megabytes, and the pipe is closed.
    child.stdout.take().unwrap().read_exact(&mut [0; 10]).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}

#[test]
fn a_file_is_added_from_where_it_is() {
    let daemon = Daemon::start(|_| Reply::Json(row("checking")));
    std::fs::write(daemon.socket().with_file_name("a.torrent"), "d4:infodee").unwrap();
    let said = daemon.btctl(&["add", "a.torrent", "--dir", "here", "--json"]);
    assert_eq!((said.code, said.json()), (0, row("checking")));
    let seen = daemon.only();
    assert_eq!(
        (seen.line.as_str(), &seen.body["metainfo"]),
        ("POST /v1/torrents", &json!("ZDQ6aW5mb2RlZQ=="))
    );
    let dir = daemon
        .socket()
        .with_file_name("here")
        .canonicalize()
        .unwrap_or(daemon.socket().with_file_name("here"));
    assert_eq!(seen.body["dir"], json!(dir));
}

/// Lines of `GET /v1/events`.
fn events(kinds: &[Value], ending: Ending) -> Reply {
    let event = |kind: &Value| {
        let mut event = json!({"revision": 1, "at": 7, "info_hash": HASH, "name": "x"});
        event.as_object_mut().unwrap().extend(kind.as_object().unwrap().clone());
        event
    };
    let hello = json!({"event": "hello"});
    Reply::Lines(std::iter::once(&hello).chain(kinds).map(event).collect(), ending)
}

/// A daemon whose torrent is `row`, and to which `kinds` happen.
fn waiting(row: Value, kinds: Vec<Value>, ending: Ending) -> Daemon {
    Daemon::start(move |seen| match seen.line.as_str() {
        "GET /v1/events" => events(&kinds, ending),
        line if line.ends_with("/verify") => Reply::Json(json!({"torrents": [HASH]})),
        _ => Reply::Json(row.clone()),
    })
}

#[test]
fn it_is_waited_until_all_is_here() {
    let done = waiting(
        row("downloading"),
        vec![json!({"event": "changed"}), json!({"event": "completed"})],
        Ending::Open,
    );
    let said = done.btctl(&["wait", "x", "--json"]);
    assert_eq!((said.code, &said.json()["info_hash"]), (0, &json!(HASH)));
    let seen = done.seen();
    assert_eq!(seen[0].line, "GET /v1/events", "events come first, so that nothing is missed");
    assert_eq!(waiting(whole("seeding"), vec![], Ending::Open).btctl(&["wait", "x"]).code, 0);
    let added = waiting(row("downloading"), vec![json!({"event": "completed"})], Ending::Open);
    assert_eq!(added.btctl(&["add", HASH, "--wait"]).code, 0);
    assert!(added.seen().iter().any(|seen| seen.line == "GET /v1/events"));
}

#[test]
fn it_is_not_waited_for_what_never_comes() {
    let code = |state, kinds, ending, args: &[&str]| waiting(row(state), kinds, ending).btctl(args).code;
    let wait: &[&str] = &["wait", "x"];
    assert_eq!(code("error", vec![], Ending::Open, wait), 1);
    assert_eq!(code("seeding", vec![], Ending::Open, wait), 1, "half of it, and nothing is fetched");
    assert_eq!(
        code("downloading", vec![json!({"event": "error", "message": "disk full"})], Ending::Open, wait),
        1
    );
    assert_eq!(code("downloading", vec![json!({"event": "removed"})], Ending::Open, wait), 4);
    assert_eq!(code("downloading", vec![json!({"event": "shutdown"})], Ending::Open, wait), 3);
    assert_eq!(code("downloading", vec![], Ending::Closed, wait), 3);
    assert_eq!(code("downloading", vec![], Ending::Open, &["wait", "x", "--timeout", "1ms"]), 5);
    assert_eq!(code("downloading", vec![], Ending::Open, &["add", HASH, "--wait", "--timeout", "1ms"]), 5);
    assert_eq!(code("checking", vec![], Ending::Open, &["verify", "x", "--wait", "--timeout", "1ms"]), 5);
}

#[test]
fn a_check_is_waited_for_and_judged() {
    let verify = |row: Value| {
        let checked = vec![json!({"event": "state", "from": "checking", "to": row["state"]})];
        waiting(row, checked, Ending::Open).btctl(&["verify", "x", "--wait"])
    };
    let said = verify(whole("seeding"));
    assert_eq!((said.code, said.stdout.starts_with("complete")), (0, true), "{said:?}");
    for state in ["downloading", "seeding"] {
        let said = verify(row(state));
        assert_eq!((said.code, said.stdout.starts_with("incomplete")), (1, true), "{said:?}");
    }
    // What it had before is not what it has.
    assert_eq!(verify(whole("error")).code, 1);
}

#[test]
fn events_are_told_as_they_come() {
    let daemon = Daemon::start(|_| {
        events(&[json!({"event": "completed"}), json!({"event": "shutdown"})], Ending::Closed)
    });
    let said = daemon.btctl(&["events"]);
    assert_eq!(said.code, 0);
    assert!(said.stdout.lines().nth(1).unwrap().contains("completed"), "{said:?}");
    let said = daemon.btctl(&["events", "--json"]);
    assert_eq!(said.stdout.lines().count(), 3);
    let cut = Daemon::start(|_| events(&[], Ending::Closed)).btctl(&["events"]);
    assert_eq!(cut.code, 3, "{cut:?}");
}

#[test]
fn a_new_torrent_is_written_when_it_is_made() {
    let done = json!({
        "event": "done", "info_hash": HASH, "name": "a", "length": 5, "piece_length": 16384, "piece_count": 1,
        "magnet": "magnet:?xt", "metainfo": "ZDQ6aW5mb2RlZQ=="
    });
    let lines = vec![json!({"event": "progress", "done": 1, "total": 5}), done];
    let daemon = Daemon::start(move |_| Reply::Lines(lines.clone(), Ending::Closed));
    let said = daemon.btctl(&["create", "/srv/a", "--json", "--private"]);
    assert_eq!((said.code, &said.json()["torrent"]), (0, &json!("a.torrent")));
    assert_eq!(std::fs::read(daemon.socket().with_file_name("a.torrent")).unwrap(), b"d4:infodee");
    let seen = daemon.only();
    assert_eq!((seen.line.as_str(), &seen.body["private"]), ("POST /v1/create", &json!(true)));
    let failed = json!({"event": "failed", "error": "unusable", "message": "nothing is there"});
    let daemon = Daemon::start(move |_| Reply::Lines(vec![failed.clone()], Ending::Closed));
    let said = daemon.btctl(&["create", "/srv/a"]);
    assert_eq!((said.code, said.stderr.as_str()), (1, "btctl: nothing is there\n"));
    assert!(!daemon.socket().with_file_name("a.torrent").exists());
}
