//! A daemon of the tests' own: hyper on a real Unix socket, which answers as a test says and remembers what was asked;
//! and the real btctl, run against it.

use std::convert::Infallible;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use protocol::control::{ErrorCode, ErrorReply};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::UnixListener;

/// What was asked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    /// `GET /v1/stats`: the method, the path and the query.
    pub(crate) line: String,
    /// The body, where there was one.
    pub(crate) body: Value,
}

/// What is answered.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// JSON, with 200.
    Json(Value),
    /// Bytes, with 200.
    Bytes(Vec<u8>),
    /// Lines of JSON, after which more may come or not.
    Lines(Vec<Value>, Ending),
    /// A refusal.
    Refusal(ErrorReply),
    /// A status without a reason.
    Status(u16),
    /// The connection is closed.
    HangUp,
}

/// What comes after lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The end.
    Closed,
    /// Nothing, for ever.
    Open,
}

/// A refusal.
pub(crate) fn refusal(code: ErrorCode) -> Reply {
    Reply::Refusal(ErrorReply::new(code, format!("it is {code:?}")))
}

/// What btctl said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    /// What it printed, as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

/// The daemon. It goes when it is dropped.
pub(crate) struct Daemon {
    dir: TempDir,
    seen: Arc<Mutex<Vec<Seen>>>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Daemon {
    /// One that answers as `answer` says.
    pub(crate) fn start(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("btd.sock");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let listener = std::os::unix::net::UnixListener::bind(path).unwrap();
        listener.set_nonblocking(true).unwrap();
        let (answer, all) = (Arc::new(answer), Arc::clone(&seen));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = UnixListener::from_std(listener).unwrap();
                tokio::select! {
                    () = serve(listener, answer, all) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { dir, seen, stop: Some(stop), thread: Some(thread) }
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("btd.sock")
    }

    /// Runs btctl against it.
    pub(crate) fn btctl(&self, args: &[&str]) -> Said {
        btctl(self.command().args(args))
    }

    /// btctl, to be run in the daemon's own folder.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_btctl"));
        command.env("BTD_SOCKET", self.socket()).current_dir(self.dir.path());
        command
    }

    /// What was asked so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The only thing that was asked.
    pub(crate) fn only(&self) -> Seen {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen[0].clone()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Runs btctl to its end.
pub(crate) fn btctl(command: &mut Command) -> Said {
    let output = command.stdin(Stdio::null()).output().unwrap();
    Said {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

async fn serve(
    listener: UnixListener,
    answer: Arc<impl Fn(&Seen) -> Reply + Send + Sync + 'static>,
    all: Arc<Mutex<Vec<Seen>>>,
) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (answer, all) = (Arc::clone(&answer), Arc::clone(&all));
        let service = service_fn(move |request| reply(request, Arc::clone(&answer), Arc::clone(&all)));
        tokio::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new();
            let _ = connection.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn reply(
    request: Request<Incoming>,
    answer: Arc<impl Fn(&Seen) -> Reply>,
    all: Arc<Mutex<Vec<Seen>>>,
) -> Result<Response<Text>, &'static str> {
    let line = format!("{} {}", request.method(), request.uri());
    let body = request.into_body().collect().await.map_err(|_| "no body")?.to_bytes();
    let seen = Seen { line, body: serde_json::from_slice(&body).unwrap_or_default() };
    all.lock().unwrap().push(seen.clone());
    let respond = |status, text: Vec<u8>, is_open| {
        let response = Response::builder().status(status).body(Text { text: Some(text.into()), is_open });
        response.map_err(|_| "no response")
    };
    match answer(&seen) {
        Reply::Json(value) => respond(200, value.to_string().into_bytes(), false),
        Reply::Bytes(bytes) => respond(200, bytes, false),
        Reply::Lines(lines, ending) => {
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            respond(200, text.into_bytes(), ending == Ending::Open)
        }
        Reply::Refusal(reply) => {
            respond(reply.error.http_status(), serde_json::to_vec(&reply).unwrap(), false)
        }
        Reply::Status(status) => respond(status, Vec::new(), false),
        Reply::HangUp => Err("hang up"),
    }
}

/// A body: some text, and then the end or nothing.
pub(crate) struct Text {
    text: Option<Bytes>,
    is_open: bool,
}

impl Body for Text {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.text.take() {
            Some(text) => Poll::Ready(Some(Ok(Frame::data(text)))),
            None if self.is_open => Poll::Pending,
            None => Poll::Ready(None),
        }
    }
}
