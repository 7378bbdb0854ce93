//! Where payload lies: finds other torrents with files at the same paths. What to make of them is the catalog's.
//!
//! Of a path 64 bits of its SHA-1 are kept: two of a million paths look alike once in some ten million services.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rusqlite::Connection;
use sha1::{Digest, Sha1};

use super::{State, StateError};

/// What stands for `path`, an absolute one without `.` and `..`, here. The same in every version.
pub fn path_hash(path: &Path) -> i64 {
    let [a, b, c, d, e, f, g, h, ..]: [u8; 20] = Sha1::digest(path.as_os_str().as_bytes()).into();
    i64::from_be_bytes([a, b, c, d, e, f, g, h])
}

impl State {
    /// The torrents, but `except`, that have one of the paths whose hashes are `paths`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn with_paths(&mut self, paths: &[i64], except: Option<i64>) -> Result<BTreeSet<i64>, StateError> {
        let error = self.error();
        let transaction = self.connection.transaction().map_err(&error)?;
        holders(&transaction, paths, except).map_err(&error)
    }
}

fn holders(connection: &Connection, paths: &[i64], except: Option<i64>) -> rusqlite::Result<BTreeSet<i64>> {
    let mut found = BTreeSet::new();
    let query = "SELECT torrent FROM path WHERE hash = ?1 AND torrent IS NOT ?2";
    let mut statement = connection.prepare_cached(query)?;
    for hash in paths {
        for torrent in statement.query_map((hash, except), |row| row.get(0))? {
            found.insert(torrent?);
        }
    }
    Ok(found)
}

/// Gives the torrent `id` the paths whose hashes are `paths`.
pub(super) fn save(connection: &Connection, id: i64, paths: &[i64]) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM path WHERE torrent = ?1")?.execute([id])?;
    let mut insert = connection.prepare_cached("INSERT OR IGNORE INTO path VALUES (?1, ?2)")?;
    paths.iter().try_for_each(|hash| insert.execute((id, hash)).map(drop))
}
