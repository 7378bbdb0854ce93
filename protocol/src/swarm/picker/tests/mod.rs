//! What a picker asks for, told as stories of a few peers.

mod endings;
mod random;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;

const ALICE: PeerKey = PeerKey(1);
const BOB: PeerKey = PeerKey(2);
const CAROL: PeerKey = PeerKey(3);
const DAVE: PeerKey = PeerKey(4);

/// Rarest first over `pieces` pieces of `blocks` blocks.
fn picker(pieces: u32, blocks: u32) -> Picker {
    ordered(pieces, blocks, PieceOrder::RarestFirst)
}

fn ordered(pieces: u32, blocks: u32, order: PieceOrder) -> Picker {
    let piece_length = u64::from(blocks * BLOCK_LENGTH);
    let geometry = Geometry::new(piece_length * u64::from(pieces), piece_length).unwrap();
    Picker::new(geometry, &PieceSet::new(pieces), order, &mut StdRng::seed_from_u64(7))
}

fn set(pieces: impl IntoIterator<Item = u32>, piece_count: u32) -> PieceSet {
    let mut set = PieceSet::new(piece_count);
    pieces.into_iter().for_each(|piece| assert!(set.insert(piece)));
    set
}

fn ask(peer: PeerKey, pieces: &PieceSet, count: usize) -> Ask<'_> {
    Ask { peer, pieces, count, pace: Pace::Fast, preferred: &[], only: None }
}

fn picked(picker: &mut Picker, ask: Ask<'_>) -> Vec<Block> {
    let mut out = Vec::new();
    picker.pick(ask, &mut out);
    out
}

/// The distinct pieces of what is picked, in the order they came.
fn pieces_picked(picker: &mut Picker, ask: Ask<'_>) -> Vec<u32> {
    let mut pieces: Vec<u32> = picked(picker, ask).iter().map(|block| block.piece).collect();
    pieces.dedup();
    pieces
}

fn receive(picker: &mut Picker, blocks: &[Block], from: PeerKey) {
    for block in blocks {
        assert!(matches!(picker.received(*block, from), Receipt::New { .. }));
    }
}

/// Verifies `pieces` that came from nowhere, so that the first random picks are over.
fn verify(picker: &mut Picker, pieces: impl IntoIterator<Item = u32>) {
    pieces.into_iter().for_each(|piece| picker.verified(piece));
}

#[test]
fn the_rarest_piece_comes_first() {
    let mut picker = picker(10, 1);
    verify(&mut picker, 0..4);
    for last in [9, 8, 6, 5, 4] {
        picker.peer_joined(&set((4..=last).filter(|piece| *piece != 7), 10));
    }
    let bob = set(4..9, 10);
    picker.peer_joined(&bob);
    assert_eq!(picker.availability(4), 6);
    assert_eq!(pieces_picked(&mut picker, ask(BOB, &bob, 9)), [7, 8, 6, 5, 4]);
    assert_eq!(pieces_picked(&mut picker, ask(BOB, &bob, 9)), Vec::<u32>::new(), "piece 9 is not theirs");
}

#[test]
fn a_slow_peer_begins_with_the_commonest_piece() {
    let mut picker = picker(10, 1);
    verify(&mut picker, 0..4);
    (4..10).for_each(|first| picker.peer_joined(&set(first..10, 10)));
    let all = set(4..10, 10);
    let slow = Ask { pace: Pace::Slow, ..ask(ALICE, &all, 2) };
    assert_eq!(pieces_picked(&mut picker, slow), [9, 8]);
}

#[test]
fn the_first_pieces_are_random_until_four_are_verified() {
    let firsts = |verified: u32| {
        let first = |seed| {
            let geometry = Geometry::new(200, 1).unwrap();
            let have = set(0..verified, 200);
            let mut rng = StdRng::seed_from_u64(seed);
            let mut picker = Picker::new(geometry, &have, PieceOrder::RarestFirst, &mut rng);
            let (some, all) = (set(100..200, 200), PieceSet::full(200));
            picker.peer_joined(&all);
            picker.peer_joined(&some);
            picked(&mut picker, ask(ALICE, &all, 1))[0].piece
        };
        (0..40).filter(|seed| first(*seed) >= 100).count()
    };
    assert!((10..30).contains(&firsts(3)), "{} of 40 are common", firsts(3));
    assert_eq!(firsts(4), 0);
}

