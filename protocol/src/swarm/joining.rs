//! Who is connected: those that come, those that are dialled, those that go.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::id::PeerId;
use crate::peer::{Introduction, Order, Parting};
use crate::piece_set::PieceSet;

use super::candidates::{Ended, Source};
use super::peer::{Peer, Pieces};
use super::{Command, MAX_REMEMBERED, PeerKey, Swarm};

/// How long to wait before trackers are asked for more peers again. They have intervals of their own.
const NEED_PEERS_INTERVAL: Duration = Duration::from_secs(30);

/// A connection whose handshakes are done.
#[derive(Debug, Clone, Copy)]
pub struct Joined {
    /// Its name inside the process, never used before.
    pub key: PeerKey,
    /// The other end.
    pub address: SocketAddr,
    /// Whether we opened it.
    pub is_outgoing: bool,
    /// What the peer calls itself.
    pub peer_id: PeerId,
    /// How many pieces we had, at least, when we told the peer which.
    pub announced: u32,
}

impl Swarm {
    /// Addresses that may be peers.
    pub fn found(&mut self, addresses: impl IntoIterator<Item = SocketAddr>, source: Source, now: Instant) {
        for address in addresses {
            self.candidates.add(address, source, &mut self.rng);
        }
        self.dial(now);
    }

    /// A connection stands.
    pub fn joined(&mut self, joined: Joined, now: Instant) {
        let Joined { key, address, is_outgoing, peer_id, announced } = joined;
        if is_outgoing {
            self.dialling.remove(&address);
            self.candidates.connected(address);
        }
        self.remember(key, address);
        self.peers.insert(key, Peer::new(address, peer_id, is_outgoing, now));
        if let Some(parting) = self.refuse(&joined) {
            return self.tell(key, Order::Close(parting));
        }
        self.ids.insert(peer_id, key);
        if let Some(torrent) = &self.torrent {
            let (count, torrent) = (torrent.have.piece_count(), torrent.clone());
            if torrent.have.is_complete()
                && let Some(peer) = self.peers.get_mut(&key)
            {
                peer.pieces = Pieces::Count(0);
            }
            debug_assert!(announced <= count, "{announced} pieces announced of {count}");
            // It may have been let in before the metadata was here; a machine that has begun ignores this.
            self.tell(key, Order::Begin(torrent));
        }
        let known = announced.saturating_sub(self.had_at_first) as usize;
        let news = self.verified.get(known..).unwrap_or_default();
        if announced >= self.had_at_first {
            if !news.is_empty() {
                let news = news.to_vec();
                self.tell(key, Order::Have(news));
            }
        } else {
            // The machine began before we had anything: it is told all that we have.
            let all = self.have().map(|have| PieceSet::of(have).iter().collect());
            all.into_iter().for_each(|all| self.tell(key, Order::Have(all)));
        }
        if self.is_metered() {
            self.tell(key, Order::Meter(true));
        }
    }

    /// Why a connection that stands cannot stay. Of two connections between the same two peers both ends keep the
    /// one that the greater peer id opened; one that a peer opens anew replaces what is left of the one before. From
    /// another host it may be somebody who uses the peer's name: the connection that stands is kept.
    fn refuse(&mut self, joined: &Joined) -> Option<Parting> {
        if self.candidates.is_banned(joined.address) {
            return Some(Parting::Banned);
        }
        let Some(other) = self.ids.get(&joined.peer_id).copied() else {
            return (self.peers.len() > self.settings.max_peers).then_some(Parting::Crowded);
        };
        let before = self.peers.get(&other)?;
        let is_better = if before.is_outgoing == joined.is_outgoing {
            !joined.is_outgoing
        } else {
            joined.is_outgoing == (self.our_id > joined.peer_id)
        };
        if !is_better || before.address.ip() != joined.address.ip() {
            return Some(Parting::Duplicate);
        }
        self.tell(other, Order::Close(Parting::Duplicate));
        None
    }

    /// A connection has ended.
    pub fn gone(&mut self, key: PeerKey, ended: Ended, now: Instant) {
        let Some(peer) = self.peers.remove(&key) else { return };
        if self.ids.get(&peer.peer_id) == Some(&key) {
            self.ids.remove(&peer.peer_id);
        }
        if let Some(picker) = &mut self.picker {
            picker.forget_peer(key);
            if let Pieces::Set(pieces) = &peer.pieces {
                picker.peer_left(pieces);
            }
            self.has_freed = true;
        }
        self.hungry.remove(&key);
        self.choker.forget(key);
        if let Some(metadata) = &mut self.metadata {
            metadata.gone(key);
        }
        // While another connection leads there, the address is in use.
        let is_elsewhere = self.peers.values().any(|other| other.listens_at == peer.listens_at);
        if let Some(address) = peer.listens_at.filter(|_| !is_elsewhere) {
            let is_seed = self.is_complete() && self.is_useless(&peer);
            let ended = if is_seed && ended == Ended::Normal { Ended::Seed } else { ended };
            self.candidates.ended(address, now, ended, &mut self.rng);
        }
        self.dial(now);
    }

