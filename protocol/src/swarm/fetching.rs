//! What is asked of whom, and what becomes of it.

use crate::geometry::Block;
use crate::peer::{Order, Parting};
use crate::piece_set::PieceSet;

use super::peer::{Peer, Pieces};
use super::picker::{Ask, Pace, Picker, Receipt};
use super::suspects::BlockDigest;
use super::{Command, PeerKey, Swarm};

/// Suggestions of a peer that are remembered, the latest.
const MAX_SUGGESTED: usize = 32;

impl Swarm {
    /// All pieces that a peer has.
    pub(super) fn has(&mut self, key: PeerKey, pieces: PieceSet) {
        let has_all = self.has_all();
        let Some(peer) = self.peers.get_mut(&key) else { return };
        match &mut self.picker {
            Some(picker) => {
                if let Pieces::Set(before) = &peer.pieces {
                    picker.peer_left(before);
                }
                picker.peer_joined(&pieces);
                peer.useful = pieces.common_len(picker.wanted());
                peer.pieces = Pieces::Set(pieces);
            }
            None if has_all => peer.pieces = Pieces::Count(pieces.len()),
            // More may be wanted one day.
            None => peer.pieces = Pieces::Set(pieces),
        }
        self.show_interest(key);
        self.feed(key);
        self.part_if_redundant(key);
    }

    /// A peer has one more piece.
    pub(super) fn has_piece(&mut self, key: PeerKey, piece: u32) {
        let has_all = self.has_all();
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let piece_count = self.torrent.as_ref().map_or(0, |torrent| torrent.have.piece_count());
        if matches!(peer.pieces, Pieces::Unknown) && !has_all {
            peer.pieces = Pieces::Set(PieceSet::new(piece_count));
        }
        match (&mut peer.pieces, &mut self.picker) {
            (Pieces::Set(pieces), Some(picker)) => {
                if !pieces.insert(piece) {
                    return;
                }
                picker.peer_gained(pieces, piece);
                peer.useful += u32::from(picker.wants(piece));
            }
            (Pieces::Set(pieces), None) => drop(pieces.insert(piece)),
            (Pieces::Count(count), _) => *count = count.saturating_add(1).min(piece_count),
            _ => {}
        }
        self.show_interest(key);
        self.feed(key);
        self.part_if_redundant(key);
    }

