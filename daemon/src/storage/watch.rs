//! Knows at once when a payload file that is mapped changes (inotify), so that no more of it is lent.
//!
//! The kernel queues an event before the call that changed the file returns. A worker asks [`Watch::is_quiet`] before
//! each send; while an event waits, or is being acted upon, what it holds goes back to its lane, which compares the
//! file with what was hashed.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};

use super::file::PayloadFile;
use super::torrent::Torrent;

/// A thread that listens for changes. Ends when this is dropped.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    /// Closed on drop, which ends the thread.
    _alive: OwnedFd,
}

/// A file that is being watched, until this is dropped.
#[derive(Debug)]
pub struct Watching {
    shared: Arc<Shared>,
    descriptor: WatchDescriptor,
    number: u64,
}

#[derive(Debug)]
struct Shared {
    inotify: Inotify,
    /// Whether events were taken off the queue and have not been acted upon yet.
    is_acting: AtomicBool,
    watched: Mutex<Watched>,
}

#[derive(Debug, Default)]
struct Watched {
    /// Several torrents, or a file opened anew, may share a file and with it the kernel's watch.
    entries: HashMap<WatchDescriptor, Vec<Entry>>,
    next_number: u64,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    torrent: Weak<Torrent>,
    file: Weak<PayloadFile>,
}

impl Watch {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the kernel has no inotify instance left for us.
    pub fn start() -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let shared =
            Arc::new(Shared { inotify, is_acting: AtomicBool::new(false), watched: Mutex::default() });
        let (ended, alive) = nix::unistd::pipe()?;
        let listener = Arc::clone(&shared);
        std::thread::Builder::new().name("btd-watch".into()).spawn(move || listen(&listener, &ended))?;
        Ok(Self { shared, _alive: alive })
    }

    /// Whether no watched file has changed that its torrent has not been told of. Does not wait and takes no lock: it
    /// is for ring threads.
    pub fn is_quiet(&self) -> bool {
        let mut queue = [PollFd::new(self.shared.inotify.as_fd(), PollFlags::POLLIN)];
        let is_empty = poll(&mut queue, PollTimeout::ZERO) == Ok(0);
        // In this order: an event that is no longer in the queue is being acted upon, or was.
        is_empty && !self.shared.is_acting.load(Ordering::SeqCst)
    }

    /// Watches `file` of `torrent`; `None` when the kernel will not.
    pub fn add(&self, torrent: &Arc<Torrent>, file: &Arc<PayloadFile>) -> Option<Watching> {
        // Under the lock, so that the first event finds its entry. Only files that may be mapped come here, which
        // lie on local file systems: looking up their paths does not wait for a network.
        let mut watched = self.shared.lock();
        match self.shared.inotify.add_watch(file.path(), AddWatchFlags::IN_MODIFY) {
            Ok(descriptor) => {
                let number = watched.next_number;
                watched.next_number += 1;
                let entry = Entry { number, torrent: Arc::downgrade(torrent), file: Arc::downgrade(file) };
                watched.entries.entry(descriptor).or_default().push(entry);
                Some(Watching { shared: Arc::clone(&self.shared), descriptor, number })
            }
            Err(error) => {
                tracing::debug!(path = %file.path().display(), "read instead of mapped, since it cannot be watched: {error}");
                None
            }
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let mut watched = self.shared.lock();
        let Some(entries) = watched.entries.get_mut(&self.descriptor) else { return };
        entries.retain(|entry| entry.number != self.number);
        if entries.is_empty() {
            watched.entries.remove(&self.descriptor);
            // Fails where the file is gone, and the kernel's watch with it.
            let _ = self.shared.inotify.rm_watch(self.descriptor);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the files of `descriptor`, or at all when events were lost.
    fn check(&self, descriptor: WatchDescriptor, is_overflow: bool) {
        let watched = self.lock();
        let entries = watched.entries.iter().filter(|(of, _)| is_overflow || **of == descriptor);
        let entries = entries.flat_map(|(_, entries)| entries);
        let files: Vec<_> =
            entries.filter_map(|entry| Some((entry.torrent.upgrade()?, entry.file.upgrade()?))).collect();
        // Looking takes time, and whoever lets go of a file last needs the lock.
        drop(watched);
        files.iter().for_each(|(torrent, file)| check(torrent, file));
        self.forget_stopped();
    }

    /// Ends the watches of torrents that have stopped: a file that goes on changing is of no interest.
    fn forget_stopped(&self) {
        self.lock().entries.retain(|descriptor, entries| {
            entries.retain(|entry| entry.torrent.upgrade().is_some_and(|torrent| torrent.error().is_none()));
            if entries.is_empty() {
                let _ = self.inotify.rm_watch(*descriptor);
            }
            !entries.is_empty()
        });
    }
}

fn listen(shared: &Shared, ended: &OwnedFd) {
    loop {
        let mut ready = [
            PollFd::new(shared.inotify.as_fd(), PollFlags::POLLIN),
            PollFd::new(ended.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut ready, PollTimeout::NONE) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            // It stays that way: nothing is quiet any more, and every block goes through its lane.
            Err(error) => {
                shared.is_acting.store(true, Ordering::SeqCst);
                return tracing::error!("payload cannot be watched any more: {error}");
            }
        }
        if ready[1].any() == Some(true) {
            return;
        }
        shared.is_acting.store(true, Ordering::SeqCst);
        for event in shared.inotify.read_events().unwrap_or_default() {
            shared.check(event.wd, event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW));
        }
        shared.is_acting.store(false, Ordering::SeqCst);
    }
}

/// Stops the torrent if its file is no longer what was hashed. One that was closed may still be on its way to a peer.
fn check(torrent: &Torrent, file: &PayloadFile) {
    let result = match file.opened.load_full() {
        Some(opened) => file.check_unchanged(opened.file()),
        None => file.check_path(),
    };
    if let Err(error) = result {
        torrent.fail(error.into());
    }
}

#[cfg(test)]
mod tests {
    use super::super::torrent::tests::torrent_of;
    use super::*;

    #[test]
    fn a_watch_ends_with_the_last_who_asked_for_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), vec![7; 100]).unwrap();
        let torrent = torrent_of(folder.path());
        let Some(file) = torrent.payload_files().next() else { panic!("it has a file") };
        let watch = Watch::start().unwrap();
        let [first, second] = [(); 2].map(|()| watch.add(&torrent, file).unwrap());
        assert_eq!(first.descriptor, second.descriptor);
        drop(first);
        assert_eq!(watch.shared.lock().entries.len(), 1);
        drop(second);
        assert!(watch.shared.lock().entries.is_empty());
        assert!(watch.add(&torrent, file).is_some(), "and can begin again");
    }

    #[test]
    fn a_change_is_known_before_the_call_that_made_it_returns() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, vec![7; 100]).unwrap();
        for length in (0..50).rev() {
            let torrent = torrent_of(folder.path());
            let Some(file) = torrent.payload_files().next() else { panic!("it has a file") };
            let watch = Watch::start().unwrap();
            let _watching = watch.add(&torrent, file).unwrap();
            assert!(watch.is_quiet());
            let writer = std::fs::File::options().write(true).open(&path).unwrap();
            writer.set_len(length + 1).unwrap();
            // Not quiet, or already acted upon: never neither.
            assert!(!watch.is_quiet() || torrent.error().is_some());
        }
    }
}
