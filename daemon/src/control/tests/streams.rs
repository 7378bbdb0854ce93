//! Replies of many lines.

use protocol::control::{CreateEvent, ErrorCode, Event, EventKind};
use serde_json::json;
use tokio::sync::mpsc::{Receiver, Sender};

use super::*;

/// A reply that is read line by line.
struct Stream {
    body: Incoming,
    read: Vec<u8>,
}

impl Stream {
    async fn open(daemon: &Daemon, path: &str) -> Self {
        let response = daemon.open(&Method::GET, path, "").await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "application/x-ndjson");
        Self { body: response.into_body(), read: Vec::new() }
    }

    /// The next line; none at the end.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = timeout(PATIENCE, self.body.frame()).await.expect("nothing comes")?.unwrap();
            self.read.extend_from_slice(frame.data_ref().unwrap());
        }
    }

    async fn next_kind(&mut self) -> EventKind {
        self.next().await.expect("it ended").kind
    }
}

#[tokio::test]
async fn events_come_as_they_happen_after_a_hello() {
    let daemon = Daemon::start(1);
    let mut stream = Stream::open(&daemon, "/v1/events").await;
    let hello = stream.next().await.unwrap();
    assert_eq!((hello.kind, hello.info_hash), (EventKind::Hello, None));
    assert_eq!(hello.revision, daemon.board.revision());
    daemon.board.update(TorrentId(1), |row| row.state = State::Paused);
    let event = stream.next().await.unwrap();
    assert_eq!(event.kind, EventKind::State { from: State::Seeding, to: State::Paused });
    assert_eq!((event.info_hash, event.name.as_deref()), (Some(InfoHash::new([1; 20])), Some("name 1")));
    daemon.board.announce_to_all(EventKind::Shutdown);
    assert_eq!(stream.next_kind().await, EventKind::Shutdown);
    assert!(stream.next().await.is_none(), "that is the end");
}

#[tokio::test]
async fn one_torrent_can_be_followed_alone() {
    let daemon = Daemon::start(2);
    let path = format!("/v1/events?info_hash={}", "02".repeat(20));
    let mut stream = Stream::open(&daemon, &path).await;
    assert_eq!(stream.next_kind().await, EventKind::Hello);
    for id in [1, 2, 1] {
        daemon.board.announce(TorrentId(id), EventKind::Changed);
    }
    daemon.board.announce(TorrentId(2), EventKind::Completed);
    assert_eq!(stream.next_kind().await, EventKind::Changed);
    assert_eq!(stream.next_kind().await, EventKind::Completed, "those of the other are left out");
}

#[tokio::test]
async fn at_the_end_a_shutdown_is_told_after_what_has_happened() {
    let mut daemon = Daemon::start(1);
    let mut stream = Stream::open(&daemon, "/v1/events").await;
    assert_eq!(stream.next_kind().await, EventKind::Hello);
    daemon.board.announce(TorrentId(1), EventKind::Changed);
    let stopping = tokio::task::spawn_blocking(move || daemon.stop());
    assert_eq!(stream.next_kind().await, EventKind::Changed);
    assert_eq!(stream.next_kind().await, EventKind::Shutdown);
    assert!(stream.next().await.is_none());
    stopping.await.unwrap();
}

#[tokio::test]
async fn a_slow_reader_is_told_how_much_it_has_missed() {
    // More than the socket and the board hold together.
    const EVENTS: u64 = 100_000;
    let daemon = Daemon::start(1);
    let mut stream = Stream::open(&daemon, "/v1/events").await;
    assert_eq!(stream.next_kind().await, EventKind::Hello);
    for _ in 0..EVENTS {
        daemon.board.announce(TorrentId(1), EventKind::Changed);
    }
    daemon.board.announce_to_all(EventKind::Shutdown);
    let (mut received, mut missed) = (0, 0);
    loop {
        match stream.next_kind().await {
            EventKind::Changed => received += 1,
            EventKind::Lagged { missed: count } => missed += count,
            EventKind::Shutdown => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(missed > 0);
    assert_eq!(received + missed, EVENTS);
}

#[tokio::test]
async fn a_reader_that_goes_leaves_nothing_behind() {
    let daemon = Daemon::with(1, |settings| settings.max_connections = 1);
    for _ in 0..5 {
        let mut stream = Stream::open(&daemon, "/v1/events").await;
        assert_eq!(stream.next_kind().await, EventKind::Hello);
    }
    assert_eq!(daemon.get("/v1/version").await.status, 200);
}

async fn create(daemon: &Daemon, path: &str) -> Vec<CreateEvent> {
    let answer = daemon.post("/v1/create", &json!({"path": path})).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/x-ndjson"));
    answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_torrent_is_made_with_progress_and_an_end() {
    let daemon = Daemon::start(0);
    let lines = create(&daemon, "/payload").await;
    assert_eq!(lines[0], CreateEvent::Progress { done: 1, total: 2 });
    assert!(matches!(&lines[1..], [CreateEvent::Done { name, .. }] if name == "made"), "{lines:?}");
    let lines = create(&daemon, "/failing").await;
    assert!(
        matches!(&lines[1..], [CreateEvent::Failed(it)] if it.error == ErrorCode::Forbidden),
        "{lines:?}"
    );
    let lines = create(&daemon, "/broken").await;
    assert!(matches!(&lines[1..], [CreateEvent::Failed(it)] if it.error == ErrorCode::Stopping), "{lines:?}");
}

#[tokio::test]
async fn a_torrent_that_cannot_be_begun_is_refused_as_anything_is() {
    let daemon = Daemon::start(0);
    let answer = daemon.post("/v1/create", &json!({"path": "/refused"})).await;
    assert_eq!((answer.status, answer.refusal().error), (403, ErrorCode::Forbidden));
}

/// Asks for a torrent to be made, and gives what the catalog is to tell its progress to.
async fn begin<A>(asking: impl Future<Output = A>, receiver: &mut Receiver<Asked>) -> Sender<CreateEvent> {
    tokio::select! {
        _ = asking => panic!("nobody has answered"),
        request = receiver.recv() => match request {
            Some(Asked::Create { events, .. }) => events,
            other => panic!("{other:?}"),
        },
    }
}

#[tokio::test]
async fn whoever_goes_while_a_torrent_is_made_has_it_ended() {
    let (requests, mut receiver) = Requests::channel();
    let daemon = Daemon::serve(requests, |_| {});
    let ask = || Box::pin(daemon.open(&Method::POST, "/v1/create", r#"{"path": "/payload"}"#));
    let mut asking = ask();
    let before_progress = begin(asking.as_mut(), &mut receiver).await;
    drop(asking);
    timeout(PATIENCE, before_progress.closed()).await.expect("the catalog hears of it");
    let mut asking = ask();
    let events = begin(asking.as_mut(), &mut receiver).await;
    events.send(CreateEvent::Progress { done: 1, total: 2 }).await.unwrap();
    drop(asking.await);
    timeout(PATIENCE, events.closed()).await.expect("the catalog hears of it");
}