    /// An address that was dialled could not be reached, or the handshakes failed; `is_ourselves` when it was us.
    pub fn not_joined(&mut self, address: SocketAddr, is_ourselves: bool, now: Instant) {
        self.dialling.remove(&address);
        if is_ourselves {
            self.candidates.ourselves(address);
        } else {
            self.candidates.failed(address, now, &mut self.rng);
        }
        self.dial(now);
    }

    /// Dials as many as are wanted and known. Those who come by themselves do not count: they may all be of one mind.
    pub(super) fn dial(&mut self, now: Instant) {
        let dialled = self.peers.values().filter(|peer| peer.is_outgoing).count();
        while dialled + self.dialling.len() < self.settings.enough_peers
            && self.peers.len() + self.dialling.len() < self.settings.max_peers
            && self.dialling.len() < self.settings.max_dials
        {
            let Some(address) = self.candidates.next(now, &mut self.rng) else {
                return self.need_peers(now);
            };
            self.dialling.insert(address);
            self.commands.push_back(Command::Dial(address));
        }
    }

    fn need_peers(&mut self, now: Instant) {
        let since = |then: Instant| now.saturating_duration_since(then);
        if self.needed_peers_at.is_none_or(|then| since(then) >= NEED_PEERS_INTERVAL) && !self.is_complete() {
            self.needed_peers_at = Some(now);
            self.commands.push_back(Command::NeedPeers);
        }
    }

    /// What the peer says of itself.
    pub(super) fn introduced(&mut self, key: PeerKey, introduction: Introduction) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        if let (None, Some(port)) = (peer.listens_at, introduction.listen_port) {
            let address = SocketAddr::new(peer.address.ip(), port);
            peer.listens_at = Some(address);
            self.candidates.add(address, Source::Incoming, &mut self.rng);
            self.candidates.connected(address);
        }
        peer.is_upload_only = introduction.is_upload_only;
        peer.client = introduction.client.or(peer.client.take());
        if let (Some(metadata), Some(size)) = (&mut self.metadata, introduction.metadata_size) {
            // A size that no metadata can have: the peer is not asked for it.
            let _ = metadata.peer_offers(key, size);
        }
        self.part_if_redundant(key);
    }

    /// Parts from a peer that wants nothing of us, when we want nothing of it: two seeds have no use for each other.
    pub(super) fn part_if_redundant(&mut self, key: PeerKey) {
        let is_redundant =
            self.is_complete() && self.peers.get(&key).is_some_and(|peer| self.is_useless(peer));
        if is_redundant {
            self.tell(key, Order::Close(Parting::Redundant));
        }
    }

    /// Whether a peer will never want anything of us.
    fn is_useless(&self, peer: &Peer) -> bool {
        let piece_count = self.have().map_or(u32::MAX, |have| have.piece_count());
        peer.is_upload_only || peer.have_count() >= piece_count
    }

    /// Bans whoever is, or was, at the other end of `key`, and parts from all connections with them.
    pub(super) fn ban(&mut self, key: PeerKey, reason: Parting) {
        let Some(address) = self.remembered.get(&key).copied() else { return };
        let listens_at = self.peers.get(&key).and_then(|peer| peer.listens_at);
        // What it had sent before comes out bit by bit: it is said once.
        if !self.candidates.is_banned(address) {
            self.commands.push_back(Command::Banned { address, reason });
        }
        for address in [Some(address), listens_at].into_iter().flatten() {
            self.candidates.ban(address);
        }
        let is_banned = |peer: &Peer| {
            self.candidates.is_banned(peer.address)
                || peer.listens_at.is_some_and(|address| self.candidates.is_banned(address))
        };
        let banned: Vec<PeerKey> =
            self.peers.iter().filter(|(_, peer)| is_banned(peer)).map(|(key, _)| *key).collect();
        banned.into_iter().for_each(|key| self.tell(key, Order::Close(reason)));
    }

    fn remember(&mut self, key: PeerKey, address: SocketAddr) {
        self.remembered.insert(key, address);
        while self.remembered.len() > MAX_REMEMBERED.max(2 * self.peers.len()) {
            // Not the lowest of all, which may be the name of a connection that stands.
            let gone = self.remembered.keys().find(|key| !self.peers.contains_key(key)).copied();
            let Some(gone) = gone else { return };
            self.remembered.remove(&gone);
        }
    }
}
