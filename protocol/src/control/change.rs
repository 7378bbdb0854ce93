//! Changing torrents that are there.

use serde::{Deserialize, Deserializer, Serialize};

use crate::id::InfoHash;

/// What is to be different: the body of `PATCH /v1/torrents/{id}`. What is left out stays as it is; `null` takes a
/// label or a limit away.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Patch {
    /// What the user calls its kind.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "some")]
    #[schema(value_type = Option<String>)]
    pub label: Option<Option<String>>,
    /// Most bytes a second that peers get.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "some")]
    #[schema(value_type = Option<u64>)]
    pub upload_limit: Option<Option<u64>>,
    /// Most bytes a second that peers give.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "some")]
    #[schema(value_type = Option<u64>)]
    pub download_limit: Option<Option<u64>>,
    /// Pause when the ratio is as high; 0 for never, `null` for the daemon's own limit.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "some")]
    #[schema(value_type = Option<f64>)]
    pub ratio_limit: Option<Option<f64>>,
    /// Pause when it has been seeded as long, in seconds; 0 for never, `null` for the daemon's own limit.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "some")]
    #[schema(value_type = Option<u64>)]
    pub seed_time_limit_s: Option<Option<u64>>,
    /// Which files to fetch: numbers from 0 as `0,2,5-7`, or patterns as `*.iso`; empty for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub select: Option<Vec<String>>,
    /// Whether pieces are to be fetched in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequential: Option<bool>,
}

/// Tells a field that is `null` from one that is left out.
fn some<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// A file that is to lie elsewhere than the torrent says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FilePath {
    /// Its number, from 0.
    pub index: u32,
    /// Its path below the torrent's folder.
    pub path: String,
}

/// Where a torrent is to lie: the body of `POST /v1/torrents/{id}/move`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveRequest {
    /// The folder, absolute.
    pub dir: String,
    /// Whether the payload lies there already, and nothing is moved.
    #[serde(default)]
    pub is_there: bool,
}

/// Where to put a copy of the state: the body of `POST /v1/backup`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupRequest {
    /// A file that is not there yet, absolute.
    pub path: String,
}

/// Which torrents an action was done to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ActionReply {
    /// Their info-hashes.
    #[schema(value_type = Vec<String>)]
    pub torrents: Vec<InfoHash>,
    /// Of many: those that it could not be done to, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<super::ErrorReply>,
}
