//! What `btd get` is to do, checked.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use protocol::meta::{Magnet, MagnetPeer};
use protocol::swarm::Settings;
use protocol::swarm::picker::PieceOrder;

use crate::args::GetArgs;
use crate::storage::write::place::Placing;

use super::{ConfigError, ServeConfig, serve, slots};
use crate::bus::RateLimits;

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
        let serve = serve(args.listen, args.workers, None, open_files, limits)?;
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
            placing: Placing { allocation: args.preallocate.into(), suffix: args.incomplete_suffix },
            settings: Settings { piece_order, seed_slots: slots(limits), ..Settings::default() },
            is_seeding: args.seed,
            timeout: args.timeout,
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
