//! Payload files held open and mapped: as few as are asked for, never more than a bound.

use std::fs::File;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;

use super::file::{FileError, PayloadFile, may_be_mapped};
use super::mapping::Mapping;
use super::torrent::Torrent;
use super::watch::{Watch, Watching};
use super::window::Windows;

/// How long a file is taken to be what it was when it was last looked at. Of most changes [`Watch`] knows at once; of
/// those that are made through somebody's mapping it does not hear.
const SEEN_S: u32 = 10;

/// A payload file, open and mapped.
#[derive(Debug)]
pub struct OpenFile {
    file: File,
    mapping: Mapping,
    windows: Windows,
    /// The second in which it was last seen to be what was hashed, or a lane was asked to look, as
    /// [`super::window::seconds`] counts; 0 for never.
    seen_s: AtomicU32,
    /// Tells when it changes, for as long as anybody may send from it. `None` while it grows.
    watching: Option<Watching>,
}

impl OpenFile {
    /// The file itself.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// All of its bytes.
    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// What is known of them.
    pub fn windows(&self) -> &Windows {
        &self.windows
    }

    /// Notes that the file was seen to be what was hashed, at `now_s` or later.
    pub fn set_seen(&self, now_s: u32) {
        self.seen_s.store(now_s, Ordering::Relaxed);
    }

    /// Whether `range` may be sent at `now_s`: the file was looked at lately, and that part of it is in memory.
    pub fn may_be_sent(&self, range: Range<u64>, now_s: u32) -> bool {
        self.is_seen(now_s) && self.windows.are_warm_to_send(range, now_s)
    }

    /// Whether the file was looked at lately. When that is too long ago, whoever asks first hears so, and has its lane look
    /// again; the others go on meanwhile. If all of a thousand connections went there, they would wait for each other. Where
    /// nothing comes of it, since that connection has gone, the next is sent there as much later.
    fn is_seen(&self, now_s: u32) -> bool {
        let seen_s = self.seen_s.load(Ordering::Relaxed);
        let is_recent = || now_s.saturating_sub(seen_s) < SEEN_S;
        let is_first =
            || self.seen_s.compare_exchange(seen_s, now_s, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        seen_s != 0 && (is_recent() || !is_first())
    }
}

/// The files that are open. Used by storage threads alone: here files are unmapped and closed.
#[derive(Debug)]
pub struct OpenFiles {
    limit: usize,
    watch: Option<Watch>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Files in the order in which they were last asked for.
    recent: LruCache<u64, Arc<PayloadFile>>,
    /// Files that were closed while a worker was sending from them: kept until it is done, so that no ring thread
    /// drops the last reference and unmaps.
    retired: Vec<Arc<OpenFile>>,
}

impl OpenFiles {
    /// Keeps at most `limit` files open, and as many again that wait for a worker to let go of them.
    pub fn new(limit: usize, watch: Option<Watch>) -> Self {
        let recent = LruCache::new(NonZeroUsize::new(limit).unwrap_or(NonZeroUsize::MIN));
        Self { limit: limit.max(1), watch, state: Mutex::new(State { recent, retired: Vec::new() }) }
    }

    /// `payload` of `torrent` open and mapped, closing the one least recently asked for when there are too many.
    /// `None` when it is to be read instead: it may not be mapped or cannot be watched, or too many wait to be closed.
    ///
    /// # Errors
    /// When it cannot be opened or mapped, or is not what was hashed.
    pub fn open(
        &self,
        torrent: &Arc<Torrent>,
        payload: &Arc<PayloadFile>,
    ) -> Result<Option<Arc<OpenFile>>, FileError> {
        if let Some(opened) = payload.opened.load_full() {
            self.lock().recent.promote(&payload.id);
            return Ok(Some(opened));
        }
        if !payload.is_long_enough_to_map() || !self.has_room() {
            return Ok(None);
        }
        let Some(opened) = self.map(torrent, payload)? else { return Ok(None) };
        let opened = Arc::new(opened);
        let mut state = self.lock();
        if opened.watching.is_some() != payload.is_settled() || torrent.error().is_some() {
            // Settled meanwhile, to be opened anew by whoever asks next; or stopped, and nobody is to ask.
            return Ok(None);
        }
        if let Some(opened_meanwhile) = payload.opened.load_full() {
            return Ok(Some(opened_meanwhile));
        }
        payload.opened.store(Some(Arc::clone(&opened)));
        let closed = state.recent.push(payload.id, Arc::clone(payload)).filter(|(id, _)| *id != payload.id);
        state.retired.extend(closed.and_then(|(_, closed)| closed.opened.swap(None)));
        Ok(Some(opened))
    }

    /// Closes `payload`, so that it is opened anew for whoever asks next.
    pub(super) fn close(&self, payload: &PayloadFile) {
        let mut state = self.lock();
        let closed = state.recent.pop(&payload.id).and_then(|payload| payload.opened.swap(None));
        state.retired.extend(closed);
    }

    /// Closes what nobody sends from any more; whether another file may be opened then.
    pub(super) fn has_room(&self) -> bool {
        let mut state = self.lock();
        let (held, free): (Vec<_>, Vec<_>) =
            state.retired.drain(..).partition(|file| Arc::strong_count(file) > 1);
        state.retired = held;
        let has_room = state.retired.len() < self.limit;
        drop(state);
        // Unmapped and closed here, where nobody waits for the lock.
        drop(free);
        has_room
    }

