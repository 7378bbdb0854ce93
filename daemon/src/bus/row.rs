//! A torrent as everybody may see it: what lists show, and no more than an idle one needs.

use std::sync::Arc;

use protocol::announce::{Host, TrackerUrl};
use protocol::control::{State, Torrent};
use protocol::id::InfoHash;

/// A torrent of the catalog. Some hundred bytes: there may be a hundred thousand, of which few are doing anything.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its name among peers.
    pub info_hash: InfoHash,
    /// Its name among people.
    pub name: Box<str>,
    /// What it is doing.
    pub state: State,
    /// From 0 to 1: how far checking is.
    pub checked: f32,
    /// Bytes of what is wanted.
    pub size: u64,
    /// Bytes of these that are verified.
    pub have: u64,
    /// Payload that peers got, ever.
    pub uploaded: u64,
    /// Payload that peers gave, ever.
    pub downloaded: u64,
    /// What is going on, while anything is.
    pub live: Option<Box<Live>>,
    /// What the user calls its kind.
    pub label: Option<Arc<str>>,
    /// What is wrong.
    pub error: Option<Box<str>>,
    /// The folder where the paths of its files start.
    pub dir: Arc<str>,
    /// When it was added, in seconds since 1970.
    pub added_at: i64,
    /// Its trackers, shared by torrents that have the same.
    pub trackers: Arc<Trackers>,
}

/// What is going on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Live {
    /// Bytes a second that peers get.
    pub upload_rate: u64,
    /// Bytes a second that peers give.
    pub download_rate: u64,
    /// Connected peers.
    pub peers: u32,
    /// Of these, peers that have everything.
    pub seeds: u32,
}

/// The trackers of a torrent.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub struct Trackers {
    /// Announce URLs in tiers (BEP 12).
    pub tiers: Vec<Vec<String>>,
    /// Their hosts, each once.
    pub hosts: Vec<String>,
}

impl Trackers {
    /// The trackers at the URLs of `tiers`.
    pub fn new(tiers: Vec<Vec<String>>) -> Self {
        let mut hosts: Vec<String> = tiers.iter().flatten().filter_map(|url| host(url)).collect();
        hosts.sort_unstable();
        hosts.dedup();
        Self { tiers, hosts }
    }
}

/// The host that an announce URL names.
fn host(url: &str) -> Option<String> {
    let url: TrackerUrl = url.parse().ok()?;
    Some(match url.host() {
        Host::Name(name) => name.to_ascii_lowercase(),
        Host::Address(address) => address.to_string(),
    })
}

impl Row {
    /// The row as lists show it.
    pub fn to_torrent(&self) -> Torrent {
        let Live { upload_rate, download_rate, peers, seeds } =
            self.live.as_deref().copied().unwrap_or_default();
        Torrent {
            info_hash: self.info_hash,
            name: self.name.to_string(),
            state: self.state,
            progress: self.progress(),
            size: self.size,
            have: self.have,
            uploaded: self.uploaded,
            downloaded: self.downloaded,
            ratio: self.ratio(),
            upload_rate,
            download_rate,
            peers,
            seeds,
            eta_s: self.eta_s(download_rate),
            label: self.label.as_deref().map(str::to_owned),
            error: self.error.as_deref().map(str::to_owned),
            dir: self.dir.to_string(),
            added_at: self.added_at,
        }
    }

    /// From 0 to 1.
    pub fn progress(&self) -> f64 {
        match self.state {
            State::Checking => f64::from(self.checked),
            _ => part(self.have, self.size),
        }
    }

    /// What peers got in parts of what they gave, or of what is here where they gave nothing.
    pub fn ratio(&self) -> f64 {
        part(self.uploaded, if self.downloaded > 0 { self.downloaded } else { self.have })
    }

    fn eta_s(&self, download_rate: u64) -> Option<u64> {
        let is_coming = self.state == State::Downloading && download_rate > 0;
        is_coming.then(|| self.size.saturating_sub(self.have).div_ceil(download_rate))
    }
}

/// `part` of `whole`; 0 of nothing.
#[allow(clippy::cast_precision_loss, reason = "bytes beyond 2^53 are as good as those below")]
fn part(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
