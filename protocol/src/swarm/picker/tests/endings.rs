//! How blocks, requests and pieces end.

use super::*;

#[test]
fn the_last_blocks_are_as_long_as_their_pieces() {
    let geometry = Geometry::new(100_000, 40_000).unwrap();
    let none = PieceSet::new(3);
    let mut picker = Picker::new(geometry, &none, PieceOrder::Sequential, &mut StdRng::seed_from_u64(1));
    let lengths = |blocks: Vec<Block>| blocks.iter().map(|block| block.length).collect::<Vec<_>>();
    let all = PieceSet::full(3);
    let expected = [16_384, 16_384, 7_232, 16_384, 16_384, 7_232, 16_384, 3_616];
    assert_eq!(lengths(picked(&mut picker, ask(ALICE, &all, 20))), expected);
}

#[test]
fn a_released_block_goes_to_another_peer() {
    let mut picker = picker(1, 4);
    let all = PieceSet::full(1);
    let blocks = picked(&mut picker, ask(ALICE, &all, 4));
    picker.release(blocks[1], ALICE);
    picker.release(blocks[1], ALICE);
    picker.release(blocks[2], BOB);
    assert_eq!(picker.outstanding(ALICE), 3);
    assert_eq!(picked(&mut picker, ask(BOB, &all, 9)), [blocks[1]]);
}

#[test]
fn a_piece_of_which_nothing_came_is_closed_when_its_peer_goes() {
    let mut picker = picker(4, 4);
    let all = PieceSet::full(4);
    let blocks = picked(&mut picker, ask(ALICE, &all, 8));
    receive(&mut picker, &blocks[..1], ALICE);
    picker.forget_peer(ALICE);
    assert_eq!(picker.outstanding(ALICE), 0);
    assert_eq!(picker.open.range(..).count(), 1);
    assert_eq!(picked(&mut picker, ask(BOB, &all, 99)).len(), 15);
}

#[test]
fn a_block_counts_once_and_strange_ones_never() {
    let mut picker = picker(2, 2);
    let all = PieceSet::full(2);
    let blocks = picked(&mut picker, ask(ALICE, &all, 2));
    assert_eq!(picker.received(blocks[0], ALICE), Receipt::New { cancel: vec![], is_last: false });
    assert_eq!(picker.received(blocks[0], ALICE), Receipt::Duplicate);
    picker.release(blocks[1], ALICE);
    assert_eq!(picker.received(blocks[1], ALICE), Receipt::New { cancel: vec![], is_last: true }, "late");
    picker.verified(blocks[0].piece);
    assert_eq!(picker.received(blocks[0], BOB), Receipt::Duplicate);
    let other = Block { piece: 1 - blocks[0].piece, ..blocks[0] };
    assert_eq!(picker.received(other, BOB), Receipt::Unwanted, "nobody was asked for it");
    for strange in [Block { piece: 2, ..other }, Block { begin: 1, ..other }, Block { length: 5, ..other }] {
        assert_eq!(picker.received(strange, BOB), Receipt::Unwanted);
    }
    assert_eq!(picker.wanted_left(), 1);
}

#[test]
fn in_the_end_game_idle_peers_get_one_block_that_few_others_have() {
    let mut picker = picker(1, 2);
    let all = PieceSet::full(1);
    let first = picked(&mut picker, ask(ALICE, &all, 1));
    let second = picked(&mut picker, ask(BOB, &all, 9));
    assert_eq!(second.len(), 1, "a peer that has just got its last free block is not idle");
    assert!(picked(&mut picker, ask(ALICE, &all, 9)).is_empty(), "nor is one that was asked before");
    let carol = picked(&mut picker, ask(CAROL, &all, 9));
    let dave = picked(&mut picker, ask(DAVE, &all, 9));
    assert_eq!((carol.len(), dave.len()), (1, 1));
    assert_ne!(carol, dave, "the one with fewer holders");
    let crowd: usize = (5..9).map(|key| picked(&mut picker, ask(PeerKey(key), &all, 9)).len()).sum();
    assert_eq!(crowd, 2, "at most three for each block");
    let Receipt::New { cancel, .. } = picker.received(carol[0], CAROL) else { panic!("it was missing") };
    let owner = if carol == first { ALICE } else { BOB };
    assert!(cancel.len() == 2 && cancel.contains(&owner) && !cancel.contains(&CAROL));
    assert_eq!(picker.outstanding(owner), 0);
    assert_eq!(picker.received(carol[0], owner), Receipt::Duplicate);
}

