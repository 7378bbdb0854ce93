//! What Prometheus gets, read line by line.

use std::collections::BTreeMap;

use tokio::net::TcpStream;

use super::*;

/// Every sample, by name and labels; fails where a line is not one of the format.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let body = text.strip_suffix("# EOF\n").expect("it has an end");
    let mut samples = BTreeMap::new();
    let mut family = String::new();
    for line in body.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (keyword, name, rest) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            match keyword {
                "HELP" => assert!(!rest.is_empty() && name.starts_with("btd_"), "{line}"),
                "TYPE" => assert!(["gauge", "counter", "info"].contains(&rest), "{line}"),
                _ => panic!("{line}"),
            }
            family = name.to_owned();
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a name and a value");
            assert!(series.starts_with(&family), "{line} is not of {family}");
            assert!(
                samples.insert(series.to_owned(), value.parse().unwrap()).is_none(),
                "{line} is there twice"
            );
        }
    }
    samples
}

#[tokio::test]
async fn figures_are_served_on_the_socket() {
    let daemon = Daemon::start(3);
    daemon.board.update(TorrentId(1), |row| row.state = State::Error);
    let answer = daemon.get("/metrics").await;
    let content = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!((answer.status, answer.header("content-type")), (200, content));
    let samples = samples(answer.text());
    let expected = [
        ("btd_torrents{state=\"error\"}", 1.0),
        ("btd_torrents{state=\"seeding\"}", 2.0),
        ("btd_torrents{state=\"queued\"}", 0.0),
        ("btd_wanted_bytes", 300.0),
        ("btd_have_bytes", 300.0),
        ("btd_peers", 0.0),
        ("btd_upload_bytes_per_second", 0.0),
        ("btd_download_bytes_per_second", 0.0),
        ("btd_uploaded_bytes_total", 27.0),
        ("btd_downloaded_bytes_total", 5.0),
        ("btd_wasted_bytes_total", 4.0),
        ("btd_worker_connections{worker=\"0\"}", 1.0),
        ("btd_worker_sent_bytes_total{worker=\"1\"}", 20.0),
        ("btd_worker_payload_sent_bytes_total{worker=\"1\"}", 18.0),
        ("btd_worker_blocks_sent_total{worker=\"0\"}", 2.0),
        ("btd_worker_sends_total{worker=\"0\"}", 1.0),
        ("btd_worker_received_bytes_total{worker=\"1\"}", 6.0),
        ("btd_worker_accepted_total{worker=\"0\"}", 4.0),
        ("btd_worker_refused_total{worker=\"1\"}", 10.0),
        ("btd_worker_dialled_total{worker=\"0\"}", 6.0),
        ("btd_errors_total{kind=\"storage\"}", 6.0),
        ("btd_hashed_bytes_total", 8.0),
        ("btd_written_bytes_total", 0.0),
        ("btd_pieces_verified_total", 0.0),
        ("btd_pieces_failed_total", 0.0),
        ("btd_lane_jobs_total", 0.0),
        ("btd_open_files", 3.0),
        ("btd_tracker_announces_total{host=\"tracker.test\"}", 11.0),
        ("btd_tracker_failures_total{host=\"tracker.test\"}", 1.0),
        ("btd_tracker_up{host=\"tracker.test\"}", 1.0),
    ];
    for (series, value) in expected {
        assert_eq!(samples.get(series), Some(&value), "{series}");
    }
    let build = format!("btd_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(samples.get(&build), Some(&1.0), "{build}");
    for kind in ["anonymous", "file_backed"] {
        assert!(samples[&format!("btd_memory_bytes{{kind=\"{kind}\"}}")] > 0.0);
    }
    assert!(samples.contains_key("btd_uptime_seconds"));
}

#[tokio::test]
async fn figures_and_nothing_else_are_served_over_tcp() {
    let any = (Ipv4Addr::LOCALHOST, 0).into();
    let daemon = Daemon::with(1, |settings| settings.metrics_listen = Some(any));
    let address = daemon.control.as_ref().unwrap().metrics_address().unwrap();
    let mut client = talk(TcpStream::connect(address).await.unwrap()).await;
    let answer = Answer::of(send(&mut client, &Method::GET, "/metrics", "").await).await;
    assert_eq!(samples(answer.text())["btd_torrents{state=\"seeding\"}"], 1.0);
    for (method, path, status) in [
        (Method::GET, "/v1/torrents", 404),
        (Method::POST, "/v1/shutdown", 404),
        (Method::POST, "/metrics", 405),
    ] {
        let answer = Answer::of(send(&mut client, &method, path, "").await).await;
        answer.refusal();
        assert_eq!(answer.status, status, "{method} {path}");
    }
}

#[tokio::test]
async fn torrents_add_no_series() {
    let count = |text: &str| samples(text).len();
    let (few, many) = (Daemon::start(1), Daemon::start(100));
    assert_eq!(count(few.get("/metrics").await.text()), count(many.get("/metrics").await.text()));
}
