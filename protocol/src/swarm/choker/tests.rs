//! Rounds of the choker, on a clock that the test turns.

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;

const PIECE_LENGTH: u32 = 1_000;

/// A choker, its clock and its dice.
struct Table {
    choker: Choker,
    now: Instant,
    rng: StdRng,
    policy: Policy,
    unchoked: Vec<PeerKey>,
}

impl Table {
    fn new(slots: Option<usize>, goal: Goal) -> Self {
        let policy = Policy { slots, goal, piece_length: PIECE_LENGTH };
        Self {
            choker: Choker::new(),
            now: Instant::now(),
            rng: StdRng::seed_from_u64(3),
            policy,
            unchoked: vec![],
        }
    }

    fn seed(slots: usize, rule: SeedRule) -> Self {
        Self::new(Some(slots), Goal::Seed(rule))
    }

    /// A peer that connected long ago and has half of 100 pieces.
    fn old(&self, peer: u64, received: u64) -> Contender {
        Contender {
            peer: PeerKey(peer),
            received,
            sent: 0,
            sent_since_unchoke: 0,
            have_count: 50,
            piece_count: 100,
            connected_at: self.now.checked_sub(2 * NEWCOMER_AGE).unwrap(),
            is_snubbing: false,
        }
    }

    fn round(&mut self, contenders: &[Contender]) -> Vec<u64> {
        self.now += ROUND;
        self.unchoked = self.choker.round(contenders, &self.policy, self.now, &mut self.rng);
        self.unchoked.iter().map(|peer| peer.0).collect()
    }

    fn is_unchoked(&self, peer: u64) -> bool {
        self.unchoked.contains(&PeerKey(peer))
    }
}

#[test]
fn slots_go_to_those_who_give_most() {
    let mut table = Table::new(Some(5), Goal::Leech);
    for _ in 0..5 {
        let contenders: Vec<_> = (0..20).map(|peer| table.old(peer, peer * 100)).collect();
        table.round(&contenders);
    }
    assert!((16..20).all(|peer| table.is_unchoked(peer)), "{:?}", table.unchoked);
    assert_eq!(table.unchoked.len(), 5);
}

#[test]
fn who_gives_nothing_gets_less_than_a_third_of_the_slots_of_a_giver() {
    let mut table = Table::new(Some(5), Goal::Leech);
    let mut turns = [0_u32; 20];
    for round in 0..3_000 {
        // Givers give in a changing order; 0 to 3 give nothing.
        let contenders: Vec<_> = (0..20)
            .map(|peer| {
                table.old(peer, if peer < 4 { 0 } else { 1 + (peer * 7_919 + round * 104_729) % 1_000 })
            })
            .collect();
        table.round(&contenders).into_iter().for_each(|peer| turns[usize::try_from(peer).unwrap()] += 1);
    }
    let givers_mean = turns[4..].iter().sum::<u32>() / 16;
    assert!(turns[..4].iter().all(|turns| *turns > 0 && turns * 3 < givers_mean), "{turns:?}");
}

#[test]
fn a_snubbing_peer_has_none_but_optimistic_slots() {
    let mut table = Table::new(Some(4), Goal::Leech);
    let mut turns = 0;
    for _ in 0..400 {
        let mut contenders: Vec<_> = (0..10).map(|peer| table.old(peer, 100)).collect();
        contenders[0].received = 1_000_000;
        contenders[0].is_snubbing = true;
        turns += usize::from(table.round(&contenders).contains(&0));
    }
    // One slot of the four goes round among the seven who have no other.
    assert!((20..100).contains(&turns), "{turns}");
}

#[test]
fn what_counts_is_the_sum_of_two_rounds() {
    let mut table = Table::new(Some(1), Goal::Leech);
    table.round(&[table.old(1, 900), table.old(2, 0)]);
    assert!(table.is_unchoked(1));
    table.round(&[table.old(1, 900), table.old(2, 0)]);
    // Silent for one round, the first still has 900 of the last; the other has but 800.
    table.round(&[table.old(1, 0), table.old(2, 800)]);
    assert!(table.is_unchoked(1));
    table.round(&[table.old(1, 0), table.old(2, 800)]);
    assert!(table.is_unchoked(2));
}

