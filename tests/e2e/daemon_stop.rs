//! SIGTERM ends the daemon in order, whatever it is doing, and nothing that others leave undone holds it up.

use std::fs::File;
use std::io::Read;
use std::net::TcpListener;
use std::thread;

use nix::sys::signal::Signal;
use serde_json::json;
use tests::api::{Client, Wakes};
use tests::daemon::{ALL_CORES, Home, WAIT_LIMIT, text};
use tests::limit::{accept_within, within};
use tests::payload::write_single;

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

fn ends_while_it_is_idle() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let home = Home::new("idle", "");
        let daemon = home.start();
        let mut client = daemon.client();
        client.list();
        daemon.signal(signal);
        daemon.ended_well();
        assert!(!home.socket().exists());
        assert!(client.ask("GET", "/v1/version", None).is_err());
    }
}

/// A download that goes on is taken up where it was.
fn ends_while_it_downloads() {
    let home = Home::new("busy", ALL_CORES);
    let offer = Offer::single_with("busy", 16 << 20, &["--piece-length", "64KiB"]);
    let seeder = offer.seed(&["--upload-limit", "2M"]);
    let daemon = home.start();
    let id = daemon.add(&[offer.magnet_of(seeder.address())]);
    let have = daemon.wait("payload", |daemon| daemon.torrent(&id)["have"].as_u64().filter(|have| *have > 0));
    daemon.end_well();
    let daemon = home.start();
    let kept = daemon.torrent(&id)["have"].as_u64().unwrap();
    assert!(kept >= have, "{kept} bytes of {have} were kept");
    daemon.end_well();
    seeder.end_well();
}

fn ends_while_it_hashes() {
    let home = Home::new("hash", ALL_CORES);
    let daemon = home.start();
    let path = home.join("long.bin");
    File::create(&path).unwrap().set_len(LONG).unwrap();
    let socket = home.socket();
    let creation = thread::spawn(move || {
        let mut client = Client::connect(&socket).unwrap();
        client.ask("POST", "/v1/create", Some(&json!({ "path": path })))
    });
    daemon.wait("bytes that are hashed", |daemon| {
        (daemon.metric("btd_hashed_bytes_total") > 0.0).then_some(())
    });
    let offer = Offer::single_with("hash", 256 << 20, &["--piece-length", "256KiB"]);
    daemon.add(&["--seed-only", "--dir", text(offer.home()), text(&offer.file)]);
    daemon.end_well();
    // It was told, in an answer or in the last of its lines, or broke off.
    if let Ok(answer) = creation.join().unwrap() {
        let told = answer.text();
        assert!(answer.status == 503 || told.contains("stopp"), "{} {told}", answer.status);
        assert!(!told.contains("\"done\""), "it was not ended: {told}");
    }
    let daemon = home.start();
    assert_eq!(daemon.client().list().len(), 1);
    daemon.end_well();
}

/// Somebody who accepts connections and never answers.
fn silent_server() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

fn ends_while_clients_wait() {
    let home = Home::new("wait", "");
    let daemon = home.start();
    let silent = silent_server();
    let url = format!("http://{}/x.torrent", silent.local_addr().unwrap());
    let events = Wakes::listen(&home.socket());
    let socket = home.socket();
    let adding = thread::spawn(move || {
        let mut client = Client::connect(&socket).unwrap();
        client.ask("POST", "/v1/torrents", Some(&json!({ "url": url })))
    });
    let _fetch = accept_within(WAIT_LIMIT, &silent);
    daemon.end_well();
    if let Ok(answer) = adding.join().unwrap() {
        assert_eq!(answer.status, 503, "{}", answer.text());
    }
    let told = events.rest();
    assert!(told.contains("shutdown"), "{told}");
}

fn ends_although_trackers_hang() {
    let home = Home::new("hang", "");
    let daemon = home.start();
    let tracker = silent_server();
    let url = format!("http://{}/announce", tracker.local_addr().unwrap());
    let payload = write_single(home.path(), "payload.bin", 1, 100_000);
    let create = json!({ "path": payload, "trackers": [url], "seed": true });
    let created = daemon.ask("POST", "/v1/create", Some(&create));
    assert_eq!(created.status, 200, "{}", created.text());
    // It is asked, hears the question, and never answers it.
    let mut asked = accept_within(WAIT_LIMIT, &tracker);
    assert!(within(WAIT_LIMIT, asked.read(&mut [0; 64])).unwrap() > 0);
    daemon.end_well();
}
