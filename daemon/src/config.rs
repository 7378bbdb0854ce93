//! What the command line means, checked: from here on values are trusted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::args::{NewArgs, SeedArgs};
use crate::storage::create::Options;
use crate::sys::limits::FileBudget;

/// The port of BitTorrent since its first client.
const DEFAULT_PORT: u16 = 6881;
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
    /// Whether an address that the machine does not have may be left out: true for the defaults alone.
    pub may_skip_missing_family: bool,
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
    /// The one PATH is a torrent already.
    #[error("--torrent writes a torrent that is made, but {} is one already", .0.display())]
    TorrentFileOfTorrent(PathBuf),
    /// No PATH is a torrent whose payload could lie there.
    #[error("--data is where the files of a .torrent lie, but no PATH is a .torrent")]
    DataOfNothing,
    /// An address includes another.
    #[error("--listen {wildcard} is {address} too: leave one of them out")]
    Overlap {
        /// All addresses of a family.
        wildcard: SocketAddr,
        /// One of them.
        address: SocketAddr,
    },
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
    /// Checks the arguments of `btd seed`. `open_files` is the limit of open files.
    ///
    /// # Errors
    /// When options contradict each other or the machine.
    pub fn new(args: SeedArgs, open_files: u64) -> Result<Self, ConfigError> {
        let sources = sources(args.paths, args.data)?;
        if args.torrent.is_some() {
            match sources.as_slice() {
                [SeedSource::Payload(_)] => {}
                [SeedSource::Torrent { file, .. }] => {
                    return Err(ConfigError::TorrentFileOfTorrent(file.clone()));
                }
                many => return Err(ConfigError::TorrentFileForMany(many.len())),
            }
        }
        if !sources.iter().any(|source| matches!(source, SeedSource::Payload(_))) {
            refuse_new(&args.new)?;
        }
        let may_skip_missing_family = args.listen.is_empty();
        let listen = if args.listen.is_empty() { default_listen() } else { distinct(args.listen)? };
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let workers = args.workers.map_or_else(cores, usize::from);
        let files = FileBudget::new(open_files, workers, listen.len());
        let serve = ServeConfig {
            listen,
            workers,
            max_connections: max_connections(args.max_connections, files.connections)?,
            max_open_files: files.payload,
        };
        let new = options(args.new, None)?;
        Ok(Self { sources, torrent_file: args.torrent, new, may_skip_missing_family, serve })
    }
}

/// Tells torrents from payload, by their names. Without `data` the files of torrents lie where we are.
fn sources(paths: Vec<PathBuf>, data: Option<PathBuf>) -> Result<Vec<SeedSource>, ConfigError> {
    if data.is_some() && !paths.iter().any(|path| is_torrent(path)) {
        return Err(ConfigError::DataOfNothing);
    }
    let data = data.unwrap_or_else(|| PathBuf::from("."));
    let source = |path: PathBuf| match is_torrent(&path) {
        true => SeedSource::Torrent { file: path, data: data.clone() },
        false => SeedSource::Payload(path),
    };
    Ok(paths.into_iter().map(source).collect())
}

/// Whether `path` is called a torrent; a folder may be called what it likes.
fn is_torrent(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("torrent")) && !path.is_dir()
}