#[test]
fn a_difference_of_less_than_a_tenth_swaps_nobody() {
    let mut table = Table::new(Some(1), Goal::Leech);
    table.round(&[table.old(1, 1_000), table.old(2, 0)]);
    for _ in 0..10 {
        assert_eq!(table.round(&[table.old(1, 1_000), table.old(2, 1_090)]), [1]);
    }
    table.round(&[table.old(1, 1_000), table.old(2, 1_200)]);
    assert_eq!(table.round(&[table.old(1, 1_000), table.old(2, 1_200)]), [2]);
}

#[test]
fn slots_that_nobody_earned_are_given_all_the_same() {
    let mut table = Table::new(Some(8), Goal::Leech);
    let contenders: Vec<_> = (0..20).map(|peer| table.old(peer, u64::from(peer == 7) * 500)).collect();
    assert_eq!(table.round(&contenders).len(), 8);
    assert!(table.is_unchoked(7));
    assert_eq!(table.round(&contenders[..6]).len(), 6);
}

#[test]
fn the_optimistic_slot_reaches_everyone_and_lasts_thirty_seconds() {
    let mut table = Table::new(Some(4), Goal::Leech);
    let mut seen = BTreeSet::new();
    let mut changes = 0;
    let mut last = vec![];
    // Three givers hold the three regular slots; the other twenty need twenty turns of three rounds each.
    for _ in 0..60 {
        let contenders: Vec<_> =
            (0..23).map(|peer| table.old(peer, if peer < 3 { 1_000 } else { 0 })).collect();
        let unchoked = table.round(&contenders);
        changes += usize::from(unchoked != last);
        seen.extend(unchoked.iter().copied());
        last = unchoked;
    }
    assert!(seen.len() >= 22, "{seen:?}");
    assert!(changes <= 21, "{changes}");
}

#[test]
fn who_gave_nothing_back_for_its_turn_comes_after_those_who_give_now_and_then() {
    let mut table = Table::new(Some(4), Goal::Leech);
    let mut turns = [0_u32; 12];
    for round in 0..120_u64 {
        // The first three hold the regular slots; the last gives nothing, the others a little every third round.
        let give = |peer: u64| match peer {
            0..3 => 1_000,
            11 => 0,
            _ => u64::from((round + peer).is_multiple_of(3)),
        };
        let contenders: Vec<_> = (0..12).map(|peer| table.old(peer, give(peer))).collect();
        table.round(&contenders).into_iter().for_each(|peer| turns[usize::try_from(peer).unwrap()] += 1);
    }
    let least = turns[3..11].iter().min().unwrap();
    assert!(turns[11] > 0 && turns[11] * 2 <= *least, "{turns:?}");
}

#[test]
fn a_newcomer_is_three_times_as_likely_to_be_next() {
    let mut next_count = [0_u32; 2];
    for (age, count) in [NEWCOMER_AGE, Duration::ZERO].into_iter().zip(&mut next_count) {
        for seed in 0..3_000 {
            let mut table = Table::new(Some(1), Goal::Leech);
            table.rng = StdRng::seed_from_u64(seed);
            let mut contenders: Vec<_> = (0..30).map(|peer| table.old(peer, 0)).collect();
            table.policy.slots = Some(0);
            table.round(&contenders);
            table.policy.slots = Some(1);
            contenders.push(table.old(99, 0));
            contenders[30].connected_at = (table.now + ROUND).checked_sub(age).unwrap();
            *count += u32::from(table.round(&contenders) == [99]);
        }
    }
    // 1 in 31 against 3 in 33, of 3,000.
    assert!((70..130).contains(&next_count[0]), "{next_count:?}");
    assert!((230..320).contains(&next_count[1]), "{next_count:?}");
}

#[test]
fn without_a_limit_everyone_who_is_interested_is_unchoked() {
    for goal in [Goal::Leech, Goal::Seed(SeedRule::RoundRobin)] {
        let mut table = Table::new(None, goal);
        let mut contenders: Vec<_> = (0..100).map(|peer| table.old(peer, 0)).collect();
        contenders[5].is_snubbing = true;
        assert_eq!(table.round(&contenders).len(), 100);
        assert!(table.choker.admit(PeerKey(1_000), &table.policy, table.now));
    }
}

