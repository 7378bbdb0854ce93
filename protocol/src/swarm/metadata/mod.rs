//! Fetches the raw `info` dictionary from several peers (BEP 9).
//!
//! The swarm tells which peers have it and how long they say it is, sends the requests that come out, and hands in
//! the answers. Nobody knows the true size before the hash matches, so each claimed size is an attempt of its own.

mod attempt;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::PeerKey;
use crate::id::InfoHash;
use attempt::Attempt;

/// The longest `info` dictionary that is fetched: 3 million pieces, or half a million files, fit.
pub const MAX_METADATA_LENGTH: u32 = 64 * 1024 * 1024;
/// Requests that one peer has before it at a time: some clients reject more than a few.
pub const MAX_REQUESTS: usize = 3;
/// Sizes that are tried at a time. What has arrived of each is held, so this bounds the memory: a liar pays for every
/// byte of it with its own upload.
pub const MAX_ATTEMPTS: usize = 3;
/// After this a piece is also asked of another peer.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// After this a request that was not answered no longer counts against its peer, which may be asked again.
pub const REQUEST_LOST: Duration = Duration::from_secs(30);
/// How long a peer that rejected a request is left alone: it has nothing to give yet, or gives no more for now.
pub const REJECTED_PAUSE: Duration = Duration::from_secs(30);
/// How long a size is tried while others wait for their turn. The one that most peers claim has no such limit, so
/// that a long dictionary is not begun over and over.
pub const ATTEMPT_TURN: Duration = Duration::from_secs(60);
/// The least time from one change of turns to the next, so that no two sizes put each other out in vain.
const TURN_GAP: Duration = Duration::from_secs(20);

/// A peer claims a size that no dictionary has that could be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("claims {0} bytes of metadata, which is not between 1 byte and 64 MiB")]
pub struct SizeError(pub u32);

/// What a piece of metadata led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was not asked of that peer, or no longer. Nothing to worry about.
    Ignored,
    /// It was taken; more are needed.
    Kept,
    /// All pieces were here and are not the dictionary, and several peers sent them. The next attempt at this size
    /// takes all from one peer.
    Mismatch,
    /// These peers lied and are to be dropped. They are forgotten here already, and one may have left by itself.
    Lied(Vec<PeerKey>),
    /// The raw dictionary. Its hash is right; nothing more is asked for.
    Done(Vec<u8>),
}

/// The fetching of one dictionary.
#[derive(Debug)]
pub struct MetadataFetch {
    info_hash: InfoHash,
    peers: BTreeMap<PeerKey, Claimant>,
    /// By size. Each has a claimant at least.
    claims: BTreeMap<u32, Claim>,
    /// Attempts that were ever opened.
    turn_count: u64,
    is_done: bool,
}

/// A peer that says how long the dictionary is.
#[derive(Debug)]
struct Claimant {
    size: u32,
    /// At most [`MAX_REQUESTS`].
    asked: Vec<Asked>,
    paused_until: Option<Instant>,
    /// Requests in a row that it left unanswered or rejected: it is asked after all who did so less often.
    fruitless_count: u32,
    /// How often it was the one peer of an attempt on parole.
    solo_count: u32,
}

/// A request that was not answered yet.
#[derive(Debug, Clone, Copy)]
struct Asked {
    piece: u32,
    at: Instant,
    /// Whether it took too long, so that the piece was given back to be asked of others.
    is_late: bool,
}

/// A size that some peers claim.
#[derive(Debug, Default)]
struct Claim {
    claimant_count: usize,
    /// The number of its latest attempt; 0 before the first.
    last_turn: u64,
    /// Whether pieces of several peers did not fit together: all must come from one.
    is_on_parole: bool,
    attempt: Option<Attempt>,
}

impl MetadataFetch {
    /// Fetches the dictionary whose SHA-1 is `info_hash`.
    pub fn new(info_hash: InfoHash) -> Self {
        Self { info_hash, peers: BTreeMap::new(), claims: BTreeMap::new(), turn_count: 0, is_done: false }
    }

    /// A peer speaks `ut_metadata` and says that the dictionary has `size` bytes. A later word replaces an earlier.
    ///
    /// # Errors
    /// When no dictionary has that size; the peer is not asked then.
    pub fn peer_offers(&mut self, peer: PeerKey, size: u32) -> Result<(), SizeError> {
        if self.peers.get(&peer).is_some_and(|claimant| claimant.size == size) {
            return Ok(());
        }
        self.gone(peer);
        if size == 0 || size > MAX_METADATA_LENGTH {
            return Err(SizeError(size));
        }
        if !self.is_done {
            self.peers.insert(peer, Claimant::new(size));
            self.claims.entry(size).or_default().claimant_count += 1;
        }
        Ok(())
    }