    fn map(&self, torrent: &Arc<Torrent>, payload: &Arc<PayloadFile>) -> Result<Option<OpenFile>, FileError> {
        let unreadable = |source| payload.unreadable(source);
        let is_settled = payload.is_settled();
        let file = payload.open()?;
        let Ok(length) = usize::try_from(payload.length()) else { return Ok(None) };
        if !may_be_mapped(&file, payload.length()) {
            return Ok(None);
        }
        // Watched before it is looked at, so that no change falls in between. While it grows we change it ourselves.
        let watching = is_settled.then(|| self.watch.as_ref()?.add(torrent, payload)).flatten();
        if is_settled && watching.is_none() {
            return Ok(None);
        }
        payload.check_unchanged(&file)?;
        let mapping = Mapping::new(&file, 0, length).map_err(unreadable)?;
        mapping.expect_random().map_err(unreadable)?;
        let (windows, seen_s) = (Windows::new(payload.length()), AtomicU32::new(0));
        Ok(Some(OpenFile { file, mapping, windows, seen_s, watching }))
    }

    /// Whether nothing that is mapped has changed; see [`Watch::is_quiet`].
    pub fn is_quiet(&self) -> bool {
        self.watch.as_ref().is_none_or(Watch::is_quiet)
    }

    /// How many files are open or wait to be closed.
    pub fn count(&self) -> usize {
        let state = self.lock();
        state.recent.len() + state.retired.len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // The state is whole between any two statements; a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::torrent::tests::torrent_of;
    use super::*;

    /// A torrent of files of 100,000 bytes, and those files.
    fn files(folder: &Path, names: &[&str]) -> (Arc<Torrent>, Vec<Arc<PayloadFile>>) {
        for name in names {
            std::fs::write(folder.join(name), vec![7; 100_000]).unwrap();
        }
        let torrent = torrent_of(folder);
        let files = torrent.payload_files().cloned().collect();
        (torrent, files)
    }

    #[test]
    fn the_least_recently_used_is_closed_but_lives_while_it_is_lent() {
        let folder = tempfile::tempdir().unwrap();
        let (torrent, payload) = files(folder.path(), &["a", "b", "c"]);
        let open = OpenFiles::new(2, Watch::start().ok());
        let is_open = || payload.iter().map(|file| file.opened.load().is_some()).collect::<Vec<_>>();
        let lent = open.open(&torrent, &payload[0]).unwrap().unwrap();
        open.open(&torrent, &payload[1]).unwrap();
        open.open(&torrent, &payload[2]).unwrap();
        assert_eq!(is_open(), [false, true, true]);
        assert_eq!((open.count(), Arc::strong_count(&lent)), (3, 2), "a is retired, not gone");
        drop(lent);
        open.open(&torrent, &payload[0]).unwrap();
        assert_eq!(is_open(), [true, false, true]);
        assert_eq!(open.count(), 3, "b is retired");
    }

    #[test]
    fn the_files_of_a_torrent_that_was_taken_away_are_not_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let (torrent, payload) = files(folder.path(), &["a"]);
        let open = OpenFiles::new(2, Watch::start().ok());
        assert!(open.open(&torrent, &payload[0]).unwrap().is_some());
        torrent.withdraw();
        open.close(&payload[0]);
        assert!(open.open(&torrent, &payload[0]).unwrap().is_none());
        assert!(open.has_room());
        assert_eq!(open.count(), 0, "and what was open is closed");
    }

    #[test]
    fn files_that_are_lent_and_not_given_back_do_not_add_up() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["a", "b", "c", "d", "e", "f"];
        let (torrent, payload) = files(folder.path(), &names);
        let open = OpenFiles::new(2, Watch::start().ok());
        let lent: Vec<_> = payload.iter().map(|file| open.open(&torrent, file).unwrap()).collect();
        assert_eq!(lent.iter().filter(|file| file.is_some()).count(), 4, "the others are to be read");
        assert_eq!(open.count(), 4);
        drop(lent);
        assert!(open.open(&torrent, &payload[4]).unwrap().is_some());
    }

    #[test]
    fn what_is_sent_again_and_again_stays_warm_while_the_file_is_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let (torrent, payload) = files(folder.path(), &["a"]);
        let file = OpenFiles::new(1, Watch::start().ok()).open(&torrent, &payload[0]).unwrap().unwrap();
        file.windows().set_warm(0..16, 100);
        assert!(!file.may_be_sent(0..16, 100), "it was never looked at");
        for now_s in (100..200).step_by(4) {
            file.set_seen(now_s - 1);
            assert!(file.may_be_sent(0..16, now_s), "{now_s}");
        }
        file.set_seen(200 - SEEN_S);
        assert!(file.windows().are_warm(0..16, 200) && !file.may_be_sent(0..16, 200));
        assert!(file.may_be_sent(0..16, 200), "one has it looked at, the others go on");
        file.windows().set_warm(0..16, 200 + SEEN_S);
        assert!(!file.may_be_sent(0..16, 200 + SEEN_S), "until it is too long ago again");
        assert!(file.may_be_sent(0..16, 200 + SEEN_S));
    }

    #[test]
    fn a_file_that_changed_since_it_was_hashed_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let (torrent, payload) = files(folder.path(), &["changed"]);
        std::fs::write(payload[0].path(), b"else").unwrap();
        let error = OpenFiles::new(1, Watch::start().ok()).open(&torrent, &payload[0]).unwrap_err();
        assert!(matches!(error, FileError::Resized { .. }), "{error}");
    }
}
