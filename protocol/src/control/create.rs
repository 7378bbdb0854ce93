//! Making a torrent, by the daemon.

use serde::{Deserialize, Serialize};

use crate::id::InfoHash;

/// What to make a torrent of: the body of `POST /v1/create`. The reply is a line of JSON for each [`CreateEvent`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CreateRequest {
    /// A file or folder, absolute.
    pub path: String,
    /// Announce URLs, each a tier of its own.
    pub trackers: Vec<String>,
    /// Bytes in a piece; chosen by size if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub piece_length: Option<u32>,
    /// Whether peers may come from its trackers only (BEP 27).
    pub private: bool,
    /// A remark for whoever reads it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether it is to be added and seeded.
    pub seed: bool,
    /// The label it is added with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// A line of the reply: progress as it goes on, and in the end one of the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum CreateEvent {
    /// How far it is.
    Progress {
        /// Bytes hashed.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// It is made.
    Done {
        /// Its name among peers.
        #[schema(value_type = String)]
        info_hash: InfoHash,
        /// Its name.
        name: String,
        /// Bytes in all its files.
        length: u64,
        /// Bytes in a piece.
        piece_length: u32,
        /// How many pieces.
        piece_count: u32,
        /// Its magnet link.
        magnet: String,
        /// The .torrent file, in base64.
        metainfo: String,
    },
    /// It cannot be made.
    Failed(super::ErrorReply),
}
