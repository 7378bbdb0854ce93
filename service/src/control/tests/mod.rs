//! A small program with a control API, asked over real sockets by a client of a few lines.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream as StdStream;
use std::sync::mpsc;

use axum::Extension;
use axum::http::StatusCode;
use axum::routing::{get, post};
use protocol::control::ErrorReply;
use tempfile::TempDir;

use super::*;

mod connections;
mod refusals;
mod socket;

/// Longer than anything here takes; only reached when a test fails.
const PATIENCE: Duration = Duration::from_secs(30);
/// Who serves.
const PROGRAM: &str = "game";

/// A program that serves, and all that stands around it.
struct Program {
    control: Option<Control>,
    /// Who waits for an answer: [`routers`] gives one only when it is told to.
    waiting: mpsc::Receiver<oneshot::Sender<()>>,
    folder: TempDir,
}

/// What it serves: a greeting, whatever was said, an answer that takes its time, and lines that go on until the end.
fn routers(stopping: Stopping, ask: mpsc::Sender<oneshot::Sender<()>>) -> Routers {
    let wait = async move || {
        let (answer, answered) = oneshot::channel();
        ask.send(answer).unwrap();
        answered.await.unwrap();
        StatusCode::NO_CONTENT
    };
    let lines = async move || {
        let (lines, reply) = Lines::reply();
        let mut stopping = stopping.clone();
        tokio::spawn(async move {
            lines.write(&"hello").await.unwrap();
            stopping.wait().await;
            lines.write(&"the end").await.unwrap();
        });
        reply
    };
    let socket = Router::new()
        .route("/hello", get(async || Json("hello")))
        .route("/caller", get(async |Extension(caller): Extension<Caller>| Json(caller.uid)))
        .route("/echo", post(async |Json(said): Json<serde_json::Value>| Json(said)))
        .route("/wait", post(wait))
        .route("/lines", get(lines));
    Routers { socket, metrics: Router::new().route("/metrics", get(async || "figures")) }
}

impl Program {
    fn start() -> Self {
        Self::with(|_| {})
    }

    /// One whose settings are different.
    fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let folder = TempDir::new().unwrap();
        let mut settings = Settings::new(folder.path().join("game.sock"));
        change(&mut settings);
        let (ask, waiting) = mpsc::channel();
        let control = Control::start(PROGRAM, settings, |stopping| routers(stopping, ask)).unwrap();
        Self { control: Some(control), waiting, folder }
    }

    fn control(&mut self) -> Control {
        self.control.take().unwrap()
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("game.sock")
    }

    fn connect(&self) -> Client {
        Client::on(StdStream::connect(self.socket()).unwrap())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(control) = self.control.take() {
            control.stop(Duration::ZERO);
        }
    }
}

/// Speaks HTTP, as little as is needed.
struct Client(BufReader<StdStream>);

impl Client {
    fn on(stream: StdStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    /// Says just this.
    fn say(&mut self, words: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(words.as_ref()).unwrap();
    }

    /// Asks, and does not wait for the answer.
    fn send(&mut self, method: &str, path: &str, body: &str) {
        let length = body.len();
        self.say(format!("{method} {path} HTTP/1.1\r\nHost: game\r\nContent-Length: {length}\r\n\r\n{body}"));
    }

    /// The next answer: its status and its body.
    fn answer(&mut self) -> (u16, String) {
        let mut line = || {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            line.trim_end().to_ascii_lowercase()
        };
        let status = line().split(' ').nth(1).expect("it has a status").parse().unwrap();
        let headers: Vec<String> =
            std::iter::from_fn(|| Some(line()).filter(|line| !line.is_empty())).collect();
        let length = headers.iter().find_map(|header| header.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        self.0.read_exact(&mut body).unwrap();
        (status, String::from_utf8(body).unwrap())
    }

    fn ask(&mut self, method: &str, path: &str, body: &str) -> (u16, String) {
        self.send(method, path, body);
        self.answer()
    }

    /// Waits until the other side has closed the connection, and tells what it said.
    fn rest(mut self) -> String {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).expect("still open");
        rest
    }
}

/// What `GET /hello` is answered with.
fn hello() -> (u16, String) {
    (200, "\"hello\"\n".to_owned())
}
