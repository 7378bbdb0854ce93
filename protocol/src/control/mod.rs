//! The types of the control API: `btd run` serves them as JSON over HTTP/1.1 on its Unix socket, `btctl` speaks them.
//!
//! Sizes are bytes, rates bytes a second, times seconds since 1970, durations seconds. What a reader does not know it
//! ignores; what a writer leaves out has its default. The paths are documented in `daemon/openapi.json`, which a test
//! keeps true.

mod add;
mod change;
mod create;
mod detail;
mod error;
mod event;
mod list;
mod stats;
#[cfg(test)]
mod tests;
mod torrent;

pub use add::AddRequest;
pub use change::{ActionReply, BackupRequest, FilePath, MoveRequest, Patch};
pub use create::{CreateEvent, CreateRequest};
pub use detail::{Detail, FileRow, PeerRow, Pieces, TrackerRow};
pub use error::{ErrorCode, ErrorReply};
pub use event::{Event, EventKind};
pub use list::{ListQuery, ListReply, Sort, SortKey};
pub use stats::{Memory, StateCounts, Stats, Version};
pub use torrent::{State, Torrent};

/// The first part of all paths; another number is another API.
pub const API_PREFIX: &str = "/v1";
/// Rows of a list reply that does not ask for another number.
pub const DEFAULT_PAGE: u32 = 1_000;
/// Most rows of one list reply: some 5 MB of JSON.
pub const MAX_PAGE: u32 = 10_000;
/// Longest .torrent file that is taken: what peers could send of its metadata too. The longest that are about have some
/// 20 MB.
pub const MAX_METAINFO_LENGTH: usize = 64 * 1024 * 1024;
/// Most bytes in the body of a request: the longest .torrent file in base64, and what goes with it.
pub const MAX_BODY_LENGTH: usize = MAX_METAINFO_LENGTH.div_ceil(3) * 4 + 64 * 1024;
/// Longest label, in bytes.
pub const MAX_LABEL_LENGTH: usize = 255;
/// What names all torrents, where an action takes an ID.
pub const ALL: &str = "all";
