//! Clients of the daemon's socket that ask too much, or nothing, or nonsense: each is told so or dropped, and the others
//! are served as before.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use data_encoding::BASE64;
use serde_json::json;
use tests::api::Client;
use tests::btctl::exit;
use tests::daemon::{ALL_CORES, Daemon, Home, WAIT_LIMIT, text};
use tests::http::Server;

use crate::Case;
use crate::daemon_faults::unknown_torrent;

pub(crate) const CASES: &[Case] = &[
    Case::new("daemon_takes_ten_thousand_adds_at_once", takes_ten_thousand_adds_at_once),
    Case::new("daemon_refuses_a_torrent_of_100_mb", refuses_a_torrent_of_100_mb),
    Case::new("daemon_drops_clients_that_say_nothing", drops_clients_that_say_nothing),
    Case::new("daemon_answers_nonsense_with_a_refusal", answers_nonsense_with_a_refusal),
];

/// Torrents that are added at once.
const ADDS: u64 = 10_000;
/// Connections that add them: more than are served at a time.
const CONNECTIONS: u64 = 400;
/// Bytes of a torrent file that is too long.
const TOO_LONG: usize = 100_000_000;
/// Bytes that the daemon may keep of what was too long.
const KEPT: u64 = 32 << 20;

fn takes_ten_thousand_adds_at_once() {
    let home = Home::new("adds", ALL_CORES);
    let daemon = home.start();
    let (socket, next) = (home.socket(), AtomicU64::new(1));
    let answered = thread::scope(|scope| {
        let add = || {
            let mut client = Client::connect(&socket).expect("the daemon listens");
            let mut count = 0;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number > ADDS {
                    return count;
                }
                client.expect(201, "POST", "/v1/torrents", Some(&unknown_torrent(number)));
                count += 1;
            }
        };
        let clients: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(add)).collect();
        // Somebody else asks for something meanwhile.
        let mut other = daemon.client();
        while next.load(Ordering::Relaxed) <= ADDS {
            other.expect(200, "GET", "/v1/torrents?limit=1", None);
        }
        clients.into_iter().map(|client| client.join().expect("every add is answered")).sum::<u64>()
    });
    assert_eq!(answered, ADDS);
    assert_eq!(daemon.client().list().len() as u64, ADDS);
    daemon.end_well();
    let daemon = home.start();
    assert_eq!(daemon.client().list().len() as u64, ADDS);
    assert_eq!(daemon.json(&["list"]).as_array().map(|rows| rows.len() as u64), Some(ADDS));
    daemon.end_well();
}

/// Bytes of memory that are the daemon's own.
fn memory(daemon: &Daemon<'_>) -> u64 {
    daemon.get("/v1/stats")["memory"]["anonymous"].as_u64().unwrap()
}

fn refuses_a_torrent_of_100_mb() {
    let home = Home::new("long", "");
    let daemon = home.start();
    let mut client = daemon.client();
    client.expect(201, "POST", "/v1/torrents", Some(&unknown_torrent(1)));
    let before = memory(&daemon);
    // In the request itself.
    let metainfo = BASE64.encode(&vec![b'x'; TOO_LONG]);
    let refusal = client.expect(413, "POST", "/v1/torrents", Some(&json!({ "metainfo": metainfo })));
    assert!(refusal["message"].as_str().unwrap().contains("longer than"), "{refusal}");
    // As a file, which is as sparse as it is long.
    let path = home.join("long.torrent");
    File::create(&path).unwrap().set_len(TOO_LONG as u64).unwrap();
    let refusal = client.expect(422, "POST", "/v1/torrents", Some(&json!({ "path": path })));
    let message = refusal["message"].as_str().unwrap();
    assert!(message.contains("long.torrent") && message.contains("too many"), "{message}");
    daemon.refuses(&["add", text(&path)], exit::USAGE, &["long.torrent: more than"]);
    // From the web.
    let server = Server::start(|_, _| vec![b'x'; TOO_LONG]);
    let url = server.url("/long.torrent");
    let refusal = client.expect(422, "POST", "/v1/torrents", Some(&json!({ "url": url })));
    assert!(refusal["message"].as_str().unwrap().contains(&url), "{refusal}");
    daemon.wait(&format!("memory of {before} bytes as it was"), |daemon| {
        (memory(daemon) < before + KEPT).then_some(())
    });
    assert_eq!(client.list().len(), 1);
    daemon.end_well();
}

