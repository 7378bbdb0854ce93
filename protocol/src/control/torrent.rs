//! A torrent as lists show it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::InfoHash;

/// What a torrent is doing.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its metadata is being fetched from peers.
    Metadata,
    /// Its payload is being hashed; `progress` tells how far that is.
    Checking,
    /// It waits until fewer others are downloading.
    Queued,
    /// It is being fetched.
    Downloading,
    /// All that is wanted is here, and peers may have it.
    Seeding,
    /// The user has stopped it.
    Paused,
    /// Something is wrong, and `error` says what.
    Error,
}

impl State {
    /// All of them, in the order in which a torrent usually goes through them.
    pub const ALL: [Self; 7] = [
        Self::Metadata,
        Self::Checking,
        Self::Queued,
        Self::Downloading,
        Self::Seeding,
        Self::Paused,
        Self::Error,
    ];

    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::Checking => "checking",
            Self::Queued => "queued",
            Self::Downloading => "downloading",
            Self::Seeding => "seeding",
            Self::Paused => "paused",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|state| state.name() == text)
            .ok_or_else(|| format!("a state is one of {}", names()))
    }
}

/// A torrent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Torrent {
    /// 40 hex digits.
    #[schema(value_type = String, example = "2e8f04c3b1b5f0e0c1d9e61a5b7a3c8d90ab12ef")]
    pub info_hash: InfoHash,
    /// The name in its metadata; before that the one in the magnet link, or the info-hash.
    pub name: String,
    /// What it is doing.
    pub state: State,
    /// From 0 to 1: what is here of what is wanted; while it is checked, how far that is.
    pub progress: f64,
    /// Bytes of what is wanted; 0 while that is unknown.
    pub size: u64,
    /// Bytes of these that are here and verified.
    pub have: u64,
    /// Payload that peers got, ever.
    pub uploaded: u64,
    /// Payload that peers gave, ever.
    pub downloaded: u64,
    /// Uploaded in parts of downloaded, or of `have` where nothing was downloaded.
    pub ratio: f64,
    /// Bytes a second that peers get.
    pub upload_rate: u64,
    /// Bytes a second that peers give.
    pub download_rate: u64,
    /// Connected peers.
    pub peers: u32,
    /// Of these, peers that have everything.
    pub seeds: u32,
    /// Seconds until all is here at the present rate; none when it never will be, or is.
    pub eta_s: Option<u64>,
    /// What the user calls its kind.
    pub label: Option<String>,
    /// What is wrong.
    pub error: Option<String>,
    /// The folder where the paths of its files start.
    pub dir: String,
    /// When it was added, in seconds since 1970.
    pub added_at: i64,
}
