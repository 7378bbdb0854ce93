//! Real clients as members of a swarm: each shares a torrent, with or without its payload, until the test ends it.
//! Those that want a fixed port live in a network namespace.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::client::script;
use crate::netns::Namespace;
use crate::process::{Output, Running};

/// Longest that a client may take to look through its payload and listen.
const START_LIMIT: Duration = Duration::from_secs(60);
/// Longest that a client may take to end.
const END_LIMIT: Duration = Duration::from_secs(60);
/// How often a transmission-cli is started that ends by itself.
const MAX_STARTS: usize = 10;
/// Where clients listen inside a namespace.
const PORT: u16 = 6881;

/// A libtorrent that shares a torrent.
#[derive(Debug)]
pub struct Libtorrent {
    process: Running,
}

/// What a libtorrent has done, in bytes of payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// What peers got of it.
    pub sent: u64,
    /// What it got of peers.
    pub received: u64,
}

impl Libtorrent {
    /// Shares `torrent` in `folder` on loopback.
    pub fn start(torrent: &Path, folder: &Path, options: &[&str]) -> Self {
        let mut command = script("peer.py");
        command.arg(torrent).arg(folder).args(options);
        Self { process: Running::spawn(command) }
    }

    /// The same inside `namespace`.
    pub fn start_in(namespace: &Namespace, torrent: &Path, folder: &Path, options: &[&str]) -> Self {
        let python = script("peer.py");
        let mut command = namespace.command(python.get_program());
        let listen = SocketAddr::new(namespace.address(), PORT).to_string();
        command.args(python.get_args()).arg(torrent).arg(folder).args(["--listen", &listen]).args(options);
        Self { process: Running::spawn(command) }
    }

    /// Waits until it listens on loopback; returns where.
    pub fn address(&self) -> SocketAddr {
        let port = self.process.wait_for("port", START_LIMIT, |output| {
            whole_lines(output).lines().find_map(|line| line.strip_prefix("listening ")?.parse::<u16>().ok())
        });
        ([127, 0, 0, 1], port).into()
    }

    /// Waits until it has the whole payload.
    pub fn wait_finished(&self, limit: Duration) {
        self.process.wait_for("end of the download", limit, |output| {
            whole_lines(output).lines().any(|line| line == "finished").then_some(())
        });
    }

    /// Ends it and tells what it has done.
    pub fn end(self) -> Totals {
        self.process.signal(Signal::SIGTERM);
        let output = self.process.wait(END_LIMIT);
        let text = output.stdout();
        let numbers =
            text.lines().last().and_then(|line| line.strip_prefix("sent ")?.split_once(" received "));
        let totals = numbers.and_then(|(sent, received)| {
            Some(Totals { sent: sent.parse().ok()?, received: received.parse().ok()? })
        });
        totals.unwrap_or_else(|| panic!("no totals: {}", output.describe()))
    }
}

/// What was said on standard output in lines that have ended.
fn whole_lines(output: &Output) -> String {
    let text = output.stdout();
    text.rfind('\n').map_or(String::new(), |end| text[..end].to_owned())
}

/// A transmission-cli that shares a torrent inside a namespace.
#[derive(Debug)]
pub struct Transmission {
    process: Running,
}

impl Transmission {
    /// Shares `torrent` in `folder`; `settings` is a folder of its own.
    pub fn start_in(namespace: &Namespace, torrent: &Path, folder: &Path, settings: &Path) -> Self {
        // With uTP on, transmission 3.00 never turns to TCP in a network where nobody sends uTP: its uTP timers
        // start with the first such packet that comes in.
        let quiet =
            r#"{"dht-enabled": false, "lpd-enabled": false, "pex-enabled": false, "utp-enabled": false}"#;
        fs::create_dir_all(settings).expect("the folder for settings can be made");
        fs::write(settings.join("settings.json"), quiet).expect("settings can be written");
        let start = || {
            let mut command = namespace.command("transmission-cli");
            command.arg("-g").arg(settings).arg("-w").arg(folder);
            command.args(["--no-portmap", "--verify", "-p", &PORT.to_string()]).arg(torrent);
            Running::spawn(command)
        };
        let goes_on = |process: &Running| {
            process.wait_for("line about its state", START_LIMIT, |output| {
                let is_there = output.stdout.contains(&b'\r');
                (is_there || output.status.is_some()).then_some(is_there)
            })
        };
        // It ends at once when it looks at itself while its check has not begun, on a busy machine.
        let mut process = start();
        for _ in 1..MAX_STARTS {
            if goes_on(&process) {
                break;
            }
            process = start();
        }
        Self { process }
    }

    /// Waits until it has the whole payload.
    pub fn wait_finished(&self, limit: Duration) {
        self.process.wait_for("\"Seeding\"", limit, |output| {
            let mut lines = output.stdout.rsplit(|byte| *byte == b'\r').take(3);
            lines.any(|line| line.starts_with(b"Seeding")).then_some(())
        });
    }

    /// Ends it.
    pub fn end(self) {
        self.process.signal(Signal::SIGINT);
        let output = self.process.wait(END_LIMIT);
        assert_eq!(output.code(), Some(0), "transmission-cli: {}", output.describe());
    }
}

/// An aria2c that shares a torrent inside a namespace.
#[derive(Debug)]
pub struct Aria2 {
    process: Running,
}

impl Aria2 {
    /// Seeds `torrent`, whose payload is in `folder`.
    pub fn seed_in(namespace: &Namespace, torrent: &Path, folder: &Path) -> Self {
        Self::start_in(namespace, torrent, folder, &["--seed-ratio=0.0", "--check-integrity=true"])
    }

    /// Downloads `torrent` into `folder`, and leaves the swarm once it has.
    pub fn leech_in(namespace: &Namespace, torrent: &Path, folder: &Path) -> Self {
        Self::start_in(namespace, torrent, folder, &["--seed-time=0"])
    }

    /// Shares `torrent`, as far as it lies in `folder`, with `options` above those that each has.
    pub fn start_in(namespace: &Namespace, torrent: &Path, folder: &Path, options: &[&str]) -> Self {
        let mut command = namespace.command("aria2c");
        command
            .args(["--no-conf", "--enable-dht=false", "--enable-dht6=false", "--bt-enable-lpd=false"])
            .args(["--enable-peer-exchange=false", "--file-allocation=none"])
            .args(["--summary-interval=0", "--console-log-level=notice"])
            .arg(format!("--listen-port={PORT}"))
            .arg(format!("--dir={}", folder.display()))
            .args(options)
            .arg(torrent);
        Self { process: Running::spawn(command) }
    }

    /// Waits until it listens, which it does once it has looked through its payload.
    pub fn wait_listening(&self) {
        let text = format!("listening on TCP port {PORT}");
        self.process.wait_for(&text, START_LIMIT, |output| output.stdout().contains(&text).then_some(()));
    }

    /// Waits until it has the whole payload and has left.
    pub fn wait_finished(self, limit: Duration) {
        let output = self.process.wait(limit);
        assert_eq!(output.code(), Some(0), "aria2c: {}", output.describe());
    }

    /// Ends it.
    pub fn end(self) {
        self.process.signal(Signal::SIGINT);
        self.process.wait(END_LIMIT);
    }
}

/// Where the client inside `namespace` listens.
pub fn address_in(namespace: &Namespace) -> SocketAddr {
    (namespace.address(), PORT).into()
}