#[test]
fn a_block_of_the_end_game_is_free_only_when_nobody_is_left() {
    let mut picker = picker(1, 1);
    let all = PieceSet::full(1);
    let block = picked(&mut picker, ask(ALICE, &all, 1));
    assert_eq!(picked(&mut picker, ask(BOB, &all, 1)), block);
    picker.forget_peer(ALICE);
    assert!(picker.is_endgame());
    assert_eq!(picked(&mut picker, ask(BOB, &all, 1)), [], "it is theirs already");
    picker.forget_peer(BOB);
    assert!(!picker.is_endgame());
    assert_eq!(picked(&mut picker, ask(BOB, &all, 1)), block);
}

#[test]
fn there_is_no_end_game_while_a_block_is_free() {
    let mut picker = picker(2, 1);
    picked(&mut picker, ask(ALICE, &set([0], 2), 1));
    assert_eq!(picked(&mut picker, ask(BOB, &set([0], 2), 1)), [], "piece 1 is free, though not for them");
    picker.set_priority(1, Priority::Skip);
    assert_eq!(picked(&mut picker, ask(BOB, &set([0], 2), 1)).len(), 1);
}

#[test]
fn a_failed_piece_comes_from_one_peer_while_that_peer_lives() {
    let mut picker = picker(1, 4);
    let all = PieceSet::full(1);
    let blocks = picked(&mut picker, ask(ALICE, &all, 4));
    receive(&mut picker, &blocks, ALICE);
    picker.failed(0);
    assert_eq!(picked(&mut picker, ask(BOB, &all, 2)).len(), 2);
    assert_eq!(picked(&mut picker, ask(CAROL, &all, 2)), [], "kept for the other");
    assert_eq!(picked(&mut picker, ask(BOB, &all, 1)).len(), 1);
    picker.forget_peer(BOB);
    assert_eq!(picked(&mut picker, ask(CAROL, &all, 2)).len(), 2);
    receive(&mut picker, &blocks[..2], CAROL);
    assert_eq!(picked(&mut picker, ask(DAVE, &all, 2)), blocks[2..], "its peer lets it lie");
    receive(&mut picker, &blocks[2..], DAVE);
    picker.verified(0);
    assert!(picker.is_complete());
}

#[test]
fn the_slot_of_a_peer_that_left_does_not_own_what_it_had() {
    let mut picker = picker(2, 2);
    let all = PieceSet::full(2);
    picker.failed(0);
    let owned = picked(&mut picker, Ask { only: Some(&[0]), ..ask(ALICE, &all, 1) });
    receive(&mut picker, &owned, ALICE);
    picker.forget_peer(ALICE);
    picked(&mut picker, Ask { only: Some(&[1]), ..ask(BOB, &all, 1) });
    assert_eq!(picker.open.get(0).unwrap().source, Source::NextOne);
}

#[test]
fn blocks_of_a_skipped_piece_are_not_given_but_their_requests_go_on() {
    let mut picker = picker(2, 2);
    let all = PieceSet::full(2);
    let block = picked(&mut picker, ask(ALICE, &all, 1));
    picker.set_priority(block[0].piece, Priority::Skip);
    assert_eq!(pieces_picked(&mut picker, ask(BOB, &all, 9)), [1 - block[0].piece]);
    receive(&mut picker, &block, ALICE);
    assert_eq!(picker.open.stored(), 0);
    picker.set_priority(block[0].piece, Priority::Normal);
    assert_eq!(picker.open.stored(), 1);
    assert_eq!(picked(&mut picker, ask(BOB, &all, 9)).len(), 1);
}

#[test]
fn a_peer_that_becomes_a_seed_is_counted_once() {
    let mut picker = picker(3, 1);
    let mut alice = set([0, 1], 3);
    picker.peer_joined(&alice);
    picker.peer_joined(&PieceSet::full(3));
    assert_eq!([0, 1, 2].map(|piece| picker.availability(piece)), [2, 2, 1]);
    alice.insert(2);
    picker.peer_gained(&alice, 2);
    assert_eq!([0, 1, 2, 3].map(|piece| picker.availability(piece)), [2, 2, 2, 0]);
    picker.peer_left(&alice);
    picker.peer_left(&PieceSet::full(3));
    assert_eq!([0, 1, 2].map(|piece| picker.availability(piece)), [0, 0, 0]);
}
