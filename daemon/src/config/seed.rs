//! What `btd seed` is to do, checked.

use std::path::{Path, PathBuf};

use protocol::meta::unusable_tracker;
use protocol::swarm::Settings;

use crate::args::{NewArgs, SeedArgs};
use crate::storage::create::Options;

use super::{ConfigError, ServeConfig, serve, slots};
use crate::bus::RateLimits;

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
        let limits = RateLimits { upload_bytes_per_s: args.upload_limit, download_bytes_per_s: None };
        let serve = serve(args.listen, args.workers, args.max_connections, open_files, limits)?;
        let new = options(args.new, None)?;
        Ok(Self { sources, torrent_file: args.torrent, new, serve })
    }

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

/// Checks what is to go into a new torrent.
///
/// # Errors
/// When a tracker is no announce URL, or is given twice.
pub fn options(args: NewArgs, comment: Option<String>) -> Result<Options, ConfigError> {
    match unusable_tracker(&args.trackers) {
        Some(url) => Err(ConfigError::Tracker(url.to_owned())),
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Args, Command};

    /// What leaves connections 684 and payload 228 with 4 workers and 2 listeners.
    const OPEN_FILES: u64 = 1_024;

    fn config(arguments: &[&str]) -> Result<SeedConfig, ConfigError> {
        let all = ["btd", "seed"].iter().chain(arguments);
        match Args::parse_from(all).into_command() {
            Command::Seed(args) => SeedConfig::new(args, OPEN_FILES),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn defaults_are_both_families_every_core_and_what_descriptors_leave() {
        let config = config(&["x", "--workers", "4"]).unwrap();
        let listen: Vec<String> = config.serve.listen.iter().map(ToString::to_string).collect();
        assert_eq!(listen, ["0.0.0.0:6881", "[::]:6881"]);
        assert!(config.serve.has_default_listen);
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
        for url in ["http://", "udp://b"] {
            assert_eq!(config(&["x", "--tracker", url]).unwrap_err(), ConfigError::Tracker(url.into()));
        }
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
}
