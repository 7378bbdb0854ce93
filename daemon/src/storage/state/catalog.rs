//! All torrents at a glance: what the service needs of each of a hundred thousand when it starts.

use protocol::id::InfoHash;
use rusqlite::{Connection, Params, Row};

use super::{State, StateError};

/// Small columns only: no page of bits, dictionaries or files is looked at.
const RECORDS: &str = "SELECT id, info_hash, name, dir, label, error, tracker_set, added_at_s, completed_at_s,
    seeded_s, size, have_bytes, uploaded, downloaded, wasted, is_paused, is_seed_only, is_check_skipped,
    is_sequential, is_looked_at, lies_in, upload_limit, download_limit, ratio_limit, seed_time_limit_s, next_announce_s,
    EXISTS (SELECT 1 FROM info INDEXED BY info_is_known WHERE info.torrent = torrent.id)
    FROM torrent";

/// A torrent, as far as it is needed before anybody asks for it. Fields are those of [`super::Change`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Record<'a> {
    /// Its number. They grow in the order of addition.
    pub id: i64,
    /// Its name among peers.
    pub info_hash: InfoHash,
    /// What to call it, if that is known.
    pub name: Option<&'a str>,
    /// The folder where the paths of its files start.
    pub dir: &'a str,
    /// What the user calls its kind.
    pub label: Option<&'a str>,
    /// What is wrong.
    pub error: Option<&'a str>,
    /// Which of [`State::tracker_sets`] it has, if any.
    pub tracker_set: Option<i64>,
    /// When it was added, in seconds since 1970.
    pub added_at_s: i64,
    /// When all that was wanted was here, in seconds since 1970.
    pub completed_at_s: Option<i64>,
    /// How long it has been seeded, in seconds.
    pub seeded_s: u64,
    /// Bytes of what is wanted; 0 while that is unknown.
    pub size: u64,
    /// Bytes of these that are verified.
    pub have_bytes: u64,
    /// Payload bytes ever sent to peers.
    pub uploaded: u64,
    /// Payload bytes ever received from peers.
    pub downloaded: u64,
    /// Bytes that came twice, or were in pieces that failed their hash.
    pub wasted: u64,
    /// Whether the user has stopped it.
    pub is_paused: bool,
    /// Whether nothing is ever to be fetched or written.
    pub is_seed_only: bool,
    /// Whether files of the right size are taken for whole.
    pub is_check_skipped: bool,
    /// Whether pieces are fetched in order.
    pub is_sequential: bool,
    /// Whether it is known what of it is on disk.
    pub is_looked_at: bool,
    /// The folder where its files lie until it is complete, if that is not `dir`.
    pub lies_in: Option<&'a str>,
    /// Most bytes a second that peers get.
    pub upload_limit: Option<u64>,
    /// Most bytes a second that peers give.
    pub download_limit: Option<u64>,
    /// Uploaded in parts of downloaded at which it pauses.
    pub ratio_limit: Option<f64>,
    /// How long it is seeded, in seconds.
    pub seed_time_limit_s: Option<u64>,
    /// When its trackers may be asked again, in seconds since 1970.
    pub next_announce_s: Option<i64>,
    /// Whether its info dictionary is here.
    pub has_info: bool,
}

impl State {
    /// Shows all torrents to `each`, in the order in which they were added, as they are at one moment.
    ///
    /// # Errors
    /// When the database cannot be read; `each` may have seen some of them.
    pub fn records(&mut self, each: impl FnMut(Record<'_>)) -> Result<(), StateError> {
        records(&self.connection, "ORDER BY id", (), each).map_err(self.error())
    }

    /// Shows the torrent `id` to `see`, if it is there.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn record_of(&mut self, id: i64, see: impl FnMut(Record<'_>)) -> Result<(), StateError> {
        records(&self.connection, "WHERE id = ?1", (id,), see).map_err(self.error())
    }
}

fn records(
    connection: &Connection,
    which: &str,
    parameters: impl Params,
    mut each: impl FnMut(Record<'_>),
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(&format!("{RECORDS} {which}"))?;
    let mut rows = statement.query(parameters)?;
    while let Some(row) = rows.next()? {
        each(Record::read(row)?);
    }
    Ok(())
}

impl<'a> Record<'a> {
    /// Reads a row of [`RECORDS`].
    fn read(row: &'a Row<'_>) -> rusqlite::Result<Self> {
        let text = |column| row.get_ref(column)?.as_str_or_null().map_err(rusqlite::Error::from);
        Ok(Self {
            id: row.get(0)?,
            info_hash: InfoHash::new(row.get(1)?),
            name: text(2)?,
            dir: text(3)?.unwrap_or_default(),
            label: text(4)?,
            error: text(5)?,
            tracker_set: row.get(6)?,
            added_at_s: row.get(7)?,
            completed_at_s: row.get(8)?,
            seeded_s: row.get(9)?,
            size: row.get(10)?,
            have_bytes: row.get(11)?,
            uploaded: row.get(12)?,
            downloaded: row.get(13)?,
            wasted: row.get(14)?,
            is_paused: row.get(15)?,
            is_seed_only: row.get(16)?,
            is_check_skipped: row.get(17)?,
            is_sequential: row.get(18)?,
            is_looked_at: row.get(19)?,
            lies_in: text(20)?,
            upload_limit: row.get(21)?,
            download_limit: row.get(22)?,
            ratio_limit: row.get(23)?,
            seed_time_limit_s: row.get(24)?,
            next_announce_s: row.get(25)?,
            has_info: row.get(26)?,
        })
    }
}
