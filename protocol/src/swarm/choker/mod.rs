//! Who may ask us: tit-for-tat while we fetch, fair turns while we seed.
//!
//! The swarm calls [`Choker::round`] every ten seconds with the peers that are interested and unchokes exactly those
//! that come back. Knows nothing of messages, rates or connections; it counts bytes from round to round.

mod rank;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use rand::{Rng, RngExt};

use super::PeerKey;
use rank::{Bid, bring_best_to_front};
pub use rank::{MAX_TURN, MIN_TURN, TURN_PIECES};

/// How often the slots are shared out anew (BEP 3).
pub const ROUND: Duration = Duration::from_secs(10);
/// How long a peer has an optimistic slot: long enough to be given something and to give something back (BEP 3).
pub const OPTIMISTIC_TURN: Duration = Duration::from_secs(30);
/// How long a peer stays unchoked at least while it is interested: choking and unchoking in quick succession costs
/// both sides what is on its way, and TCP its window (BEP 3 calls it fibrillation).
pub const MIN_UNCHOKED: Duration = Duration::from_secs(20);
/// Who connected less than this ago has nothing to give yet, and gets a head start in the optimistic rotation.
pub const NEWCOMER_AGE: Duration = Duration::from_secs(60);
/// How much more likely than any other peer a newcomer is to be the next in the rotation (BEP 3).
const NEWCOMER_CHANCES: usize = 3;

/// An interested peer, as the swarm saw it since the last round.
#[derive(Debug, Clone)]
pub struct Contender {
    /// Its connection.
    pub peer: PeerKey,
    /// Bytes of payload that it gave us since the last round.
    pub received: u64,
    /// Bytes of payload that it took from us since the last round.
    pub sent: u64,
    /// Bytes of payload that it took since it was unchoked.
    pub sent_since_unchoke: u64,
    /// How many pieces it has.
    pub have_count: u32,
    /// How many pieces the torrent has.
    pub piece_count: u32,
    /// When the connection was made.
    pub connected_at: Instant,
    /// Whether it leaves our requests unanswered.
    pub is_snubbing: bool,
}

/// How slots are given away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How many peers may be unchoked, the optimistic ones among them; `None` is all of them.
    pub slots: Option<usize>,
    /// What the slots are to achieve.
    pub goal: Goal,
    /// Bytes in a piece of the torrent.
    pub piece_length: u32,
}

/// What we want of the swarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Payload: slots go to those who give.
    Leech,
    /// Nothing any more: slots go by a rule.
    Seed(SeedRule),
}

/// Whom a seed serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeedRule {
    /// Everybody in turn: a turn ends after [`TURN_PIECES`] pieces, between [`MIN_TURN`] and [`MAX_TURN`].
    RoundRobin,
    /// Those who take fastest.
    FastestUpload,
    /// Those who have just begun and those who have nearly finished: both have reason to stay and to share.
    AntiLeech,
}

impl Policy {
    /// How many of `slots` go by rotation. A single slot goes by merit, and round robin is a rotation by itself.
    fn optimistic_slots(&self, slots: usize) -> usize {
        match self.goal {
            Goal::Seed(SeedRule::RoundRobin) => 0,
            _ if slots <= 1 => 0,
            _ => (slots / 5).max(1),
        }
    }
}

/// Shares the upload slots of one torrent out.
#[derive(Debug, Default)]
pub struct Choker {
    unchoked: BTreeMap<PeerKey, Slot>,
    records: BTreeMap<PeerKey, Record>,
    /// Every peer of `records`, the next for an optimistic slot first.
    rotation: VecDeque<PeerKey>,
    round: u64,
    last_round: Option<Instant>,
}

/// Permission to ask us.
#[derive(Debug, Clone, Copy)]
struct Slot {
    since: Instant,
    /// When the optimistic turn began; `None` when the slot was earned.
    turn: Option<Instant>,
}

