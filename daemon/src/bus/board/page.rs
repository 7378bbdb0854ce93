//! One page of a sorted list, and where the next begins.

use std::cmp::Ordering;

use protocol::control::{ErrorCode, ErrorReply, Sort, SortKey};

use super::{Row, TorrentId};

/// Rows of a page, in order.
#[derive(Debug)]
pub(super) struct Page<'a> {
    pub(super) rows: Vec<&'a Row>,
    /// What names the place after the last row, if there are more.
    pub(super) next: Option<String>,
}

/// What a row is sorted by. Of two with the same the one that was added first comes first, whatever the direction.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Key {
    Number(u64),
    Part(f64),
    Text(String),
}

impl Key {
    fn of(row: &Row, key: SortKey) -> Self {
        let live = || row.live.as_deref().copied().unwrap_or_default();
        match key {
            SortKey::AddedAt => Self::Number(u64::try_from(row.added_at).unwrap_or(0)),
            SortKey::Name => Self::Text(row.name.to_lowercase()),
            SortKey::State => Self::Number(row.state as u64),
            SortKey::Progress => Self::Part(row.progress()),
            SortKey::Size => Self::Number(row.size),
            SortKey::Have => Self::Number(row.have),
            SortKey::Uploaded => Self::Number(row.uploaded),
            SortKey::Downloaded => Self::Number(row.downloaded),
            SortKey::Ratio => Self::Part(row.ratio()),
            SortKey::UploadRate => Self::Number(live().upload_rate),
            SortKey::DownloadRate => Self::Number(live().download_rate),
            SortKey::Peers => Self::Number(live().peers.into()),
            SortKey::Seeds => Self::Number(live().seeds.into()),
            SortKey::Label => Self::Text(row.label.as_deref().unwrap_or_default().to_owned()),
            SortKey::InfoHash => Self::Text(row.info_hash.to_string()),
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(one), Self::Number(two)) => one.cmp(two),
            (Self::Part(one), Self::Part(two)) => one.total_cmp(two),
            (Self::Text(one), Self::Text(two)) => one.cmp(two),
            // Never in one list.
            _ => Ordering::Equal,
        }
    }

    /// As it stands in the name of a place: `id:n5`, `id:p0.5`, `id:ttext`.
    fn write(&self) -> String {
        match self {
            Self::Number(number) => format!("n{number}"),
            Self::Part(part) => format!("p{part}"),
            Self::Text(text) => format!("t{text}"),
        }
    }

    fn read(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_at_checked(1)?;
        match kind {
            "n" => rest.parse().ok().map(Self::Number),
            "p" => rest.parse().ok().map(Self::Part),
            "t" => Some(Self::Text(rest.to_owned())),
            _ => None,
        }
    }
}

/// A place in a list.
pub(super) type Place = (Option<Key>, TorrentId);

fn compare(one: &Place, two: &Place, is_descending: bool) -> Ordering {
    let keys = match (&one.0, &two.0) {
        (Some(one), Some(two)) => one.compare(two),
        _ => Ordering::Equal,
    };
    let keys = if is_descending { keys.reverse() } else { keys };
    keys.then(one.1.cmp(&two.1))
}

impl<'a> Page<'a> {
    /// The first `limit` of `rows` after the place `after`, sorted.
    pub(super) fn take(
        rows: impl Iterator<Item = (TorrentId, &'a Row)>,
        sort: Option<Sort>,
        after: Option<&Place>,
        limit: usize,
    ) -> Self {
        let is_descending = sort.is_some_and(|sort| sort.is_descending);
        let mut candidates: Vec<(Place, &Row)> = rows
            .map(|(id, row)| ((sort.map(|sort| Key::of(row, sort.key)), id), row))
            .filter(|(place, _)| {
                after.is_none_or(|after| compare(place, after, is_descending) == Ordering::Greater)
            })
            .collect();
        if sort.is_some() {
            candidates.sort_unstable_by(|(one, _), (two, _)| compare(one, two, is_descending));
        }
        let has_more = candidates.len() > limit;
        candidates.truncate(limit);
        let next = candidates
            .last()
            .filter(|_| has_more)
            .map(|((key, id), _)| format!("{}:{}", id.0, key.as_ref().map(Key::write).unwrap_or_default()));
        Self { rows: candidates.into_iter().map(|(_, row)| row).collect(), next }
    }
}

/// The place that the `next` of a page names.
pub(super) fn read_place(text: &str, sort: Option<Sort>) -> Result<Place, ErrorReply> {
    let read = || {
        let (id, key) = text.split_once(':')?;
        let id = TorrentId(id.parse().ok()?);
        match sort {
            Some(_) => Some((Some(Key::read(key)?), id)),
            None => Some((None, id)),
        }
    };
    read().ok_or_else(|| {
        ErrorReply::new(
            ErrorCode::BadRequest,
            "`after` is the `next` of the page before, with the same `sort`",
        )
    })
}
