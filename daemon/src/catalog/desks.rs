//! Where chores wait for their turn: a few at a time for each folder, so that a disk that does not answer holds up only
//! what lies on it.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::bus::TorrentId;

/// Chores of one folder that are done at a time.
const MAX_OF_FOLDER: usize = 4;
/// Torrents of one folder that are held in memory for chores; the others are rows meanwhile.
const MAX_JOBS: usize = 64;
/// Desks that nobody waits at and that are kept all the same.
const MAX_IDLE_DESKS: usize = 4_096;
/// Torrents that are hashed at a time: each is hashed by all cores.
const MAX_HASHING: usize = 2;

/// The desks of all folders, and the one for hashing.
#[derive(Debug)]
pub(super) struct Desks {
    by_folder: HashMap<PathBuf, Desk>,
    /// Folders where a place has become free.
    freed: VecDeque<PathBuf>,
    hashing: Arc<Semaphore>,
}

/// The desk of a folder.
#[derive(Debug)]
struct Desk {
    places: Arc<Semaphore>,
    /// Torrents that are held in memory for what is being done to them here.
    jobs: usize,
    /// Torrents that come later: rows still. Some may no longer want to when it is their turn.
    waiting: BTreeSet<TorrentId>,
}

impl Default for Desks {
    fn default() -> Self {
        Self {
            by_folder: HashMap::new(),
            freed: VecDeque::new(),
            hashing: Arc::new(Semaphore::new(MAX_HASHING)),
        }
    }
}

impl Desk {
    fn has_room(&self) -> bool {
        self.jobs < MAX_JOBS
    }

    /// Whether somebody is here, or holds on to a place.
    fn is_used(&self) -> bool {
        self.jobs > 0 || !self.waiting.is_empty() || Arc::strong_count(&self.places) > 1
    }
}

impl Desks {
    fn desk(&mut self, folder: &Path) -> &mut Desk {
        // Those that nobody uses are forgotten, now and then.
        if self.by_folder.len() > MAX_IDLE_DESKS {
            self.by_folder.retain(|_, desk| desk.is_used());
        }
        self.by_folder.entry(folder.to_owned()).or_insert_with(|| Desk {
            places: Arc::new(Semaphore::new(MAX_OF_FOLDER)),
            jobs: 0,
            waiting: BTreeSet::new(),
        })
    }

    /// Where chores of `folder` wait.
    pub(super) fn of_folder(&mut self, folder: &Path) -> Arc<Semaphore> {
        Arc::clone(&self.desk(folder).places)
    }

    /// Where those wait that have much to read.
    pub(super) fn of_hashing(&self) -> Arc<Semaphore> {
        Arc::clone(&self.hashing)
    }

    /// Whether `id` may be held in memory for what is to be done to it in `folder`, until it [`leave`](Self::leave)s; if
    /// not, it comes later, as the [`next`](Self::next).
    pub(super) fn enter(&mut self, folder: &Path, id: TorrentId) -> bool {
        let desk = self.desk(folder);
        let has_room = desk.has_room();
        if has_room {
            desk.jobs += 1;
            desk.waiting.remove(&id);
        } else {
            desk.waiting.insert(id);
        }
        has_room
    }

    /// What was done in `folder` is done.
    pub(super) fn leave(&mut self, folder: &Path) {
        let desk = self.desk(folder);
        desk.jobs = desk.jobs.saturating_sub(1);
        if !desk.waiting.is_empty() {
            self.freed.push_back(folder.to_owned());
        }
    }

    /// Whose turn it is, if there is room for anybody who waits: it is to [`enter`](Self::enter), if it still wants to.
    /// Who does not takes up no room: so this is to be asked until it is nobody's turn.
    pub(super) fn next(&mut self) -> Option<TorrentId> {
        while let Some(folder) = self.freed.front() {
            let desk = self.by_folder.get_mut(folder).filter(|desk| desk.has_room());
            if let Some(id) = desk.and_then(|desk| desk.waiting.pop_first()) {
                return Some(id);
            }
            self.freed.pop_front();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> TorrentId {
        TorrentId(i64::try_from(number).unwrap())
    }

    #[test]
    fn so_many_are_held_in_memory_and_the_others_come_in_order() {
        let (mut desks, folder) = (Desks::default(), Path::new("/srv"));
        assert!((0..MAX_JOBS).all(|number| desks.enter(folder, id(number))));
        assert!(!desks.enter(folder, id(101)) && !desks.enter(folder, id(100)));
        assert!(!desks.enter(folder, id(100)), "who asks twice waits once");
        assert!(desks.enter(Path::new("/other"), id(102)), "another folder is another desk");
        assert_eq!(desks.next(), None);
        desks.leave(folder);
        assert_eq!(desks.next(), Some(id(100)));
        assert!(desks.enter(folder, id(100)));
        assert_eq!(desks.next(), None, "there is no room for more");
        desks.leave(folder);
        assert_eq!(desks.next(), Some(id(101)));
        assert!(desks.enter(folder, id(101)));
        desks.leave(folder);
        assert_eq!(desks.next(), None, "nobody waits");
    }

    #[test]
    fn those_that_have_gone_hold_up_nobody() {
        let (mut desks, folder) = (Desks::default(), Path::new("/srv"));
        assert!((0..MAX_JOBS).all(|number| desks.enter(folder, id(number))));
        assert!((100..5_000).all(|number| !desks.enter(folder, id(number))));
        desks.leave(folder);
        // None but the last wants to enter any more.
        while let Some(next) = desks.next() {
            if next == id(4_999) {
                assert!(desks.enter(folder, next));
            }
        }
        assert!(!desks.enter(folder, id(6_000)), "the place that was free is taken by the last");
    }

    #[test]
    fn a_desk_is_forgotten_only_when_nobody_is_there() {
        let mut desks = Desks::default();
        let busy = Path::new("/busy");
        assert!((0..MAX_JOBS).all(|number| desks.enter(busy, id(number))) && !desks.enter(busy, id(100)));
        (0..2 * MAX_IDLE_DESKS).for_each(|number| drop(desks.of_folder(Path::new(&format!("/{number}")))));
        assert!(desks.by_folder.len() <= MAX_IDLE_DESKS + 2);
        desks.leave(busy);
        assert_eq!(desks.next(), Some(id(100)));
    }
}
