//! What is asked of a peer, on a clock that the test turns.

use super::*;

fn block(piece: u32) -> Block {
    Block { piece, begin: 0, length: BLOCK_LENGTH }
}

/// A peer that has unchoked us, and the events so far forgotten.
fn unchoked(now: Instant) -> Requesting {
    let mut requesting = Requesting::new(now);
    requesting.set_choked(false, true, &mut Vec::new());
    requesting
}

fn room(requesting: &mut Requesting) -> u32 {
    let mut events = Vec::new();
    requesting.offer_room(&mut events);
    match events[..] {
        [Event::Room(room)] => room,
        [] => 0,
        _ => panic!("{events:?}"),
    }
}

fn ask(requesting: &mut Requesting, pieces: std::ops::Range<u32>, now: Instant) -> Vec<Event> {
    let (mut control, mut events) = (Vec::new(), Vec::new());
    let blocks: Vec<Block> = pieces.map(block).collect();
    requesting.request(&blocks, now, &mut control, &mut events);
    events
}

#[test]
fn credits_are_granted_once_and_used_up() {
    let now = Instant::now();
    let mut requesting = unchoked(now);
    assert_eq!(room(&mut requesting), FIRST_REQUESTS);
    assert_eq!(room(&mut requesting), 0, "all of it is granted");
    assert!(ask(&mut requesting, 0..FIRST_REQUESTS, now).is_empty());
    assert_eq!(room(&mut requesting), 0, "all of it is on its way");
    for piece in 0..FIRST_REQUESTS {
        assert!(requesting.receive(block(piece), now, &mut Vec::new()));
    }
    assert_eq!(room(&mut requesting), 2 * FIRST_REQUESTS, "slow start doubles");
}

#[test]
fn the_depth_follows_the_rate_within_what_the_peer_takes() {
    let mut now = Instant::now();
    let mut requesting = unchoked(now);
    let second = |requesting: &mut Requesting, now: &mut Instant, blocks: u32| {
        ask(requesting, 0..blocks, *now);
        (0..blocks).for_each(|piece| assert!(requesting.receive(block(piece), *now, &mut Vec::new())));
        *now += Duration::from_secs(1);
        requesting.tick(*now, &mut Vec::new(), &mut Vec::new());
    };
    (0..20).for_each(|_| second(&mut requesting, &mut now, 40));
    assert!((118..=120).contains(&requesting.depth()), "{} of 120", requesting.depth());
    requesting.set_peer_queue(50);
    assert_eq!(requesting.depth(), 50);
    requesting.set_peer_queue(100_000);
    (0..20).for_each(|_| second(&mut requesting, &mut now, 1_000));
    assert_eq!(requesting.depth(), MAX_REQUESTS);
    (0..40).for_each(|_| second(&mut requesting, &mut now, 0));
    assert_eq!(requesting.depth(), MIN_REQUESTS);
}

#[test]
fn a_choke_gives_up_every_request_and_one_with_the_fast_extension_waits_for_rejections() {
    let now = Instant::now();
    for has_fast in [false, true] {
        let mut requesting = unchoked(now);
        ask(&mut requesting, 0..3, now);
        let mut events = Vec::new();
        requesting.set_choked(true, has_fast, &mut events);
        let rejected = events.iter().filter(|event| matches!(event, Event::Rejected(_))).count();
        assert_eq!(rejected, if has_fast { 0 } else { 3 });
        assert_eq!(room(&mut requesting), 0, "nothing may be asked for");
        assert_eq!(ask(&mut requesting, 5..6, now), [Event::Rejected(block(5))]);
        assert!(requesting.rejected(block(0), &mut Vec::new()), "on its way, or given up");
        assert!(!requesting.rejected(block(9), &mut Vec::new()));
    }
}

#[test]
fn an_allowed_piece_may_be_asked_for_while_choked() {
    let now = Instant::now();
    let mut requesting = Requesting::new(now);
    assert_eq!(room(&mut requesting), 0);
    requesting.allow(7, &mut Vec::new());
    assert_eq!(room(&mut requesting), 1);
    assert!(ask(&mut requesting, 7..8, now).is_empty());
    assert!(requesting.receive(block(7), now, &mut Vec::new()));
}

