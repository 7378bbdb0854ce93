//! What is remembered of one torrent, for whoever begins to work on it.
//!
//! Nothing that is read here is believed: the info dictionary is hashed, the bits go through [`super::trust`].

use std::collections::BTreeMap;

use protocol::id::InfoHash;
use rusqlite::{Connection, OptionalExtension};

use super::{FileRecord, State, StateError, trackers};

/// What is remembered of a torrent. The default is what is known of one that nobody has seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Saved {
    /// What to call it before its metadata is here.
    pub name: Option<String>,
    /// When it was added, in seconds since 1970.
    pub added_at_s: i64,
    /// Its trackers, by tier (BEP 12).
    pub trackers: Vec<Vec<String>>,
    /// The raw `info` dictionary, if it is known. Its hash is the info-hash.
    pub info: Option<Vec<u8>>,
    /// The pieces that were verified, as in a BITFIELD message. Of any length, and empty if there are none.
    pub have: Vec<u8>,
    /// Those of them that `fdatasync` had brought to disk.
    pub synced: Vec<u8>,
    /// Whether the kernel has run since then: what was written is still there, on disk or not.
    pub is_same_boot: bool,
    /// How payload files looked then, by their number in the torrent.
    pub files: BTreeMap<u32, FileRecord>,
    /// Payload bytes ever sent to peers.
    pub uploaded: u64,
    /// Payload bytes ever received from peers.
    pub downloaded: u64,
}

impl State {
    /// What is remembered of the torrent `info_hash`, or `None` if it was never added.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn load(&mut self, info_hash: &InfoHash) -> Result<Option<Saved>, StateError> {
        let error = self.error();
        let boot_id = self.boot_id.as_deref();
        // One transaction, so that what is read belongs together.
        let transaction = self.connection.transaction().map_err(&error)?;
        load(&transaction, info_hash, boot_id).map_err(&error)
    }
}

fn load(
    connection: &Connection,
    info_hash: &InfoHash,
    boot_id: Option<&str>,
) -> rusqlite::Result<Option<Saved>> {
    let query = "SELECT id, name, added_at_s, uploaded, downloaded FROM torrent WHERE info_hash = ?1";
    let row = |row: &rusqlite::Row<'_>| {
        let (name, added_at_s) = (row.get(1)?, row.get(2)?);
        let (uploaded, downloaded) = (row.get(3)?, row.get(4)?);
        Ok((row.get(0)?, Saved { name, added_at_s, uploaded, downloaded, ..Saved::default() }))
    };
    let Some((id, mut saved)) = connection.query_row(query, [info_hash.as_bytes()], row).optional()? else {
        return Ok(None);
    };
    saved.info = load_info(connection, id, info_hash)?;
    saved.trackers = trackers::load(connection, id)?;
    saved.files = load_files(connection, id)?;
    load_progress(connection, id, boot_id, &mut saved)?;
    Ok(Some(saved))
}

fn load_info(connection: &Connection, id: i64, info_hash: &InfoHash) -> rusqlite::Result<Option<Vec<u8>>> {
    let query = "SELECT raw FROM info WHERE torrent = ?1";
    let raw: Option<Vec<u8>> = connection.query_row(query, [id], |row| row.get(0)).optional()?;
    Ok(raw.filter(|raw| InfoHash::of_info(raw) == *info_hash))
}

fn load_files(connection: &Connection, id: i64) -> rusqlite::Result<BTreeMap<u32, FileRecord>> {
    let query = "SELECT number, length, inode, modified_s, modified_ns FROM file WHERE torrent = ?1";
    let file = |row: &rusqlite::Row<'_>| {
        let inode: i64 = row.get(2)?;
        let (modified_s, modified_ns) = (row.get(3)?, row.get(4)?);
        let file = FileRecord { length: row.get(1)?, inode: inode.cast_unsigned(), modified_s, modified_ns };
        Ok((row.get(0)?, file))
    };
    connection.prepare(query)?.query_map([id], file)?.collect()
}

fn load_progress(
    connection: &Connection,
    id: i64,
    boot_id: Option<&str>,
    saved: &mut Saved,
) -> rusqlite::Result<()> {
    let query = "SELECT have, synced, boot_id FROM progress WHERE torrent = ?1";
    let mut statement = connection.prepare(query)?;
    let mut rows = statement.query([id])?;
    let Some(row) = rows.next()? else { return Ok(()) };
    let boot_then: Option<String> = row.get(2)?;
    saved.have = row.get(0)?;
    saved.synced = row.get(1)?;
    saved.is_same_boot = boot_id.is_some() && boot_then.as_deref() == boot_id;
    Ok(())
}
