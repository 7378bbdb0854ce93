//! `bttracker` as a service manager starts it: a site of its own with a configuration and a control socket, ports that
//! the kernel picks, and readiness told through a notify socket.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use data_encoding::HEXLOWER;
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::api::{Broken, Client, Reply};
use crate::btd::{END_LIMIT, assert_refused};
use crate::caller::{self, Answer};
use crate::daemon::{WAIT_LIMIT, text};
use crate::folders;
use crate::listeners::listeners;
use crate::notify::NotifySocket;
use crate::process::{Output, Running, run};
use crate::query::{Ask, Hash};
use crate::udp_caller::UdpCaller;

/// How long is waited before what changes without a word is looked at again.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Keys that each configuration has, unless a test says otherwise. `{site}` stands for the site.
const KEYS: [(&str, &str); 4] = [
    ("http", "['127.0.0.1:0', '[::1]:0']"),
    ("udp", "['127.0.0.1:0', '[::1]:0']"),
    ("control_socket", "'{site}/bttracker.sock'"),
    ("workers", "1"),
];

/// The binary under test: `$BTTRACKER`, or the release build.
pub fn binary() -> PathBuf {
    let path =
        env::var_os("BTTRACKER").map_or_else(|| folders::target().join("release/bttracker"), PathBuf::from);
    assert!(path.is_file(), "there is no {}: `tests/run` builds it, or set BTTRACKER", path.display());
    path
}

/// Where a tracker is at home: it outlives the tracker, which may be started again.
#[derive(Debug)]
pub struct Site {
    folder: TempDir,
}

impl Site {
    /// A site whose configuration has `keys` beside what each has: keys first, then tables. `{site}` stands for its
    /// path.
    pub fn new(name: &str, keys: &str) -> Self {
        let site = Self { folder: folders::scratch(name) };
        site.configure(keys);
        site
    }

    /// Writes the configuration anew.
    pub fn configure(&self, keys: &str) {
        let is_named = |key: &str| keys.lines().any(|line| line.starts_with(&format!("{key} =")));
        let usual = KEYS.iter().filter(|(key, _)| !is_named(key));
        let usual: String = usual.map(|(key, value)| format!("{key} = {value}\n")).collect();
        self.write("bttracker.toml", &format!("{usual}{keys}\n").replace("{site}", text(self.path())));
    }

    /// Writes a file in it.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.join(name);
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
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
        self.join("bttracker.toml")
    }

    /// The control socket.
    pub fn socket(&self) -> PathBuf {
        self.join("bttracker.sock")
    }

    /// A `bttracker` for this site, to be started.
    pub fn command(&self) -> Command {
        let mut command = Command::new(binary());
        command.arg("--config").arg(self.config());
        command
    }

    /// Starts bttracker and waits until it says that it serves.
    pub fn start(&self) -> Bttracker<'_> {
        self.start_with(self.command())
    }

    /// Starts `command` and waits until it says that it serves; asks it where.
    pub fn start_with(&self, command: Command) -> Bttracker<'_> {
        let mut tracker = self.spawn(command);
        tracker.wait_for_notice("READY=1");
        tracker.learn();
        tracker
    }

    /// Starts `command`, which is going to be a bttracker that serves.
    pub fn spawn(&self, mut command: Command) -> Bttracker<'_> {
        let notify = NotifySocket::bind(&self.join("notify"));
        command.env("NOTIFY_SOCKET", &notify.path);
        Bttracker { site: self, notify, process: Running::spawn(command), http: Vec::new(), udp: Vec::new() }
    }

    /// Runs `command`, which must refuse to run and say why: each of `words`.
    pub fn refused(&self, command: Command, words: &[&str]) {
        assert_refused(&run(command, WAIT_LIMIT), words);
    }
}