    /// A peer answers requests no longer, or again.
    pub(super) fn choked(&mut self, key: PeerKey, is_choked: bool) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        peer.is_choking_us = is_choked;
        if is_choked {
            // The connection has taken back what it granted.
            peer.credits = 0;
            self.hungry.remove(&key);
        }
    }

    /// A peer takes more requests.
    pub(super) fn room(&mut self, key: PeerKey, room: u32) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        peer.credits = peer.credits.saturating_add(room);
        self.feed(key);
    }

    /// A peer leaves requests unanswered, or answers them again.
    pub(super) fn snubbing(&mut self, key: PeerKey, is_snubbing: bool) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        peer.is_snubbing = is_snubbing;
        if is_snubbing {
            peer.credits = 0;
        }
    }

    /// A piece may be asked for while the peer chokes us.
    pub(super) fn allowed_fast(&mut self, key: PeerKey, piece: u32) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        peer.allowed_fast.push(piece);
        self.feed(key);
    }

    /// A peer would like to give a piece.
    pub(super) fn suggested(&mut self, key: PeerKey, piece: u32) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        peer.suggested.retain(|suggested| *suggested != piece);
        if peer.suggested.len() == MAX_SUGGESTED {
            peer.suggested.remove(0);
        }
        peer.suggested.push(piece);
    }

    /// A block is here; storage has its data.
    pub(super) fn received(&mut self, key: PeerKey, block: Block) {
        let receipt = self.picker.as_mut().map_or(Receipt::Unwanted, |picker| picker.received(block, key));
        match receipt {
            Receipt::New { cancel, .. } => {
                self.tally.downloaded += u64::from(block.length);
                cancel.into_iter().for_each(|other| self.tell(other, Order::Cancel(block)));
            }
            Receipt::Duplicate | Receipt::Unwanted => self.tally.wasted += u64::from(block.length),
        }
    }

    /// A block that was asked for does not come from this peer.
    pub(super) fn rejected(&mut self, key: PeerKey, block: Block) {
        if let Some(picker) = &mut self.picker {
            picker.release(block, key);
            self.has_freed = true;
        }
    }

    /// A piece is on disk, and its hash matched: from now on it is served. `blocks` are told of a piece that had
    /// failed before.
    pub fn verified(&mut self, piece: u32, blocks: &[BlockDigest]) {
        let Some(torrent) = &self.torrent else { return };
        if torrent.have.get(piece) {
            return;
        }
        torrent.have.set(piece);
        self.verified.push(piece);
        self.suspects.passed(piece, blocks).into_iter().for_each(|key| self.ban(key, Parting::Corrupt));
        let was_wanted = self.picker.as_ref().is_some_and(|picker| picker.wants(piece));
        if let Some(picker) = &mut self.picker {
            picker.verified(piece);
        }
        let keys: Vec<PeerKey> = self.peers.keys().copied().collect();
        for key in keys {
            let Some(peer) = self.peers.get_mut(&key) else { continue };
            if !peer.has(piece) {
                self.tell(key, Order::Have(vec![piece]));
            } else if was_wanted {
                peer.useful = peer.useful.saturating_sub(1);
                self.show_interest(key);
            }
        }
        if self.picker.as_ref().is_some_and(Picker::is_complete) {
            self.complete();
        }
    }

    /// The hash of a piece did not match: it is fetched again, and whoever is known to be to blame is banned.
    pub fn failed(&mut self, piece: u32, blocks: Vec<BlockDigest>) {
        let Some(torrent) = &self.torrent else { return };
        self.tally.failed_pieces += 1;
        self.tally.wasted += u64::from(torrent.info.geometry().length_of(piece));
        if let Some(picker) = &mut self.picker {
            picker.failed(piece);
            self.has_freed = true;
        }
        self.suspects.failed(piece, blocks).into_iter().for_each(|key| self.ban(key, Parting::Corrupt));
    }

    /// Lets go of pieces that were begun and that nobody has any more, when they are all that there is: they take up the
    /// room for others.
    pub(super) fn drop_orphans(&mut self) {
        let Some(picker) = &mut self.picker else { return };
        let is_waiting = |(key, peer): (&PeerKey, &Peer)| !peer.is_snubbing && picker.outstanding(*key) > 0;
        let is_idle = !self.hungry.is_empty() && !self.peers.iter().any(is_waiting);
        if is_idle {
            let orphans: Vec<u32> = picker.orphans().collect();
            orphans.into_iter().for_each(|piece| picker.abandon(piece));
        }
    }

    /// All that is wanted is here: nothing more is asked for.
    pub(super) fn complete(&mut self) {
        self.picker = None;
        self.hungry.clear();
        self.commands.push_back(Command::Complete);
        let has_all = self.has_all();
        for peer in self.peers.values_mut() {
            if has_all {
                peer.pieces = Pieces::Count(peer.have_count());
            }
            peer.useful = 0;
        }
        let keys: Vec<PeerKey> = self.peers.keys().copied().collect();
        for key in keys {
            self.show_interest(key);
            self.part_if_redundant(key);
        }
        self.meter_all();
    }

    /// Tells a peer whether we want something of it, when that has changed.
    pub(super) fn show_interest(&mut self, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let is_interested = peer.useful > 0;
        if std::mem::replace(&mut peer.are_we_interested, is_interested) != is_interested {
            self.tell(key, Order::Interested(is_interested));
        }
    }

    /// Asks a peer for as much as it takes and we want.
    fn feed(&mut self, key: PeerKey) {
        let (Some(peer), Some(picker)) = (self.peers.get_mut(&key), &mut self.picker) else { return };
        if self.is_paused {
            // It is asked when that is over.
            self.hungry.insert(key);
            return;
        }
        let mut blocks = Vec::new();
        if let Some(ask) = ask(key, peer) {
            picker.pick(ask, &mut blocks);
        }
        // As many as there were credits for, at most.
        peer.credits -= u32::try_from(blocks.len()).unwrap_or(peer.credits).min(peer.credits);
        if peer.credits > 0 {
            self.hungry.insert(key)
        } else {
            self.hungry.remove(&key)
        };
        if !blocks.is_empty() {
            self.tell(key, Order::Request(blocks));
        }
    }

    /// Asks those peers that could be asked for more.
    pub(super) fn feed_hungry(&mut self) {
        let hungry: Vec<PeerKey> = self.hungry.iter().copied().collect();
        hungry.into_iter().for_each(|key| self.feed(key));
    }
}

/// What a peer can be asked now, if anything.
fn ask(key: PeerKey, peer: &Peer) -> Option<Ask<'_>> {
    let Pieces::Set(pieces) = &peer.pieces else { return None };
    (peer.credits > 0 && peer.useful > 0).then(|| Ask {
        peer: key,
        pieces,
        count: peer.credits as usize,
        pace: if peer.is_snubbing { Pace::Slow } else { Pace::Fast },
        preferred: &peer.suggested,
        only: peer.is_choking_us.then_some(&peer.allowed_fast),
    })
}
