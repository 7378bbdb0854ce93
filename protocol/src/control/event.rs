//! What happens to torrents, as it happens: the lines of `GET /v1/events`.

use serde::{Deserialize, Serialize};

use crate::id::InfoHash;

use super::State;

/// Something that happened to a torrent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Event {
    /// The revision that it led to.
    pub revision: u64,
    /// When, in seconds since 1970.
    pub at: i64,
    /// The torrent; none of an event that is about all.
    #[schema(value_type = Option<String>)]
    pub info_hash: Option<InfoHash>,
    /// Its name.
    pub name: Option<String>,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What may happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// The stream has begun: whatever is done from now on will be told.
    Hello,
    /// It was added.
    Added,
    /// It was removed.
    Removed,
    /// Its metadata is here.
    Metadata,
    /// It does something else.
    State {
        /// What it did.
        from: State,
        /// What it does.
        to: State,
    },
    /// All that is wanted of it is here.
    Completed,
    /// Something is wrong with it.
    Error {
        /// What.
        message: String,
    },
    /// Its label, its limits, its files or its folder were changed.
    Changed,
    /// The reader was too slow, and has missed as many.
    Lagged {
        /// How many.
        missed: u64,
    },
    /// The daemon is going.
    Shutdown,
}
