//! One torrent in all detail: itself, its files, its peers, its trackers, its pieces.

use serde::{Deserialize, Serialize};

use super::Torrent;

/// A torrent as `show` has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Detail {
    /// What lists say of it.
    #[serde(flatten)]
    pub torrent: Torrent,
    /// Bytes in all its files, wanted or not; 0 while that is unknown.
    pub length: u64,
    /// Bytes in a piece; 0 while that is unknown.
    pub piece_length: u32,
    /// How many pieces it has; 0 while that is unknown.
    pub piece_count: u32,
    /// How many pieces are here and verified.
    pub pieces_have: u32,
    /// How many files it has.
    pub file_count: u32,
    /// Whether peers may come from its trackers only (BEP 27).
    pub is_private: bool,
    /// Whether nothing is ever fetched or written.
    pub seed_only: bool,
    /// Whether pieces are fetched in order.
    pub sequential: bool,
    /// Bytes that came twice, or were in pieces that failed their hash.
    pub wasted: u64,
    /// When all that was wanted was here, in seconds since 1970.
    pub completed_at: Option<i64>,
    /// How long it has been seeded, in seconds.
    pub seeded_s: u64,
    /// Most bytes a second that peers get.
    pub upload_limit: Option<u64>,
    /// Most bytes a second that peers give.
    pub download_limit: Option<u64>,
    /// The ratio at which it is paused; none for the daemon's own, 0 for never.
    pub ratio_limit: Option<f64>,
    /// How long it is seeded, in seconds; none for the daemon's own, 0 for ever.
    pub seed_time_limit_s: Option<u64>,
    /// Its place among those that wait to be downloaded, from 1.
    pub queue_position: Option<u32>,
    /// Its magnet link.
    pub magnet: String,
}

/// A file of a torrent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FileRow {
    /// Its number, from 0.
    pub index: u32,
    /// Its path in the torrent.
    pub path: String,
    /// Its path on disk, while that is another; below the torrent's folder.
    pub on_disk: Option<String>,
    /// Bytes in it.
    pub size: u64,
    /// Bytes of it in pieces that are here and verified.
    pub have: u64,
    /// From 0 to 1.
    pub progress: f64,
    /// Whether it is to be fetched.
    pub wanted: bool,
}

/// A connected peer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PeerRow {
    /// Address and port of the connection.
    pub address: String,
    /// Name and version of its client, if it said so.
    pub client: Option<String>,
    /// The 20 bytes that it calls itself, with dots for those that cannot be printed.
    pub peer_id: String,
    /// Whether it opened the connection.
    pub is_incoming: bool,
    /// From 0 to 1: how much of the torrent it has.
    pub progress: f64,
    /// Whether it wants pieces of us.
    pub is_interested: bool,
    /// Whether we do not answer its requests.
    pub is_choked: bool,
    /// Whether we want pieces of it.
    pub are_we_interested: bool,
    /// Whether it does not answer our requests.
    pub is_choking_us: bool,
    /// Whether it leaves our requests unanswered although it does not choke us.
    pub is_snubbing: bool,
    /// How long it has been connected, in seconds.
    pub connected_s: u64,
}

/// A tracker of a torrent, over one family of addresses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TrackerRow {
    /// Its URL, which may contain a secret.
    pub url: String,
    /// Its tier, from 0 (BEP 12).
    pub tier: u32,
    /// `ipv4` or `ipv6`.
    pub family: String,
    /// `untried`, `asking`, `working`, `failing`, `no_address` or `silenced`.
    pub state: String,
    /// Announces that failed since the last that was answered.
    pub failures: u32,
    /// Why the last announce failed.
    pub error: Option<String>,
    /// What the tracker has to say to the user.
    pub warning: Option<String>,
    /// Seeds that it knows.
    pub seeds: Option<u32>,
    /// Leechers that it knows.
    pub leechers: Option<u32>,
    /// Peers that it named last.
    pub peers: u32,
    /// Seconds since it last answered.
    pub answered_s: Option<u64>,
    /// Seconds until it may be asked again.
    pub next_s: Option<u64>,
}

/// Which pieces of a torrent are here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Pieces {
    /// How many there are.
    pub piece_count: u32,
    /// Bytes in each but the last.
    pub piece_length: u32,
    /// How many are here and verified.
    pub have_count: u32,
    /// A bit for each, the first in the highest bit of the first byte as in a BITFIELD message; in base64.
    pub have: String,
}
