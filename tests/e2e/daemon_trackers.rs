//! How `btd run` asks trackers, as `[tracker]` says: how many at a time, how long it waits for those that do not answer,
//! and what it tells of them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};

use serde_json::Value;
use tests::daemon::{Daemon, Home, text};

use crate::Case;
use crate::offer::Offer;

pub(crate) const CASES: &[Case] = &[
    Case::new("daemon_waits_for_a_tracker_as_it_is_told", waits_for_a_tracker_as_it_is_told),
    Case::new("daemon_asks_over_udp_as_often_as_it_is_told", asks_over_udp_as_often_as_it_is_told),
    Case::new("daemon_asks_a_host_as_often_at_a_time_as_it_is_told", || {
        asks_one_at_a_time("requests_per_host", ["127.0.0.1"; 3]);
    }),
    Case::new("daemon_asks_as_often_at_a_time_as_it_is_told", || {
        asks_one_at_a_time("requests", ["127.0.0.1", "127.0.0.2", "127.0.0.3"]);
    }),
];

const LENGTH: u64 = 100_000;

/// Adds a torrent whose tracker is `url`, and waits until that has failed; why.
fn failure(daemon: &Daemon<'_>, name: &str, url: &str) -> String {
    let offer = Offer::single_with(name, LENGTH, &["--piece-length", "16KiB", "--tracker", url]);
    let info_hash = daemon.add(&["--dir", text(offer.home()), text(&offer.file)]);
    let row = daemon.wait("failure of the tracker", |daemon| {
        let trackers = daemon.json(&["trackers", &info_hash]);
        let mut rows = trackers.as_array().unwrap().iter();
        rows.find(|row| row["error"] != Value::Null).cloned()
    });
    assert_eq!((row["url"].as_str(), row["state"].as_str()), (Some(url), Some("failing")), "{row}");
    row["error"].as_str().unwrap().to_owned()
}

fn waits_for_a_tracker_as_it_is_told() {
    // The kernel takes connections for it; nobody reads them.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let home = Home::new("d-http-timeout-home", "[tracker]\nhttp_timeout = '1s'");
    let daemon = home.start();
    let url = format!("http://{}/announce", silent.local_addr().unwrap());
    assert_eq!(failure(&daemon, "d-http-timeout", &url), "no answer within 1000 ms");
    daemon.end_well();
}

/// By default two packets would be sent, and three would have 105 s.
fn asks_over_udp_as_often_as_it_is_told() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let home = Home::new("d-udp-home", "[tracker]\nudp_timeout = '1s'\nudp_attempts = 3");
    let daemon = home.start();
    let url = format!("udp://{}/announce", silent.local_addr().unwrap());
    assert_eq!(failure(&daemon, "d-udp", &url), "no answer to 3 packets");
    silent.set_nonblocking(true).unwrap();
    let mut datagram = [0; 2_048];
    let mut count = 0;
    while silent.recv(&mut datagram).is_ok() {
        count += 1;
    }
    assert_eq!(count, 3);
    daemon.end_well();
}

/// Answers the announce that comes over `stream`.
fn answer(mut stream: TcpStream) {
    let mut request = [0; 4_096];
    assert!(stream.read(&mut request).unwrap() > 0);
    let body = "d8:intervali1800e5:peers0:e";
    let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all((head + body).as_bytes()).unwrap();
}

/// With `key` at one, three trackers at `hosts` are asked one after the other.
fn asks_one_at_a_time(key: &str, hosts: [&str; 3]) {
    let trackers = hosts.map(|host| TcpListener::bind((host, 0)).unwrap());
    let home = Home::new(&format!("d-{key}-home"), &format!("[tracker]\n{key} = 1"));
    let daemon = home.start();
    let offer = |(length, tracker): (u64, &TcpListener)| {
        tracker.set_nonblocking(true).unwrap();
        let url = format!("http://{}/announce", tracker.local_addr().unwrap());
        Offer::single_with(&format!("d-{key}"), length, &["--tracker", &url])
    };
    let offers: Vec<Offer> = (LENGTH..).zip(&trackers).map(offer).collect();
    let ids: Vec<String> = offers.iter().map(|offer| offer.seed_by(&daemon)).collect();
    let asked = || trackers.iter().find_map(|tracker| tracker.accept().ok());
    for _ in &trackers {
        let (stream, _) = daemon.wait("announce", |_| asked());
        // Whoever tells of the last torrent knows of all of them, and has sent what may be sent.
        for _ in 0..2 {
            daemon.json(&["trackers", &ids[2]]);
        }
        assert!(asked().is_none(), "two at a time");
        answer(stream);
    }
    daemon.end_well();
}
