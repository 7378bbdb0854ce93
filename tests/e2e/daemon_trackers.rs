//! How long `btd run` waits for trackers that do not answer, as `[tracker]` says, and what it tells of them.

use std::net::{TcpListener, UdpSocket};

use serde_json::Value;
use tests::daemon::{Daemon, Home, text};

use crate::Case;
use crate::offer::Offer;

pub(crate) const CASES: &[Case] = &[
    Case::new("daemon_waits_for_a_tracker_as_it_is_told", waits_for_a_tracker_as_it_is_told),
    Case::new("daemon_asks_over_udp_as_often_as_it_is_told", asks_over_udp_as_often_as_it_is_told),
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
