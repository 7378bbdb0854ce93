//! SIGTERM ends the daemon in order, whatever it is doing, and nothing that others leave undone holds it up.

use std::fs::File;
use std::io::Read;
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;
use tests::api::Wakes;
use tests::limit::{accept_within, within};
use tests::payload::write_single;
use tests::service::{Client, Home};

use crate::Case;
use crate::offer::Offer;

pub(crate) const CASES: &[Case] = &[
    Case::new("daemon_ends_while_it_is_idle", ends_while_it_is_idle),
    Case::new("daemon_ends_while_it_downloads", ends_while_it_downloads),
    Case::new("daemon_ends_while_it_hashes", ends_while_it_hashes),
    Case::new("daemon_ends_while_clients_wait", ends_while_clients_wait),
    Case::new("daemon_ends_although_trackers_hang", ends_although_trackers_hang),
];

/// Bytes, all of them a hole, that take longer to be hashed than the test lasts.
const LONG: u64 = 64 << 30;
/// Longest that something may take to begin.
const LIMIT: Duration = Duration::from_secs(60);

fn ends_while_it_is_idle() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let home = Home::new("idle");
        let service = home.start();
        let mut client = service.client();
        client.list();
        let ended = service.end(signal);
        assert_eq!(ended.code(), Some(0), "{signal}: {}", ended.describe());
        assert!(!home.socket().exists());
        assert!(client.ask("GET", "/v1/version", None).is_err());
    }
}

/// A download that goes on is taken up where it was.
fn ends_while_it_downloads() {
    let home = Home::new("busy");
    let offer = Offer::single_with("busy", 16 << 20, &["--piece-length", "64KiB"]);
    let seeder = offer.seed(&["--upload-limit", "2M"]);
    let service = home.start();
    let mut client = service.client();
    let magnet = format!("{}&x.pe={}", offer.magnet(), seeder.address());
    client.expect(201, "POST", "/v1/torrents", Some(&json!({ "magnet": magnet })));
    let path = format!("/v1/torrents/{}", offer.torrent.hex());
    let have = service.wait("payload", |client| {
        client.expect(200, "GET", &path, None)["have"].as_u64().filter(|have| *have > 0)
    });
    service.end_well();
    let service = home.start();
    let kept = service.client().expect(200, "GET", &path, None)["have"].as_u64().unwrap();
    assert!(kept >= have, "{kept} bytes of {have} were kept");
    service.end_well();
    seeder.end_well();
}

fn ends_while_it_hashes() {
    let home = Home::new("hash");
    let service = home.start();
    let path = home.path().join("long.bin");
    File::create(&path).unwrap().set_len(LONG).unwrap();
    let socket = home.socket();
    let creation = thread::spawn(move || {
        let mut client = Client::connect(&socket).unwrap();
        client.ask("POST", "/v1/create", Some(&json!({ "path": path })))
    });
    service.wait("bytes that are hashed", |client| {
        let figures = client.expect(200, "GET", "/metrics", None).to_string();
        let (_, hashed) = figures.split_once("\\nbtd_hashed_bytes_total ")?;
        (!hashed.starts_with('0')).then_some(())
    });
    let offer = Offer::single_with("hash", 256 << 20, &["--piece-length", "256KiB"]);
    let mut client = service.client();
    let body = json!({ "path": offer.file, "dir": offer.home(), "seed_only": true });
    client.expect(201, "POST", "/v1/torrents", Some(&body));
    service.end_well();
    // It was told, in an answer or in the last of its lines, or broke off.
    if let Ok(answer) = creation.join().unwrap() {
        let told = answer.body.to_string();
        assert!(answer.status == 503 || told.contains("stopp"), "{answer:?}");
        assert!(!told.contains("\"done\""), "it was not ended: {told}");
    }
    let service = home.start();
    assert_eq!(service.client().list().len(), 1);
    service.end_well();
}

/// Somebody who accepts connections and never answers.
fn silent_server() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

fn ends_while_clients_wait() {
    let home = Home::new("wait");
    let service = home.start();
    let silent = silent_server();
    let url = format!("http://{}/x.torrent", silent.local_addr().unwrap());
    let events = Wakes::listen(&home.socket());
    let socket = home.socket();
    let adding = thread::spawn(move || {
        let mut client = Client::connect(&socket).unwrap();
        client.ask("POST", "/v1/torrents", Some(&json!({ "url": url })))
    });
    let _fetch = accept_within(LIMIT, &silent);
    service.end_well();
    if let Ok(answer) = adding.join().unwrap() {
        assert_eq!(answer.status, 503, "{answer:?}");
    }
    let told = events.rest();
    assert!(told.contains("shutdown"), "{told}");
}

fn ends_although_trackers_hang() {
    let home = Home::new("hang");
    let service = home.start();
    let tracker = silent_server();
    let url = format!("http://{}/announce", tracker.local_addr().unwrap());
    let payload = write_single(home.path(), "payload.bin", 1, 100_000);
    let mut client = service.client();
    let create = json!({ "path": payload, "trackers": [url], "seed": true });
    client.expect(200, "POST", "/v1/create", Some(&create));
    // It is asked, hears the question, and never answers it.
    let mut asked = accept_within(LIMIT, &tracker);
    assert!(within(LIMIT, asked.read(&mut [0; 64])).unwrap() > 0);
    service.end_well();
}
