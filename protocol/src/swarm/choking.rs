//! Who may ask us: the rounds of the choker, and what it needs to know.

use std::time::Instant;

use crate::peer::Order;

use super::choker::{Contender, Goal, Policy};
use super::{Peer, PeerKey, Swarm};

impl Swarm {
    /// A peer wants pieces of us, or no longer. Where a slot is free nobody waits for the next round.
    pub(super) fn interested(&mut self, key: PeerKey, is_interested: bool, now: Instant) {
        let policy = self.policy();
        let Some(peer) = self.peers.get_mut(&key) else { return };
        peer.is_interested = is_interested;
        if is_interested && !peer.is_unchoked && self.choker.admit(key, &policy, now) {
            self.set_unchoked(key, true);
        }
    }

    /// Payload has moved on a connection.
    pub(super) fn traffic(&mut self, key: PeerKey, received: u64, sent: u64) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        peer.received += received;
        peer.sent += sent;
        peer.sent_since_unchoke += sent;
    }

    /// Shares the slots out anew.
    pub(super) fn choke_round(&mut self, now: Instant) {
        let piece_count = self.have().map_or(0, |have| have.piece_count());
        let contenders: Vec<Contender> = self
            .peers
            .iter_mut()
            .filter_map(|(key, peer)| {
                let (received, sent) = (std::mem::take(&mut peer.received), std::mem::take(&mut peer.sent));
                peer.is_interested.then(|| contender(*key, peer, received, sent, piece_count))
            })
            .collect();
        let policy = self.policy();
        let unchoked = self.choker.round(&contenders, &policy, now, &mut self.rng);
        let keys: Vec<PeerKey> = self.peers.keys().copied().collect();
        for key in keys {
            self.set_unchoked(key, unchoked.contains(&key));
        }
    }

    fn set_unchoked(&mut self, key: PeerKey, is_unchoked: bool) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        if peer.is_unchoked != is_unchoked {
            peer.is_unchoked = is_unchoked;
            peer.sent_since_unchoke = 0;
            self.tell(key, Order::Choke(!is_unchoked));
        }
    }

    pub(super) fn policy(&self) -> Policy {
        let is_seed = self.is_complete();
        Policy {
            slots: if is_seed { self.settings.seed_slots } else { self.settings.leech_slots },
            goal: if is_seed { Goal::Seed(self.settings.seed_rule) } else { Goal::Leech },
            piece_length: self.torrent.as_ref().map_or(1, |torrent| torrent.info.geometry().piece_length()),
        }
    }

    /// Whether it matters what moves: where everybody is unchoked, nobody counts.
    pub(super) fn is_metered(&self) -> bool {
        self.policy().slots.is_some()
    }

    /// Tells all connections whether to tell what moves.
    pub(super) fn meter_all(&mut self) {
        let is_metered = self.is_metered();
        let keys: Vec<PeerKey> = self.peers.keys().copied().collect();
        keys.into_iter().for_each(|key| self.tell(key, Order::Meter(is_metered)));
    }
}

fn contender(key: PeerKey, peer: &Peer, received: u64, sent: u64, piece_count: u32) -> Contender {
    Contender {
        peer: key,
        received,
        sent,
        sent_since_unchoke: peer.sent_since_unchoke,
        have_count: peer.have_count(),
        piece_count,
        connected_at: peer.connected_at,
        is_snubbing: peer.is_snubbing,
    }
}
