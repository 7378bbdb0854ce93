//! Tells at once when a payload file that is open changes (inotify), so that no more of it is lent.
//!
//! The stamp that is compared when a window is read would notice too, but only after the window has cooled. Where
//! inotify sees nothing (network file systems) or has no watches left, that comparison is what remains.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};

use super::file::PayloadFile;
use super::torrent::Torrent;

/// Two torrents may share a file, and with it the kernel's watch.
type Watched = Vec<(Weak<Torrent>, Weak<PayloadFile>)>;

/// A thread that listens for changes. Ends when this is dropped.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    /// Closed on drop, which ends the thread.
    _alive: OwnedFd,
}

#[derive(Debug)]
struct Shared {
    inotify: Inotify,
    watched: Mutex<HashMap<WatchDescriptor, Watched>>,
}

impl Watch {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the kernel has no inotify instance left for us.
    pub fn start() -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let shared = Arc::new(Shared { inotify, watched: Mutex::default() });
        let (ended, alive) = nix::unistd::pipe()?;
        let listener = Arc::clone(&shared);
        std::thread::Builder::new().name("btd-watch".into()).spawn(move || listen(&listener, &ended))?;
        Ok(Self { shared, _alive: alive })
    }

    /// Watches `file` of `torrent`.
    pub fn add(&self, torrent: &Arc<Torrent>, file: &Arc<PayloadFile>) {
        // Under the lock, so that the first event finds its entry.
        let mut watched = self.shared.watched.lock().unwrap_or_else(PoisonError::into_inner);
        match self.shared.inotify.add_watch(&file.path, AddWatchFlags::IN_MODIFY) {
            Ok(descriptor) => {
                let entries = watched.entry(descriptor).or_default();
                entries.retain(|(_, known)| known.strong_count() > 0 && known.as_ptr() != Arc::as_ptr(file));
                entries.push((Arc::downgrade(torrent), Arc::downgrade(file)));
            }
            Err(error) => tracing::debug!(path = %file.path.display(), "changes are noticed late: {error}"),
        }
    }
}

fn listen(shared: &Shared, ended: &OwnedFd) {
    loop {
        let mut ready = [
            PollFd::new(shared.inotify.as_fd(), PollFlags::POLLIN),
            PollFd::new(ended.as_fd(), PollFlags::POLLIN),
        ];
        let result = poll(&mut ready, PollTimeout::NONE);
        if result.is_err_and(|error| error != nix::Error::EINTR) || ready[1].any() == Some(true) {
            return;
        }
        for event in shared.inotify.read_events().unwrap_or_default() {
            let watched = shared.watched.lock().unwrap_or_else(PoisonError::into_inner);
            watched.get(&event.wd).into_iter().flatten().for_each(|(torrent, file)| check(torrent, file));
        }
    }
}

/// Stops the torrent if its file is no longer what was hashed.
fn check(torrent: &Weak<Torrent>, file: &Weak<PayloadFile>) {
    let (Some(torrent), Some(file)) = (torrent.upgrade(), file.upgrade()) else { return };
    let Some(opened) = file.opened.load_full() else { return };
    if let Err(error) = file.check_unchanged(opened.file()) {
        torrent.fail(error.into());
    }
}
