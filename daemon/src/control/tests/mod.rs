//! The control API on real sockets, a real client, and a catalog of a few lines.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::HeaderMap;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use protocol::control::{ErrorReply, State};
use protocol::id::InfoHash;
use serde::de::DeserializeOwned;
use service::control::Caller;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::*;
use crate::bus::{DiskFigures, Request as Asked, Row, TorrentId, TrackerFigures, WorkerFigures};

mod catalog;
mod figures;
mod refusals;
mod routes;
mod streams;

use catalog::Catalog;

/// Longer than anything here takes; only reached when a test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A control API, and all that stands around it.
pub(super) struct Daemon {
    pub(super) board: Arc<Board>,
    catalog: Arc<Catalog>,
    control: Option<Control>,
    folder: TempDir,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    headers: HeaderMap,
    body: Bytes,
}

fn row(number: u8) -> Row {
    Row {
        info_hash: InfoHash::new([number; 20]),
        name: format!("name {number}").into(),
        state: State::Seeding,
        checked: 0.0,
        size: 100,
        have: 100,
        uploaded: 7,
        downloaded: 3,
        live: None,
        label: None,
        error: None,
        dir: "/srv".into(),
        added_at: i64::from(number),
        trackers: Arc::default(),
    }
}

fn figures() -> Figures {
    let worker = |number| WorkerFigures {
        connections: number,
        bytes_sent: 10 * number,
        payload_bytes_sent: 9 * number,
        blocks_sent: 2,
        sends: 1,
        bytes_received: 3 * number,
        accepted: 4,
        refused: 5 * number,
        dialled: 6,
    };
    Figures {
        listen: vec![(Ipv4Addr::LOCALHOST, 6881).into()],
        workers: vec![worker(1), worker(2)],
        downloaded: 5,
        wasted: 4,
        errors: vec![("storage", 6)],
        disk: DiskFigures { bytes_hashed: 8, open_files: 3, ..DiskFigures::default() },
        trackers: vec![TrackerFigures {
            host: "tracker.test".to_owned(),
            announces: 11,
            failures: 1,
            is_working: true,
        }],
    }
}

impl Daemon {
    /// One with `count` torrents, and a catalog that does what it is asked.
    fn start(count: u8) -> Self {
        Self::with(count, |_| {})
    }

    /// One whose settings are different. Torrents have the numbers from 1.
    fn with(count: u8, change: impl FnOnce(&mut Settings)) -> Self {
        let (requests, receiver) = Requests::channel();
        let daemon = Self::serve(requests, change);
        (1..=count).for_each(|number| daemon.board.insert(TorrentId(number.into()), row(number), false));
        tokio::spawn(daemon.catalog.clone().answer(daemon.board.clone(), receiver));
        daemon
    }

    /// One whose catalog has ended.
    pub(super) fn without_catalog() -> Self {
        Self::serve(Requests::channel().0, |_| {})
    }

    fn serve(requests: Requests, change: impl FnOnce(&mut Settings)) -> Self {
        let folder = TempDir::new().unwrap();
        let mut settings = Settings::new(folder.path().join("btd.sock"));
        change(&mut settings);
        let board = Arc::new(Board::default());
        let control = start(settings, board.clone(), requests, Arc::new(figures)).unwrap();
        Self { board, catalog: Arc::default(), control: Some(control), folder }
    }

    /// Ends it, and waits as long as replies take.
    fn stop(&mut self) {
        self.control.take().unwrap().stop(PATIENCE);
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("btd.sock")
    }

    async fn connect(&self) -> SendRequest<Full<Bytes>> {
        talk(UnixStream::connect(self.socket()).await.unwrap()).await
    }

    /// Asks on a connection of its own, and does not wait for the body.
    pub(super) async fn open(
        &self,
        method: &Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Response<Incoming> {
        send(&mut self.connect().await, method, path, body).await
    }

    /// Asks on a connection of its own.
    async fn ask(&self, method: &Method, path: &str, body: impl Into<Bytes>) -> Answer {
        Answer::of(self.open(method, path, body).await).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(&Method::GET, path, "").await
    }

    async fn post(&self, path: &str, body: &serde_json::Value) -> Answer {
        self.ask(&Method::POST, path, body.to_string()).await
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(control) = self.control.take() {
            control.stop(Duration::ZERO);
        }
    }
}

/// Speaks HTTP over a stream.
async fn talk(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> SendRequest<Full<Bytes>> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn send(
    to: &mut SendRequest<Full<Bytes>>,
    method: &Method,
    path: &str,
    body: impl Into<Bytes>,
) -> Response<Incoming> {
    let request = Request::builder().method(method).uri(path).header("host", "btd");
    let request = request.body(Full::new(body.into())).unwrap();
    timeout(PATIENCE, to.send_request(request)).await.expect("no reply").unwrap()
}

impl Answer {
    async fn of(response: Response<Incoming>) -> Self {
        let (parts, body) = response.into_parts();
        let body = timeout(PATIENCE, body.collect()).await.expect("no end").unwrap().to_bytes();
        Self { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    /// What it says in JSON, if it is no refusal.
    #[track_caller]
    fn read<T: DeserializeOwned>(&self) -> T {
        assert!((200..300).contains(&self.status), "{}: {}", self.status, self.text());
        assert_eq!(self.header("content-type"), "application/json");
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The refusal that it is.
    #[track_caller]
    fn refusal(&self) -> ErrorReply {
        assert!(self.status >= 400, "{}: {}", self.status, self.text());
        assert_eq!(self.header("content-type"), "application/json");
        serde_json::from_slice(&self.body).unwrap()
    }
}
