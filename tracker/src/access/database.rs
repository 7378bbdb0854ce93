//! Passkeys in somebody else's SQLite database: column `passkey` of table `passkeys`, and nothing but that. A connection
//! that only reads is kept, to see when others have changed something; it is opened to write for the admin API alone.
//! Whoever holds one of these never opens the file by other means: to close it again would take away the locks that
//! SQLite holds on it for all of this process (POSIX).

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

use super::entry::{Entry, Passkey};
use super::file::MAX_ENTRIES;
use super::{AccessError, EntryError};

/// What every database begins with.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// How long to wait for the transactions of others, which take milliseconds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A database with passkeys, open to be read.
#[derive(Debug)]
pub(super) struct Database {
    path: PathBuf,
    connection: Connection,
    /// Which file it was when it was opened: device and inode.
    file: (u64, u64),
    /// What SQLite counted when the passkeys were read: another number after others have written.
    data_version: i64,
}

impl Database {
    /// Whether the file at `path` is one.
    pub(super) fn is_at(path: &Path) -> Result<bool, AccessError> {
        let unreachable = |source| AccessError::Unreachable { path: path.into(), source };
        let mut start = [0; MAGIC.len()];
        match File::open(path).and_then(|mut file| file.read_exact(&mut start)) {
            Ok(()) => Ok(start == *MAGIC),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(unreachable(error)),
        }
    }

    /// Opens the database at `path`, and reads its passkeys.
    pub(super) fn open(path: &Path) -> Result<(Self, HashSet<Passkey>), AccessError> {
        let file = identity(path)?;
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(of_sqlite(path))?;
        let mut database = Self { path: path.into(), connection, file, data_version: 0 };
        let passkeys = database.load()?;
        Ok((database, passkeys))
    }

    /// Reads all passkeys.
    pub(super) fn load(&mut self) -> Result<HashSet<Passkey>, AccessError> {
        // Before the passkeys: what is written meanwhile is then read once more, and not missed.
        let data_version = self.ask_data_version()?;
        let passkeys = self.read_passkeys()?;
        self.data_version = data_version;
        Ok(passkeys)
    }

    /// Whether others, our own other connections among them, have written to it since the passkeys were read.
    pub(super) fn has_changed(&self) -> Result<bool, AccessError> {
        Ok(self.ask_data_version()? != self.data_version)
    }

    /// Whether another file has taken its place, which has to be opened anew.
    pub(super) fn is_replaced(&self) -> Result<bool, AccessError> {
        Ok(identity(&self.path)? != self.file)
    }

    fn ask_data_version(&self) -> Result<i64, AccessError> {
        let version = self.connection.query_row("PRAGMA data_version", [], |row| row.get(0));
        version.map_err(of_sqlite(&self.path))
    }

    fn read_passkeys(&self) -> Result<HashSet<Passkey>, AccessError> {
        let error = of_sqlite(&self.path);
        let query = "SELECT passkey FROM passkeys WHERE passkey IS NOT NULL";
        let mut statement = self.connection.prepare(query).map_err(&error)?;
        let mut rows = statement.query([]).map_err(&error)?;
        let (mut passkeys, mut number) = (HashSet::new(), 0);
        while let Some(row) = rows.next().map_err(&error)? {
            number += 1;
            let passkey = match row.get_ref(0).map_err(&error)? {
                ValueRef::Text(text) | ValueRef::Blob(text) => Passkey::read(text),
                _ => Err(EntryError::Passkey),
            };
            let fault = |source| AccessError::Row { path: self.path.clone(), row: number, source };
            passkeys.insert(passkey.map_err(fault)?);
            if passkeys.len() > MAX_ENTRIES {
                return Err(AccessError::TooMany(self.path.clone()));
            }
        }
        Ok(passkeys)
    }
}

/// Adds a row with `passkey` to the database at `path`, unless it has one: its other columns have their defaults.
pub(super) fn add(path: &Path, passkey: &Passkey) -> Result<(), AccessError> {
    let statement = "INSERT INTO passkeys (passkey) SELECT ?1 WHERE NOT EXISTS \
                     (SELECT 1 FROM passkeys WHERE passkey = ?1 OR passkey = CAST(?1 AS BLOB))";
    write(path, statement, passkey)
}

/// Takes all rows with `passkey` from the database at `path`.
pub(super) fn remove(path: &Path, passkey: &Passkey) -> Result<(), AccessError> {
    write(path, "DELETE FROM passkeys WHERE passkey = ?1 OR passkey = CAST(?1 AS BLOB)", passkey)
}

/// Runs `statement`: it is on disk when this returns.
fn write(path: &Path, statement: &str, passkey: &Passkey) -> Result<(), AccessError> {
    let run = || {
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        // Whatever its journal: what the admin API has confirmed is true after a power failure.
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute(statement, [passkey.to_string()])
    };
    run().map(drop).map_err(of_sqlite(path))
}

