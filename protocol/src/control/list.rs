//! Lists of torrents: filtered, sorted, in pages, or what has changed since another list.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::InfoHash;

use super::{State, Torrent};

/// Which torrents, in which order: the query of `GET /v1/torrents`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Only those in this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub state: Option<State>,
    /// Only those with this label; empty for those without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Only those that have a tracker on this host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracker: Option<String>,
    /// A field to sort by, with a `-` before it for the largest first; in the order of their addition if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>, example = "-upload_rate")]
    pub sort: Option<Sort>,
    /// Most rows, up to 10,000; 1,000 if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// The `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Only what has changed since the `revision` of an earlier reply, in the order of changes. Not with `sort` and
    /// `after`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
}

/// What a list is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sort {
    /// The field.
    pub key: SortKey,
    /// Whether the largest comes first.
    pub is_descending: bool,
}

/// Fields that a list can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "they are the fields of `Torrent`")]
pub enum SortKey {
    AddedAt,
    Name,
    State,
    Progress,
    Size,
    Have,
    Uploaded,
    Downloaded,
    Ratio,
    UploadRate,
    DownloadRate,
    Peers,
    Seeds,
    Label,
    InfoHash,
}

impl SortKey {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::AddedAt,
        Self::Name,
        Self::State,
        Self::Progress,
        Self::Size,
        Self::Have,
        Self::Uploaded,
        Self::Downloaded,
        Self::Ratio,
        Self::UploadRate,
        Self::DownloadRate,
        Self::Peers,
        Self::Seeds,
        Self::Label,
        Self::InfoHash,
    ];

    /// The name of the field.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AddedAt => "added_at",
            Self::Name => "name",
            Self::State => "state",
            Self::Progress => "progress",
            Self::Size => "size",
            Self::Have => "have",
            Self::Uploaded => "uploaded",
            Self::Downloaded => "downloaded",
            Self::Ratio => "ratio",
            Self::UploadRate => "upload_rate",
            Self::DownloadRate => "download_rate",
            Self::Peers => "peers",
            Self::Seeds => "seeds",
            Self::Label => "label",
            Self::InfoHash => "info_hash",
        }
    }
}

impl FromStr for Sort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (is_descending, name) = text.strip_prefix('-').map_or((false, text), |name| (true, name));
        let key = SortKey::ALL.into_iter().find(|key| key.name() == name);
        key.map(|key| Self { key, is_descending }).ok_or_else(|| {
            format!(
                "a list is sorted by one of {}, with a - before it for the largest first",
                SortKey::ALL.map(SortKey::name).join(", ")
            )
        })
    }
}

impl TryFrom<String> for Sort {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Sort> for String {
    fn from(sort: Sort) -> Self {
        sort.to_string()
    }
}

impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.is_descending { "-" } else { "" }, self.key.name())
    }
}

/// Torrents that were asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct ListReply {
    /// Counts changes. Of a list in pages that of the first page is the one to ask for changes since.
    pub revision: u64,
    /// How many torrents match, on all pages.
    pub total: u64,
    /// The rows.
    pub torrents: Vec<Torrent>,
    /// With `since`: those that were removed, or do not match any more.
    #[schema(value_type = Vec<String>)]
    pub removed: Vec<InfoHash>,
    /// With `since`: whether that is too long ago, and this is a first page of everything; what is known of others is
    /// to be forgotten.
    pub is_full: bool,
    /// With `since`: whether there are more changes, since `revision`.
    pub has_more: bool,
    /// What to pass as `after` for the next page; none on the last.
    pub next: Option<String>,
}
