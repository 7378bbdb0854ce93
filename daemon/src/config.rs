//! What the command line means, checked: from here on values are trusted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use bytesize::ByteSize;
use protocol::geometry::MAX_PIECE_LENGTH;

use crate::args::{NewArgs, SeedArgs};
use crate::storage::create::Options;
use crate::sys::limits::OpenFiles;

/// The port of BitTorrent since its first client.
const DEFAULT_PORT: u16 = 6881;
/// Shortest piece of a new torrent: a block. Other clients read shorter ones badly or not at all.
const MIN_PIECE_LENGTH: u32 = protocol::geometry::BLOCK_LENGTH;
/// Most connections unless more are asked for: what a busy mirror sees, at some 200 MB of kernel memory.
const DEFAULT_MAX_CONNECTIONS: usize = 10_000;

/// What `btd seed` is to do.
#[derive(Debug)]
pub struct SeedConfig {
    /// What to share.
    pub sources: Vec<SeedSource>,
    /// Where to write the torrent to as well.
    pub torrent_file: Option<PathBuf>,
    /// What new torrents are to say.
    pub new: Options,
    /// How to serve.
    pub serve: ServeConfig,
}

/// One path of `btd seed`.
#[derive(Debug, PartialEq, Eq)]
pub enum SeedSource {
    /// A file or folder, to be hashed.
    Payload(PathBuf),
    /// A .torrent file, and where its files' paths start from.
    Torrent {
        /// The .torrent file.
        file: PathBuf,
        /// The folder.
        data: PathBuf,
    },
}

/// How to serve.
#[derive(Debug)]
pub struct ServeConfig {
    /// Addresses to listen on.
    pub listen: Vec<SocketAddr>,
    /// Whether an address that the machine does not have may be left out: true for the defaults alone.
    pub may_skip_missing_family: bool,
    /// Threads.
    pub workers: usize,
    /// Most connections.
    pub max_connections: usize,
    /// Most payload files open at once.
    pub max_open_files: usize,
}