/// Each address once: said twice it is the same. Port 0 is another port each time.
fn distinct(addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, ConfigError> {
    let mut distinct: Vec<SocketAddr> = Vec::new();
    for address in addresses {
        if address.port() != 0 {
            if distinct.contains(&address) {
                continue;
            }
            let same_port =
                |other: &&SocketAddr| other.port() == address.port() && other.is_ipv4() == address.is_ipv4();
            let is_wildcard = |address: &SocketAddr| address.ip().is_unspecified();
            for other in distinct.iter().filter(same_port) {
                if is_wildcard(other) {
                    return Err(ConfigError::Overlap { wildcard: *other, address });
                }
                if is_wildcard(&address) {
                    return Err(ConfigError::Overlap { wildcard: address, address: *other });
                }
            }
        }
        distinct.push(address);
    }
    Ok(distinct)
}

/// How many connections there may be: what was asked for, if it is possible.
fn max_connections(asked: Option<u32>, possible: usize) -> Result<usize, ConfigError> {
    let Some(asked) = asked else { return Ok(DEFAULT_MAX_CONNECTIONS.min(possible)) };
    let asked = usize::try_from(asked).unwrap_or(usize::MAX);
    if asked <= possible { Ok(asked) } else { Err(ConfigError::MaxConnections { asked, possible }) }
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Args, Command};

    /// What leaves connections 684 and payload 228 with 4 workers and 2 listeners.
    const OPEN_FILES: u64 = 1_024;

    fn config(arguments: &[&str]) -> Result<SeedConfig, ConfigError> {
        let all = ["btd", "seed"].iter().chain(arguments);
        match Args::parse_from(all).command {
            Command::Seed(args) => SeedConfig::new(args, OPEN_FILES),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn defaults_are_both_families_every_core_and_what_descriptors_leave() {
        let config = config(&["x", "--workers", "4"]).unwrap();
        let listen: Vec<String> = config.serve.listen.iter().map(ToString::to_string).collect();
        assert_eq!(listen, ["0.0.0.0:6881", "[::]:6881"]);
        assert!(config.may_skip_missing_family);
        assert_eq!((config.serve.max_connections, config.serve.max_open_files), (684, 114));
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
        let error = config(&["x", "--workers", "4", "--max-connections", "685"]).unwrap_err();
        assert_eq!(error, ConfigError::MaxConnections { asked: 685, possible: 684 });
        assert_eq!(config(&["x.torrent", "--private"]).unwrap_err(), ConfigError::NothingNew("--private"));
        assert_eq!(config(&["x", "--data", "d"]).unwrap_err(), ConfigError::DataOfNothing);
        let error = config(&["x.torrent", "--torrent", "x.torrent"]).unwrap_err();
        assert_eq!(error, ConfigError::TorrentFileOfTorrent("x.torrent".into()));
    }

    #[test]
    fn a_torrent_is_told_by_its_name_unless_it_is_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let named = folder.path().join("folder.torrent");
        std::fs::create_dir(&named).unwrap();
        let torrent = |file: &str, data: &str| SeedSource::Torrent { file: file.into(), data: data.into() };
        assert_eq!(config(&["a.torrent"]).unwrap().sources, [torrent("a.torrent", ".")]);
        let sources = config(&["B.TORRENT", named.to_str().unwrap(), "--data", "d"]).unwrap().sources;
        assert_eq!(sources, [torrent("B.TORRENT", "d"), SeedSource::Payload(named)]);
    }

    #[test]
    fn an_address_is_listened_on_once() {
        let listen = |addresses: &[&str]| {
            let options = addresses.iter().flat_map(|address| ["--listen", address]);
            config(&["x"].into_iter().chain(options).collect::<Vec<_>>()).map(|config| config.serve.listen)
        };
        assert_eq!(listen(&["127.0.0.1:6881", "127.0.0.1:6881"]).unwrap().len(), 1);
        assert_eq!(listen(&["127.0.0.1:0", "127.0.0.1:0"]).unwrap().len(), 2, "two ports");
        assert_eq!(listen(&["0.0.0.0:6881", "[::1]:6881", "127.0.0.1:6882"]).unwrap().len(), 3);
        for both in [["0.0.0.0:6881", "127.0.0.1:6881"], ["127.0.0.1:6881", "0.0.0.0:6881"]] {
            let error = listen(&both).unwrap_err();
            assert_eq!(
                error.to_string(),
                "--listen 0.0.0.0:6881 is 127.0.0.1:6881 too: leave one of them out"
            );
        }
    }
}
