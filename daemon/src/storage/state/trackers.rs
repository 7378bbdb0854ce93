//! Trackers of torrents, each set of them kept once: torrents with the same tiers share a row.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row};

use super::json::Json;
use super::{State, StateError};

/// Announce URLs in tiers (BEP 12).
pub type Tiers = Vec<Vec<String>>;

impl State {
    /// All sets of trackers, by the number that [`super::Record::tracker_set`] names.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn tracker_sets(&mut self) -> Result<HashMap<i64, Tiers>, StateError> {
        let error = self.error();
        let mut statement = self.connection.prepare("SELECT id, tiers FROM tracker_set").map_err(&error)?;
        let set = |row: &Row<'_>| Ok((row.get(0)?, row.get::<_, Json<Tiers>>(1)?.0));
        statement.query_map([], set).and_then(Iterator::collect).map_err(&error)
    }
}

/// The trackers of the torrent `id`.
pub(super) fn load(connection: &Connection, id: i64) -> rusqlite::Result<Tiers> {
    let query =
        "SELECT tiers FROM torrent JOIN tracker_set ON tracker_set.id = tracker_set WHERE torrent.id = ?1";
    let tiers: Option<Json<Tiers>> = connection.query_row(query, [id], |row| row.get(0)).optional()?;
    Ok(tiers.map(|tiers| tiers.0).unwrap_or_default())
}

/// Gives the torrent `id` the trackers `tiers`.
pub(super) fn save(connection: &Connection, id: i64, tiers: &[Vec<String>]) -> rusqlite::Result<()> {
    let before = set_of(connection, id)?;
    let set = if tiers.is_empty() { None } else { Some(intern(connection, tiers)?) };
    connection.prepare_cached("UPDATE torrent SET tracker_set = ?2 WHERE id = ?1")?.execute((id, set))?;
    release(connection, before)
}

/// The set that the torrent `id` has.
pub(super) fn set_of(connection: &Connection, id: i64) -> rusqlite::Result<Option<i64>> {
    let mut statement = connection.prepare_cached("SELECT tracker_set FROM torrent WHERE id = ?1")?;
    Ok(statement.query_row([id], |row| row.get(0)).optional()?.flatten())
}

/// Forgets `set` if no torrent has it any more.
pub(super) fn release(connection: &Connection, set: Option<i64>) -> rusqlite::Result<()> {
    let delete = "DELETE FROM tracker_set WHERE id = ?1
        AND NOT EXISTS (SELECT 1 FROM torrent WHERE tracker_set = ?1)";
    connection.prepare_cached(delete)?.execute([set])?;
    Ok(())
}

/// The set of `tiers`, made if there is none.
fn intern(connection: &Connection, tiers: &[Vec<String>]) -> rusqlite::Result<i64> {
    let tiers = Json(tiers);
    connection
        .prepare_cached("INSERT INTO tracker_set (tiers) VALUES (?1) ON CONFLICT DO NOTHING")?
        .execute([&tiers])?;
    connection
        .prepare_cached("SELECT id FROM tracker_set WHERE tiers = ?1")?
        .query_row([&tiers], |row| row.get(0))
}
