//! The tables, and what is asked of SQLite. A database of an earlier version is brought up to date when it is opened.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::{State, StateError};

/// Marks a database as ours, for `file` too: "btd" and a zero.
const APPLICATION_ID: i64 = 0x6274_6400;
/// What leads from each version of the schema to the next; the first starts from an empty database, and `user_version`
/// tells how many were applied. What has been released is never edited. Foreign keys are off meanwhile.
const MIGRATIONS: &[&str] = &[include_str!("schema_1.sql"), include_str!("schema_2.sql")];
/// Pages in the write-ahead log, 16 MiB of them, before they are moved to the database: a page that is written often is
/// moved once, and who commits waits for the disk less often.
const CHECKPOINT_PAGES: i64 = 4_096;
/// Memory for pages, of each connection. SQLite takes four times as much by itself: pages that come from the page cache
/// of the kernel just as well.
const CACHE_KIB: i64 = 512;
/// How long to ask for the write-ahead log while other processes open the database too.
const MODE_TIMEOUT: Duration = Duration::from_secs(5);
const MODE_PAUSE: Duration = Duration::from_millis(10);

/// Checks that the database is ours, and brings it to the present version.
pub(super) fn prepare(state: &mut State) -> Result<(), StateError> {
    let error = state.error();
    // Looked at before anything is written to what may not be ours, as one transaction: others may be making it.
    let transaction = state.connection.transaction().map_err(&error)?;
    check(&transaction, &state.path)?;
    drop(transaction);
    set_modes(&state.connection).map_err(&error)?;
    let transaction = state.connection.transaction_with_behavior(TransactionBehavior::Immediate);
    let transaction = transaction.map_err(&error)?;
    // And again, now that nobody else can write.
    let found = check(&transaction, &state.path)?;
    migrate(&transaction, found).and_then(|()| transaction.commit()).map_err(&error)?;
    state.connection.pragma_update(None, "foreign_keys", true).map_err(&error)
}

/// The version of the database. Refuses what another program, or a later version of this one, has written.
fn check(connection: &Connection, path: &Path) -> Result<i64, StateError> {
    let ask = |query| integer(connection, query).map_err(|source| StateError::of_sqlite(path, source));
    let id = ask("PRAGMA application_id")?;
    let found = ask("PRAGMA user_version")?;
    let is_empty = id == 0 && found == 0 && ask("SELECT count(*) FROM sqlite_schema")? == 0;
    if (id != APPLICATION_ID && !is_empty) || found < 0 {
        return Err(StateError::Foreign(path.into()));
    }
    if found > known_version() {
        return Err(StateError::Newer { path: path.into(), found, known: known_version() });
    }
    Ok(found)
}

/// Goes from version `found` to the present one.
fn migrate(connection: &Connection, found: i64) -> rusqlite::Result<()> {
    for (version, migration) in (1..).zip(MIGRATIONS) {
        if version > found {
            connection.execute_batch(migration)?;
            connection.pragma_update(None, "application_id", APPLICATION_ID)?;
            connection.pragma_update(None, "user_version", version)?;
        }
    }
    Ok(())
}

/// Chooses how the database is written.
///
/// With a write-ahead log, NORMAL costs a power failure no more than the last transactions, never the database: what is
/// then read was true earlier, and `synced` of earlier is still true. Other journals need FULL for as much; they are
/// what SQLite falls back on where a file system has no shared memory.
fn set_modes(connection: &Connection) -> rusqlite::Result<()> {
    let mode = ask_for_wal(connection)?;
    let synchronous = if mode == "wal" { "NORMAL" } else { "FULL" };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update_and_check(None, "wal_autocheckpoint", CHECKPOINT_PAGES, |_| Ok(()))?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    // For the migrations: to drop a table would remove what refers to it.
    connection.pragma_update(None, "foreign_keys", false)
}

/// SQLite does not wait where two connections change the mode at once, but says that it is busy.
fn ask_for_wal(connection: &Connection) -> rusqlite::Result<String> {
    let deadline = Instant::now() + MODE_TIMEOUT;
    loop {
        let mode = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0));
        match mode {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && Instant::now() < deadline =>
            {
                std::thread::sleep(MODE_PAUSE);
            }
            mode => return mode,
        }
    }
}

fn integer(connection: &Connection, query: &str) -> rusqlite::Result<i64> {
    connection.query_row(query, [], |row| row.get(0))
}

fn known_version() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::thread;

    use tempfile::TempDir;

    use super::*;

    fn folder() -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.sqlite");
        (folder, path)
    }

    #[test]
    fn an_opened_database_is_marked_and_opens_again() {
        let (_folder, path) = folder();
        for _ in 0..2 {
            let state = State::open(&path).unwrap();
            assert_eq!(integer(&state.connection, "PRAGMA application_id").unwrap(), APPLICATION_ID);
            assert_eq!(integer(&state.connection, "PRAGMA user_version").unwrap(), 2);
            assert_eq!(integer(&state.connection, "PRAGMA synchronous").unwrap(), 1, "NORMAL");
            assert_eq!(integer(&state.connection, "PRAGMA foreign_keys").unwrap(), 1);
            let mode: String =
                state.connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
            assert_eq!(mode, "wal");
        }
    }

    #[test]
    fn a_database_of_a_later_version_is_refused_and_left_alone() {
        let (_folder, path) = folder();
        State::open(&path).unwrap().connection.pragma_update(None, "user_version", 9).unwrap();
        let error = State::open(&path).unwrap_err();
        assert!(matches!(error, StateError::Newer { found: 9, known: 2, .. }), "{error}");
        assert!(error.to_string().contains("later btd"), "{error}");
        let connection = Connection::open(&path).unwrap();
        assert_eq!(integer(&connection, "PRAGMA user_version").unwrap(), 9);
    }

    #[test]
    fn a_database_of_another_program_is_refused_and_left_alone() {
        let (_folder, path) = folder();
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE mine (a)").unwrap();
        let before = std::fs::read(&path).unwrap();
        assert!(matches!(State::open(&path), Err(StateError::Foreign(_))));
        assert!(std::fs::read(&path).unwrap() == before);
    }

    #[test]
    fn what_is_no_database_is_refused_by_name() {
        let (_folder, path) = folder();
        std::fs::write(&path, "a shopping list of more than one page ".repeat(200)).unwrap();
        let error = State::open(&path).unwrap_err();
        assert!(matches!(error, StateError::NotADatabase(_)), "{error}");
        assert!(error.to_string().contains("state.sqlite: not a database"), "{error}");
    }

    #[test]
    fn many_may_open_a_new_database_at_once() {
        for _ in 0..20 {
            let (_folder, path) = folder();
            thread::scope(|scope| {
                let openings: Vec<_> = (0..4).map(|_| scope.spawn(|| State::open(&path).map(drop))).collect();
                for opening in openings {
                    opening.join().unwrap().unwrap();
                }
            });
        }
    }
}