#[test]
fn a_peer_that_does_not_answer_keeps_one_request_and_then_none() {
    let mut now = Instant::now();
    let mut requesting = unchoked(now);
    ask(&mut requesting, 0..5, now);
    now += SNUB_TIME;
    let (mut control, mut events) = (Vec::new(), Vec::new());
    requesting.tick(now, &mut control, &mut events);
    assert_eq!(events[0], Event::Snubbing(true));
    assert_eq!(events.len(), 1 + 4);
    assert_eq!(room(&mut requesting), 0, "the one that is left is all it gets");
    events.clear();
    requesting.receive(block(3), now, &mut events);
    assert_eq!(events, [Event::Snubbing(false), Event::Received(block(3))], "late, and taken");
    events.clear();
    now += REQUEST_TIMEOUT;
    requesting.tick(now, &mut control, &mut events);
    assert_eq!(events, [Event::Snubbing(true), Event::Rejected(block(0))]);
    assert!(!requesting.is_waiting() && room(&mut requesting) == 1);
}

#[test]
fn the_rejection_of_a_request_that_was_taken_back_leaves_a_later_one_for_the_same_block_waiting() {
    let now = Instant::now();
    let mut requesting = unchoked(now);
    ask(&mut requesting, 0..1, now);
    let mut events = Vec::new();
    requesting.cancel(block(0), &mut Vec::new(), &mut events);
    ask(&mut requesting, 0..1, now);
    events.clear();
    assert!(requesting.rejected(block(0), &mut events), "the answer to the cancel");
    assert!(events.is_empty() && requesting.is_waiting());
    assert!(requesting.receive(block(0), now, &mut events), "the answer to the later request");
    assert_eq!(events, [Event::Received(block(0))]);
    assert!(!requesting.rejected(block(0), &mut events), "once too often");
}

#[test]
fn the_queue_of_a_slow_peer_that_answers_in_fits_and_starts_does_not_grow() {
    let mut now = Instant::now();
    let mut requesting = unchoked(now);
    let (mut asked, mut answered) = (0, 0);
    for second in 0..100 {
        let room = room(&mut requesting);
        ask(&mut requesting, asked..asked + room, now);
        asked += room;
        now += Duration::from_secs(1);
        if second % 2 == 0 {
            assert!(requesting.receive(block(answered), now, &mut Vec::new()));
            answered += 1;
        }
        requesting.tick(now, &mut Vec::new(), &mut Vec::new());
    }
    assert!(
        (1..=3).contains(&(asked - answered)),
        "{} wait of one that sends half a block a second",
        asked - answered
    );
}

#[test]
fn a_peer_that_rejects_everything_is_left_alone_until_the_next_tick() {
    let now = Instant::now();
    let mut requesting = unchoked(now);
    let mut asked = 0;
    loop {
        let room = room(&mut requesting);
        if room == 0 {
            break;
        }
        ask(&mut requesting, asked..asked + room, now);
        (asked..asked + room).for_each(|piece| assert!(requesting.rejected(block(piece), &mut Vec::new())));
        asked += room;
    }
    assert!((MAX_REJECTIONS..2 * MAX_REJECTIONS).contains(&asked), "{asked}");
    requesting.tick(now + Duration::from_secs(1), &mut Vec::new(), &mut Vec::new());
    assert!(room(&mut requesting) > 0);
}

#[test]
fn a_request_that_is_passed_over_is_given_up_while_others_are_answered() {
    let mut now = Instant::now();
    let mut requesting = unchoked(now);
    ask(&mut requesting, 0..1, now);
    let mut events = Vec::new();
    for piece in 1..=LOST_TIME.as_secs() {
        let piece = u32::try_from(piece).unwrap();
        ask(&mut requesting, piece..piece + 1, now);
        assert!(requesting.receive(block(piece), now, &mut Vec::new()));
        assert!(events.is_empty(), "after {piece} s");
        now += Duration::from_secs(1);
        requesting.tick(now, &mut Vec::new(), &mut events);
    }
    assert_eq!(events, [Event::Rejected(block(0))]);
}

#[test]
fn what_was_never_asked_for_is_not_taken() {
    let now = Instant::now();
    let mut requesting = unchoked(now);
    ask(&mut requesting, 0..1, now);
    assert!(!requesting.receive(block(1), now, &mut Vec::new()));
    assert!(requesting.receive(block(0), now, &mut Vec::new()));
    assert!(!requesting.receive(block(0), now, &mut Vec::new()), "twice");
    ask(&mut requesting, 4..5, now);
    let (mut control, mut events) = (Vec::new(), Vec::new());
    requesting.cancel(block(4), &mut control, &mut events);
    assert_eq!(events, [Event::Rejected(block(4))]);
    assert!(requesting.receive(block(4), now, &mut Vec::new()), "crossed with its cancel");
}
