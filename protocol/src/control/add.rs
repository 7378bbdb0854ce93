//! Adding a torrent.

use serde::{Deserialize, Serialize};

/// What to add, and how: the body of `POST /v1/torrents`. Exactly one of `magnet`, `metainfo`, `url` and `path` is
/// there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AddRequest {
    /// A magnet link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub magnet: Option<String>,
    /// The bytes of a .torrent file, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metainfo: Option<String>,
    /// Where a .torrent file is to be had, over http or https.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Path of a .torrent file that the daemon can read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The folder where the paths of its files start, absolute [default: the daemon's `data_dir`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dir: Option<String>,
    /// What the user calls its kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Whether it is to wait until it is resumed.
    pub paused: bool,
    /// Whether nothing is ever to be fetched or written.
    pub seed_only: bool,
    /// Whether files of the right size are taken for whole; a piece is then hashed when it is first asked for.
    pub skip_check: bool,
    /// Which files to fetch: numbers from 0 as `0,2,5-7`, or patterns as `*.iso`; empty for all.
    pub select: Vec<String>,
    /// Whether pieces are to be fetched in order.
    pub sequential: bool,
    /// Other paths for files, below `dir`.
    pub file_paths: Vec<super::FilePath>,
    /// Most bytes a second that peers get.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload_limit: Option<u64>,
    /// Most bytes a second that peers give.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub download_limit: Option<u64>,
    /// Pause when the ratio is as high [default: the daemon's].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio_limit: Option<f64>,
    /// Pause when it has been seeded as long, in seconds [default: the daemon's].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed_time_limit_s: Option<u64>,
}