#[test]
fn a_free_slot_is_taken_between_rounds_and_held() {
    let mut table = Table::new(Some(2), Goal::Leech);
    assert_eq!(table.choker.next_round(), None);
    table.round(&[table.old(1, 5)]);
    assert_eq!(table.choker.next_round(), Some(table.now + ROUND));
    assert!(table.choker.admit(PeerKey(2), &table.policy, table.now));
    assert!(table.choker.admit(PeerKey(2), &table.policy, table.now), "already unchoked");
    assert!(!table.choker.admit(PeerKey(3), &table.policy, table.now));
    let contenders = [table.old(1, 0), table.old(2, 0), table.old(3, 900)];
    assert_eq!(table.round(&contenders), [1, 2]);
    assert_eq!(table.round(&contenders), [2, 3], "peer 1 was unchoked for 20 s and earns nothing");
    table.choker.forget(PeerKey(3));
    assert!(table.choker.admit(PeerKey(4), &table.policy, table.now));
}

#[test]
fn a_peer_that_loses_interest_loses_its_slot() {
    let mut table = Table::new(Some(1), Goal::Leech);
    assert_eq!(table.round(&[table.old(1, 5), table.old(2, 0)]), [1]);
    assert_eq!(table.round(&[table.old(2, 0)]), [2]);
}

#[test]
fn fewer_slots_are_obeyed_at_once() {
    let mut table = Table::new(Some(8), Goal::Leech);
    let contenders: Vec<_> = (0..8).map(|peer| table.old(peer, peer)).collect();
    assert_eq!(table.round(&contenders).len(), 8);
    table.policy.slots = Some(2);
    assert_eq!(table.round(&contenders).len(), 2);
    table.policy.slots = Some(0);
    assert!(table.round(&contenders).is_empty());
}

/// Contenders of which those who are unchoked took `sent` bytes in the last round.
fn takers(
    table: &Table,
    count: u64,
    sent: impl Fn(u64) -> u64,
    totals: &mut BTreeMap<u64, u64>,
) -> Vec<Contender> {
    let contender = |peer| {
        let mut contender = table.old(peer, 0);
        let total = totals.entry(peer).or_default();
        if table.is_unchoked(peer) {
            contender.sent = sent(peer);
            *total += contender.sent;
        } else {
            *total = 0;
        }
        contender.sent_since_unchoke = *total;
        contender
    };
    (0..count).map(contender).collect()
}

#[test]
fn round_robin_serves_everyone_its_quota_in_turn() {
    let mut table = Table::seed(2, SeedRule::RoundRobin);
    let (mut totals, mut rounds) = (BTreeMap::new(), [0_u32; 6]);
    for _ in 0..6 * 8 {
        let contenders = takers(&table, 6, |_| 100 * u64::from(PIECE_LENGTH), &mut totals);
        table.round(&contenders).into_iter().for_each(|peer| rounds[usize::try_from(peer).unwrap()] += 1);
    }
    // A turn is the first multiple of 10 s beyond 60 s: seven rounds.
    assert!(rounds.iter().all(|rounds| (13..=21).contains(rounds)), "{rounds:?}");
}

#[test]
fn round_robin_lets_who_has_not_its_quota_go_on_but_not_for_ever() {
    let mut table = Table::seed(1, SeedRule::RoundRobin);
    let mut totals = BTreeMap::new();
    let contenders = takers(&table, 2, |_| 1, &mut totals);
    let first = table.round(&contenders);
    for _ in 0..30 {
        let contenders = takers(&table, 2, |_| 1, &mut totals);
        assert_eq!(table.round(&contenders), first);
    }
    let contenders = takers(&table, 2, |_| 1, &mut totals);
    assert_ne!(table.round(&contenders), first);
}

#[test]
fn fastest_upload_finds_the_fastest_and_keeps_them() {
    let mut table = Table::seed(5, SeedRule::FastestUpload);
    let mut totals = BTreeMap::new();
    for _ in 0..3 * 60 {
        let contenders = takers(&table, 20, |peer| 1_000 * (peer + 1), &mut totals);
        table.round(&contenders);
    }
    assert!((16..20).all(|peer| table.is_unchoked(peer)), "{:?}", table.unchoked);
}

