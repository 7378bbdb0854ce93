//! What the command line means, checked: from here on values are trusted.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::meta::{Magnet, MagnetError, MagnetPeer};
use protocol::swarm::Settings;
use protocol::swarm::picker::PieceOrder;

use crate::args::{GetArgs, NewArgs, Preallocate, SeedArgs};
use crate::bus::RateLimits;
use crate::engine::ServeConfig;
use crate::storage::create::Options;
use crate::storage::write::place::{Allocation, Placing};
use crate::sys::limits::FileBudget;

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
        let limits = RateLimits { upload_bytes_per_s: args.upload_limit, download_bytes_per_s: None };
        let serve = serve(args.listen, args.workers, args.max_connections, open_files, limits)?;
        let new = options(args.new, None)?;
        Ok(Self { sources, torrent_file: args.torrent, new, may_skip_missing_family, serve })
    }
}

/// What `btd get` is to do.
#[derive(Debug)]
pub struct GetConfig {
    /// What to fetch.
    pub what: GetSource,
    /// Where the paths of its files start from.
    pub folder: PathBuf,
    /// Peers that the user named.
    pub peers: Vec<MagnetPeer>,
    /// Which files to fetch; empty for all.
    pub select: Vec<String>,
    /// How files are made.
    pub placing: Placing,
    /// How the swarm is to behave.
    pub settings: Settings,
    /// Whether to go on when all is here.
    pub is_seeding: bool,
    /// How long to try.
    pub timeout: Option<Duration>,
    /// Whether other addresses may be listened on: true for the defaults alone.
    pub has_default_listen: bool,
    /// How to serve.
    pub serve: ServeConfig,
}

/// What `btd get` is to fetch.
#[derive(Debug, PartialEq, Eq)]
pub enum GetSource {
    /// What a magnet link names.
    Magnet(Box<Magnet>),
    /// What a .torrent file describes.
    File(PathBuf),
    /// What a .torrent file on the web describes.
    Url(String),
}

impl GetConfig {
    /// Checks the arguments of `btd get`. `open_files` is the limit of open files.
    ///
    /// # Errors
    /// When options contradict each other, or the magnet link is none.
    pub fn new(args: GetArgs, open_files: u64) -> Result<Self, ConfigError> {
        let limits =
            RateLimits { upload_bytes_per_s: args.upload_limit, download_bytes_per_s: args.download_limit };
        let has_default_listen = args.listen.is_empty();
        let serve = serve(args.listen, args.workers, None, open_files, limits)?;
        let allocation = match args.preallocate {
            Preallocate::Sparse => Allocation::Sparse,
            Preallocate::Full => Allocation::Full,
        };
        if let Some(suffix) =
            args.incomplete_suffix.as_ref().filter(|suffix| suffix.is_empty() || suffix.contains('/'))
        {
            return Err(ConfigError::Suffix(suffix.clone()));
        }
        let piece_order = if args.sequential { PieceOrder::Sequential } else { PieceOrder::RarestFirst };
        Ok(Self {
            what: get_source(args.what)?,
            folder: args.dir,
            peers: args.peers,
            select: args.select,
            placing: Placing { allocation, suffix: args.incomplete_suffix },
            settings: Settings { piece_order, seed_slots: slots(limits), ..Settings::default() },
            is_seeding: args.seed,
            timeout: args.timeout,
            has_default_listen,
            serve: ServeConfig { is_fetching: true, ..serve },
        })
    }
}

/// Tells magnet links, URLs and files apart.
fn get_source(what: OsString) -> Result<GetSource, ConfigError> {
    let starts_with = |text: &str, prefix: &str| {
        text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    Ok(match what.to_str() {
        Some(text) if starts_with(text, "magnet:") => GetSource::Magnet(Box::new(text.parse()?)),
        Some(text) if ["http://", "https://"].iter().any(|scheme| starts_with(text, scheme)) => {
            GetSource::Url(text.to_owned())
        }
        _ => GetSource::File(what.into()),
    })
}

/// How to serve, as far as all commands have it in common.
fn serve(
    listen: Vec<SocketAddr>,
    workers: Option<u16>,
    connections: Option<u32>,
    open_files: u64,
    limits: RateLimits,
) -> Result<ServeConfig, ConfigError> {
    let listen = if listen.is_empty() { default_listen() } else { distinct(listen)? };
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let workers = workers.map_or_else(cores, usize::from);
    let files = FileBudget::new(open_files, workers, listen.len());
    Ok(ServeConfig {
        listen,
        workers,
        max_connections: max_connections(connections, files.connections)?,
        max_open_files: files.payload,
        limits,
        is_fetching: false,
    })
}

impl SeedConfig {
    /// How the swarms of the torrents are to behave.
    pub fn settings(&self) -> Settings {
        // A seed has nothing to fetch: whoever the process has room for is welcome.
        Settings {
            seed_slots: slots(self.serve.limits),
            max_peers: self.serve.max_connections,
            ..Settings::default()
        }
    }
}

/// Upload slots under a limit of rate: as many as can have a rate that is worth having. Without one nobody waits.
pub fn slots(limits: RateLimits) -> Option<usize> {
    let slots = limits.upload_bytes_per_s? / SLOT_BYTES_PER_S;
    Some(usize::try_from(slots).unwrap_or(usize::MAX).clamp(MIN_SLOTS, MAX_SLOTS))
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
