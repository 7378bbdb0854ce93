//! Torrents come and go: each with its metadata, and with all that belongs to it.

use std::borrow::Cow;

use protocol::bencode::{BencodeError, scan_torrent};
use protocol::id::InfoHash;
use rusqlite::{Connection, OptionalExtension};

use super::{Change, State, StateError, trackers};

/// A torrent that is to be remembered.
#[derive(Debug, Clone)]
pub struct NewTorrent<'a> {
    /// Its name among peers.
    pub info_hash: InfoHash,
    /// When it was added, in seconds since 1970.
    pub added_at_s: i64,
    /// Its metadata, if that is here.
    pub metainfo: Option<RawMetainfo<'a>>,
    /// Everything else that is known of it.
    pub rest: Change,
}

/// The bytes of a .torrent file, or of what peers gave of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawMetainfo<'a> {
    /// What stands before the info dictionary; empty if that came from peers.
    pub head: Cow<'a, [u8]>,
    /// The info dictionary.
    pub info: Cow<'a, [u8]>,
    /// What stands after it.
    pub tail: Cow<'a, [u8]>,
}

impl<'a> RawMetainfo<'a> {
    /// Takes a .torrent file apart.
    ///
    /// # Errors
    /// When it is none.
    pub fn of_file(bytes: &'a [u8]) -> Result<Self, BencodeError> {
        let info = scan_torrent(bytes)?;
        let (head, tail) = (&bytes[..info.start], &bytes[info.end..]);
        Ok(Self { head: head.into(), info: bytes[info].into(), tail: tail.into() })
    }

    /// An info dictionary from peers.
    pub fn of_info(raw: &'a [u8]) -> Self {
        Self { head: Cow::default(), info: raw.into(), tail: Cow::default() }
    }

    /// The .torrent file, byte for byte; `None` if there was none.
    pub fn to_file(&self) -> Option<Vec<u8>> {
        (!self.head.is_empty()).then(|| [&*self.head, &*self.info, &*self.tail].concat())
    }
}

impl State {
    /// Adds a torrent. The answer is its number, which no other ever gets.
    ///
    /// # Errors
    /// [`StateError::Exists`] when it is there already; or when that cannot be written.
    pub fn insert(&mut self, torrent: &NewTorrent<'_>) -> Result<i64, StateError> {
        let inserted = self.write(|transaction, _| {
            if find(transaction, &torrent.info_hash)?.is_some() {
                return Ok(None);
            }
            let id = insert(transaction, &torrent.info_hash, Some(torrent.added_at_s))?;
            if let Some(metainfo) = &torrent.metainfo {
                save_info(transaction, id, metainfo)?;
            }
            torrent.rest.write(transaction, id)?;
            Ok(Some(id))
        })?;
        inserted.ok_or(StateError::Exists(torrent.info_hash))
    }

    /// Adds the torrent, or gives it another name and other trackers. The answer is its number.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn add(
        &mut self,
        info_hash: &InfoHash,
        name: Option<&str>,
        trackers: &[Vec<String>],
    ) -> Result<i64, StateError> {
        self.write(|transaction, _| {
            let id = match find(transaction, info_hash)? {
                Some(id) => id,
                None => insert(transaction, info_hash, None)?,
            };
            let name = name.map(str::to_owned);
            Change { name, trackers: Some(trackers.to_vec()), ..Change::default() }.write(transaction, id)?;
            Ok(id)
        })
    }

    /// Remembers the metadata of the torrent `id`, and with it what is known by it: name, size, paths. Nothing is
    /// written of a torrent that is not there.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn set_info(
        &mut self,
        id: i64,
        metainfo: &RawMetainfo<'_>,
        change: &Change,
    ) -> Result<(), StateError> {
        self.write(|transaction, _| {
            save_info(transaction, id, metainfo)?;
            change.write(transaction, id)
        })
    }

    /// Remembers `raw`, the `info` dictionary of a torrent that is there.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn save_info(&mut self, info_hash: &InfoHash, raw: &[u8]) -> Result<(), StateError> {
        self.write(|transaction, _| match find(transaction, info_hash)? {
            Some(id) => save_info(transaction, id, &RawMetainfo::of_info(raw)),
            None => Ok(()),
        })
    }

    /// The metadata of the torrent `id`, if that is here and its hash is right.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn metainfo(&mut self, id: i64) -> Result<Option<RawMetainfo<'static>>, StateError> {
        let query = "SELECT info_hash, raw, head, tail FROM torrent JOIN info ON torrent = id WHERE id = ?1";
        let read = self.connection.query_row(query, [id], |row| {
            let blob = |column| row.get::<_, Vec<u8>>(column).map(Cow::Owned);
            let metainfo = RawMetainfo { info: blob(1)?, head: blob(2)?, tail: blob(3)? };
            Ok((InfoHash::new(row.get(0)?), metainfo))
        });
        let read = read.optional().map_err(self.error())?;
        Ok(read.filter(|(info_hash, it)| InfoHash::of_info(&it.info) == *info_hash).map(|(_, it)| it))
    }

    /// Forgets the torrent `id`.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn delete(&mut self, id: i64) -> Result<(), StateError> {
        self.write(|transaction, _| {
            let set = trackers::set_of(transaction, id)?;
            transaction.prepare_cached("DELETE FROM torrent WHERE id = ?1")?.execute([id])?;
            trackers::release(transaction, set)
        })
    }
}

/// The number of a torrent.
pub(super) fn find(connection: &Connection, info_hash: &InfoHash) -> rusqlite::Result<Option<i64>> {
    let mut statement = connection.prepare_cached("SELECT id FROM torrent WHERE info_hash = ?1")?;
    statement.query_row([info_hash.as_bytes()], |row| row.get(0)).optional()
}

/// Makes the row of a torrent that was added then, or now.
fn insert(connection: &Connection, info_hash: &InfoHash, added_at_s: Option<i64>) -> rusqlite::Result<i64> {
    let insert = "INSERT INTO torrent (info_hash, added_at_s) VALUES (?1, ifnull(?2, unixepoch()))";
    connection.prepare_cached(insert)?.insert((info_hash.as_bytes(), added_at_s))
}

/// Writes the metadata of the torrent `id` down, if that is there.
pub(super) fn save_info(
    connection: &Connection,
    id: i64,
    metainfo: &RawMetainfo<'_>,
) -> rusqlite::Result<()> {
    let RawMetainfo { head, info, tail } = metainfo;
    let save = "INSERT OR REPLACE INTO info (torrent, raw, head, tail)
        SELECT id, ?2, ?3, ?4 FROM torrent WHERE id = ?1";
    connection.prepare_cached(save)?.execute((id, &**info, &**head, &**tail))?;
    Ok(())
}
