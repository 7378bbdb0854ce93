//! Peers that came for torrents that are not loaded, until each is, or is refused. Their sockets are not read meanwhile;
//! whoever is not answered is turned away by its connection when the time for handshakes is over.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use protocol::id::InfoHash;
use protocol::peer::{HANDSHAKE_TIMEOUT, Order, Parting};

use crate::bus::Mailbox;

/// Those who wait.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    torrents: HashMap<InfoHash, Visitors>,
}

/// Those who wait for one torrent. No more than there may be connections.
#[derive(Debug)]
struct Visitors {
    /// When it was last said that the torrent is wanted.
    told_at: Instant,
    mailboxes: Vec<Arc<Mailbox>>,
}

impl Waiting {
    /// Has a connection wait; whether it is to be told that the torrent is wanted.
    pub(super) fn add(&mut self, info_hash: InfoHash, mailbox: Arc<Mailbox>, now: Instant) -> bool {
        let mut is_new = false;
        let visitors = self.torrents.entry(info_hash).or_insert_with(|| {
            is_new = true;
            Visitors { told_at: now, mailboxes: Vec::new() }
        });
        // Whoever came before that has gone, and what was told had no answer.
        if now.saturating_duration_since(visitors.told_at) >= HANDSHAKE_TIMEOUT {
            *visitors = Visitors { told_at: now, mailboxes: Vec::new() };
            is_new = true;
        }
        visitors.mailboxes.push(mailbox);
        is_new
    }

    /// A torrent is loaded: those who wait for it find it now.
    pub(super) fn admit(&mut self, info_hash: InfoHash) {
        self.take(info_hash).iter().for_each(|mailbox| mailbox.ring());
    }

    /// A torrent is not loaded: those who wait for it are turned away.
    pub(super) fn refuse(&mut self, info_hash: InfoHash) {
        for mailbox in self.take(info_hash) {
            mailbox.post(Order::Close(Parting::Stopped));
            mailbox.ring();
        }
    }

    fn take(&mut self, info_hash: InfoHash) -> Vec<Arc<Mailbox>> {
        self.torrents.remove(&info_hash).map_or_else(Vec::new, |visitors| visitors.mailboxes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torrent_is_wanted_once_for_all_who_come_while_it_is_loaded() {
        let (mut waiting, now) = (Waiting::default(), Instant::now());
        let info_hash = InfoHash::of_info(b"wanted");
        let mailboxes: [Arc<Mailbox>; 4] = Default::default();
        let mut add = |number: usize, now| waiting.add(info_hash, Arc::clone(&mailboxes[number]), now);
        assert!(add(0, now));
        assert!(!add(1, now));
        assert!(add(2, now + HANDSHAKE_TIMEOUT), "nobody has answered");
        assert_eq!(Arc::strong_count(&mailboxes[1]), 1, "who has gone is forgotten");
        waiting.refuse(info_hash);
        let closed = |mailbox: &Mailbox| matches!(mailbox.take().0[..], [Order::Close(Parting::Stopped)]);
        assert!(closed(&mailboxes[2]) && !closed(&mailboxes[0]));
        assert!(waiting.add(info_hash, Arc::clone(&mailboxes[3]), now));
        waiting.admit(info_hash);
        assert!(mailboxes[3].take().0.is_empty());
        assert!(waiting.torrents.is_empty());
    }
}
