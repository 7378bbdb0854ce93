//! Writes down what changes by itself on a thread of its own, so that nobody who moves data waits for SQLite or its
//! disk.
//!
//! It holds the latest note of each torrent, not a queue of them: however slow the disk, memory is bounded by what is
//! going on. What could not be written is tried again, and said once. Notes of torrents that are not there are dropped.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{io, thread};

use crossbeam_channel::{Receiver, Sender, bounded};
use protocol::id::InfoHash;
use rusqlite::Connection;

use super::{Change, Progress, RawMetainfo, State, StateError, insert};

/// How long notes are gathered before they are written: what a killed process may have to hash again.
const INTERVAL: Duration = Duration::from_millis(500);
/// How long to wait after a failure: for somebody to make room on the disk.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);
/// Most notes that are written as one transaction: others get their turn in between.
const MAX_BATCH: usize = 1_000;

/// The thread that writes. When this is dropped it writes what it has and ends, and nobody waits for it.
#[derive(Debug)]
pub struct Recorder {
    desk: Arc<Desk>,
    path: PathBuf,
    /// What came of the last notes. Sent after the database was closed.
    ended: Receiver<Result<(), StateError>>,
}

/// Where notes lie until they are written.
#[derive(Debug, Default)]
struct Desk {
    notes: Mutex<Notes>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Notes {
    waiting: HashMap<InfoHash, Note>,
    is_ending: bool,
    /// Whether somebody waits for what is waiting.
    is_urgent: bool,
    /// Whether notes were taken that are not written yet.
    is_writing: bool,
    /// Attempts to write so far.
    attempts: u64,
    /// Why the last of them failed, if it did.
    failure: Option<String>,
}

/// What is to be written of a torrent.
#[derive(Debug, Default)]
struct Note {
    info: Option<Arc<[u8]>>,
    progress: Option<Progress>,
    change: Change,
}

impl Recorder {
    /// Starts the thread, which keeps `state`.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(state: State) -> io::Result<Self> {
        let desk = Arc::new(Desk::default());
        let path = state.path().to_owned();
        let (end, ended) = bounded(1);
        let theirs = Arc::clone(&desk);
        thread::Builder::new().name("btd-state".into()).spawn(move || run(state, &theirs, &end))?;
        Ok(Self { desk, path, ended })
    }

    /// Takes a note of where a download stands, in place of an earlier one. Does not wait.
    pub fn record(&self, progress: Progress) {
        self.put(progress.info_hash, Note { progress: Some(progress), ..Note::default() });
    }

    /// Takes a note of the raw `info` dictionary of a torrent. Does not wait.
    pub fn save_info(&self, info_hash: InfoHash, raw: Arc<[u8]>) {
        self.put(info_hash, Note { info: Some(raw), ..Note::default() });
    }

    /// Takes a note of what has changed by itself: counters, times. Does not wait. What a user is told to be done is
    /// not for notes, but for [`State::change`].
    pub fn change(&self, info_hash: InfoHash, change: Change) {
        self.put(info_hash, Note { change, ..Note::default() });
    }

    /// Drops what was noted of a torrent: when this returns, nothing of it will be written that was noted before. Waits
    /// for the transaction that is going on.
    pub fn forget(&self, info_hash: &InfoHash) {
        let notes = self.desk.changed.wait_while(self.desk.lock(), |notes| notes.is_writing);
        notes.unwrap_or_else(PoisonError::into_inner).waiting.remove(info_hash);
    }

