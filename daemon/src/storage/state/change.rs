//! What changes of a torrent, by the user or by itself: written in part, as far as it is known to be different.

use protocol::control::FilePath;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::json::Json;
use super::trackers::Tiers;
use super::{State, StateError, paths, signed, trackers};

/// What is different. What is `None` stays as it is; of two `Option`s the inner one is the value.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Change {
    /// What to call it.
    pub name: Option<String>,
    /// The folder where the paths of its files start.
    pub dir: Option<String>,
    /// What the user calls its kind.
    pub label: Option<Option<String>>,
    /// What is wrong.
    pub error: Option<Option<String>>,
    /// Whether the user has stopped it.
    pub is_paused: Option<bool>,
    /// Whether nothing is ever to be fetched or written.
    pub is_seed_only: Option<bool>,
    /// Whether files of the right size are taken for whole.
    pub is_check_skipped: Option<bool>,
    /// Whether pieces are fetched in order.
    pub is_sequential: Option<bool>,
    /// Whether it is known what of it is on disk.
    pub is_looked_at: Option<bool>,
    /// The folder where its files lie until it is complete, if that is not `dir`.
    pub lies_in: Option<Option<String>>,
    /// Most bytes a second that peers get.
    pub upload_limit: Option<Option<u64>>,
    /// Most bytes a second that peers give.
    pub download_limit: Option<Option<u64>>,
    /// Uploaded in parts of downloaded at which it pauses.
    pub ratio_limit: Option<Option<f64>>,
    /// How long it is seeded, in seconds.
    pub seed_time_limit_s: Option<Option<u64>>,
    /// Bytes of what is wanted.
    pub size: Option<u64>,
    /// Bytes of these that are verified.
    pub have_bytes: Option<u64>,
    /// Payload bytes ever sent to peers.
    pub uploaded: Option<u64>,
    /// Payload bytes ever received from peers.
    pub downloaded: Option<u64>,
    /// Bytes that came twice, or were in pieces that failed their hash.
    pub wasted: Option<u64>,
    /// When all that was wanted was here, in seconds since 1970.
    pub completed_at_s: Option<Option<i64>>,
    /// How long it has been seeded, in seconds.
    pub seeded_s: Option<u64>,
    /// When its trackers may be asked again, in seconds since 1970.
    pub next_announce_s: Option<Option<i64>>,
    /// Its trackers; empty for none.
    pub trackers: Option<Tiers>,
    /// Which files are wanted; empty for all.
    pub select: Option<Vec<String>>,
    /// Files that lie elsewhere than the torrent says; empty for none.
    pub file_paths: Option<Vec<FilePath>>,
    /// Addresses of peers that its magnet link names; empty for none.
    pub peers: Option<Vec<String>>,
    /// Where its files lie, by [`super::path_hash`].
    pub paths: Option<Vec<i64>>,
}

/// What was chosen of a torrent's files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choices {
    /// Which are wanted; empty for all.
    pub select: Vec<String>,
    /// Those that lie elsewhere than the torrent says.
    pub file_paths: Vec<FilePath>,
    /// Addresses of peers that its magnet link names.
    pub peers: Vec<String>,
}

impl State {
    /// Changes the torrent `id`, if it is there.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn change(&mut self, id: i64, change: &Change) -> Result<(), StateError> {
        self.change_all([(id, change)])
    }

    /// Changes torrents that are there: all of them, or none.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn change_all<'a>(
        &mut self,
        changes: impl IntoIterator<Item = (i64, &'a Change)>,
    ) -> Result<(), StateError> {
        self.write(|transaction, _| {
            changes.into_iter().try_for_each(|(id, change)| change.write(transaction, id))
        })
    }

    /// What was chosen of the files of the torrent `id`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn choices(&mut self, id: i64) -> Result<Choices, StateError> {
        let query = "SELECT patterns, file_paths, peers FROM choice WHERE torrent = ?1";
        let choices = self.connection.query_row(query, [id], |row| {
            let (select, file_paths): (Option<Json<_>>, Option<Json<_>>) = (row.get(0)?, row.get(1)?);
            let peers: Option<Json<_>> = row.get(2)?;
            Ok(Choices {
                select: select.map(|it| it.0).unwrap_or_default(),
                file_paths: file_paths.map(|it| it.0).unwrap_or_default(),
                peers: peers.map(|it| it.0).unwrap_or_default(),
            })
        });
        Ok(choices.optional().map_err(self.error())?.unwrap_or_default())
    }
}

impl Change {
    /// Writes it down of the torrent `id`, if that is there.
    pub(super) fn write(&self, connection: &Connection, id: i64) -> rusqlite::Result<()> {
        let mut exists = connection.prepare_cached("SELECT 1 FROM torrent WHERE id = ?1")?;
        if !exists.exists([id])? {
            return Ok(());
        }
        self.write_columns(connection, id)?;
        if let Some(tiers) = &self.trackers {
            trackers::save(connection, id, tiers)?;
        }
        if let Some(select) = &self.select {
            choose(connection, id, "patterns", select)?;
        }
        if let Some(file_paths) = &self.file_paths {
            choose(connection, id, "file_paths", file_paths)?;
        }
        if let Some(peers) = &self.peers {
            choose(connection, id, "peers", peers)?;
        }
        self.paths.as_ref().map_or(Ok(()), |hashes| paths::save(connection, id, hashes))
    }

