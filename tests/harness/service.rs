//! A `btd run` with folders of its own, and plain requests over its control socket: for tests of what no well-behaved
//! client does to it.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, io};

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use crate::api::Wakes;
use crate::btd::{END_LIMIT, binary};
use crate::folders::scratch;
use crate::process::{Output, Running};

/// Longest that the daemon may take to serve, and to answer, on a machine busy with tests.
const LIMIT: Duration = Duration::from_secs(60);
/// How long no event may come before figures are looked at again: they change without one.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// What it says when it serves.
const READY: &str = "serving; the control socket is";

/// Where a daemon has its things; they outlive it.
#[derive(Debug)]
pub struct Home {
    scratch: TempDir,
    /// Its control socket.
    pub socket: PathBuf,
    /// Where its list of torrents is kept.
    pub state_dir: PathBuf,
    /// Where payload lies.
    pub data_dir: PathBuf,
}

impl Home {
    /// Folders that are not there yet, below a fresh one.
    pub fn new(name: &str) -> Self {
        let scratch = scratch(name);
        let (state_dir, data_dir) = (scratch.path().join("state"), scratch.path().join("data"));
        Self { socket: scratch.path().join("s"), scratch, state_dir, data_dir }
    }

    /// What all of it lies in.
    pub fn path(&self) -> &Path {
        self.scratch.path()
    }

    /// Its control socket.
    pub fn socket(&self) -> PathBuf {
        self.socket.clone()
    }

    /// Its database.
    pub fn state_file(&self) -> PathBuf {
        self.state_dir.join("state.sqlite")
    }

    /// Its configuration.
    pub fn config(&self) -> PathBuf {
        self.path().join("btd.toml")
    }

    /// Has `command`, which is to run btd, run the daemon: with `lines` in its configuration, tables last.
    pub fn command(&self, mut command: Command, lines: &str) -> Command {
        let (state_dir, data_dir, socket) = (&self.state_dir, &self.data_dir, self.socket());
        let text = format!(
            "listen = [\"127.0.0.1:0\"]\ndata_dir = {data_dir:?}\nstate_dir = {state_dir:?}\n\
             control_socket = {socket:?}\ncontrol_roots = [\"/\"]\n{lines}\n[log]\ntarget = \"stderr\"\n"
        );
        fs::write(self.config(), text).unwrap_or_else(|error| panic!("{}: {error}", self.config().display()));
        command.arg("run").arg("--config").arg(self.config());
        command
    }

    /// Runs the daemon until it serves.
    pub fn start(&self) -> Service {
        self.start_with("")
    }

    /// Runs it with `lines` in its configuration.
    pub fn start_with(&self, lines: &str) -> Service {
        Service::start(self.command(Command::new(binary()), lines), self.socket())
    }

    /// Runs it, and does not wait until it serves.
    pub fn launch(&self) -> Service {
        Service { process: Running::spawn(self.command(Command::new(binary()), "")), socket: self.socket() }
    }

    /// Runs it, which is to be refused.
    pub fn start_in_vain(&self, lines: &str) -> Output {
        Running::spawn(self.command(Command::new(binary()), lines)).wait(LIMIT)
    }
}

/// A daemon that serves; it is killed when dropped.
#[derive(Debug)]
pub struct Service {
    process: Running,
    socket: PathBuf,
}

impl Service {
    /// Runs `command` until it serves at `socket`.
    pub fn start(command: Command, socket: PathBuf) -> Self {
        let process = Running::spawn(command);
        process.wait_for("daemon that serves", LIMIT, |output| output.stderr().contains(READY).then_some(()));
        Self { process, socket }
    }

    /// Its process id.
    pub fn id(&self) -> i32 {
        self.process.id()
    }

    /// What it has said up to now.
    pub fn describe(&self) -> String {
        self.process.describe()
    }

    /// Connects to its socket.
    pub fn client(&self) -> Client {
        Client::connect(&self.socket).unwrap_or_else(|error| panic!("{error}: {}", self.describe()))
    }

    /// Waits until it has said `text`.
    pub fn wait_for_log(&self, text: &str) {
        self.process.wait_for(&format!("{text:?} in the log"), LIMIT, |output| {
            output.stderr().contains(text).then_some(())
        });
    }

