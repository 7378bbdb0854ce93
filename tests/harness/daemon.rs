//! `btd run` as a service manager starts it: a home of its own with a configuration, a state and a socket, a port that
//! the kernel picks, and readiness told through a notify socket.

use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::api::{Broken, Client, Reply, Wakes};
use crate::btctl::{self, assert_code, exit};
use crate::btd::{END_LIMIT, binary};
use crate::folders;
use crate::listeners::listeners;
use crate::notify::NotifySocket;
use crate::process::{Output, Running, run};

/// Longest that anything may take that a test waits for.
pub const WAIT_LIMIT: Duration = Duration::from_secs(60);
/// How long no event may come before figures are looked at again: they change without one.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Keys that each configuration has, unless a test says otherwise. `{home}` stands for the home.
const KEYS: [(&str, &str); 6] = [
    ("listen", "['127.0.0.1:0']"),
    ("data_dir", "'{home}/data'"),
    ("state_dir", "'{home}/state'"),
    ("control_socket", "'{home}/btd.sock'"),
    ("control_roots", "['/']"),
    ("workers", "1"),
];

/// Keys of a daemon that has a worker for each core, as it has when nothing else is said.
pub const ALL_CORES: &str = "workers = 0";

/// Where a daemon is at home: it outlives the daemon, which may be started again.
#[derive(Debug)]
pub struct Home {
    folder: TempDir,
}

impl Home {
    /// A home whose configuration has `keys` beside what each has: keys first, then tables. `{home}` stands for its
    /// path.
    pub fn new(name: &str, keys: &str) -> Self {
        let home = Self { folder: folders::scratch(name) };
        home.configure(keys);
        home
    }

    /// Writes the configuration anew.
    pub fn configure(&self, keys: &str) {
        let is_named = |key: &str| keys.lines().any(|line| line.starts_with(&format!("{key} =")));
        let usual = KEYS.iter().filter(|(key, _)| !is_named(key));
        let usual: String = usual.map(|(key, value)| format!("{key} = {value}\n")).collect();
        let lines = format!("{usual}{keys}\n").replace("{home}", text(self.path()));
        fs::write(self.config(), lines).expect("a configuration is written");
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Its path, with `name` in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// The configuration.
    pub fn config(&self) -> PathBuf {
        self.join("btd.toml")
    }

    /// Where torrents lie that name no other folder.
    pub fn data(&self) -> PathBuf {
        self.join("data")
    }

    /// The database.
    pub fn state_file(&self) -> PathBuf {
        self.join("state/state.sqlite")
    }

    /// The control socket.
    pub fn socket(&self) -> PathBuf {
        self.join("btd.sock")
    }

    /// Writes an executable shell script; returns its path.
    pub fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("a script is written");
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("a script may be run");
        path
    }

    /// A `btd run` for this home, to be started.
    pub fn command(&self) -> Command {
        let mut command = Command::new(binary());
        command.arg("run").arg("--config").arg(self.config());
        command
    }

    /// Starts btd and waits until it says that it serves.
    pub fn start(&self) -> Daemon<'_> {
        self.start_with(self.command())
    }

    /// Starts `command` and waits until it says that it serves.
    pub fn start_with(&self, command: Command) -> Daemon<'_> {
        let daemon = self.spawn(command);
        daemon.wait_for_notice("READY=1");
        daemon
    }

    /// Starts `command`, which is going to be a btd that serves.
    pub fn spawn(&self, mut command: Command) -> Daemon<'_> {
        let notify = NotifySocket::bind(&self.join("notify"));
        command.env("NOTIFY_SOCKET", &notify.path);
        Daemon { home: self, notify, process: Running::spawn(command) }
    }

    /// Starts btd, which must refuse to run and say why: each of `words`.
    pub fn refused(&self, words: &[&str]) {
        assert_code(&run(self.command(), WAIT_LIMIT), 1, words);
    }
}

/// A btd that serves; it is killed when dropped.
#[derive(Debug)]
pub struct Daemon<'a> {
    home: &'a Home,
    /// What it tells the service manager.
    pub notify: NotifySocket,
    process: Running,
}

