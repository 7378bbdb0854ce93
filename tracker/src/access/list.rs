//! One list in memory, and where it came from. Many threads look into it while one changes it: that takes them no longer
//! than a look, for what takes long is done beside it.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::Hash;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::entry::Entry;

/// The entries of a list. It is changed by one thread at a time, who sees to that.
#[derive(Debug)]
pub(super) struct Entries<E> {
    path: PathBuf,
    set: RwLock<HashSet<E>>,
}

impl<E: Entry> Entries<E> {
    /// A list of what was read from `path`.
    pub(super) fn new(path: &Path, set: HashSet<E>) -> Self {
        Self { path: path.into(), set: RwLock::new(set) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn len(&self) -> usize {
        self.read().len()
    }

    pub(super) fn contains<Q: Hash + Eq + ?Sized>(&self, entry: &Q) -> bool
    where
        E: Borrow<Q>,
    {
        self.read().contains(entry)
    }

    /// Adds `entry`; returns whether it is new.
    pub(super) fn insert(&self, entry: E) -> bool {
        // A full set of a million would be moved, with all who ask waiting: it is copied while they go on.
        if let Some(grown) = self.grown() {
            self.replace(grown);
        }
        self.write().insert(entry)
    }

    /// Takes `entry` out; returns whether it was there.
    pub(super) fn remove(&self, entry: &E) -> bool {
        self.write().remove(entry)
    }

    /// Puts `set` in the place of what is there.
    pub(super) fn replace(&self, set: HashSet<E>) {
        // Dropped when others may go on.
        let old = mem::replace(&mut *self.write(), set);
        drop(old);
    }

    /// A copy with room for more, if there is none.
    fn grown(&self) -> Option<HashSet<E>> {
        let set = self.read();
        (set.len() == set.capacity()).then(|| {
            let mut grown = HashSet::with_capacity(set.len() + 1);
            grown.extend(set.iter().cloned());
            grown
        })
    }

    fn read(&self) -> RwLockReadGuard<'_, HashSet<E>> {
        self.set.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashSet<E>> {
        self.set.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use protocol::id::InfoHash;

    use super::*;

    fn hash(number: u8) -> InfoHash {
        InfoHash::new([number; 20])
    }

    #[test]
    fn entries_come_and_go_while_it_grows() {
        let list = Entries::new(Path::new("list"), HashSet::new());
        for number in 0..200 {
            assert!(list.insert(hash(number)));
            assert!(!list.insert(hash(number)));
        }
        assert_eq!(list.len(), 200);
        for number in 0..200 {
            assert!(list.contains(&hash(number)));
            assert!(list.remove(&hash(number)));
            assert!(!list.remove(&hash(number)) && !list.contains(&hash(number)));
        }
    }

    #[test]
    fn a_full_list_grows_beside_itself() {
        let list = Entries::new(Path::new("list"), HashSet::new());
        let mut number = 0;
        while number == 0 || list.grown().is_none() {
            list.insert(hash(number));
            number += 1;
        }
        let (full, grown) = (list.len(), list.grown().unwrap());
        assert_eq!(grown.len(), full);
        assert!(grown.capacity() > full);
    }
}