    /// The next request to send: a piece, and the peer to ask for it. To be called until there is none, whenever an
    /// answer came and once a second or so.
    pub fn poll_request(&mut self, now: Instant) -> Option<(PeerKey, u32)> {
        self.note_late(now);
        self.open_attempts(now);
        self.choose_solo_peers(now);
        let mut ready: Vec<_> = self.peers.iter().filter(|(_, it)| it.is_ready(now)).collect();
        ready.sort_by_key(|(_, it)| (it.is_late(), it.fruitless_count, it.asked.len()));
        let ready: Vec<PeerKey> = ready.into_iter().map(|(peer, _)| *peer).collect();
        ready.into_iter().find_map(|peer| {
            let claimant = self.peers.get_mut(&peer)?;
            let claim = self.claims.get_mut(&claimant.size)?;
            let attempt = claim.attempt.as_mut()?;
            if claim.is_on_parole && attempt.only != Some(peer) {
                return None;
            }
            let piece =
                attempt.take_wanted(|piece| claimant.asked.iter().any(|asked| asked.piece == piece))?;
            claimant.asked.push(Asked { piece, at: now, is_late: false });
            Some((peer, piece))
        })
    }

    /// A peer sent `data` as `piece` of a dictionary of `total_size` bytes.
    pub fn data(&mut self, peer: PeerKey, piece: u32, total_size: u32, data: &[u8]) -> Outcome {
        let Some(claimant) = self.peers.get_mut(&peer) else { return Outcome::Ignored };
        let Some(place) = claimant.asked.iter().position(|asked| asked.piece == piece) else {
            return Outcome::Ignored;
        };
        let size = claimant.size;
        if total_size != size || data.len() != Attempt::piece_length(size, piece) {
            self.gone(peer);
            return Outcome::Lied(vec![peer]);
        }
        claimant.asked.swap_remove(place);
        claimant.fruitless_count = 0;
        let Some(claim) = self.claims.get_mut(&size) else { return Outcome::Ignored };
        let Some(attempt) = &mut claim.attempt else { return Outcome::Ignored };
        attempt.keep(piece, data, peer);
        if !attempt.is_whole() {
            return Outcome::Kept;
        }
        self.judge(size)
    }

    /// A peer will not give `piece` now.
    pub fn rejected(&mut self, peer: PeerKey, piece: u32, now: Instant) {
        let Some(claimant) = self.peers.get_mut(&peer) else { return };
        let Some(place) = claimant.asked.iter().position(|asked| asked.piece == piece) else { return };
        claimant.paused_until = Some(now + REJECTED_PAUSE);
        claimant.fruitless_count += 1;
        let asked = claimant.asked.swap_remove(place);
        if let Some(attempt) = self.claims.get_mut(&claimant.size).and_then(|claim| claim.attempt.as_mut())
            && !asked.is_late
        {
            attempt.give_back(piece);
        }
    }

    /// The connection ended. What the peer gave stays, unless all is to come from one peer and this was the one.
    pub fn gone(&mut self, peer: PeerKey) {
        let Some(claimant) = self.peers.remove(&peer) else { return };
        let Some(claim) = self.claims.get_mut(&claimant.size) else { return };
        claim.claimant_count -= 1;
        if claim.claimant_count == 0 {
            self.claims.remove(&claimant.size);
            return;
        }
        let Some(attempt) = &mut claim.attempt else { return };
        if attempt.only == Some(peer) {
            *attempt = Attempt::new(claimant.size, attempt.since);
        } else {
            claimant
                .asked
                .iter()
                .filter(|asked| !asked.is_late)
                .for_each(|asked| attempt.give_back(asked.piece));
        }
    }

    /// Hashes what is here of `size`, which is all of it.
    fn judge(&mut self, size: u32) -> Outcome {
        let Some(attempt) = self.close(size) else { return Outcome::Ignored };
        let mut contributors = match attempt.finish(self.info_hash) {
            Ok(info) => {
                self.is_done = true;
                self.claims.clear();
                self.peers.clear();
                return Outcome::Done(info);
            }
            Err(contributors) => contributors.into_iter(),
        };
        match (contributors.next(), contributors.next()) {
            (Some(liar), None) => {
                self.gone(liar);
                Outcome::Lied(vec![liar])
            }
            _ => {
                if let Some(claim) = self.claims.get_mut(&size) {
                    claim.is_on_parole = true;
                }
                Outcome::Mismatch
            }
        }
    }