    fn write_columns(&self, connection: &Connection, id: i64) -> rusqlite::Result<()> {
        let columns = self.columns();
        if columns.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = columns.iter().map(|(name, _)| format!("{name} = ?")).collect();
        let update = format!("UPDATE torrent SET {} WHERE id = ?", names.join(", "));
        let values = columns.into_iter().map(|(_, value)| value).chain([Value::from(id)]);
        connection.prepare_cached(&update)?.execute(params_from_iter(values))?;
        Ok(())
    }

    /// The columns of the torrent's row that are different.
    fn columns(&self) -> Vec<(&'static str, Value)> {
        let count = |count: Option<u64>| count.map(|count| Value::from(signed(count)));
        let limit = |limit: Option<Option<u64>>| limit.map(|limit| Value::from(limit.map(signed)));
        let columns = [
            ("name", self.name.clone().map(Value::from)),
            ("dir", self.dir.clone().map(Value::from)),
            ("label", self.label.clone().map(Value::from)),
            ("error", self.error.clone().map(Value::from)),
            ("is_paused", self.is_paused.map(Value::from)),
            ("is_seed_only", self.is_seed_only.map(Value::from)),
            ("is_check_skipped", self.is_check_skipped.map(Value::from)),
            ("is_sequential", self.is_sequential.map(Value::from)),
            ("is_looked_at", self.is_looked_at.map(Value::from)),
            ("lies_in", self.lies_in.clone().map(Value::from)),
            ("upload_limit", limit(self.upload_limit)),
            ("download_limit", limit(self.download_limit)),
            ("ratio_limit", self.ratio_limit.map(Value::from)),
            ("seed_time_limit_s", limit(self.seed_time_limit_s)),
            ("size", count(self.size)),
            ("have_bytes", count(self.have_bytes)),
            ("uploaded", count(self.uploaded)),
            ("downloaded", count(self.downloaded)),
            ("wasted", count(self.wasted)),
            ("completed_at_s", self.completed_at_s.map(Value::from)),
            ("seeded_s", count(self.seeded_s)),
            ("next_announce_s", self.next_announce_s.map(Value::from)),
        ];
        columns.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// This change with what only `before` has to say.
    pub(super) fn over(self, before: Self) -> Self {
        Self {
            name: self.name.or(before.name),
            dir: self.dir.or(before.dir),
            label: self.label.or(before.label),
            error: self.error.or(before.error),
            is_paused: self.is_paused.or(before.is_paused),
            is_seed_only: self.is_seed_only.or(before.is_seed_only),
            is_check_skipped: self.is_check_skipped.or(before.is_check_skipped),
            is_sequential: self.is_sequential.or(before.is_sequential),
            is_looked_at: self.is_looked_at.or(before.is_looked_at),
            lies_in: self.lies_in.or(before.lies_in),
            upload_limit: self.upload_limit.or(before.upload_limit),
            download_limit: self.download_limit.or(before.download_limit),
            ratio_limit: self.ratio_limit.or(before.ratio_limit),
            seed_time_limit_s: self.seed_time_limit_s.or(before.seed_time_limit_s),
            size: self.size.or(before.size),
            have_bytes: self.have_bytes.or(before.have_bytes),
            uploaded: self.uploaded.or(before.uploaded),
            downloaded: self.downloaded.or(before.downloaded),
            wasted: self.wasted.or(before.wasted),
            completed_at_s: self.completed_at_s.or(before.completed_at_s),
            seeded_s: self.seeded_s.or(before.seeded_s),
            next_announce_s: self.next_announce_s.or(before.next_announce_s),
            trackers: self.trackers.or(before.trackers),
            select: self.select.or(before.select),
            file_paths: self.file_paths.or(before.file_paths),
            peers: self.peers.or(before.peers),
            paths: self.paths.or(before.paths),
        }
    }
}

/// Writes a choice of the torrent `id` down; an empty one is none.
fn choose<T: serde::Serialize>(
    connection: &Connection,
    id: i64,
    column: &'static str,
    list: &[T],
) -> rusqlite::Result<()> {
    if list.is_empty() {
        // Most torrents have no row here.
        let clear = format!("UPDATE choice SET {column} = NULL WHERE torrent = ?1");
        return connection.prepare_cached(&clear)?.execute([id]).map(drop);
    }
    let write = format!(
        "INSERT INTO choice (torrent, {column}) VALUES (?1, ?2)
        ON CONFLICT (torrent) DO UPDATE SET {column} = excluded.{column}"
    );
    connection.prepare_cached(&write)?.execute((id, Json(list)))?;
    Ok(())
}
