//! Connections: silent ones, many at once, and their end.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream as StdStream;

use serde_json::json;

use super::*;

/// A client that says just this.
fn say(daemon: &Daemon, words: &[u8]) -> StdStream {
    let mut stream = StdStream::connect(daemon.socket()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(words).unwrap();
    stream
}

/// Waits until the other side has closed the connection, and tells what it said.
async fn rest(mut stream: StdStream) -> String {
    let read = move || io::read_to_string(&mut stream).expect("still open");
    tokio::task::spawn_blocking(read).await.unwrap()
}

#[tokio::test]
async fn a_client_that_says_nothing_is_dropped() {
    let daemon = Daemon::with(0, |settings| settings.header_timeout = Duration::from_millis(20));
    for beginning in ["", "GET /v1/version HTTP/1.1\r\nHost:"] {
        assert!(!rest(say(&daemon, beginning.as_bytes())).await.contains("200 OK"));
    }
    assert_eq!(daemon.get("/v1/version").await.status, 200, "others are served");
}

#[tokio::test]
async fn a_client_that_has_gone_silent_is_dropped() {
    let daemon = Daemon::with(0, |settings| settings.header_timeout = Duration::from_millis(20));
    let stream = say(&daemon, b"GET /v1/version HTTP/1.1\r\nHost: btd\r\n\r\n");
    assert!(rest(stream).await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn a_connection_is_kept_for_more_requests() {
    let daemon = Daemon::start(1);
    let mut client = daemon.connect().await;
    for _ in 0..3 {
        let response = send(&mut client, &Method::POST, "/v1/torrents/0101/pause", "").await;
        assert_eq!(Answer::of(response).await.status, 200);
    }
}

#[tokio::test]
async fn what_is_no_http_ends_its_connection_only() {
    let daemon = Daemon::start(0);
    assert!(rest(say(&daemon, &[0xff; 1_000])).await.starts_with("HTTP/1.1 400"));
    assert_eq!(daemon.get("/v1/version").await.status, 200);
}

#[tokio::test]
async fn beyond_the_limit_connections_wait_for_one_to_end() {
    let daemon = Daemon::with(0, |settings| settings.max_connections = 1);
    let mut first = daemon.connect().await;
    assert_eq!(send(&mut first, &Method::GET, "/v1/version", "").await.status(), 200);
    let mut second = daemon.connect().await;
    let waiting = send(&mut second, &Method::GET, "/v1/version", "");
    let mut waiting = std::pin::pin!(waiting);
    // The first is served again and again, and the second is not.
    for _ in 0..20 {
        tokio::select! {
            biased;
            _ = waiting.as_mut() => panic!("more than one at once"),
            response = send(&mut first, &Method::GET, "/v1/version", "") => assert_eq!(response.status(), 200),
        }
    }
    drop(first);
    assert_eq!(waiting.await.status(), 200);
}

#[tokio::test]
async fn hundreds_ask_at_once_and_each_gets_its_answer() {
    let daemon = Arc::new(Daemon::with(0, |settings| settings.max_connections = 8));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..300 {
        let daemon = daemon.clone();
        clients.spawn(async move { daemon.post("/v1/torrents", &json!({"magnet": "x"})).await.status });
    }
    assert_eq!(clients.join_all().await, [201; 300]);
}

#[tokio::test]
async fn at_the_end_silent_connections_do_not_hold_it_up_and_the_socket_is_gone() {
    let mut daemon = Daemon::with(0, |settings| settings.header_timeout = Duration::from_secs(3_600));
    let silent = say(&daemon, b"");
    let mut idle = daemon.connect().await;
    assert_eq!(send(&mut idle, &Method::GET, "/v1/version", "").await.status(), 200);
    let mut listening = say(&daemon, b"GET /v1/events HTTP/1.1\r\nHost: btd\r\n\r\n");
    listening.read_exact(&mut [0]).unwrap();
    daemon.stop();
    assert!(!daemon.socket().exists());
    assert_eq!(rest(silent).await, "");
    assert!(rest(listening).await.contains("shutdown"));
}

#[tokio::test]
async fn a_reply_that_is_on_its_way_is_waited_for() {
    let (requests, mut receiver) = Requests::channel();
    let mut daemon = Daemon::serve(requests, |_| {});
    let mut client = daemon.connect().await;
    let asking = tokio::spawn(async move {
        Answer::of(send(&mut client, &Method::POST, "/v1/shutdown", "").await).await.status
    });
    let Some(Asked::Shutdown(reply)) = receiver.recv().await else { panic!("something else was asked") };
    // The daemon stops before the catalog has answered: the socket goes first.
    let socket = daemon.socket();
    let stopping = tokio::task::spawn_blocking(move || daemon.stop());
    while socket.exists() {
        tokio::task::yield_now().await;
    }
    reply.send(Ok(())).unwrap();
    assert_eq!(asking.await.unwrap(), 204);
    stopping.await.unwrap();
}

#[tokio::test]
async fn stopping_ends_in_time_though_every_place_is_taken_and_never_given_back() {
    let (requests, mut receiver) = Requests::channel();
    let mut daemon = Daemon::serve(requests, |settings| settings.max_connections = 1);
    let _asking = say(&daemon, b"POST /v1/shutdown HTTP/1.1\r\nHost: btd\r\n\r\n");
    // Never answered, so whoever asked keeps the only place.
    let _asked = timeout(PATIENCE, receiver.recv()).await.unwrap();
    let control = daemon.control.take().unwrap();
    let (stopped, is_stopped) = oneshot::channel();
    // A thread that the test does not wait for: one that hangs would hang it.
    thread::spawn(move || {
        control.stop(Duration::from_millis(50));
        let _ = stopped.send(());
    });
    timeout(PATIENCE, is_stopped).await.expect("it waits for clients").unwrap();
}
