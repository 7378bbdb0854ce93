//! What is remembered of a torrent: read at its start, written as it goes on.
//!
//! Every write is one transaction, so that bits and the files that they are true of are remembered together or not at
//! all. Nothing that is read here is believed: the info dictionary is hashed, the bits go through [`super::trust`].

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use protocol::id::InfoHash;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::{State, StateError};

/// How a payload file looked. The device is left out: it may get another number with every boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileRecord {
    /// Bytes in the file.
    pub length: u64,
    /// Which file it is on its device.
    pub inode: u64,
    /// When it was last written, in seconds since 1970.
    pub modified_s: i64,
    /// And the nanoseconds.
    pub modified_ns: i64,
}

impl FileRecord {
    /// The file that `metadata` describes.
    pub fn new(metadata: &Metadata) -> Self {
        Self {
            length: metadata.len(),
            inode: metadata.ino(),
            modified_s: metadata.mtime(),
            modified_ns: metadata.mtime_nsec(),
        }
    }
}

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

/// Where a download stands.
///
/// `have` is to be copied first, and files looked at then: a piece that is written in between is only checked again,
/// where the other way round its whole file would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The torrent.
    pub info_hash: InfoHash,
    /// The pieces that are verified and written, as in a BITFIELD message.
    pub have: Vec<u8>,
    /// Those of them that were written before an `fdatasync` of their files returned.
    pub synced: Vec<u8>,
    /// How files look that were written since the last progress; the others are remembered as they were.
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

    /// Adds the torrent, or gives it another name and other trackers.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn add(
        &mut self,
        info_hash: &InfoHash,
        name: Option<&str>,
        trackers: &[Vec<String>],
    ) -> Result<(), StateError> {
        self.write(|transaction, _| {
            let id = torrent_id(transaction, info_hash)?;
            transaction.execute("UPDATE torrent SET name = ?2 WHERE id = ?1", params![id, name])?;
            transaction.execute("DELETE FROM tracker WHERE torrent = ?1", [id])?;
            let mut insert = transaction.prepare_cached("INSERT INTO tracker VALUES (?1, ?2, ?3, ?4)")?;
            for (tier, urls) in trackers.iter().enumerate() {
                for (rank, url) in urls.iter().enumerate() {
                    insert.execute(params![id, tier, rank, url])?;
                }
            }
            Ok(())
        })
    }

    /// Remembers `raw`, the `info` dictionary of a torrent, and the torrent with it.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn save_info(&mut self, info_hash: &InfoHash, raw: &[u8]) -> Result<(), StateError> {
        self.write(|transaction, _| {
            let id = torrent_id(transaction, info_hash)?;
            transaction.execute("INSERT OR REPLACE INTO info VALUES (?1, ?2)", params![id, raw])?;
            Ok(())
        })
    }

    /// Remembers where downloads stand: all of them, or none.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn record<'a>(&mut self, progress: impl IntoIterator<Item = &'a Progress>) -> Result<(), StateError> {
        self.write(|transaction, boot_id| {
            progress.into_iter().try_for_each(|progress| record(transaction, progress, boot_id))
        })
    }

    /// Forgets the torrent.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn remove(&mut self, info_hash: &InfoHash) -> Result<(), StateError> {
        self.write(|transaction, _| {
            transaction.execute("DELETE FROM torrent WHERE info_hash = ?1", [info_hash.as_bytes()])?;
            Ok(())
        })
    }

    /// Runs `change` as one transaction, after those of other processes.
    fn write(
        &mut self,
        change: impl FnOnce(&Transaction<'_>, Option<&str>) -> rusqlite::Result<()>,
    ) -> Result<(), StateError> {
        let error = self.error();
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let transaction = transaction.map_err(&error)?;
        change(&transaction, self.boot_id.as_deref()).map_err(&error)?;
        transaction.commit().map_err(&error)
    }
}

/// The row of a torrent, made if there is none.
fn torrent_id(connection: &Connection, info_hash: &InfoHash) -> rusqlite::Result<i64> {
    let hash = info_hash.as_bytes();
    let mut insert =
        connection.prepare_cached("INSERT INTO torrent (info_hash) VALUES (?1) ON CONFLICT DO NOTHING")?;
    insert.execute([hash])?;
    connection
        .prepare_cached("SELECT id FROM torrent WHERE info_hash = ?1")?
        .query_row([hash], |row| row.get(0))
}

