//! Lists: which rows, and what has changed.

use std::ops::Bound;

use protocol::control::{DEFAULT_PAGE, ErrorCode, ErrorReply, ListQuery, ListReply, MAX_PAGE};

use super::page::{Page, read_place};
use super::{Board, Row, Rows, TorrentId};

impl Board {
    /// The rows that `query` asks for.
    ///
    /// # Errors
    /// When it asks for what makes no sense.
    pub fn list(&self, query: &ListQuery) -> Result<ListReply, ErrorReply> {
        let limit = query.limit.unwrap_or(DEFAULT_PAGE);
        if !(1..=MAX_PAGE).contains(&limit) {
            let message = format!("limit {limit}: a page has from 1 to {MAX_PAGE} rows");
            return Err(ErrorReply::new(ErrorCode::BadRequest, message));
        }
        let rows = self.read();
        match query.since {
            Some(_) if query.sort.is_some() || query.after.is_some() => Err(ErrorReply::new(
                ErrorCode::BadRequest,
                "changes come in their own order: `since` goes with neither `sort` nor `after`",
            )),
            Some(since) if rows.remembers(since) => Ok(rows.changes(query, since, limit as usize)),
            Some(_) => Ok(ListReply { is_full: true, ..rows.page(query, limit as usize)? }),
            None => rows.page(query, limit as usize),
        }
    }
}

/// Whether `row` is one of those that `query` asks for.
fn matches(query: &ListQuery, row: &Row) -> bool {
    let has_label = |label: &String| row.label.as_deref().unwrap_or_default() == label;
    let has_tracker = |host: &String| row.trackers.hosts.iter().any(|it| it.eq_ignore_ascii_case(host));
    query.state.is_none_or(|state| row.state == state)
        && query.label.as_ref().is_none_or(has_label)
        && query.tracker.as_ref().is_none_or(has_tracker)
}

impl Rows {
    /// Whether all changes since `revision` are known. One of the future is of an earlier run.
    fn remembers(&self, revision: u64) -> bool {
        (self.forgotten..=self.revision).contains(&revision)
    }

    /// What has changed since a revision, the earliest changes first.
    fn changes(&self, query: &ListQuery, since: u64, limit: usize) -> ListReply {
        let after = since.saturating_add(1);
        let mut removals =
            self.removed.iter().skip(self.removed.partition_point(|(revision, _)| *revision < after));
        let mut changes = self.by_revision.range(after..);
        let (mut removal, mut change) = (removals.next(), changes.next());
        let mut reply = ListReply { revision: since, ..ListReply::default() };
        for _ in 0..limit {
            match (removal, change) {
                (Some((revision, info_hash)), changed)
                    if changed.is_none_or(|(other, _)| revision < other) =>
                {
                    reply.revision = *revision;
                    reply.removed.push(*info_hash);
                    removal = removals.next();
                }
                (_, Some((revision, id))) => {
                    reply.revision = *revision;
                    if let Some(it) = self.rows.get(id) {
                        match matches(query, &it.row) {
                            true => reply.torrents.push(it.row.to_torrent()),
                            false => reply.removed.push(it.row.info_hash),
                        }
                    }
                    change = changes.next();
                }
                (None, None) | (Some(_), None) => break,
            }
        }
        reply.has_more = removal.is_some() || change.is_some();
        reply.total = reply.torrents.len() as u64;
        // One that was removed and added again is not gone.
        reply.removed.retain(|info_hash| {
            let row = self.by_info_hash.get(info_hash).and_then(|id| self.rows.get(id));
            row.is_none_or(|it| !matches(query, &it.row))
        });
        reply
    }

    /// A page of all that match.
    fn page(&self, query: &ListQuery, limit: usize) -> Result<ListReply, ErrorReply> {
        let after = query.after.as_deref().map(|text| read_place(text, query.sort)).transpose()?;
        let is_filtered = query.state.is_some() || query.label.is_some() || query.tracker.is_some();
        let total =
            if is_filtered { self.matching(query, Bound::Unbounded).count() } else { self.rows.len() };
        let page = match query.sort {
            Some(_) => Page::take(self.matching(query, Bound::Unbounded), query.sort, after.as_ref(), limit),
            // Rows lie in this order: those of other pages are not looked at.
            None => {
                let begin = after.map_or(Bound::Unbounded, |(_, id)| Bound::Excluded(id));
                Page::take(self.matching(query, begin).take(limit + 1), None, None, limit)
            }
        };
        Ok(ListReply {
            revision: self.revision,
            total: total as u64,
            torrents: page.rows.into_iter().map(Row::to_torrent).collect(),
            next: page.next,
            ..ListReply::default()
        })
    }

    /// Those that match, in the order of their addition.
    fn matching(
        &self,
        query: &ListQuery,
        begin: Bound<TorrentId>,
    ) -> impl Iterator<Item = (TorrentId, &Row)> {
        let rows = self.rows.range((begin, Bound::Unbounded)).map(|(id, it)| (*id, &it.row));
        rows.filter(|(_, row)| matches(query, row))
    }
}
