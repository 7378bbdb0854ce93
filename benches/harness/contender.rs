//! Who is compared as a seeder, and how each is set and started.

use std::fmt;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::slice;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::places::Places;
use crate::server::{Ready, Server};
use crate::torrent::Torrent;
use crate::{cores::Cores, greeting, payload};

/// A seeder that takes part.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Contender {
    /// Ours.
    Btd,
    /// libtorrent-rasterbar under Python, which only starts it.
    Libtorrent,
    /// rtorrent, which sends from a mapping as well.
    Rtorrent,
    /// rqbit.
    Rqbit,
    /// The bound.
    Reference,
}

const LIBTORRENT_SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/contenders/libtorrent_seed.py");
/// rtorrent with all that limits it out of the way, and nothing on but what is asked for.
const RTORRENT_SETTINGS: [(&str, &str); 17] = [
    ("system.daemon.set", "true"),
    ("network.bind_address.set", "127.0.0.1"),
    ("network.port_random.set", "no"),
    ("network.max_open_sockets.set", "4096"),
    ("network.max_open_files.set", "1024"),
    ("network.send_buffer.size.set", "4M"),
    ("throttle.max_uploads.set", "4096"),
    ("throttle.max_uploads.global.set", "0"),
    ("throttle.max_peers.normal.set", "4096"),
    ("throttle.max_peers.seed.set", "4096"),
    ("pieces.memory.max.set", "4096M"),
    ("pieces.hash.on_completion.set", "no"),
    ("protocol.pex.set", "no"),
    ("protocol.encryption.set", "none"),
    ("dht.mode.set", "off"),
    ("trackers.use_udp.set", "no"),
    ("network.http.max_open.set", "8"),
];
/// rqbit on nothing but what is asked for, and with the runtime that suits one core best.
const RQBIT_OPTIONS: [&str; 7] = [
    "--single-thread-runtime",
    "--disable-trackers",
    "--disable-dht",
    "--disable-lsd",
    "--disable-upnp-port-forward",
    "--peer-limit=4096",
    "--listen-ip=127.0.0.1",
];

impl Contender {
    /// Starts it on `cores`, seeding `torrent` on loopback with one worker, once peers can connect.
    ///
    /// # Errors
    /// When it is not there, fails, or takes too long.
    pub fn start(self, places: &Places, torrent: &Torrent, cores: Cores) -> io::Result<Server> {
        let log = places.log(&self.to_string());
        match self {
            Self::Btd => Server::start(btd(places, slice::from_ref(torrent)), cores, &log),
            Self::Libtorrent => {
                let mut command = places.python();
                command.arg(LIBTORRENT_SCRIPT).arg(&torrent.file).arg(folder(torrent));
                Server::start(command, cores, &log)
            }
            Self::Reference => Server::start(reference(places, torrent), cores, &log),
            Self::Rtorrent => {
                let (address, torrent) = (free_address()?, &copy(places, torrent)?);
                let command = rtorrent(places, torrent, address)?;
                let settings = json!(RTORRENT_SETTINGS.map(|(key, value)| format!("{key}={value}")));
                self.start_at(address, command, settings, torrent, cores, &log)
            }
            Self::Rqbit => {
                let (address, torrent) = (free_address()?, &copy(places, torrent)?);
                let mut command = Command::new(places.rqbit());
                command.args(RQBIT_OPTIONS).args(["--listen-port", &address.port().to_string()]);
                command.args(["download", "--disable-http-api", "--overwrite", "--output-folder"]);
                command.arg(folder(torrent)).arg(&torrent.file);
                self.start_at(address, command, json!(RQBIT_OPTIONS), torrent, cores, &log)
            }
        }
    }

    /// One that does not say when it is ready: it is when it greets as a seed.
    fn start_at(
        self,
        address: SocketAddr,
        command: Command,
        settings: serde_json::Value,
        torrent: &Torrent,
        cores: Cores,
        log: &Path,
    ) -> io::Result<Server> {
        let version = version(&command);
        let ready = Ready { listen: vec![address], version, settings: Some(settings) };
        Server::start_until(command, cores, log, ready, || greeting::is_seed(address, torrent))
    }
}

/// The command that has btd seed `torrents`, cut as their .torrents say, with one worker.
pub(crate) fn btd(places: &Places, torrents: &[Torrent]) -> Command {
    let mut command = Command::new(places.binaries.join("btd"));
    command.args(["seed", "--listen", "127.0.0.1:0", "--json", "--workers", "1", "--data"]);
    command.arg(torrents.first().map_or(Path::new("."), folder));
    command.args(torrents.iter().map(|torrent| &torrent.file));
    command
}

fn reference(places: &Places, torrent: &Torrent) -> Command {
    let mut command = Command::new(places.binaries.join("reference"));
    command.arg(&torrent.payload);
    command.args(["--piece-length", &torrent.geometry.piece_length().to_string()]);
    command
}

fn rtorrent(places: &Places, torrent: &Torrent, address: SocketAddr) -> io::Result<Command> {
    let port = address.port();
    let mut text: String =
        RTORRENT_SETTINGS.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
    text.push_str(&format!("network.port_range.set = {port}-{port}\n"));
    text.push_str(&format!("directory.default.set = {}\n", folder(torrent).display()));
    // Without a session it loads nothing.
    let session = places.directory.join("rtorrent-session");
    let _ = fs::remove_dir_all(&session);
    fs::create_dir(&session)?;
    text.push_str(&format!("session.path.set = {}\n", session.display()));
    text.push_str(&format!("schedule2 = load,0,0,((load.start,{}))\n", torrent.file.display()));
    let file = places.directory.join("rtorrent.rc");
    fs::write(&file, text)?;
    let mut command = Command::new("rtorrent");
    command.args(["-n", "-o"]).arg(format!("import={}", file.display()));
    Ok(command)
}

fn folder(torrent: &Torrent) -> &Path {
    torrent.payload.parent().unwrap_or(Path::new("."))
}

/// The torrent with a payload of its own, for those that open it to write: btd takes a payload for changed then, and
/// rightly.
fn copy(places: &Places, torrent: &Torrent) -> io::Result<Torrent> {
    let folder = places.directory.join("copies");
    let payload = payload::prepare(&folder, torrent.geometry.length())?;
    Ok(Torrent { payload, ..torrent.clone() })
}

/// What a program says of its version, in its help or elsewhere.
fn version(command: &Command) -> Option<String> {
    let program = command.get_program();
    let flag = if program == "rtorrent" { "-h" } else { "--version" };
    let output = Command::new(program).arg(flag).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let words = text.split_whitespace();
    let version = words
        .map(|word| word.trim_end_matches('.'))
        .find(|word| word.contains('.') && word.starts_with(|first: char| first.is_ascii_digit()));
    version.map(str::to_owned)
}

/// An address of loopback where nobody listens now.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Btd => "btd",
            Self::Libtorrent => "libtorrent",
            Self::Rtorrent => "rtorrent",
            Self::Rqbit => "rqbit",
            Self::Reference => "reference",
        })
    }
}