#[test]
fn anti_leech_serves_beginners_and_those_who_have_nearly_all() {
    let mut table = Table::seed(5, SeedRule::AntiLeech);
    let contenders: Vec<_> = (0..=10)
        .map(|tenth| Contender { have_count: tenth * 10, ..table.old(u64::from(tenth), 0) })
        .collect();
    table.round(&contenders);
    table.round(&contenders);
    table.round(&contenders);
    assert!([0, 1, 9, 10].into_iter().all(|peer| table.is_unchoked(peer)), "{:?}", table.unchoked);
}

#[test]
fn anti_leech_counts_what_a_peer_was_given_whatever_it_claims() {
    let mut table = Table::seed(1, SeedRule::AntiLeech);
    let liar = |table: &Table| Contender { have_count: 0, sent: 25_000, ..table.old(1, 0) };
    let honest = |table: &Table| Contender { have_count: 30, ..table.old(2, 0) };
    assert_eq!(table.round(&[liar(&table), honest(&table)]), [1]);
    table.round(&[liar(&table), honest(&table)]);
    assert_eq!(table.round(&[liar(&table), honest(&table)]), [2]);
}

/// One round of a random swarm: slots, a goal, what each peer does, and who becomes interested after it.
type RandomRound = (Option<usize>, u8, Vec<(u64, u64, bool)>, u64);

fn rounds() -> impl Strategy<Value = Vec<RandomRound>> {
    let peers = prop::collection::vec((0_u64..24, 0_u64..2_000, any::<bool>()), 0..24);
    prop::collection::vec((prop::option::weighted(0.9, 0_usize..9), 0_u8..4, peers, 0_u64..24), 1..40)
}

proptest! {
    #[test]
    fn slots_are_obeyed_filled_and_not_lost_too_soon(rounds in rounds(), seed: u64) {
        let mut table = Table::new(None, Goal::Leech);
        table.rng = StdRng::seed_from_u64(seed);
        let (mut since, mut last_slots) = (BTreeMap::new(), Some(0));
        for (slots, goal, peers, admitted) in rounds {
            let rules = [SeedRule::RoundRobin, SeedRule::FastestUpload, SeedRule::AntiLeech];
            table.policy.goal = rules.get(usize::from(goal)).map_or(Goal::Leech, |rule| Goal::Seed(*rule));
            table.policy.slots = slots;
            let peers: BTreeMap<_, _> = peers.into_iter().map(|(key, bytes, flag)| (key, (bytes, flag))).collect();
            let contenders: Vec<_> = peers.iter().map(|(key, (bytes, is_snubbing))| Contender {
                sent: *bytes, is_snubbing: *is_snubbing, ..table.old(*key, bytes % 500)
            }).collect();
            let unchoked = table.round(&contenders);
            let limit = slots.unwrap_or(usize::MAX);
            prop_assert_eq!(unchoked.len(), limit.min(contenders.len()));
            prop_assert!(unchoked.iter().all(|peer| peers.contains_key(peer)));
            if limit >= last_slots.unwrap_or(usize::MAX) {
                for (peer, since) in &since {
                    let must_stay = peers.contains_key(peer) && table.now < *since + MIN_UNCHOKED;
                    prop_assert!(!must_stay || unchoked.contains(peer), "{} of {:?}", peer, unchoked);
                }
            }
            since.retain(|peer, _| unchoked.contains(peer));
            unchoked.iter().for_each(|peer| { since.entry(*peer).or_insert(table.now); });
            last_slots = slots;
            if table.choker.admit(PeerKey(admitted), &table.policy, table.now) {
                since.entry(admitted).or_insert(table.now);
            }
            prop_assert!(since.len() <= limit);
        }
    }

    #[test]
    fn the_same_dice_give_the_same_rounds(rounds in rounds(), seed: u64) {
        let run = || {
            let mut table = Table::new(Some(4), Goal::Leech);
            table.rng = StdRng::seed_from_u64(seed);
            let mut history = vec![];
            for (slots, _, peers, _) in &rounds {
                table.policy.slots = *slots;
                let peers: BTreeMap<_, _> = peers.iter().map(|(key, bytes, _)| (*key, *bytes)).collect();
                let contenders: Vec<_> = peers.into_iter().map(|(key, bytes)| table.old(key, bytes)).collect();
                history.push(table.round(&contenders));
            }
            history
        };
        prop_assert_eq!(run(), run());
    }
}