impl Daemon<'_> {
    /// The process id.
    pub fn id(&self) -> i32 {
        self.process.id()
    }

    /// What it has said up to now, for a failure.
    pub fn describe(&self) -> String {
        self.process.describe()
    }

    /// The address at which peers reach it.
    pub fn address(&self) -> SocketAddr {
        let listen = self.get("/v1/stats")["listen"][0].as_str().map(str::parse);
        listen.expect("it listens").expect("an address")
    }

    /// The address at which it is asked for metrics, over IPv4: where it listens, and not for peers.
    pub fn metrics_address(&self) -> SocketAddr {
        let peers = self.address();
        let mut found = listeners(self.id());
        found.retain(|address| *address != peers);
        assert_eq!(found.len(), 1, "one address for metrics was expected: {found:?}");
        found[0]
    }

    /// A connection to the control API.
    pub fn client(&self) -> Client {
        let client = Client::connect(&self.home.socket());
        client.unwrap_or_else(|error| panic!("no connection: {error}: {}", self.describe()))
    }

    /// Asks for `path` of the control API.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        let reply = self.client().ask(method, path, body);
        reply.unwrap_or_else(|Broken| panic!("no reply to {method} {path}: {}", self.describe()))
    }

    /// What the control API has at `path`.
    pub fn get(&self, path: &str) -> Value {
        self.client().expect(200, "GET", path, None)
    }

    /// What is known of the torrent `id`.
    pub fn torrent(&self, id: &str) -> Value {
        self.get(&format!("/v1/torrents/{id}"))
    }

    /// Runs `btctl`.
    pub fn btctl<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Output {
        btctl::btctl(&self.home.socket(), arguments)
    }

    /// Runs `btctl`, which must succeed; what it prints.
    pub fn told<A: AsRef<OsStr>>(&self, arguments: &[A]) -> String {
        let output = self.btctl(arguments);
        assert_code(&output, exit::DONE, &[]);
        output.stdout()
    }

    /// Runs `btctl`, which must end with `code` and say each of `words`.
    pub fn refuses<A: AsRef<OsStr>>(&self, arguments: &[A], code: i32, words: &[&str]) {
        assert_code(&self.btctl(arguments), code, words);
    }

    /// Runs `btctl --json`, which must succeed and print one line.
    pub fn json<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Value {
        let mut lines = btctl::json_lines(&self.home.socket(), arguments);
        assert_eq!(lines.len(), 1, "one line of JSON was expected: {lines:?}");
        lines.remove(0)
    }

    /// Adds what `arguments` of `btctl add` name: one torrent; its info-hash.
    pub fn add<A: AsRef<OsStr>>(&self, arguments: &[A]) -> String {
        let mut all = vec![OsStr::new("add")];
        all.extend(arguments.iter().map(AsRef::as_ref));
        self.json(&all)["info_hash"].as_str().expect("a torrent has an info-hash").to_owned()
    }

    /// Waits until `ready` finds what it looks for: it is asked after each event, and now and then.
    pub fn wait<T>(&self, what: &str, mut ready: impl FnMut(&Self) -> Option<T>) -> T {
        let mut wakes = Wakes::listen(&self.home.socket());
        let deadline = Instant::now() + WAIT_LIMIT;
        loop {
            if let Some(found) = ready(self) {
                return found;
            }
            if Instant::now() > deadline {
                let list = self.ask("GET", "/v1/torrents", None).text();
                panic!("no {what} within {WAIT_LIMIT:?}: {list}\n{}", self.describe());
            }
            wakes.wait(LOOK_INTERVAL);
        }
    }

    /// Waits until the torrent `id` is in `state`; what is known of it then.
    pub fn wait_state(&self, id: &str, state: &str) -> Value {
        self.wait(&format!("{id} {state}"), |daemon| {
            let torrent = daemon.torrent(id);
            let is = torrent["state"].as_str().unwrap_or_default();
            assert!(is != "error" || state == "error", "it has failed: {torrent}");
            (is == state).then_some(torrent)
        })
    }

    /// Waits until the log contains `text`.
    pub fn wait_for_log(&self, text: &str) {
        self.process.wait_for(&format!("{text:?} in the log"), WAIT_LIMIT, |output| {
            output.stderr().contains(text).then_some(())
        });
    }

    /// Waits until `path` is there, and returns what is in it.
    pub fn wait_for_file(&self, path: &Path) -> String {
        self.wait(&path.display().to_string(), |_| {
            fs::read_to_string(path).ok().filter(|it| it.ends_with('\n'))
        })
    }

    /// The value of the metric `name`.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.ask("GET", "/metrics", None).text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {text}"))
    }

    /// Has the service manager's line that begins with `start` come.
    pub fn wait_for_notice(&self, start: &str) -> String {
        let line = self.notify.wait(start, WAIT_LIMIT, || self.process.is_over());
        line.unwrap_or_else(|| panic!("{start} was not said: {}", self.describe()))
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Stops all its threads where they are.
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
        // Told when the last of them stands.
        let stopped = waitid(Id::Pid(Pid::from_raw(self.id())), WaitPidFlag::WSTOPPED);
        stopped.unwrap_or_else(|error| panic!("{error}: {}", self.describe()));
    }

    /// Lets them go on.
    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Gives it a configuration with `keys`, and has it read that: it says when it has.
    pub fn reload(&self, keys: &str) {
        self.home.configure(keys);
        self.signal(Signal::SIGHUP);
        self.wait_for_notice("RELOADING=1");
        self.wait_for_notice("READY=1");
    }

    /// Waits until it ends, as it must: with exit code 0, and never a panic.
    pub fn ended_well(self) -> Output {
        self.wait_for_notice("STOPPING=1");
        let output = self.process.wait(END_LIMIT);
        assert_eq!(output.code(), Some(0), "{}", output.describe());
        assert!(!output.stderr().contains("panicked"), "{}", output.describe());
        assert!(!output.stderr().contains("mistake of ours"), "{}", output.describe());
        output
    }

    /// Ends it as a service manager does, and checks that it ends well.
    pub fn end_well(self) -> Output {
        self.signal(Signal::SIGTERM);
        self.ended_well()
    }

    /// Ends it without a warning.
    pub fn kill(self) {
        self.signal(Signal::SIGKILL);
        let output = self.process.wait(END_LIMIT);
        assert_eq!(output.code(), None, "it was killed: {}", output.describe());
        assert!(!output.stderr().contains("panicked"), "{}", output.describe());
    }
}

/// `path` as an argument among others.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("a path of a test is text")
}