/// Has `test` use a tracker with `keys` in its configuration, which must end well afterwards.
pub fn with_tracker(name: &str, keys: &str, test: impl FnOnce(&Bttracker<'_>)) {
    let site = Site::new(name, keys);
    let tracker = site.start();
    test(&tracker);
    tracker.end_well();
}

/// A bttracker that serves; it is killed when dropped.
#[derive(Debug)]
pub struct Bttracker<'a> {
    site: &'a Site,
    notify: NotifySocket,
    process: Running,
    /// Where it answers over HTTP, as it says.
    pub http: Vec<SocketAddr>,
    /// Where it answers over UDP, as it says.
    pub udp: Vec<SocketAddr>,
}

impl Bttracker<'_> {
    /// Asks it where it listens.
    pub fn learn(&mut self) {
        let server = self.get("/v1/server");
        let addresses = |key: &str| -> Vec<SocketAddr> {
            let list = server[key].as_array().unwrap_or_else(|| panic!("no list {key} in {server}"));
            let parse = |address: &Value| address.as_str().and_then(|text| text.parse().ok());
            list.iter().map(|it| parse(it).unwrap_or_else(|| panic!("{it} is no address"))).collect()
        };
        (self.http, self.udp) = (addresses("http"), addresses("udp"));
    }

    /// The process id.
    pub fn id(&self) -> i32 {
        self.process.id()
    }

    /// What it has said up to now, for a failure.
    pub fn describe(&self) -> String {
        self.process.describe()
    }

    /// What it has logged up to now.
    pub fn log(&self) -> String {
        self.process.wait_for("log", WAIT_LIMIT, |output| Some(output.stderr()))
    }

    /// Where it answers over HTTP and IPv4.
    pub fn http4(&self) -> SocketAddr {
        of_family(&self.http, true)
    }

    /// Where it answers over HTTP and IPv6.
    pub fn http6(&self) -> SocketAddr {
        of_family(&self.http, false)
    }

    /// Where it answers over UDP and IPv4.
    pub fn udp4(&self) -> SocketAddr {
        of_family(&self.udp, true)
    }

    /// Where it answers over UDP and IPv6.
    pub fn udp6(&self) -> SocketAddr {
        of_family(&self.udp, false)
    }

    /// What it answers to a GET of `target` on a connection of its own.
    pub fn fetch(&self, target: &str) -> Answer {
        caller::fetch(self.http4(), target)
    }

    /// Announces over HTTP and IPv4: the answer, of whatever sort.
    pub fn tell(&self, ask: &Ask) -> Answer {
        self.fetch(&ask.target())
    }

    /// Announces over HTTP and IPv4, which must be well.
    pub fn announce(&self, ask: &Ask) -> Answer {
        self.tell(ask).well()
    }

    /// Announces over HTTP and IPv6, which must be well.
    pub fn announce6(&self, ask: &Ask) -> Answer {
        caller::fetch(self.http6(), &ask.target()).well()
    }

    /// Announces over HTTP from the address `from`, as `127.0.0.2`: the answer, of whatever sort.
    pub fn tell_from(&self, from: &str, ask: &Ask) -> Answer {
        let from = from.parse().expect("an address");
        caller::Connection::open_from(from, self.http4()).get(&ask.target())
    }

    /// A socket of one's own to its UDP over IPv4.
    pub fn udp_caller(&self) -> UdpCaller {
        UdpCaller::open(self.udp4())
    }

    /// A socket of one's own to its UDP over IPv6.
    pub fn udp_caller6(&self) -> UdpCaller {
        UdpCaller::open(self.udp6())
    }

    /// What a scrape over HTTP tells of `hash`: seeds, downloads, leechers.
    pub fn scrape(&self, hash: Hash) -> (u64, u64, u64) {
        self.fetch(&crate::query::scrape_target(&[hash])).row(hash)
    }

    /// Where it listens for TCP over IPv4 beside its trackers: for metrics.
    pub fn metrics_address(&self) -> SocketAddr {
        let mut found = listeners(self.id());
        found.retain(|address| !self.http.contains(address));
        assert_eq!(found.len(), 1, "one address for metrics was expected: {found:?}");
        found[0]
    }

    /// Asks for `path` of the control API.
    pub fn ask(&self, method: &str, path: &str) -> Reply {
        let client = Client::connect(&self.site.socket());
        let mut client = client.unwrap_or_else(|error| panic!("no connection: {error}: {}", self.describe()));
        let reply = client.ask(method, path, None);
        reply.unwrap_or_else(|Broken| panic!("no reply to {method} {path}: {}", self.describe()))
    }

    /// What the control API has at `path`.
    pub fn get(&self, path: &str) -> Value {
        let reply = self.ask("GET", path);
        assert_eq!(reply.status, 200, "GET {path}: {}", reply.text());
        reply.json()
    }

    /// Has the control API do `method` at `path`, which must be well.
    pub fn order(&self, method: &str, path: &str) {
        let reply = self.ask(method, path);
        assert!((200..300).contains(&reply.status), "{method} {path}: {} {}", reply.status, reply.text());
    }

    /// The addresses of the peers that it knows of `hash`, in order.
    pub fn peers(&self, hash: Hash) -> Vec<SocketAddr> {
        let reply = self.ask("GET", &format!("/v1/torrents/{}?limit=10000", HEXLOWER.encode(&hash)));
        if reply.status == 404 {
            return Vec::new();
        }
        let torrent = reply.json();
        let peers = torrent["peers"].as_array().unwrap_or_else(|| panic!("no peers in {torrent}"));
        let address = |peer: &Value| peer["address"].as_str().and_then(|text| text.parse().ok());
        let mut peers: Vec<SocketAddr> =
            peers.iter().map(|peer| address(peer).unwrap_or_else(|| panic!("{peer}"))).collect();
        peers.sort_unstable();
        peers
    }

    /// Waits until `ready` finds what it looks for.
    pub fn wait<T>(&self, what: &str, mut ready: impl FnMut(&Self) -> Option<T>) -> T {
        let deadline = Instant::now() + WAIT_LIMIT;
        loop {
            if let Some(found) = ready(self) {
                return found;
            }
            assert!(Instant::now() < deadline, "no {what} within {WAIT_LIMIT:?}: {}", self.describe());
            thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Waits until the log contains `text`.
    pub fn wait_for_log(&self, text: &str) {
        self.process.wait_for(&format!("{text:?} in the log"), WAIT_LIMIT, |output| {
            output.stderr().contains(text).then_some(())
        });
    }

    /// Waits until it tells the service manager a line that begins with `start`; returns that.
    pub fn wait_for_notice(&self, start: &str) -> String {
        let line = self.notify.wait(start, WAIT_LIMIT, || self.process.is_over());
        line.unwrap_or_else(|| panic!("{start} was not said: {}", self.describe()))
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Gives it a configuration with `keys`, and has it read that: it says when it has.
    pub fn reload(&self, keys: &str) {
        self.site.configure(keys);
        self.reread();
    }

    /// Has it read its files again: it says when it has.
    pub fn reread(&self) {
        self.signal(Signal::SIGHUP);
        self.wait_for_notice("RELOADING=1");
        self.wait_for_notice("READY=1");
    }

    /// Ends it as a service manager does, and checks that it ends well.
    pub fn end_well(self) -> Output {
        self.end_by(Signal::SIGTERM)
    }

    /// Ends it by `signal`, and checks that it ends well.
    pub fn end_by(self, signal: Signal) -> Output {
        self.signal(signal);
        let output = self.process.wait(END_LIMIT);
        assert_eq!(output.code(), Some(0), "{}", output.describe());
        assert!(!output.stderr().contains("panicked"), "{}", output.describe());
        output
    }

    /// Ends it without a warning.
    pub fn kill(self) {
        self.signal(Signal::SIGKILL);
        let output = self.process.wait(END_LIMIT);
        assert_eq!(output.code(), None, "it was killed: {}", output.describe());
        assert!(!output.stderr().contains("panicked"), "{}", output.describe());
    }
}

fn of_family(addresses: &[SocketAddr], is_ipv4: bool) -> SocketAddr {
    let found = addresses.iter().find(|address| address.is_ipv4() == is_ipv4);
    *found.unwrap_or_else(|| panic!("no such address among {addresses:?}"))
}
