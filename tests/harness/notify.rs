//! The service manager's side of readiness: a socket to which btd says how it stands.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long is waited for a message before it is looked whether there can be another.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Longest message.
const MAX_MESSAGE_LENGTH: usize = 4_096;

/// A socket for NOTIFY_SOCKET, and what was said on it.
#[derive(Debug)]
pub struct NotifySocket {
    /// Where it is.
    pub path: PathBuf,
    socket: UnixDatagram,
    /// Lines so far.
    lines: Mutex<Vec<String>>,
}

impl NotifySocket {
    /// Binds `path` anew.
    pub fn bind(path: &Path) -> Self {
        std::fs::remove_file(path).ok();
        let socket = UnixDatagram::bind(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        socket.set_read_timeout(Some(LOOK_INTERVAL)).expect("a limit is set");
        Self { path: path.to_owned(), socket, lines: Mutex::default() }
    }

    /// Waits for a line that begins with `start`, which was not waited for before; returns it. What was said up to it
    /// is forgotten. `None` when `is_over` is true before, or after `limit`.
    pub fn wait(&self, start: &str, limit: Duration, mut is_over: impl FnMut() -> bool) -> Option<String> {
        let deadline = Instant::now() + limit;
        loop {
            let mut lines = self.lines();
            if let Some(index) = lines.iter().position(|line| line.starts_with(start)) {
                return lines.drain(..=index).next_back();
            }
            drop(lines);
            let over = is_over() || Instant::now() > deadline;
            if !self.take() && over {
                return None;
            }
        }
    }

    /// What was said and not waited for, by now.
    pub fn rest(&self) -> Vec<String> {
        self.socket.set_nonblocking(true).expect("a socket can be asked at once");
        while self.take() {}
        self.socket.set_nonblocking(false).expect("a socket can be waited for");
        std::mem::take(&mut *self.lines())
    }

    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a message, if one comes in time.
    fn take(&self) -> bool {
        let mut message = [0; MAX_MESSAGE_LENGTH];
        match self.socket.recv(&mut message) {
            Ok(length) => {
                let text = String::from_utf8_lossy(&message[..length]);
                self.lines().extend(text.lines().map(str::to_owned));
                true
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                false
            }
            Err(error) => panic!("{}: {error}", self.path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_for_comes_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let socket = NotifySocket::bind(&folder.path().join("notify"));
        let ours = UnixDatagram::unbound().unwrap();
        ours.send_to(b"READY=1\nSTATUS=a", &socket.path).unwrap();
        ours.send_to(b"STATUS=b\nSTOPPING=1", &socket.path).unwrap();
        assert_eq!(socket.wait("STATUS=b", LOOK_INTERVAL, || false).as_deref(), Some("STATUS=b"));
        assert_eq!(socket.wait("READY", LOOK_INTERVAL, || true), None, "it was said before");
        assert_eq!(socket.rest(), ["STOPPING=1"]);
    }
}
