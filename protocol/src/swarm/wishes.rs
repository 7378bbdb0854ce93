//! What is wanted of the torrent, and how it is to be had, as the user changes it while the swarm goes on.

use std::time::Instant;

use crate::peer::TorrentView;
use crate::piece_set::PieceSet;

use super::peer::Pieces;
use super::picker::{Picker, Priority};
use super::{PeerKey, Settings, Swarm};

impl Swarm {
    /// Sets how much each piece is wanted; an empty list wants all alike. A swarm that was complete may want more then,
    /// and one that wants less may be complete, which it says. Before the torrent has begun this is ignored.
    pub fn prioritize(&mut self, priorities: &[Priority], now: Instant) {
        let Some(torrent) = self.torrent.clone() else { return };
        if torrent.have.is_complete() {
            return;
        }
        let was_complete = self.is_complete();
        let mut picker = self.picker.take().unwrap_or_else(|| self.new_picker(&torrent));
        picker.set_priorities(priorities);
        if picker.is_complete() {
            if !was_complete {
                self.complete();
            }
            return;
        }
        if was_complete {
            self.peers.values().for_each(|peer| {
                if let Pieces::Set(pieces) = &peer.pieces {
                    picker.peer_joined(pieces);
                }
            });
        }
        self.picker = Some(picker);
        self.show_new_interest();
        if was_complete {
            self.go_on(now);
        }
    }

    /// Sets what the user chose. Connections that stand are not ended when there may be fewer.
    pub fn set_settings(&mut self, settings: Settings, now: Instant) {
        let before = self.policy();
        self.settings = settings;
        if let Some(picker) = &mut self.picker {
            picker.set_order(settings.piece_order);
        }
        if self.policy() != before {
            self.meter_all();
            self.choke_round(now);
        }
        self.dial(now);
    }

    /// A picker that wants all of `torrent` that is not here, and knows no peers.
    pub(super) fn new_picker(&mut self, torrent: &TorrentView) -> Picker {
        let have = PieceSet::of(&torrent.have);
        Picker::new(*torrent.info.geometry(), &have, self.settings.piece_order, &mut self.rng)
    }

    /// Weighs anew what peers have against what is wanted.
    fn show_new_interest(&mut self) {
        let Some(picker) = &self.picker else { return };
        for peer in self.peers.values_mut() {
            if let Pieces::Set(pieces) = &peer.pieces {
                peer.useful = pieces.common_len(picker.wanted());
            }
        }
        let keys: Vec<PeerKey> = self.peers.keys().copied().collect();
        keys.into_iter().for_each(|key| self.show_interest(key));
        self.has_freed = true;
    }

    /// Fetches again after all that was wanted had been here.
    fn go_on(&mut self, now: Instant) {
        self.hungry.extend(self.peers.keys().copied());
        self.meter_all();
        // Seeds were parted from as long as nothing was wanted of them.
        self.candidates.recall(now);
        self.needed_peers_at = None;
        self.dial(now);
    }
}