    /// Has what was noted so far written now, and waits for it, `timeout` at most.
    ///
    /// # Errors
    /// When it could not be written, or not in time. It is tried again.
    pub fn flush(&self, timeout: Duration) -> Result<(), StateError> {
        let mut notes = self.desk.lock();
        let batches = u64::from(notes.is_writing) + u64::from(!notes.waiting.is_empty());
        if batches == 0 {
            return Ok(());
        }
        let until = notes.attempts + batches;
        notes.is_urgent = !notes.waiting.is_empty();
        self.desk.changed.notify_all();
        let waited = self.desk.changed.wait_timeout_while(notes, timeout, |notes| notes.attempts < until);
        let (notes, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match &notes.failure {
            _ if notes.attempts < until => Err(StateError::Late(self.path.clone())),
            Some(reason) => Err(StateError::Unwritten(reason.clone())),
            None => Ok(()),
        }
    }

    /// Writes what was noted so far, closes the database, and waits for it, `timeout` at most.
    ///
    /// # Errors
    /// When it could not be written, or not in time.
    pub fn finish(self, timeout: Duration) -> Result<(), StateError> {
        self.desk.end();
        self.ended.recv_timeout(timeout).unwrap_or_else(|_| Err(StateError::Late(self.path.clone())))
    }

    fn put(&self, info_hash: InfoHash, note: Note) {
        let mut notes = self.desk.lock();
        let waiting = notes.waiting.entry(info_hash).or_default();
        *waiting = note.over(std::mem::take(waiting));
        drop(notes);
        self.desk.changed.notify_all();
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.desk.end();
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Notes> {
        // Under the lock, notes are only moved: they are whole, whatever panicked.
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        self.lock().is_ending = true;
        self.changed.notify_all();
    }

    /// Waits until there are notes to write, then for more of them. An end cuts that short; whether it has come.
    fn take(&self) -> (HashMap<InfoHash, Note>, bool) {
        let is_idle = |notes: &mut Notes| !notes.is_ending && notes.waiting.is_empty();
        let notes = self.changed.wait_while(self.lock(), is_idle).unwrap_or_else(PoisonError::into_inner);
        let pause = if notes.failure.is_some() { RETRY_INTERVAL } else { INTERVAL };
        let is_gathering = |notes: &mut Notes| !notes.is_ending && !notes.is_urgent;
        let gathered = self.changed.wait_timeout_while(notes, pause, is_gathering);
        let (mut notes, _) = gathered.unwrap_or_else(PoisonError::into_inner);
        notes.is_writing = true;
        notes.is_urgent = false;
        (std::mem::take(&mut notes.waiting), notes.is_ending)
    }

    /// Notes what came of writing `taken`, and says so when that has changed. What could not be written is put back,
    /// below what came meanwhile.
    fn settle(&self, taken: HashMap<InfoHash, Note>, result: &Result<(), StateError>) {
        let failure = result.as_ref().err().map(ToString::to_string);
        let mut notes = self.lock();
        notes.is_writing = false;
        notes.attempts += 1;
        if failure.is_some() {
            for (info_hash, before) in taken {
                let waiting = notes.waiting.entry(info_hash).or_default();
                *waiting = std::mem::take(waiting).over(before);
            }
        }
        let before = std::mem::replace(&mut notes.failure, failure);
        drop(notes);
        self.changed.notify_all();
        match (before, result) {
            (None, Err(error)) => tracing::error!("progress is not written down: {error}"),
            (Some(_), Ok(())) => tracing::warn!("progress is written down again"),
            _ => {}
        }
    }
}

impl Note {
    /// This note with what only `before` has to say.
    fn over(mut self, before: Self) -> Self {
        self.info = self.info.or(before.info);
        self.progress = match (self.progress, before.progress) {
            (Some(mut later), Some(earlier)) => {
                for (number, file) in earlier.files {
                    later.files.entry(number).or_insert(file);
                }
                Some(later)
            }
            (later, earlier) => later.or(earlier),
        };
        self.change = self.change.over(before.change);
        self
    }

    /// Writes it down of the torrent `id`, which is there.
    fn write(&self, connection: &Connection, id: i64, boot_id: Option<&str>) -> rusqlite::Result<()> {
        if let Some(raw) = &self.info {
            insert::save_info(connection, id, &RawMetainfo::of_info(raw))?;
        }
        if let Some(progress) = &self.progress {
            progress.write(connection, id, boot_id)?;
        }
        self.change.write(connection, id)
    }
}

fn run(mut state: State, desk: &Desk, end: &Sender<Result<(), StateError>>) {
    loop {
        let (notes, is_ending) = desk.take();
        let result = write(&mut state, &notes);
        desk.settle(notes, &result);
        if is_ending {
            // Closed first: whoever waits may open it again.
            drop(state);
            // Nobody listens when the recorder was only dropped.
            let _ = end.send(result);
            return;
        }
    }
}

fn write(state: &mut State, notes: &HashMap<InfoHash, Note>) -> Result<(), StateError> {
    let notes: Vec<(&InfoHash, &Note)> = notes.iter().collect();
    notes.chunks(MAX_BATCH).try_for_each(|batch| {
        state.write(|transaction, boot_id| {
            batch.iter().try_for_each(|(info_hash, note)| match insert::find(transaction, info_hash)? {
                Some(id) => note.write(transaction, id, boot_id),
                None => Ok(()),
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::super::FileRecord;
    use super::*;

    const TORRENT: InfoHash = InfoHash::new([7; 20]);
    /// Longer than any test takes that does not fail.
    const LONG: Duration = Duration::from_secs(60);

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.sqlite");
        State::open(&path).unwrap().add(&TORRENT, None, &[]).unwrap();
        (folder, path)
    }

    fn progress(byte: u8, files: &[u32]) -> Progress {
        let file = FileRecord { length: u64::from(byte), inode: 1, modified_s: 2, modified_ns: 3 };
        let files = files.iter().map(|number| (*number, file)).collect();
        let (have, synced) = (vec![byte], vec![]);
        Progress { info_hash: TORRENT, have, synced, files, have_bytes: 0, uploaded: 0, downloaded: 0 }
    }

    /// The bits that are remembered, and the length of each file.
    fn saved(path: &Path) -> (Vec<u8>, BTreeMap<u32, u64>) {
        let saved = State::open(path).unwrap().load(&TORRENT).unwrap().unwrap();
        (saved.have, saved.files.iter().map(|(number, file)| (*number, file.length)).collect())
    }

    /// Somebody else who is writing, until this is dropped.
    fn occupy(path: &Path) -> Connection {
        let connection = Connection::open(path).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        connection
    }

    /// A recorder that does not wait for others who are writing.
    fn impatient(path: &Path) -> Recorder {
        let state = State::open(path).unwrap();
        state.connection.busy_timeout(Duration::ZERO).unwrap();
        Recorder::start(state).unwrap()
    }

    fn wait_for_failure(recorder: &Recorder) {
        let notes = recorder.desk.lock();
        let (notes, _) =
            recorder.desk.changed.wait_timeout_while(notes, LONG, |notes| notes.failure.is_none()).unwrap();
        assert!(notes.failure.is_some());
    }

    #[test]
    fn the_end_writes_the_latest_note_and_every_file() {
        let (_folder, path) = folder();
        let recorder = Recorder::start(State::open(&path).unwrap()).unwrap();
        for byte in 1..=9 {
            recorder.record(progress(byte, &[u32::from(byte % 4)]));
        }
        recorder.finish(LONG).unwrap();
        assert_eq!(saved(&path), (vec![9], BTreeMap::from([(0, 8), (1, 9), (2, 6), (3, 7)])));
    }

    #[test]
    fn notes_are_written_without_an_end() {
        let (_folder, path) = folder();
        let recorder = Recorder::start(State::open(&path).unwrap()).unwrap();
        recorder.record(progress(1, &[]));
        let deadline = std::time::Instant::now() + LONG;
        while State::open(&path).unwrap().load(&TORRENT).unwrap().unwrap().have.is_empty() {
            assert!(std::time::Instant::now() < deadline);
            thread::yield_now();
        }
        assert_eq!(saved(&path).0, [1]);
        drop(recorder);
    }

    #[test]
    fn metadata_comes_with_progress() {
        let (_folder, path) = folder();
        let mut state = State::open(&path).unwrap();
        let info_hash = InfoHash::of_info(b"de");
        state.add(&info_hash, None, &[]).unwrap();
        let recorder = Recorder::start(state).unwrap();
        recorder.save_info(info_hash, Arc::from(b"de".as_slice()));
        recorder.record(Progress { info_hash, ..progress(1, &[]) });
        recorder.finish(LONG).unwrap();
        let saved = State::open(&path).unwrap().load(&info_hash).unwrap().unwrap();
        assert_eq!((saved.info.as_deref(), saved.have), (Some(b"de".as_slice()), vec![1]));
    }

    #[test]
    fn what_could_not_be_written_is_written_later() {
        let (_folder, path) = folder();
        let recorder = impatient(&path);
        let other = occupy(&path);
        recorder.record(progress(1, &[1, 2]));
        wait_for_failure(&recorder);
        recorder.record(progress(2, &[2]));
        drop(other);
        recorder.finish(LONG).unwrap();
        assert_eq!(saved(&path), (vec![2], BTreeMap::from([(1, 1), (2, 2)])));
    }

    #[test]
    fn an_end_that_fails_says_why() {
        let (_folder, path) = folder();
        let recorder = impatient(&path);
        let _other = occupy(&path);
        recorder.record(progress(1, &[]));
        let error = recorder.finish(LONG).unwrap_err();
        assert!(matches!(error, StateError::Sqlite { .. }), "{error}");
    }

    #[test]
    fn neither_notes_nor_the_end_wait_for_a_database_that_hangs() {
        let (_folder, path) = folder();
        let state = State::open(&path).unwrap();
        state.connection.busy_timeout(LONG).unwrap();
        let recorder = Recorder::start(state).unwrap();
        let other = occupy(&path);
        recorder.record(progress(1, &[]));
        for byte in 0..100 {
            recorder.record(progress(byte, &[u32::from(byte)]));
        }
        assert!(matches!(recorder.finish(Duration::from_millis(1)), Err(StateError::Late(_))));
        drop(other);
    }
}
