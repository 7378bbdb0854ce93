//! What went wrong and how often, counted by whoever meets it and shown by the control API: a few kinds, not one a
//! torrent. What has counters of its own, such as a worker, is not counted here.

use std::sync::atomic::{AtomicU64, Ordering};

/// A kind of thing that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A torrent stopped with an error.
    Torrent,
    /// A peer was banned.
    Peer,
    /// The state could not be written.
    State,
    /// A command of the user did not run well.
    Command,
    /// A file of the watch directory could not be added.
    WatchedFile,
}

/// How often each kind of thing went wrong since the start.
#[derive(Debug, Default)]
pub struct Faults([AtomicU64; Fault::ALL.len()]);

impl Fault {
    /// All of them, in order.
    pub const ALL: [Self; 5] = [Self::Torrent, Self::Peer, Self::State, Self::Command, Self::WatchedFile];

    /// A word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Torrent => "torrent",
            Self::Peer => "peer",
            Self::State => "state",
            Self::Command => "command",
            Self::WatchedFile => "watched_file",
        }
    }
}

impl Faults {
    /// It has happened once more.
    pub fn count(&self, fault: Fault) {
        self.0[fault as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Each kind by its name, and how often it happened.
    pub fn read(&self) -> Vec<(&'static str, u64)> {
        let read = |fault: Fault| (fault.name(), self.0[fault as usize].load(Ordering::Relaxed));
        Fault::ALL.map(read).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_counted_apart() {
        let faults = Faults::default();
        for (number, fault) in Fault::ALL.into_iter().enumerate() {
            (0..=number).for_each(|_| faults.count(fault));
        }
        let expected = [("torrent", 1), ("peer", 2), ("state", 3), ("command", 4), ("watched_file", 5)];
        assert_eq!(faults.read(), expected);
    }
}