#[test]
fn a_peer_with_few_or_common_pieces_is_still_served() {
    let mut picker = picker(5_000, 1);
    verify(&mut picker, 0..4);
    let (few, most) = (set([4_321], 5_000), set(1_000..5_000, 5_000));
    let others = set(0..1_000, 5_000);
    for peer in [&few, &most, &most] {
        picker.peer_joined(peer);
    }
    picker.peer_joined(&others);
    assert_eq!(pieces_picked(&mut picker, ask(ALICE, &few, 9)), [4_321]);
    let rare = pieces_picked(&mut picker, ask(BOB, &others, 2_000));
    assert_eq!(rare.len(), 996);
    assert_eq!(pieces_picked(&mut picker, ask(CAROL, &most, 5_000)).len(), 3_999);
}

#[test]
fn pieces_go_in_order_in_sequence() {
    let mut picker = ordered(6, 2, PieceOrder::Sequential);
    let all = PieceSet::full(6);
    picker.set_priority(4, Priority::High);
    assert_eq!(pieces_picked(&mut picker, ask(ALICE, &all, 5)), [4, 0, 1]);
    assert_eq!(pieces_picked(&mut picker, ask(BOB, &all, 9)), [1, 2, 3, 5], "the begun piece first");
}

#[test]
fn priorities_go_before_rarity_and_skipped_pieces_never() {
    let mut picker = picker(8, 1);
    verify(&mut picker, 0..4);
    let all = PieceSet::full(8);
    picker.set_priority(4, Priority::Low);
    picker.set_priority(5, Priority::Skip);
    picker.set_priority(6, Priority::High);
    picker.peer_joined(&set([6], 8));
    assert_eq!(picker.wanted_left(), 3);
    assert_eq!(pieces_picked(&mut picker, ask(ALICE, &all, 9)), [6, 7, 4]);
    assert!(!picker.wants(5) && picker.is_endgame());
    verify(&mut picker, [6, 7, 4]);
    assert!(picker.is_complete());
    picker.set_priority(5, Priority::Low);
    assert_eq!(pieces_picked(&mut picker, ask(ALICE, &all, 9)), [5]);
}

#[test]
fn begun_pieces_come_before_new_ones() {
    let mut picker = picker(8, 4);
    let all = PieceSet::full(8);
    let first = picked(&mut picker, ask(ALICE, &all, 3));
    let next = picked(&mut picker, ask(BOB, &all, 2));
    assert_eq!(next[0].piece, first[0].piece);
    assert_eq!(next[0].begin, 3 * BLOCK_LENGTH, "the block that was left");
    assert_ne!(next[1].piece, first[0].piece);
}

#[test]
fn what_one_peer_alone_has_comes_before_begun_pieces_that_others_can_finish() {
    let mut picker = picker(8, 4);
    verify(&mut picker, 0..4);
    let (all, common) = (PieceSet::full(8), set([4, 5, 6], 8));
    picker.peer_joined(&all);
    picker.peer_joined(&common);
    let begun = pieces_picked(&mut picker, ask(BOB, &common, 2));
    assert_eq!(pieces_picked(&mut picker, ask(ALICE, &all, 3)), [7], "a new one that only she has");
    assert_eq!(
        pieces_picked(&mut picker, ask(ALICE, &all, 3)),
        [7, begun[0]],
        "the rest of it, and then as usual"
    );
    picker.set_priority(5, Priority::High);
    assert_eq!(pieces_picked(&mut picker, ask(BOB, &common, 1)), [5]);
    assert_eq!(
        pieces_picked(&mut picker, ask(ALICE, &all, 1)),
        [5],
        "but never before one that is wanted more"
    );
}