/// An option that cannot be meant.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// One file cannot hold several torrents.
    #[error("--torrent FILE takes one PATH, not {0}")]
    TorrentFileForMany(usize),
    /// An option for new torrents was given, and all torrents exist.
    #[error("{0} is for torrents that are made, but every PATH is a .torrent already")]
    NothingNew(&'static str),
    /// A tracker is no URL that anybody could announce to.
    #[error("--tracker {0}: not a URL that begins with http://, https:// or udp://")]
    Tracker(String),
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

impl SeedConfig {
    /// Checks the arguments of `btd seed`. `files` is what the limit of open files allows.
    ///
    /// # Errors
    /// When options contradict each other or the machine.
    pub fn new(args: SeedArgs, files: OpenFiles) -> Result<Self, ConfigError> {
        let is_torrent = |path: &PathBuf| path.extension().is_some_and(|e| e == "torrent") && path.is_file();
        let count = args.paths.len();
        let sources: Vec<SeedSource> = args
            .paths
            .into_iter()
            .map(|path| match is_torrent(&path) {
                true => SeedSource::Torrent { file: path, data: args.data.clone() },
                false => SeedSource::Payload(path),
            })
            .collect();
        if args.torrent.is_some() && count > 1 {
            return Err(ConfigError::TorrentFileForMany(count));
        }
        if !sources.iter().any(|source| matches!(source, SeedSource::Payload(_))) {
            refuse_new(&args.new)?;
        }
        let max_connections = match args.max_connections {
            None => DEFAULT_MAX_CONNECTIONS.min(files.connections),
            Some(asked) => match usize::try_from(asked).unwrap_or(usize::MAX) {
                asked if asked <= files.connections => asked,
                asked => return Err(ConfigError::MaxConnections { asked, possible: files.connections }),
            },
        };
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let serve = ServeConfig {
            may_skip_missing_family: args.listen.is_empty(),
            listen: if args.listen.is_empty() { default_listen() } else { args.listen },
            workers: args.workers.map_or_else(cores, usize::from),
            max_connections,
            max_open_files: files.payload,
        };
        Ok(Self { sources, torrent_file: args.torrent, new: options(args.new, None)?, serve })
    }
}

/// Checks what is to go into a new torrent.
///
/// # Errors
/// When a tracker is no announce URL.
pub fn options(args: NewArgs, comment: Option<String>) -> Result<Options, ConfigError> {
    let is_announce =
        |url: &str| ["http://", "https://", "udp://"].iter().any(|scheme| url.starts_with(scheme));
    match args.trackers.iter().find(|url| !is_announce(url)) {
        Some(url) => Err(ConfigError::Tracker(url.clone())),
        None => Ok(Options {
            trackers: args.trackers,
            piece_length: args.piece_length,
            is_private: args.private,
            comment,
            creation_date: None,
        }),
    }
}

fn refuse_new(new: &NewArgs) -> Result<(), ConfigError> {
    match (new.piece_length, new.private) {
        (Some(_), _) => Err(ConfigError::NothingNew("--piece-length")),
        (_, true) => Err(ConfigError::NothingNew("--private")),
        _ => Ok(()),
    }
}

fn default_listen() -> Vec<SocketAddr> {
    let any: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    any.map(|ip| SocketAddr::new(ip, DEFAULT_PORT)).to_vec()
}

/// Reads a piece length: bytes, or with KiB, MiB, GiB; a power of two from a block up.
///
/// # Errors
/// A text that says what is allowed.
pub fn piece_length(text: &str) -> Result<u32, String> {
    let allowed = || "a piece length is a power of two from 16KiB to 512MiB".to_owned();
    let size: ByteSize = text.parse().map_err(|_| allowed())?;
    let length = u32::try_from(size.as_u64()).map_err(|_| allowed())?;
    let is_allowed = length.is_power_of_two() && (MIN_PIECE_LENGTH..=MAX_PIECE_LENGTH).contains(&length);
    if is_allowed { Ok(length) } else { Err(allowed()) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Args, Command};

    const FILES: OpenFiles = OpenFiles { connections: 500, payload: 100 };

    fn config(arguments: &[&str]) -> Result<SeedConfig, ConfigError> {
        let all = ["btd", "seed"].iter().chain(arguments);
        match Args::parse_from(all).command {
            Command::Seed(args) => SeedConfig::new(args, FILES),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn defaults_are_both_families_every_core_and_what_descriptors_leave() {
        let config = config(&["x"]).unwrap();
        let listen: Vec<String> = config.serve.listen.iter().map(ToString::to_string).collect();
        assert_eq!(listen, ["0.0.0.0:6881", "[::]:6881"]);
        assert!(config.serve.workers >= 1 && config.serve.may_skip_missing_family);
        assert_eq!((config.serve.max_connections, config.serve.max_open_files), (500, 100));
        assert_eq!(config.sources, [SeedSource::Payload("x".into())]);
    }

    #[test]
    fn what_is_asked_for_is_taken() {
        let config = config(&[
            "x",
            "--listen",
            "127.0.0.1:0",
            "--workers",
            "3",
            "--max-connections",
            "7",
            "--private",
            "--piece-length",
            "32KiB",
            "--tracker",
            "http://a/announce",
            "--tracker",
            "udp://b:1",
        ])
        .unwrap();
        assert_eq!(config.serve.listen, ["127.0.0.1:0".parse().unwrap()]);
        assert_eq!((config.serve.workers, config.serve.max_connections), (3, 7));
        assert_eq!((config.new.is_private, config.new.piece_length), (true, Some(32_768)));
        assert_eq!(config.new.trackers, ["http://a/announce", "udp://b:1"]);
    }

    #[test]
    fn what_cannot_be_meant_is_an_error() {
        assert_eq!(config(&["x", "y", "--torrent", "t"]).unwrap_err(), ConfigError::TorrentFileForMany(2));
        assert_eq!(config(&["x", "--tracker", "a/b"]).unwrap_err(), ConfigError::Tracker("a/b".into()));
        let error = config(&["x", "--max-connections", "501"]).unwrap_err();
        assert_eq!(error, ConfigError::MaxConnections { asked: 501, possible: 500 });
        let torrent = tempfile::NamedTempFile::with_suffix(".torrent").unwrap();
        let path = torrent.path().to_str().unwrap();
        assert_eq!(config(&[path, "--private"]).unwrap_err(), ConfigError::NothingNew("--private"));
    }

    #[test]
    fn a_piece_length_is_a_power_of_two_with_or_without_a_unit() {
        assert_eq!(piece_length("16384"), Ok(16_384));
        assert_eq!(piece_length("1MiB"), Ok(1 << 20));
        assert_eq!(piece_length("512 MiB"), Ok(512 << 20));
        for text in ["", "x", "0", "8KiB", "24KiB", "1GiB", "-1", "1MB"] {
            assert!(piece_length(text).is_err(), "{text}");
        }
    }
}
