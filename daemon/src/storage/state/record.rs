//! Where a download stands: bits, and the files that they are true of, remembered together or not at all.
//!
//! Of a torrent that was removed nothing is remembered: notes of it may come late.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use protocol::id::InfoHash;
use rusqlite::{Connection, params};

use super::{Change, State, StateError, insert, signed};

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
    /// Bytes of what is wanted that are verified.
    pub have_bytes: u64,
    /// Payload bytes ever sent to peers.
    pub uploaded: u64,
    /// Payload bytes ever received from peers.
    pub downloaded: u64,
}

impl State {
    /// Remembers where downloads stand, of those that are there: all of them, or none.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn record<'a>(&mut self, progress: impl IntoIterator<Item = &'a Progress>) -> Result<(), StateError> {
        self.write(|transaction, boot_id| {
            progress.into_iter().try_for_each(|progress| {
                match insert::find(transaction, &progress.info_hash)? {
                    Some(id) => progress.write(transaction, id, boot_id),
                    None => Ok(()),
                }
            })
        })
    }
}

impl State {
    /// Remembers what was found of the torrent `id`, if it is there: how it stands, and what else is known by it.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn found(&mut self, id: i64, progress: &Progress, change: &Change) -> Result<(), StateError> {
        self.write(|transaction, boot_id| {
            if insert::find(transaction, &progress.info_hash)? != Some(id) {
                return Ok(());
            }
            change.write(transaction, id)?;
            progress.write(transaction, id, boot_id)
        })
    }
}

impl Progress {
    /// Writes it down of the torrent `id`, which is there.
    pub(super) fn write(
        &self,
        connection: &Connection,
        id: i64,
        boot_id: Option<&str>,
    ) -> rusqlite::Result<()> {
        let Self { have, synced, .. } = self;
        connection
            .prepare_cached(
                "UPDATE torrent SET have_bytes = ?2, uploaded = ?3, downloaded = ?4 WHERE id = ?1",
            )?
            .execute(params![id, signed(self.have_bytes), signed(self.uploaded), signed(self.downloaded)])?;
        connection
            .prepare_cached("INSERT OR REPLACE INTO progress VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![id, have, synced, boot_id])?;
        let mut insert =
            connection.prepare_cached("INSERT OR REPLACE INTO file VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
        for (number, file) in &self.files {
            let (length, inode) = (signed(file.length), file.inode.cast_signed());
            insert.execute(params![id, number, length, inode, file.modified_s, file.modified_ns])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const TORRENT: InfoHash = InfoHash::new([7; 20]);

    fn state() -> (tempfile::TempDir, State) {
        let folder = tempfile::tempdir().unwrap();
        let mut state = State::open(&folder.path().join(".btd/state.sqlite")).unwrap();
        state.add(&TORRENT, None, &[]).unwrap();
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
            have_bytes: 5,
            uploaded: u64::from(byte),
            downloaded: 1 << 50,
        }
    }

    #[test]
    fn what_was_recorded_is_there_after_the_process_died() {
        let (_folder, mut state) = state();
        assert_eq!(state.load(&TORRENT).unwrap().unwrap().have, [0_u8; 0]);
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
        state.add(&other.info_hash, None, &[]).unwrap();
        let error = state.record(&[other.clone(), progress(3)]).unwrap_err();
        assert!(error.to_string().contains("state.sqlite: full"), "{error}");
        assert_eq!(state.load(&other.info_hash).unwrap().unwrap().have, [0_u8; 0]);
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
        state.add(&info_hash, None, &[]).unwrap();
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
        let id = state.add(&TORRENT, Some("name"), &tiers(&[&["udp://d/"]])).unwrap();
        state.record(&[progress(1)]).unwrap();
        let saved = state.load(&TORRENT).unwrap().unwrap();
        assert_eq!((saved.name.as_deref(), saved.trackers), (Some("name"), tiers(&[&["udp://d/"]])));
        state.delete(id).unwrap();
        assert_eq!(state.load(&TORRENT).unwrap(), None);
        for table in ["torrent", "tracker_set", "progress", "file"] {
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
                    let info_hash = InfoHash::new([number; 20]);
                    state.add(&info_hash, None, &[]).unwrap();
                    for byte in 0..50 {
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