fn record(connection: &Connection, progress: &Progress, boot_id: Option<&str>) -> rusqlite::Result<()> {
    let id = torrent_id(connection, &progress.info_hash)?;
    let Progress { have, synced, uploaded, downloaded, .. } = progress;
    connection
        .prepare_cached("INSERT OR REPLACE INTO progress VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![id, have, synced, boot_id, signed(*uploaded), signed(*downloaded)])?;
    let mut insert =
        connection.prepare_cached("INSERT OR REPLACE INTO file VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    for (number, file) in &progress.files {
        let (length, inode) = (signed(file.length), file.inode.cast_signed());
        insert.execute(params![id, number, length, inode, file.modified_s, file.modified_ns])?;
    }
    Ok(())
}

/// SQLite's integers are signed; no count of bytes gets that far.
fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn load(
    connection: &Connection,
    info_hash: &InfoHash,
    boot_id: Option<&str>,
) -> rusqlite::Result<Option<Saved>> {
    let query = "SELECT id, name, added_at_s FROM torrent WHERE info_hash = ?1";
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let Some((id, name, added_at_s)) = connection.query_row(query, [info_hash.as_bytes()], row).optional()?
    else {
        return Ok(None);
    };
    let mut saved = Saved { name, added_at_s, ..Saved::default() };
    saved.info = load_info(connection, id, info_hash)?;
    saved.trackers = load_trackers(connection, id)?;
    saved.files = load_files(connection, id)?;
    load_progress(connection, id, boot_id, &mut saved)?;
    Ok(Some(saved))
}

fn load_info(connection: &Connection, id: i64, info_hash: &InfoHash) -> rusqlite::Result<Option<Vec<u8>>> {
    let query = "SELECT raw FROM info WHERE torrent = ?1";
    let raw: Option<Vec<u8>> = connection.query_row(query, [id], |row| row.get(0)).optional()?;
    Ok(raw.filter(|raw| InfoHash::of_info(raw) == *info_hash))
}

fn load_trackers(connection: &Connection, id: i64) -> rusqlite::Result<Vec<Vec<String>>> {
    let query = "SELECT tier, url FROM tracker WHERE torrent = ?1 ORDER BY tier, rank";
    let mut tiers: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    let mut statement = connection.prepare(query)?;
    let mut rows = statement.query([id])?;
    while let Some(row) = rows.next()? {
        tiers.entry(row.get(0)?).or_default().push(row.get(1)?);
    }
    Ok(tiers.into_values().collect())
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
    let query = "SELECT have, synced, boot_id, uploaded, downloaded FROM progress WHERE torrent = ?1";
    let mut statement = connection.prepare(query)?;
    let mut rows = statement.query([id])?;
    let Some(row) = rows.next()? else { return Ok(()) };
    let boot_then: Option<String> = row.get(2)?;
    saved.have = row.get(0)?;
    saved.synced = row.get(1)?;
    saved.is_same_boot = boot_id.is_some() && boot_then.as_deref() == boot_id;
    saved.uploaded = row.get(3)?;
    saved.downloaded = row.get(4)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const TORRENT: InfoHash = InfoHash::new([7; 20]);

    fn state() -> (tempfile::TempDir, State) {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(&folder.path().join(".btd/state.sqlite")).unwrap();
        (folder, state)
    }

    fn file(length: u64) -> FileRecord {
        FileRecord { length, inode: u64::MAX - 1, modified_s: -5, modified_ns: 999_999_999 }
    }

    fn progress(byte: u8) -> Progress {
        Progress {
            info_hash: TORRENT,
            have: vec![byte; 3],
            synced: vec![byte, 0, 0],
            files: BTreeMap::from([(u32::from(byte), file(10))]),
            uploaded: u64::from(byte),
            downloaded: 1 << 50,
        }
    }

    #[test]
    fn what_was_recorded_is_there_after_the_process_died() {
        let (_folder, mut state) = state();
        assert_eq!(state.load(&TORRENT).unwrap(), None);
        state.record(&[progress(1)]).unwrap();
        state.record(&[progress(2)]).unwrap();
        // Neither closed nor checkpointed: what is on disk is what a killed process leaves.
        let path = state.path().to_owned();
        let saved = State::open(&path).unwrap().load(&TORRENT).unwrap().unwrap();
        let Progress { have, synced, uploaded, downloaded, .. } = progress(2);
        assert_eq!((saved.have, saved.synced), (have, synced));
        assert_eq!((saved.uploaded, saved.downloaded), (uploaded, downloaded));
        assert_eq!(saved.files, BTreeMap::from([(1, file(10)), (2, file(10))]));
        assert!(saved.is_same_boot && saved.added_at_s > 0);
        drop(state);
    }

    #[test]
    fn a_record_of_several_downloads_is_written_whole_or_not_at_all() {
        let (_folder, mut state) = state();
        state.record(&[progress(1)]).unwrap();
        let trigger = "CREATE TRIGGER full BEFORE INSERT ON file WHEN NEW.number = 3
            BEGIN SELECT RAISE(ABORT, 'full'); END";
        state.connection.execute_batch(trigger).unwrap();
        let other = Progress { info_hash: InfoHash::new([8; 20]), ..progress(2) };
        let error = state.record(&[other.clone(), progress(3)]).unwrap_err();
        assert!(error.to_string().contains("state.sqlite: full"), "{error}");
        assert_eq!(state.load(&other.info_hash).unwrap(), None);
        assert_eq!(state.load(&TORRENT).unwrap().unwrap().have, [1; 3]);
    }

    #[test]
    fn another_boot_and_an_unknown_one_are_told() {
        let (_folder, mut state) = state();
        state.record(&[progress(1)]).unwrap();
        for boot_id in [Some("another".to_owned()), None] {
            state.boot_id = boot_id;
            assert!(!state.load(&TORRENT).unwrap().unwrap().is_same_boot);
        }
        state.record(&[progress(1)]).unwrap();
        assert!(!state.load(&TORRENT).unwrap().unwrap().is_same_boot, "two that are unknown");
    }

    #[test]
    fn info_is_kept_and_believed_only_if_its_hash_is_right() {
        let (_folder, mut state) = state();
        let info_hash = InfoHash::of_info(b"d4:name1:ae");
        state.save_info(&info_hash, b"d4:name1:ae").unwrap();
        state.record(&[Progress { info_hash, ..progress(1) }]).unwrap();
        assert_eq!(state.load(&info_hash).unwrap().unwrap().info.unwrap(), b"d4:name1:ae");
        state.save_info(&info_hash, b"d4:name1:be").unwrap();
        assert_eq!(state.load(&info_hash).unwrap().unwrap().info, None);
    }

    #[test]
    fn a_torrent_is_added_renamed_and_forgotten() {
        let (_folder, mut state) = state();
        let tiers = |tiers: &[&[&str]]| -> Vec<Vec<String>> {
            tiers.iter().map(|urls| urls.iter().map(|url| (*url).to_owned()).collect()).collect()
        };
        let first = tiers(&[&["http://b/", "http://a/"], &["udp://c/"]]);
        state.add(&TORRENT, None, &first).unwrap();
        assert_eq!(state.load(&TORRENT).unwrap().unwrap().trackers, first);
        state.add(&TORRENT, Some("name"), &tiers(&[&["udp://d/"]])).unwrap();
        state.record(&[progress(1)]).unwrap();
        let saved = state.load(&TORRENT).unwrap().unwrap();
        assert_eq!((saved.name.as_deref(), saved.trackers), (Some("name"), tiers(&[&["udp://d/"]])));
        state.remove(&TORRENT).unwrap();
        assert_eq!(state.load(&TORRENT).unwrap(), None);
        for table in ["torrent", "tracker", "progress", "file"] {
            let query = format!("SELECT count(*) FROM {table}");
            let count: i64 = state.connection.query_row(&query, [], |row| row.get(0)).unwrap();
            assert_eq!(count, 0, "{table}");
        }
    }

    #[test]
    fn two_that_write_at_once_both_get_their_turn() {
        let (_folder, state) = state();
        thread::scope(|scope| {
            for number in 0..2 {
                let path = state.path();
                scope.spawn(move || {
                    let mut state = State::open(path).unwrap();
                    for byte in 0..50 {
                        let info_hash = InfoHash::new([number; 20]);
                        state.record(&[Progress { info_hash, ..progress(byte) }]).unwrap();
                    }
                });
            }
        });
        let mut state = state;
        for number in 0..2 {
            let saved = state.load(&InfoHash::new([number; 20])).unwrap().unwrap();
            assert_eq!((saved.have, saved.files.len()), (vec![49; 3], 50));
        }
    }
}
