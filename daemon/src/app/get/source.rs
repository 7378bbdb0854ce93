//! What is to be fetched, as far as it is known at the start: a torrent, or the name of one and who may know it.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use protocol::bencode::MAX_INPUT_LENGTH;
use protocol::id::InfoHash;
use protocol::meta::{Info, MagnetPeer, Metainfo};

use crate::config::{GetConfig, GetSource};
use crate::discovery;
use crate::storage::torrent_file;

use super::super::Failure;

/// How long a .torrent file may take to come from the web.
const FETCH_TIMEOUT: Duration = Duration::from_secs(60);

/// A torrent that is to be fetched.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) info_hash: InfoHash,
    /// What to call it until its metadata is here.
    pub(super) name: String,
    /// What it is, if that is known.
    pub(super) info: Option<Arc<Info>>,
    /// Trackers in tiers (BEP 12).
    pub(super) tiers: Vec<Vec<String>>,
    /// Where peers are, as the user and the link have it.
    pub(super) peers: Vec<SocketAddr>,
    /// Whether servers on the web have it, which are not asked yet.
    pub(super) has_web_seeds: bool,
    /// Which files a magnet link selects (BEP 53).
    pub(super) select: Option<Vec<RangeInclusive<usize>>>,
}

impl Wanted {
    /// Reads what the user asked for, and looks up the peers that were named.
    pub(super) async fn look(config: &GetConfig) -> Result<Self, Failure> {
        let mut wanted = match &config.what {
            GetSource::Magnet(magnet) => Self {
                info_hash: magnet.info_hash,
                name: magnet.display_name.clone().unwrap_or_else(|| magnet.info_hash.to_string()),
                info: None,
                tiers: magnet.trackers.iter().map(|tracker| vec![tracker.clone()]).collect(),
                peers: resolve(&magnet.peers).await,
                has_web_seeds: !magnet.web_seeds.is_empty(),
                select: magnet.select.clone(),
            },
            GetSource::File(path) => Self::of_torrent(read(path)?),
            GetSource::Url(url) => {
                let bytes =
                    tokio::time::timeout(FETCH_TIMEOUT, discovery::fetch(url, MAX_INPUT_LENGTH)).await;
                let bytes = bytes.map_err(|_| format!("{url}: no answer in time"))??;
                Self::of_torrent(Metainfo::parse(&bytes).map_err(|error| format!("{url}: {error}"))?)
            }
        };
        let named = resolve(&config.peers).await;
        if named.is_empty() && !config.peers.is_empty() {
            return Err("no --peer has an address".into());
        }
        wanted.peers.extend(named);
        Ok(wanted)
    }

    fn of_torrent(metainfo: Metainfo) -> Self {
        Self {
            info_hash: metainfo.info.info_hash(),
            name: metainfo.info.name().to_owned(),
            info: Some(metainfo.info),
            tiers: metainfo.trackers,
            peers: Vec::new(),
            has_web_seeds: !metainfo.web_seeds.is_empty(),
            select: None,
        }
    }
}

fn read(path: &Path) -> Result<Metainfo, Failure> {
    Ok(torrent_file::read(path)?)
}

/// The addresses of `peers`. One whose name is not known is left out, and said to be.
async fn resolve(peers: &[MagnetPeer]) -> Vec<SocketAddr> {
    let mut addresses = Vec::new();
    for peer in peers {
        match tokio::net::lookup_host((peer.host(), peer.port())).await {
            Ok(found) => addresses.extend(found),
            Err(error) => tracing::warn!("peer {}:{}: {error}", peer.host(), peer.port()),
        }
    }
    addresses
}