fn connect(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    // No SQLITE_OPEN_URI: a path is a path, whatever it looks like.
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(connection)
}

/// Which file is at `path`. It is not opened.
fn identity(path: &Path) -> Result<(u64, u64), AccessError> {
    let metadata = path.metadata();
    let metadata = metadata.map_err(|source| AccessError::Unreachable { path: path.into(), source })?;
    Ok((metadata.dev(), metadata.ino()))
}

fn of_sqlite(path: &Path) -> impl Fn(rusqlite::Error) -> AccessError {
    move |source| AccessError::Database { path: path.into(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with a database in it, and a connection of whoever owns it.
    fn database(schema: &str) -> (tempfile::TempDir, PathBuf, Connection) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.sqlite");
        let owner = Connection::open(&path).unwrap();
        owner.execute_batch(schema).unwrap();
        (folder, path, owner)
    }

    fn passkey(text: &str) -> Passkey {
        Passkey::read(text.as_bytes()).unwrap()
    }

    fn texts(passkeys: &HashSet<Passkey>) -> Vec<String> {
        let mut texts: Vec<_> = passkeys.iter().map(Passkey::to_string).collect();
        texts.sort();
        texts
    }

    const SCHEMA: &str = "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT);
        CREATE TABLE passkeys (user INTEGER DEFAULT 7, passkey, made TEXT DEFAULT 'now');
        INSERT INTO users VALUES (1, 'me');
        INSERT INTO passkeys (user, passkey) VALUES (1, 'text'), (2, CAST('blob' AS BLOB)), (3, NULL);";

    #[test]
    fn passkeys_are_texts_or_blobs() {
        let (_folder, path, _owner) = database(SCHEMA);
        assert!(Database::is_at(&path).unwrap());
        let (_database, passkeys) = Database::open(&path).unwrap();
        assert_eq!(texts(&passkeys), ["blob", "text"]);
    }

    #[test]
    fn a_change_by_others_is_seen_with_any_journal() {
        for mode in ["DELETE", "WAL"] {
            let (_folder, path, owner) = database(SCHEMA);
            owner.pragma_update_and_check(None, "journal_mode", mode, |_| Ok(())).unwrap();
            let (mut database, _) = Database::open(&path).unwrap();
            assert!(!database.has_changed().unwrap(), "{mode}");
            owner.execute("INSERT INTO passkeys (passkey) VALUES ('new')", []).unwrap();
            assert!(database.has_changed().unwrap(), "{mode}");
            assert_eq!(texts(&database.load().unwrap()), ["blob", "new", "text"]);
            assert!(!database.has_changed().unwrap(), "{mode}");
            assert!(!database.is_replaced().unwrap());
        }
    }

    #[test]
    fn another_file_in_its_place_is_seen() {
        let (folder, path, _owner) = database(SCHEMA);
        let (database, _) = Database::open(&path).unwrap();
        let other = folder.path().join("other");
        std::fs::copy(&path, &other).unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert!(database.is_replaced().unwrap());
    }

    #[test]
    fn rows_come_and_go_and_nothing_else_changes() {
        let (_folder, path, owner) = database(SCHEMA);
        for text in ["new", "new", "text", "blob"] {
            add(&path, &passkey(text)).unwrap();
        }
        let ask = |query: &str| owner.query_row(query, [], |row| row.get::<_, String>(0)).unwrap();
        let all = "SELECT group_concat(user || ':' || coalesce(passkey, '-') || ':' || made) FROM passkeys";
        assert_eq!(ask(all), "1:text:now,2:blob:now,3:-:now,7:new:now");
        for text in ["text", "blob", "none"] {
            remove(&path, &passkey(text)).unwrap();
        }
        assert_eq!(ask(all), "3:-:now,7:new:now");
        assert_eq!(ask("SELECT name FROM users"), "me");
        assert_eq!(ask("PRAGMA journal_mode"), "delete");
    }

    #[test]
    fn what_cannot_be_meant_is_told_with_its_place() {
        let open = |schema: &str| {
            let (_folder, path, _owner) = database(schema);
            Database::open(&path).unwrap_err().to_string()
        };
        let error = open("CREATE TABLE passkeys (passkey); INSERT INTO passkeys VALUES ('a'), ('b c');");
        assert!(error.contains("users.sqlite: row 2 of passkeys: a passkey is 1 to 64"), "{error}");
        assert!(open("CREATE TABLE passkeys (passkey); INSERT INTO passkeys VALUES (5)").contains("row 1"));
        let error = open("CREATE TABLE keys (passkey)");
        assert!(error.contains("users.sqlite: ") && error.contains("no such table: passkeys"), "{error}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "SQLite").unwrap();
        assert!(!Database::is_at(&path).unwrap());
        assert!(Database::is_at(&path.with_file_name("none")).is_err());
        assert!(Database::open(&path.with_file_name("none")).is_err(), "none is made");
        assert!(!path.with_file_name("none").exists());
    }
}