/// What is remembered of a peer that was interested once, until its connection ends.
#[derive(Debug)]
struct Record {
    /// The last round in which it was interested.
    round: u64,
    received: Recent,
    sent: Recent,
    /// Bytes that it took in all rounds.
    given: u64,
    /// Optimistic turns that it had since it last gave us something.
    vain_turns: u32,
    /// Since when it is choked; of no meaning while it is not.
    waiting_since: Instant,
}

/// Bytes in the last two rounds: the rolling twenty seconds of BEP 3.
#[derive(Debug, Default)]
struct Recent {
    this_round: u64,
    last_round: u64,
}

impl Choker {
    /// A choker that knows nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// When to call [`Self::round`] again; `None` is at once.
    pub fn next_round(&self) -> Option<Instant> {
        self.last_round.map(|last| last + ROUND)
    }

    /// Says who is to be unchoked from now on, in the order of their keys; whoever is not named is to be choked.
    ///
    /// `contenders` are the peers that are interested, each once. Nobody who was unchoked less than [`MIN_UNCHOKED`]
    /// ago loses its slot, unless there are fewer slots than before. Slots that nobody earned go by rotation.
    pub fn round(
        &mut self,
        contenders: &[Contender],
        policy: &Policy,
        now: Instant,
        rng: &mut impl Rng,
    ) -> Vec<PeerKey> {
        self.round += 1;
        self.last_round = Some(now);
        let bids: Vec<Bid> = contenders.iter().map(|it| self.bid(it, policy, now, rng)).collect();
        let grants = match policy.slots {
            None => bids.iter().map(|bid| (bid.peer, bid.regular(now))).collect(),
            Some(slots) => self.share_out(bids, slots, policy.optimistic_slots(slots), now),
        };
        for loser in self.unchoked.keys().filter(|peer| !grants.contains_key(peer)) {
            if let Some(record) = self.records.get_mut(loser) {
                record.waiting_since = now;
            }
        }
        self.unchoked = grants;
        self.unchoked.keys().copied().collect()
    }

    /// Whether `peer`, which has just become interested, is to be unchoked at once because a slot is free. Otherwise
    /// it waits for the next round.
    pub fn admit(&mut self, peer: PeerKey, policy: &Policy, now: Instant) -> bool {
        if self.unchoked.contains_key(&peer) {
            return true;
        }
        if policy.slots.is_some_and(|slots| self.unchoked.len() >= slots) {
            return false;
        }
        self.unchoked.insert(peer, Slot { since: now, turn: Some(now) });
        self.rotation.retain(|other| *other != peer);
        self.rotation.push_back(peer);
        self.records.entry(peer).or_insert_with(|| Record::new(now)).vain_turns += 1;
        true
    }

    /// The connection ended: its slot is free, and nothing is remembered of it.
    pub fn forget(&mut self, peer: PeerKey) {
        self.unchoked.remove(&peer);
        if self.records.remove(&peer).is_some() {
            self.rotation.retain(|other| *other != peer);
        }
    }

    /// What `contender` has to show for itself; takes this round's counts into its record.
    fn bid(&mut self, contender: &Contender, policy: &Policy, now: Instant, rng: &mut impl Rng) -> Bid {
        let peer = contender.peer;
        if !self.records.contains_key(&peer) {
            let is_newcomer = now.saturating_duration_since(contender.connected_at) < NEWCOMER_AGE;
            let chances = if is_newcomer { NEWCOMER_CHANCES } else { 1 };
            let place = rng.random_range(0..self.rotation.len() + chances).saturating_sub(chances - 1);
            self.rotation.insert(place, peer);
        }
        let record = self.records.entry(peer).or_insert_with(|| Record::new(now));
        record.count(contender, self.round);
        if policy.goal != Goal::Leech {
            record.vain_turns = 0;
        }
        Bid::new(contender, record, self.unchoked.get(&peer).copied(), policy, now, rng.random())
    }

