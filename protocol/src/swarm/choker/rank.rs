//! Who earns a slot: the order of the interested peers under each goal.
//!
//! The choker makes a bid for every peer and takes the best. A bid reads the peer's record and changes nothing.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use super::{Contender, Goal, PeerKey, Policy, Record, SeedRule, Slot};

/// Pieces that end a turn of round robin: enough that a peer has something to share with others.
pub const TURN_PIECES: u64 = 20;
/// The least that a turn of round robin lasts, however fast the peer.
pub const MIN_TURN: Duration = Duration::from_secs(60);
/// The most that it lasts while others wait: a handful of trickling peers must not keep the swarm out.
pub const MAX_TURN: Duration = Duration::from_secs(300);
/// What the whole torrent weighs in anti-leech; a peer with half of it weighs nothing, one with none or all the most.
const ANTI_LEECH_SCALE: u64 = 2_000;

/// One interested peer in one round.
#[derive(Debug)]
pub(super) struct Bid {
    pub(super) peer: PeerKey,
    /// The slot that it has.
    pub(super) slot: Option<Slot>,
    /// `None` when it can have none but an optimistic slot.
    rank: Option<Rank>,
}

/// The better the less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    is_served: bool,
    weight: Reverse<u64>,
    /// Now, if it does not wait.
    waiting_since: Instant,
    /// Drawn for each bid, so that equals take turns.
    tie: u32,
}

impl Bid {
    pub(super) fn new(
        contender: &Contender,
        record: &Record,
        slot: Option<Slot>,
        policy: &Policy,
        now: Instant,
        tie: u32,
    ) -> Self {
        let weight = match policy.goal {
            Goal::Leech => record.received.sum(),
            Goal::Seed(SeedRule::RoundRobin | SeedRule::FastestUpload) if slot.is_none() => 0,
            Goal::Seed(SeedRule::RoundRobin | SeedRule::FastestUpload) => record.sent.sum(),
            Goal::Seed(SeedRule::AntiLeech) => anti_leech_score(contender, record.given, policy.piece_length),
        };
        let rank = Rank {
            is_served: policy.goal == Goal::Seed(SeedRule::RoundRobin)
                && slot.is_some_and(|slot| is_served(contender, &slot, policy.piece_length, now)),
            // A tenth more for who is unchoked already: a small difference is no reason to swap.
            weight: Reverse(if slot.is_some() { weight.saturating_add(weight / 10) } else { weight }),
            waiting_since: if slot.is_some() { now } else { record.waiting_since },
            tie,
        };
        let earns_nothing = policy.goal == Goal::Leech && (contender.is_snubbing || weight == 0);
        Self { peer: contender.peer, slot, rank: (!earns_nothing).then_some(rank) }
    }

    /// The slot of this peer if it earns one now.
    pub(super) fn regular(&self, now: Instant) -> Slot {
        Slot { since: self.slot.map_or(now, |slot| slot.since), turn: None }
    }

    /// What bids are sorted by: first those with a rank, the best before all.
    fn place(&self) -> (bool, Option<Rank>) {
        (self.rank.is_none(), self.rank)
    }
}

/// Brings the `slots` best that earn a slot to the front, in order, and says how many they are.
pub(super) fn bring_best_to_front(bids: &mut [Bid], slots: usize) -> usize {
    if slots > 0 && slots < bids.len() {
        bids.select_nth_unstable_by_key(slots - 1, Bid::place);
    }
    let count = slots.min(bids.len());
    let best = &mut bids[..count];
    best.sort_unstable_by_key(Bid::place);
    best.partition_point(|bid| bid.rank.is_some())
}

/// Whether a turn of round robin is over.
fn is_served(contender: &Contender, slot: &Slot, piece_length: u32, now: Instant) -> bool {
    let unchoked_for = now.saturating_duration_since(slot.since);
    let has_quota = contender.sent_since_unchoke > TURN_PIECES * u64::from(piece_length);
    unchoked_for > MAX_TURN || (has_quota && unchoked_for > MIN_TURN)
}

/// How far a peer is from having half of the torrent, up to half of [`ANTI_LEECH_SCALE`]. What it was `given` counts
/// up to that half, whatever it says that it has, so that hiding pieces brings it no nearer to the start.
fn anti_leech_score(contender: &Contender, given: u64, piece_length: u32) -> u64 {
    let total = u64::from(contender.piece_count) * u64::from(piece_length);
    let claimed = u64::from(contender.have_count) * u64::from(piece_length);
    let have = claimed.max(given.min(total / 2)).min(total);
    let distance = u128::from(have.abs_diff(total / 2)) * u128::from(ANTI_LEECH_SCALE);
    u64::try_from(distance / u128::from(total.max(1))).unwrap_or(ANTI_LEECH_SCALE)
}