    /// Ends the attempt at `size`. What its claimants were asked for is not waited for any more.
    fn close(&mut self, size: u32) -> Option<Attempt> {
        self.peers.values_mut().filter(|claimant| claimant.size == size).for_each(|it| it.asked.clear());
        self.claims.get_mut(&size)?.attempt.take()
    }

    /// Gives back what was asked for too long ago.
    fn note_late(&mut self, now: Instant) {
        for claimant in self.peers.values_mut() {
            let attempt = self.claims.get_mut(&claimant.size).and_then(|claim| claim.attempt.as_mut());
            if let Some(attempt) = attempt {
                for asked in
                    claimant.asked.iter_mut().filter(|it| !it.is_late && it.at + REQUEST_TIMEOUT <= now)
                {
                    asked.is_late = true;
                    claimant.fruitless_count += 1;
                    attempt.give_back(asked.piece);
                }
            }
            claimant.asked.retain(|asked| now < asked.at + REQUEST_LOST);
        }
    }

    /// Opens attempts at the sizes that had none for longest, those with the most claimants first. If there is no
    /// room, one whose turn is over makes some.
    fn open_attempts(&mut self, now: Instant) {
        let open_count = self.claims.values().filter(|claim| claim.attempt.is_some()).count();
        if open_count == self.claims.len() {
            return;
        }
        if open_count >= MAX_ATTEMPTS {
            let Some(size) = self.over_turn(now) else { return };
            self.close(size);
        }
        for _ in open_count.min(MAX_ATTEMPTS - 1)..MAX_ATTEMPTS {
            let waiting = self.claims.iter_mut().filter(|(_, claim)| claim.attempt.is_none());
            let next = waiting.min_by_key(|(_, claim)| (claim.last_turn, Reverse(claim.claimant_count)));
            let Some((size, claim)) = next else { return };
            self.turn_count += 1;
            claim.last_turn = self.turn_count;
            claim.attempt = Some(Attempt::new(*size, now));
        }
    }

    /// The attempt whose turn was over first, but for the size that most peers claim.
    fn over_turn(&self, now: Instant) -> Option<u32> {
        let (most_claimed, _) = self.claims.iter().max_by_key(|(_, claim)| claim.claimant_count)?;
        let open =
            self.claims.iter().filter_map(|(size, claim)| Some((claim.attempt.as_ref()?.since, *size)));
        if open.clone().any(|(since, _)| now < since + TURN_GAP) {
            return None;
        }
        let over = open.filter(|(since, size)| size != most_claimed && *since + ATTEMPT_TURN <= now);
        over.min().map(|(_, size)| size)
    }

    /// On parole, finds the one peer for each attempt: at first, and again when it is late or pauses and another is
    /// ready. Those who had fewer chances come first.
    fn choose_solo_peers(&mut self, now: Instant) {
        for (size, claim) in self.claims.iter_mut().filter(|(_, claim)| claim.is_on_parole) {
            let Some(attempt) = &mut claim.attempt else { continue };
            let is_fit = |claimant: &Claimant| !claimant.is_late() && !claimant.is_paused(now);
            if attempt.only.and_then(|peer| self.peers.get(&peer)).is_some_and(is_fit) {
                continue;
            }
            let fit = self.peers.iter_mut().filter(|(_, it)| it.size == *size && is_fit(it));
            let Some((peer, claimant)) = fit.min_by_key(|(peer, it)| (it.solo_count, **peer)) else {
                continue;
            };
            claimant.solo_count += 1;
            *attempt = Attempt::new(*size, attempt.since);
            attempt.only = Some(*peer);
            self.peers.values_mut().filter(|it| it.size == *size).for_each(|it| it.asked.clear());
        }
    }
}

impl Claimant {
    fn new(size: u32) -> Self {
        Self { size, asked: vec![], paused_until: None, fruitless_count: 0, solo_count: 0 }
    }

    fn is_paused(&self, now: Instant) -> bool {
        self.paused_until.is_some_and(|until| now < until)
    }

    fn is_late(&self) -> bool {
        self.asked.iter().any(|asked| asked.is_late)
    }

    fn is_ready(&self, now: Instant) -> bool {
        self.asked.len() < MAX_REQUESTS && !self.is_paused(now)
    }
}