    /// Gives `slots` away: to those who may not be choked yet, to the best, to those whose optimistic turn runs, and
    /// what is left to the next in the rotation.
    fn share_out(
        &mut self,
        mut bids: Vec<Bid>,
        slots: usize,
        optimistic_slots: usize,
        now: Instant,
    ) -> BTreeMap<PeerKey, Slot> {
        let winner_count = bring_best_to_front(&mut bids, slots - optimistic_slots);
        let mut grants = BTreeMap::new();
        for (place, bid) in bids.iter().enumerate() {
            let Some(slot) = bid.slot.filter(|slot| now < slot.since + MIN_UNCHOKED) else { continue };
            if grants.len() < slots {
                grants.insert(bid.peer, if place < winner_count { bid.regular(now) } else { slot });
            }
        }
        let lucky_count = grants.values().filter(|slot| slot.turn.is_some()).count();
        let taken_count = grants.len() + optimistic_slots.saturating_sub(lucky_count);
        let mut free_count = slots.saturating_sub(taken_count);
        for bid in &bids[..winner_count] {
            if free_count > 0 && !grants.contains_key(&bid.peer) {
                grants.insert(bid.peer, bid.regular(now));
                free_count -= 1;
            }
        }
        for bid in &bids {
            let has_turn = |slot: &Slot| slot.turn.is_some_and(|begun| now < begun + OPTIMISTIC_TURN);
            if grants.len() < slots
                && let Some(slot) = bid.slot.filter(has_turn)
            {
                grants.entry(bid.peer).or_insert(slot);
            }
        }
        self.give_turns(&mut grants, slots, now);
        grants
    }

    /// Gives the slots that are left to the next in the rotation, who then go to its end. Who gave nothing back for
    /// its last turns comes after all who had fewer: where slots are left, taking alone must not be enough.
    fn give_turns(&mut self, grants: &mut BTreeMap<PeerKey, Slot>, slots: usize, now: Instant) {
        let mut waiting: Vec<(u32, PeerKey)> = (self.rotation.iter())
            .filter(|peer| !grants.contains_key(peer))
            .filter_map(|peer| Some((*peer, self.records.get(peer)?)))
            .filter(|(_, record)| record.round == self.round)
            .map(|(peer, record)| (record.vain_turns, peer))
            .collect();
        waiting.sort_by_key(|(vain_turns, _)| *vain_turns);
        let mut lucky = BTreeSet::new();
        for (_, peer) in waiting.into_iter().take(slots.saturating_sub(grants.len())) {
            let since = self.unchoked.get(&peer).map_or(now, |slot| slot.since);
            grants.insert(peer, Slot { since, turn: Some(now) });
            lucky.insert(peer);
            if let Some(record) = self.records.get_mut(&peer) {
                record.vain_turns += 1;
            }
        }
        self.rotation.retain(|peer| !lucky.contains(peer));
        self.rotation.extend(lucky);
    }
}

impl Record {
    fn new(now: Instant) -> Self {
        Self {
            round: 0,
            received: Recent::default(),
            sent: Recent::default(),
            given: 0,
            vain_turns: 0,
            waiting_since: now,
        }
    }

    /// Takes the counts of `round` in. Those of a round long ago, before the peer lost interest, count no more.
    fn count(&mut self, contender: &Contender, round: u64) {
        if self.round + 1 != round {
            (self.received, self.sent) = Default::default();
        }
        self.round = round;
        self.received.push(contender.received);
        self.sent.push(contender.sent);
        self.given = self.given.saturating_add(contender.sent);
        if contender.received > 0 {
            self.vain_turns = 0;
        }
    }
}

impl Recent {
    fn push(&mut self, count: u64) {
        self.last_round = std::mem::replace(&mut self.this_round, count);
    }

    fn sum(&self) -> u64 {
        self.this_round.saturating_add(self.last_round)
    }
}
