//! What the command line means, checked: from here on values are trusted.

mod file;
mod get;
mod reload;
mod run;
mod seed;
#[cfg(test)]
mod tests;
mod value;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::PathBuf;

use service::listen::{ListenError, Overlap, distinct, usable};

use protocol::meta::MagnetError;

use crate::args::Preallocate;
use crate::bus::RateLimits;
use crate::storage::write::place::Allocation;
use crate::sys::limits::FileBudget;

pub use file::{ConfigFile, LimitsTable, TrackerTable};
pub use get::{GetConfig, GetSource};
pub use run::{Hook, RunConfig, RunConfigError};
pub use seed::{SeedConfig, SeedSource, options};
pub use value::{Rate, Umask};

/// What addresses are chosen with on the command line.
pub const LISTEN_OPTION: &str = "--listen";
/// The port of BitTorrent since its first client.
const DEFAULT_PORT: u16 = 6881;

/// Most connections unless more are asked for: what a busy mirror sees, at some 200 MB of kernel memory.
const DEFAULT_MAX_CONNECTIONS: usize = 10_000;

/// What an upload slot should carry: with less a piece takes minutes.
const SLOT_BYTES_PER_S: u64 = 64 * 1024;
/// Fewest slots that a limit leaves: one of them goes round.
const MIN_SLOTS: usize = 4;
/// Most slots under a limit.
const MAX_SLOTS: usize = 100;

/// How to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeConfig {
    /// Addresses to listen on.
    pub listen: Vec<SocketAddr>,
    /// Whether these are the defaults, so that others will do where the machine does not have one.
    pub has_default_listen: bool,
    /// Threads.
    pub workers: usize,
    /// Most connections.
    pub max_connections: usize,
    /// Most payload files open at once.
    pub max_open_files: usize,
    /// What all torrents together may send and receive.
    pub limits: RateLimits,
    /// Whether anything is to be fetched.
    pub is_fetching: bool,
    /// How trackers are asked.
    pub trackers: TrackerTable,
}

impl ServeConfig {
    /// The same, with those of its addresses that can be listened on now: of the defaults, which nobody asked for, one
    /// that the machine does not have is left out.
    ///
    /// # Errors
    /// When an address is taken, or the machine does not have one that was asked for.
    pub fn usable(&self) -> Result<Self, ListenError> {
        let listen = usable::<TcpListener>(&self.listen, self.has_default_listen, LISTEN_OPTION)?;
        Ok(Self { listen, ..self.clone() })
    }
}

/// An option that cannot be meant.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// One file cannot hold several torrents.
    #[error("--torrent FILE takes one PATH, not {0}")]
    TorrentFileForMany(usize),
    /// The one PATH is a torrent already.
    #[error("--torrent writes a torrent that is made, but {} is one already", .0.display())]
    TorrentFileOfTorrent(PathBuf),
    /// No PATH is a torrent whose payload could lie there.
    #[error("--data is where the files of a .torrent lie, but no PATH is a .torrent")]
    DataOfNothing,
    /// An address includes another.
    #[error("{LISTEN_OPTION} {0}")]
    Overlap(#[from] Overlap),
    /// An option for new torrents was given, and all torrents exist.
    #[error("{0} is for torrents that are made, but every PATH is a .torrent already")]
    NothingNew(&'static str),
    /// A tracker is no URL that anybody could announce to, or was named before.
    #[error(
        "--tracker {0}: not a URL as http://HOST/PATH, https://HOST/PATH or udp://HOST:PORT, or given twice"
    )]
    Tracker(String),
    /// It looks like a magnet link, and is none.
    #[error(transparent)]
    Magnet(#[from] MagnetError),
    /// A suffix that would be no part of a name.
    #[error("--incomplete-suffix `{0}`: not the end of a file name")]
    Suffix(String),
    /// More than the limit of open files allows.
    #[error(
        "--max-connections {asked} is more than the limit of open files leaves, {possible}: raise `ulimit -n`"
    )]
    MaxConnections {
        /// What was asked for.
        asked: usize,
        /// What there is.
        possible: usize,
    },
}

/// How to serve, as far as all commands have it in common.
fn serve(
    listen: Vec<SocketAddr>,
    workers: Option<u16>,
    connections: Option<u32>,
    open_files: u64,
    limits: RateLimits,
) -> Result<ServeConfig, ConfigError> {
    let has_default_listen = listen.is_empty();
    let listen = if has_default_listen { default_listen() } else { distinct(listen)? };
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let workers = workers.map_or_else(cores, usize::from);
    let files = FileBudget::new(open_files, workers, listen.len());
    Ok(ServeConfig {
        listen,
        has_default_listen,
        workers,
        max_connections: max_connections(connections, files.connections)?,
        max_open_files: files.payload,
        limits,
        is_fetching: false,
        trackers: TrackerTable::default(),
    })
}

/// All addresses of both families.
fn default_listen() -> Vec<SocketAddr> {
    let any: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    any.map(|ip| SocketAddr::new(ip, DEFAULT_PORT)).to_vec()
}

impl From<Preallocate> for Allocation {
    fn from(preallocate: Preallocate) -> Self {
        match preallocate {
            Preallocate::Sparse => Self::Sparse,
            Preallocate::Full => Self::Full,
        }
    }
}

/// How many connections there may be: what was asked for, if it is possible.
fn max_connections(asked: Option<u32>, possible: usize) -> Result<usize, ConfigError> {
    let Some(asked) = asked else { return Ok(DEFAULT_MAX_CONNECTIONS.min(possible)) };
    let asked = usize::try_from(asked).unwrap_or(usize::MAX);
    if asked <= possible { Ok(asked) } else { Err(ConfigError::MaxConnections { asked, possible }) }
}

/// Upload slots under a limit of rate: as many as can have a rate that is worth having. Without one nobody waits.
pub fn slots(limits: RateLimits) -> Option<usize> {
    let slots = limits.upload_bytes_per_s? / SLOT_BYTES_PER_S;
    Some(usize::try_from(slots).unwrap_or(usize::MAX).clamp(MIN_SLOTS, MAX_SLOTS))
}