#[test]
fn a_begun_piece_that_lacks_less_comes_first_but_after_one_of_higher_priority() {
    let mut picker = picker(8, 4);
    let piece = |number| set([number], 8);
    picked(&mut picker, ask(ALICE, &piece(1), 1));
    picked(&mut picker, ask(ALICE, &piece(2), 2));
    picked(&mut picker, ask(ALICE, &piece(3), 3));
    picker.set_priority(1, Priority::High);
    assert_eq!(pieces_picked(&mut picker, ask(BOB, &set(0..4, 8), 6)), [1, 3, 2]);
}

#[test]
fn one_fast_peer_fills_a_deep_queue_in_one_pick() {
    let mut picker = picker(300, 16);
    let all = PieceSet::full(300);
    let blocks = picked(&mut picker, ask(ALICE, &all, 2_000));
    assert_eq!(blocks.len(), 2_000);
    assert_eq!(picker.outstanding(ALICE), 2_000);
    let mut pieces: Vec<u32> = blocks.iter().map(|block| block.piece).collect();
    pieces.dedup();
    assert_eq!(pieces.len(), 125, "no more pieces are begun than needed");
}

#[test]
fn no_piece_is_begun_while_too_much_waits() {
    const COUNT: u32 = 20_000;
    let mut picker = picker(COUNT, 2);
    let begun: Vec<u32> = (0..COUNT)
        .take_while(|piece| {
            let first = picked(&mut picker, ask(ALICE, &set([*piece], COUNT), 1));
            receive(&mut picker, &first, ALICE);
            !first.is_empty()
        })
        .collect();
    assert_eq!(begun.len(), 8_192);
    let (old, new) = (set(0..8_192, COUNT), set(8_192..COUNT, COUNT));
    assert_eq!(picked(&mut picker, ask(BOB, &new, 9)), []);
    assert_eq!(picked(&mut picker, ask(BOB, &old, 500)).len(), 500, "begun pieces go on");
    assert_eq!(picker.orphans().count(), 8_192);
    picker.abandon(0);
    assert_eq!(picked(&mut picker, ask(CAROL, &new, 9)).len(), 9, "there is room again");
}

#[test]
fn a_slow_peer_stays_away_from_the_pieces_of_fast_ones_where_it_can() {
    let mut picker = picker(3, 4);
    let all = PieceSet::full(3);
    let slow = |peer| Ask { pace: Pace::Slow, ..ask(peer, &all, 1) };
    let fast = pieces_picked(&mut picker, ask(ALICE, &all, 5));
    let bob = pieces_picked(&mut picker, slow(BOB));
    assert!(!fast.contains(&bob[0]), "a piece of its own");
    assert_eq!(pieces_picked(&mut picker, slow(CAROL)), bob, "shared with its like");
    picked(&mut picker, Ask { count: 2, ..slow(CAROL) });
    assert_eq!(pieces_picked(&mut picker, slow(DAVE)), fast[1..], "nothing else is left");
}

#[test]
fn suggestions_come_first_and_a_choked_peer_gets_only_allowed_pieces() {
    let mut picker = picker(100, 2);
    let most = set(0..90, 100);
    let suggested = Ask { preferred: &[95, 42, 200], ..ask(ALICE, &most, 1) };
    assert_eq!(pieces_picked(&mut picker, suggested), [42]);
    let choked = Ask { preferred: &[50], only: Some(&[42, 7, 99]), ..ask(BOB, &most, 9) };
    assert_eq!(pieces_picked(&mut picker, choked), [42, 7]);
}

#[test]
fn another_order_counts_at_once_also_for_pieces_that_were_begun() {
    let mut picker = picker(8, 4);
    let all = PieceSet::full(8);
    let piece = |number| set([number], 8);
    picked(&mut picker, ask(ALICE, &piece(5), 3));
    picked(&mut picker, ask(ALICE, &piece(2), 1));
    picker.set_order(PieceOrder::Sequential);
    assert_eq!(pieces_picked(&mut picker, ask(BOB, &all, 6)), [2, 5, 0]);
    picker.set_priorities(&[Priority::Skip, Priority::High]);
    assert_eq!(pieces_picked(&mut picker, ask(BOB, &all, 5)), [1, 3]);
}
