//! Payload files held open and mapped: as few as are asked for, never more than a bound.

use std::fs::File;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;

use super::file::{FileError, PayloadFile, may_be_mapped};
use super::mapping::Mapping;
use super::window::Windows;

/// A payload file, open.
#[derive(Debug)]
pub struct OpenFile {
    file: File,
    /// `None` for a file that is read instead.
    mapped: Option<(Mapping, Windows)>,
}

impl OpenFile {
    /// Opens and maps `payload`, which must be as it was when it was hashed.
    fn open(payload: &PayloadFile) -> Result<Self, FileError> {
        let unreadable = |source| FileError::Unreadable { path: payload.path.clone(), source };
        let file = File::open(&payload.path).map_err(unreadable)?;
        payload.check_unchanged(&file)?;
        let length = payload.stamp.length;
        let mapped = match usize::try_from(length) {
            Ok(mapped_length) if may_be_mapped(&file, length) => {
                let mapping = Mapping::new(&file, 0, mapped_length).map_err(unreadable)?;
                mapping.expect_random().map_err(unreadable)?;
                Some((mapping, Windows::new(length)))
            }
            _ => None,
        };
        Ok(Self { file, mapped })
    }

    /// The file itself.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Its mapping and what is known of it, unless it is read instead.
    pub fn mapped(&self) -> Option<&(Mapping, Windows)> {
        self.mapped.as_ref()
    }

    /// Fills `buffer` with the bytes from `offset`.
    ///
    /// # Errors
    /// When they cannot be read, or the file ends before.
    pub fn read(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }
}

/// The files that are open. Used by storage threads alone.
#[derive(Debug)]
pub struct OpenFiles {
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
    /// Keeps at most `limit` files open.
    pub fn new(limit: usize) -> Self {
        let limit = NonZeroUsize::new(limit).unwrap_or(NonZeroUsize::MIN);
        Self { state: Mutex::new(State { recent: LruCache::new(limit), retired: Vec::new() }) }
    }

    /// `payload` opened; opens it, and closes the one least recently asked for when there are too many.
    ///
    /// # Errors
    /// When it cannot be opened or mapped, or is not what was hashed.
    pub fn open(&self, payload: &Arc<PayloadFile>) -> Result<Arc<OpenFile>, FileError> {
        if let Some(opened) = payload.opened.load_full() {
            self.lock().recent.promote(&payload.id);
            return Ok(opened);
        }
        let opened = Arc::new(OpenFile::open(payload)?);
        let mut state = self.lock();
        if let Some(opened_meanwhile) = payload.opened.load_full() {
            return Ok(opened_meanwhile);
        }
        payload.opened.store(Some(Arc::clone(&opened)));
        let closed = state.recent.push(payload.id, Arc::clone(payload)).filter(|(id, _)| *id != payload.id);
        state.retired.extend(closed.and_then(|(_, closed)| closed.opened.swap(None)));
        state.retired.retain(|file| Arc::strong_count(file) > 1);
        Ok(opened)
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
    use super::super::file::Stamp;
    use super::*;

    fn payload(folder: &std::path::Path, name: &str) -> Arc<PayloadFile> {
        let path = folder.join(name);
        std::fs::write(&path, vec![7; 100_000]).unwrap();
        let stamp = Stamp::of_path(&path).unwrap();
        Arc::new(PayloadFile::new(path, stamp))
    }

    #[test]
    fn the_least_recently_used_is_closed_but_lives_while_it_is_lent() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| payload(folder.path(), name));
        let files = OpenFiles::new(2);
        let lent = files.open(&a).unwrap();
        files.open(&b).unwrap();
        files.open(&c).unwrap();
        assert!(a.opened.load().is_none() && b.opened.load().is_some() && c.opened.load().is_some());
        assert_eq!(files.count(), 3, "a is retired, not gone");
        assert_eq!(Arc::strong_count(&lent), 2);
        drop(lent);
        files.open(&a).unwrap();
        assert!(b.opened.load().is_none());
        assert_eq!(files.count(), 2, "the first a is gone");
    }

    #[test]
    fn a_file_that_changed_since_it_was_hashed_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let changed = payload(folder.path(), "changed");
        std::fs::write(&changed.path, b"else").unwrap();
        assert!(matches!(OpenFiles::new(1).open(&changed), Err(FileError::Resized { .. })));
    }
}