/// A client that sends `text` and no more.
fn send(socket: &Path, text: &[u8]) -> UnixStream {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(WAIT_LIMIT)).unwrap();
    stream.write_all(text).unwrap();
    stream
}

/// All that comes until the daemon hangs up.
fn receive(mut stream: UnixStream) -> String {
    let mut all = Vec::new();
    match stream.read_to_end(&mut all) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("not dropped: {error}"),
    }
    String::from_utf8_lossy(&all).into_owned()
}

fn drops_clients_that_say_nothing() {
    let home = Home::new("silent", "");
    let daemon = home.start();
    let silent = [
        "",
        "GET /v1/torr",
        "GET /v1/torrents HTTP/1.1\r\nHost: btd\r\n",
        "POST /v1/torrents HTTP/1.1\r\nHost: btd\r\nContent-Length: 100\r\n\r\n{\"magnet\":",
        "POST /v1/torrents HTTP/1.1\r\nHost: btd\r\nTransfer-Encoding: chunked\r\n\r\nf\r\n{",
    ];
    let streams: Vec<UnixStream> = silent.iter().map(|text| send(&home.socket(), text.as_bytes())).collect();
    let mut client = daemon.client();
    for number in 1..=100 {
        client.expect(201, "POST", "/v1/torrents", Some(&unknown_torrent(number)));
    }
    for (text, stream) in silent.iter().zip(streams) {
        let answer = receive(stream);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{text:?}: {answer}");
    }
    // One that goes away in the middle leaves nothing behind.
    drop(send(&home.socket(), silent[3].as_bytes()));
    assert_eq!(daemon.client().list().len(), 100);
    daemon.end_well();
}

fn answers_nonsense_with_a_refusal() {
    let home = Home::new("nonsense", "");
    let daemon = home.start();
    for garbage in
        [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b"\x13BitTorrent protocol\0\0\0\0\r\n\r\n"]
    {
        let answer = receive(send(&home.socket(), garbage));
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    let mut client = daemon.client();
    let bodies = [
        "",
        "null",
        "[]",
        "{",
        "{\"magnet\":7}",
        "{\"magnet\":\"nonsense\"}",
        "{\"magnet\":\"magnet:?xt=urn:btih:00\"}",
        "{\"path\":\"relative\"}",
        "{\"metainfo\":\"!\"}",
        "{\"path\":\"/\",\"url\":\"http://x\"}",
        "{}",
        "{\"frobnicate\":1}",
        "{\"url\":\"ftp://127.0.0.1/x\"}",
        "{\"path\":\"/dev/zero\"}",
        "{\"path\":\"/nowhere/x\"}",
        "{\"metainfo\":\"ZGU=\"}",
        "{\"path\":\"/\"}",
    ];
    for body in bodies {
        let answer = client.send("POST", "/v1/torrents", body).expect("the daemon lives");
        let told = answer.text();
        assert!([400, 403, 422].contains(&answer.status), "{body}: {} {told}", answer.status);
        assert!(answer.json()["message"].as_str().is_some_and(|it| !it.is_empty()), "{body}: {told}");
    }
    let many = format!("/v1/torrents?limit={}", "9".repeat(30));
    let paths = [
        ("GET", "/", 404),
        ("GET", "/v2/torrents", 404),
        ("PUT", "/v1/torrents", 405),
        ("GET", "/v1/torrents/0123456789", 404),
        ("GET", "/v1/torrents?limit=x", 400),
        ("GET", "/v1/torrents?sort=nonsense", 400),
        ("GET", "/v1/torrents?since=-1", 400),
        ("GET", "/v1/torrents?after=%ff", 400),
        ("DELETE", "/v1/torrents/nobody?with_data=7", 400),
        ("GET", "/v1/torrents/%00", 404),
        ("POST", "/v1/torrents/nobody/pause", 404),
        ("GET", &many, 400),
    ];
    for (method, path, status) in paths {
        let answer = client.ask(method, path, None).expect("the daemon lives");
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
    }
    assert_eq!(client.list().len(), 0);
    daemon.end_well();
}