    /// Waits until `ready` finds what it looks for: it is asked after each event, and now and then.
    pub fn wait<T>(&self, what: &str, mut ready: impl FnMut(&mut Client) -> Option<T>) -> T {
        let (mut wakes, mut client) = (Wakes::listen(&self.socket), self.client());
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(found) = ready(&mut client) {
                return found;
            }
            assert!(Instant::now() < deadline, "no {what} within {LIMIT:?}: {}", self.describe());
            wakes.wait(LOOK_INTERVAL);
        }
    }

    /// Stops all its threads where they are.
    pub fn freeze(&self) {
        self.process.signal(Signal::SIGSTOP);
        // Told when the last of them stands.
        let stopped = waitid(Id::Pid(Pid::from_raw(self.id())), WaitPidFlag::WSTOPPED);
        stopped.unwrap_or_else(|error| panic!("{error}: {}", self.describe()));
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.process.signal(Signal::SIGCONT);
    }

    /// Sends `signal` and waits for the end.
    pub fn end(self, signal: Signal) -> Output {
        self.process.signal(signal);
        self.process.wait(END_LIMIT)
    }

    /// Has it end in order, and checks that it did.
    pub fn end_well(self) -> Output {
        let output = self.end(Signal::SIGTERM);
        assert_eq!(output.code(), Some(0), "after SIGTERM: {}", output.describe());
        assert!(!output.stderr().contains("panicked"), "{}", output.describe());
        output
    }
}

/// What the daemon answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Of HTTP.
    pub status: u16,
    /// The body.
    pub body: Json,
}

/// The connection broke off before there was an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken;

/// A connection to the control socket, kept alive.
#[derive(Debug)]
pub struct Client {
    sender: SendRequest<Full<Bytes>>,
    runtime: Runtime,
}

impl Client {
    /// Connects to `socket`.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn connect(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_nonblocking(true)?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let sender = runtime.block_on(async {
            let stream = tokio::net::UnixStream::from_std(stream)?;
            let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
            // How it ends is seen by who asks.
            tokio::spawn(connection);
            io::Result::Ok(sender)
        })?;
        Ok(Self { sender, runtime })
    }

    /// Asks for something.
    ///
    /// # Errors
    /// When the daemon went before it had answered.
    pub fn ask(&mut self, method: &str, path: &str, body: Option<&Json>) -> Result<Answer, Broken> {
        self.send(method, path, body.map(ToString::to_string).unwrap_or_default())
    }

    /// Asks for something with a body that may be nonsense.
    ///
    /// # Errors
    /// When the daemon went before it had answered.
    pub fn send(&mut self, method: &str, path: &str, body: String) -> Result<Answer, Broken> {
        let request = Request::builder().method(method).uri(path).header("host", "btd");
        let request = request.body(Full::from(body)).expect("a request is made of sound parts");
        let sender = &mut self.sender;
        let answer = async {
            sender.ready().await.map_err(|_| Broken)?;
            let response = sender.send_request(request).await.map_err(|_| Broken)?;
            let status = response.status().as_u16();
            let bytes = response.into_body().collect().await.map_err(|_| Broken)?.to_bytes();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            Ok(Answer { status, body: serde_json::from_slice(&bytes).unwrap_or(Json::String(text)) })
        };
        let answer = self.runtime.block_on(async { tokio::time::timeout(LIMIT, answer).await });
        answer.unwrap_or_else(|_| panic!("no answer to {method} {path} within {LIMIT:?}"))
    }

    /// Asks for something that is to be answered with `status`; the body of the answer.
    pub fn expect(&mut self, status: u16, method: &str, path: &str, body: Option<&Json>) -> Json {
        let answer = self.ask(method, path, body);
        let answer = answer.unwrap_or_else(|_| panic!("the daemon went away at {method} {path}"));
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        answer.body
    }

    /// All torrents, as they are now.
    pub fn list(&mut self) -> Vec<Json> {
        let mut page = self.expect(200, "GET", "/v1/torrents?limit=10000", None);
        assert_eq!(page["next"], Json::Null, "a test has less than a page of torrents");
        match page["torrents"].take() {
            Json::Array(torrents) => torrents,
            other => panic!("a list was expected, not {other}"),
        }
    }
}
