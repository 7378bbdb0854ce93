//! A torrent of the state, as it is held in memory while it is a row: one that is added and one that was there when btd
//! started are alike.

use std::sync::Arc;

use protocol::control::State as Shown;

use crate::bus::{RateLimits, Row, Trackers};
use crate::storage::state::Record;

use super::entry::{Entry, Marks, Stage};
use super::goals::OwnGoals;
use super::interned::Interned;

/// What everybody may see of it.
pub(super) fn row(record: &Record<'_>, interned: &mut Interned, trackers: Arc<Trackers>) -> Row {
    Row {
        info_hash: record.info_hash,
        name: record.name.map_or_else(|| record.info_hash.to_string().into(), Into::into),
        state: if record.error.is_some() { Shown::Error } else { Shown::Paused },
        checked: 0.0,
        size: record.size,
        have: record.have_bytes,
        uploaded: record.uploaded,
        downloaded: record.downloaded,
        live: None,
        label: record.label.map(|label| interned.text(label)),
        error: record.error.map(Into::into),
        dir: interned.text(record.dir),
        added_at: record.added_at_s,
        trackers,
    }
}

/// What the catalog knows of it.
pub(super) fn entry(record: &Record<'_>) -> Entry {
    let limits =
        RateLimits { upload_bytes_per_s: record.upload_limit, download_bytes_per_s: record.download_limit };
    let goals = OwnGoals { ratio: record.ratio_limit, seed_time_s: record.seed_time_limit_s };
    Entry {
        info_hash: record.info_hash,
        stage: Stage::Row,
        marks: Marks {
            is_paused: record.is_paused,
            is_seed_only: record.is_seed_only,
            is_check_skipped: record.is_check_skipped,
            is_sequential: record.is_sequential,
            has_info: record.has_info,
            is_looked_at: record.is_looked_at,
            is_complete: record.is_looked_at && record.have_bytes == record.size,
            is_failed: record.error.is_some(),
            ..Marks::default()
        },
        wish: None,
        stats: None,
        limits: (limits != Default::default()).then(|| Box::new(limits)),
        goals: (goals != OwnGoals::default()).then(|| Box::new(goals)),
        lies_in: record.lies_in.map(Into::into),
        completed_at_s: record.completed_at_s,
        wasted: record.wasted,
        seeded_s: record.seeded_s,
        seeding_since_s: None,
        next_announce_s: record.next_announce_s,
    }
}
