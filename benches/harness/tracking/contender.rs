//! The trackers that are compared, and how each is set and started: alone on its core, on loopback, with one worker.

use std::fmt;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use protocol::announce::{UdpRequest, UdpResponse};
use serde::Serialize;

use super::SERVER_CORE;
use super::population::Population;
use crate::daemon::Daemon;
use crate::places::Places;

/// How long a try to reach one that starts may take.
const TRY_WAIT: Duration = Duration::from_millis(20);

/// Who takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Contender {
    /// Ours.
    Bttracker,
    /// The bound over HTTP: bare hyper on one thread, which answers the same bytes to anything.
    Hyper,
    /// opentracker as Debian packages it.
    Opentracker,
    /// aquatic's UDP tracker.
    AquaticUdp,
}

/// What bttracker is set to; all else is the same in all parts.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    /// As its configuration has it, "30m".
    pub(super) interval: &'static str,
    pub(super) state_dir: Option<PathBuf>,
}

/// A tracker that runs.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) daemon: Daemon,
    pub(super) server: SocketAddrV4,
    /// From the start of the process until it said that it serves; of bttracker only.
    pub(super) ready: Option<Duration>,
}

impl Default for Setting {
    fn default() -> Self {
        Self { interval: "30m", state_dir: None }
    }
}

impl Contender {
    /// Starts it at a free port, with all that it needs in `folder`.
    ///
    /// # Errors
    /// When it is not there, or does not start.
    pub(super) fn start(
        self,
        places: &Places,
        folder: &Path,
        setting: &Setting,
        who: &Population,
    ) -> io::Result<Running> {
        let server = SocketAddrV4::new(Ipv4Addr::LOCALHOST, free_port()?);
        let log = places.log(&format!("tracker-{self}"));
        let by_tcp = || TcpStream::connect_timeout(&server.into(), TRY_WAIT).is_ok();
        let start = |command: Command, answers: &dyn Fn() -> bool| {
            let daemon = Daemon::start_until(command, SERVER_CORE, &log, answers)?;
            Ok(Running { daemon, server, ready: None })
        };
        match self {
            Self::Bttracker => {
                let config = folder.join("bttracker.toml");
                fs::write(&config, bttracker_config(server, setting))?;
                let mut command = Command::new(places.binaries.join("bttracker"));
                command.arg("--config").arg(&config);
                let (daemon, ready) = Daemon::start(command, SERVER_CORE, &log)?;
                Ok(Running { daemon, server, ready: Some(ready) })
            }
            Self::Hyper => {
                let mut command = Command::new(places.binaries.join("hyper_bound"));
                command.arg(server.to_string()).args(["--peers", &who.peers_each.to_string()]);
                start(command, &by_tcp)
            }
            Self::Opentracker => {
                // Debian's serves only torrents of a list. It lies in the folder into which it locks itself.
                let hashes = (0..who.torrents).map(|torrent| format!("{}\n", who.info_hash(torrent)));
                fs::write(folder.join("whitelist"), hashes.collect::<String>())?;
                let port = server.port().to_string();
                let mut command = Command::new("opentracker");
                command
                    .args(["-i", "127.0.0.1", "-p", &port, "-P", &port, "-w", "whitelist", "-d"])
                    .arg(folder);
                start(command, &by_tcp)
            }
            Self::AquaticUdp => {
                let config = folder.join("aquatic_udp.toml");
                fs::write(&config, aquatic_config(server))?;
                let mut command = Command::new(aquatic(places, "aquatic_udp"));
                command.arg("-c").arg(&config);
                start(command, &|| gives_ids(server))
            }
        }
    }

    /// What it says that it is.
    pub(super) fn version(self, places: &Places) -> Option<String> {
        let mut command = match self {
            Self::Bttracker => Command::new(places.binaries.join("bttracker")),
            Self::Hyper => return None,
            Self::Opentracker => {
                let mut command = Command::new("dpkg-query");
                command.args(["-W", "-f", "${Version}", "opentracker"]);
                command
            }
            Self::AquaticUdp => Command::new(aquatic(places, "aquatic_udp")),
        };
        if self != Self::Opentracker {
            command.arg("--version");
        }
        let output = command.output().ok().filter(|output| output.status.success())?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let text = text.trim_start_matches("bttracker ");
        (!text.is_empty()).then(|| format!("{self} {text}"))
    }
}

/// Where aquatic's programs were installed.
pub(super) fn aquatic(places: &Places, program: &str) -> PathBuf {
    places.directory.join("aquatic/bin").join(program)
}

/// All limits of addresses count, so high that nobody meets one, and no least interval: whoever asks is answered in full,
/// as by the others, which know neither.
fn bttracker_config(server: SocketAddrV4, setting: &Setting) -> String {
    let state_dir = setting.state_dir.as_deref().unwrap_or(Path::new("")).display();
    let interval = setting.interval;
    format!(
        "http = [\"{server}\"]\nudp = [\"{server}\"]\nworkers = 1\nstate_dir = \"{state_dir}\"\n\
         [announce]\ninterval = \"{interval}\"\nmin_interval = \"0s\"\n\
         [http_server]\nconnections_per_address = 8192\n\
         [limits]\nrate_per_address = 1_000_000\nrate_burst = 1_000_000\n\
         peers_per_address_per_torrent = 65_535\ntorrents_per_address = 1_000_000\n\
         [log]\nlevel = \"warn\"\n"
    )
}

/// As it comes, which is one worker and no log; the buffer is what the system allows.
fn aquatic_config(server: SocketAddrV4) -> String {
    format!(
        "socket_workers = 1\nlog_level = \"error\"\n[network]\naddress = \"{server}\"\n[statistics]\ninterval = 0\n"
    )
}

/// Whether there is a tracker that gives connection ids.
fn gives_ids(server: SocketAddrV4) -> bool {
    let ask = || {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(TRY_WAIT))?;
        socket.connect(server)?;
        socket.send(&UdpRequest::Connect { transaction: 1 }.encode())?;
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer)?;
        let answer = UdpResponse::decode(&buffer[..length], protocol::announce::Family::V4);
        Ok::<_, io::Error>(matches!(answer, Ok(UdpResponse::Connect { .. })))
    };
    ask().unwrap_or(false)
}

/// A port that is free over TCP and UDP, and that nobody else takes meanwhile: the system gives out others.
fn free_port() -> io::Result<u16> {
    loop {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Bttracker => "bttracker",
            Self::Hyper => "hyper",
            Self::Opentracker => "opentracker",
            Self::AquaticUdp => "aquatic_udp",
        })
    }
}
