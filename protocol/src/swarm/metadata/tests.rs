//! Metadata from honest, silent and lying peers.

use proptest::prelude::*;

use super::*;
use crate::wire::METADATA_PIECE_LENGTH;

/// A dictionary of `length` bytes, different in every piece.
fn info(length: usize) -> Vec<u8> {
    (0..length).map(|place| u8::try_from((place * 31 + place / 251) % 256).unwrap()).collect()
}

fn size(info: &[u8]) -> u32 {
    u32::try_from(info.len()).unwrap()
}

fn piece_of(info: &[u8], piece: u32) -> &[u8] {
    info.chunks(METADATA_PIECE_LENGTH).nth(piece as usize).unwrap()
}

/// A fetch of `info` from peers that all claim its true size.
fn fetch(info: &[u8], peers: &[u64]) -> MetadataFetch {
    let mut fetch = MetadataFetch::new(InfoHash::of_info(info));
    peers.iter().for_each(|peer| fetch.peer_offers(PeerKey(*peer), size(info)).unwrap());
    fetch
}

fn polled(fetch: &mut MetadataFetch, now: Instant) -> Vec<(u64, u32)> {
    std::iter::from_fn(|| fetch.poll_request(now)).map(|(peer, piece)| (peer.0, piece)).collect()
}

fn answer(fetch: &mut MetadataFetch, peer: u64, piece: u32, info: &[u8]) -> Outcome {
    fetch.data(PeerKey(peer), piece, size(info), piece_of(info, piece))
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn pieces_are_asked_of_several_peers_each_once() {
    let (info, now) = (info(7 * METADATA_PIECE_LENGTH + 5), Instant::now());
    let mut fetch = fetch(&info, &[1, 2]);
    let mut requests = polled(&mut fetch, now);
    assert_eq!(requests, [(1, 0), (2, 1), (1, 2), (2, 3), (1, 4), (2, 5)]);
    while let Some((peer, piece)) = requests.pop() {
        match answer(&mut fetch, peer, piece, &info) {
            Outcome::Done(raw) => {
                assert_eq!(raw, info);
                assert_eq!(fetch.poll_request(now), None);
                assert_eq!(answer(&mut fetch, 1, 0, &info), Outcome::Ignored);
                return;
            }
            outcome => assert_eq!(outcome, Outcome::Kept),
        }
        requests.extend(polled(&mut fetch, now));
    }
    panic!("not done");
}

#[test]
fn sizes_that_cannot_be_are_refused_and_cost_nothing() {
    let mut fetch = MetadataFetch::new(InfoHash::new([0; 20]));
    for size in [0, MAX_METADATA_LENGTH + 1, u32::MAX] {
        assert_eq!(fetch.peer_offers(PeerKey(1), size), Err(SizeError(size)));
    }
    assert_eq!(fetch.poll_request(Instant::now()), None);
    assert_eq!(fetch.peer_offers(PeerKey(1), MAX_METADATA_LENGTH), Ok(()));
    assert_eq!(polled(&mut fetch, Instant::now()), [(1, 0), (1, 1), (1, 2)]);
}

#[test]
fn a_late_piece_is_asked_of_another_peer_and_the_late_one_may_still_answer() {
    let (info, now) = (info(10), Instant::now());
    let mut fetch = fetch(&info, &[1, 2]);
    assert_eq!(polled(&mut fetch, now), [(1, 0)]);
    assert_eq!(polled(&mut fetch, now + seconds(9)), []);
    assert_eq!(polled(&mut fetch, now + seconds(10)), [(2, 0)]);
    assert_eq!(polled(&mut fetch, now + seconds(19)), []);
    assert!(matches!(answer(&mut fetch, 1, 0, &info), Outcome::Done(_)));
}

#[test]
fn a_peer_that_is_alone_is_asked_again_when_its_request_is_lost() {
    let (info, now) = (info(10), Instant::now());
    let mut fetch = fetch(&info, &[1]);
    assert_eq!(polled(&mut fetch, now), [(1, 0)]);
    assert_eq!(polled(&mut fetch, now + seconds(29)), []);
    assert_eq!(polled(&mut fetch, now + seconds(30)), [(1, 0)]);
}

#[test]
fn a_peer_that_rejects_is_left_alone_for_a_while() {
    let (info, now) = (info(10), Instant::now());
    let mut fetch = fetch(&info, &[1, 2]);
    assert_eq!(polled(&mut fetch, now), [(1, 0)]);
    fetch.rejected(PeerKey(1), 0, now);
    assert_eq!(polled(&mut fetch, now), [(2, 0)]);
    fetch.rejected(PeerKey(2), 0, now + seconds(1));
    fetch.rejected(PeerKey(2), 0, now + seconds(20));
    assert_eq!(polled(&mut fetch, now + seconds(29)), []);
    assert_eq!(polled(&mut fetch, now + seconds(30)), [(1, 0)]);
}

#[test]
fn what_a_peer_that_left_was_asked_for_is_asked_of_others() {
    let (info, now) = (info(3 * METADATA_PIECE_LENGTH), Instant::now());
    let mut fetch = fetch(&info, &[1, 2]);
    assert_eq!(polled(&mut fetch, now), [(1, 0), (2, 1), (1, 2)]);
    assert_eq!(answer(&mut fetch, 1, 0, &info), Outcome::Kept);
    fetch.gone(PeerKey(1));
    assert_eq!(polled(&mut fetch, now), [(2, 2)]);
    assert_eq!(answer(&mut fetch, 2, 1, &info), Outcome::Kept);
    assert!(matches!(answer(&mut fetch, 2, 2, &info), Outcome::Done(_)));
}

#[test]
fn a_piece_of_the_wrong_length_or_of_another_dictionary_is_a_lie() {
    let info = info(METADATA_PIECE_LENGTH + 9);
    for (total, length) in [(0, 0), (-1, 0), (0, 1), (0, -9)] {
        let mut fetch = fetch(&info, &[1]);
        polled(&mut fetch, Instant::now());
        let total = size(&info).saturating_add_signed(total);
        let data = vec![0; 9_usize.saturating_add_signed(length)];
        let outcome = fetch.data(PeerKey(1), 1, total, &data);
        let expected = if (total, data.len()) == (size(&info), 9) {
            Outcome::Kept
        } else {
            assert!(fetch.claims.is_empty());
            Outcome::Lied(vec![PeerKey(1)])
        };
        assert_eq!(outcome, expected);
    }
}

#[test]
fn data_that_nobody_asked_for_is_ignored() {
    let info = info(5 * METADATA_PIECE_LENGTH);
    let mut fetch = fetch(&info, &[1]);
    assert_eq!(answer(&mut fetch, 1, 0, &info), Outcome::Ignored);
    polled(&mut fetch, Instant::now());
    assert_eq!(answer(&mut fetch, 1, 4, &info), Outcome::Ignored);
    assert_eq!(answer(&mut fetch, 2, 0, &info), Outcome::Ignored);
    assert_eq!(answer(&mut fetch, 1, 0, &info), Outcome::Kept);
    assert_eq!(answer(&mut fetch, 1, 0, &info), Outcome::Ignored);
    assert_eq!(fetch.data(PeerKey(1), u32::MAX, size(&info), &[]), Outcome::Ignored);
}

#[test]
fn who_sent_all_of_a_wrong_dictionary_lied() {
    let (info, now) = (info(10), Instant::now());
    let mut fetch = fetch(&info, &[1, 2]);
    polled(&mut fetch, now);
    assert_eq!(answer(&mut fetch, 1, 0, &[7; 10]), Outcome::Lied(vec![PeerKey(1)]));
    assert_eq!(polled(&mut fetch, now), [(2, 0)]);
    assert!(matches!(answer(&mut fetch, 2, 0, &info), Outcome::Done(_)));
}

#[test]
fn after_a_mismatch_all_pieces_come_from_one_peer() {
    let (info, now) = (info(2 * METADATA_PIECE_LENGTH), Instant::now());
    let wrong = vec![7; info.len()];
    let mut fetch = fetch(&info, &[1, 2]);
    assert_eq!(polled(&mut fetch, now), [(1, 0), (2, 1)]);
    assert_eq!(answer(&mut fetch, 1, 0, &wrong), Outcome::Kept);
    assert_eq!(answer(&mut fetch, 2, 1, &info), Outcome::Mismatch);
    assert_eq!(polled(&mut fetch, now), [(1, 0), (1, 1)]);
    assert_eq!(answer(&mut fetch, 1, 0, &info), Outcome::Kept);
    assert_eq!(answer(&mut fetch, 1, 1, &wrong), Outcome::Lied(vec![PeerKey(1)]));
    assert_eq!(polled(&mut fetch, now), [(2, 0), (2, 1)]);
    assert_eq!(answer(&mut fetch, 2, 0, &info), Outcome::Kept);
    assert!(matches!(answer(&mut fetch, 2, 1, &info), Outcome::Done(_)));
}

#[test]
fn on_parole_a_peer_that_is_late_gives_way_and_its_pieces_with_it() {
    let (info, now) = (info(2 * METADATA_PIECE_LENGTH), Instant::now());
    let wrong = vec![7; info.len()];
    let mut fetch = fetch(&info, &[1, 2]);
    polled(&mut fetch, now);
    answer(&mut fetch, 1, 0, &wrong);
    assert_eq!(answer(&mut fetch, 2, 1, &info), Outcome::Mismatch);
    assert_eq!(polled(&mut fetch, now), [(1, 0), (1, 1)]);
    assert_eq!(answer(&mut fetch, 1, 0, &wrong), Outcome::Kept);
    let now = now + REQUEST_TIMEOUT;
    assert_eq!(polled(&mut fetch, now), [(2, 0), (2, 1)]);
    assert_eq!(answer(&mut fetch, 1, 1, &wrong), Outcome::Ignored);
    fetch.gone(PeerKey(2));
    assert_eq!(polled(&mut fetch, now), [(1, 0), (1, 1)]);
}

#[test]
fn sizes_take_turns_but_the_most_claimed_stays() {
    let (info, now) = (info(10), Instant::now());
    let mut fetch = fetch(&info, &[]);
    for (peer, size) in [(1, 100), (2, 100), (3, 200), (4, 300), (5, 10)] {
        fetch.peer_offers(PeerKey(peer), size).unwrap();
    }
    let open = |fetch: &MetadataFetch| -> Vec<u32> {
        fetch.claims.iter().filter(|(_, claim)| claim.attempt.is_some()).map(|(size, _)| *size).collect()
    };
    fetch.poll_request(now);
    assert_eq!(open(&fetch), [10, 100, 200]);
    polled(&mut fetch, now + ATTEMPT_TURN);
    assert_eq!(open(&fetch), [100, 200, 300]);
    polled(&mut fetch, now + 2 * ATTEMPT_TURN);
    assert_eq!(open(&fetch), [10, 100, 300], "the attempt that is older gave way");
    fetch.gone(PeerKey(4));
    polled(&mut fetch, now + 2 * ATTEMPT_TURN);
    assert_eq!(open(&fetch), [10, 100, 200]);
}

#[test]
fn a_peer_may_change_its_mind() {
    let mut fetch = fetch(&info(10), &[1]);
    assert_eq!(fetch.peer_offers(PeerKey(1), 20), Ok(()));
    assert_eq!(fetch.claims.keys().collect::<Vec<_>>(), [&20]);
    assert!(fetch.peer_offers(PeerKey(1), 0).is_err());
    assert!(fetch.claims.is_empty() && fetch.peers.is_empty());
}

/// What a peer in the simulation does.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Manner {
    Honest,
    /// Answers with wrong bytes.
    Wrong,
    /// Says another size, and answers accordingly.
    WrongSize(u32),
    Silent,
    Rejecting,
    /// Leaves after its first answer.
    Leaving,
}

fn manners() -> impl Strategy<Value = Vec<Manner>> {
    let manner = prop_oneof![
        Just(Manner::Honest),
        Just(Manner::Wrong),
        (1_u32..200_000).prop_map(Manner::WrongSize),
        Just(Manner::Silent),
        Just(Manner::Rejecting),
        Just(Manner::Leaving),
    ];
    prop::collection::vec(manner, 0..12)
}

proptest! {
    #[test]
    fn one_honest_peer_is_enough_and_is_never_blamed(
        mut manners in manners(),
        place in 0_usize..12,
        length in 1_usize..100_000,
    ) {
        manners.insert(place.min(manners.len()), Manner::Honest);
        let info = info(length);
        let mut fetch = fetch(&info, &[]);
        let mut now = Instant::now();
        for (peer, manner) in (0..).zip(&manners) {
            let size = if let Manner::WrongSize(size) = manner { *size } else { size(&info) };
            fetch.peer_offers(PeerKey(peer), size).unwrap();
        }
        for _ in 0..3_000 {
            now += seconds(1);
            let requests = polled(&mut fetch, now);
            prop_assert!(fetch.peers.values().all(|claimant| claimant.asked.len() <= MAX_REQUESTS));
            prop_assert!(fetch.claims.values().filter(|claim| claim.attempt.is_some()).count() <= MAX_ATTEMPTS);
            for (peer, piece) in requests {
                let manner = manners[usize::try_from(peer).unwrap()];
                let outcome = match manner {
                    Manner::Honest | Manner::Leaving => answer(&mut fetch, peer, piece, &info),
                    Manner::Wrong => answer(&mut fetch, peer, piece, &vec![1; length]),
                    Manner::WrongSize(size) => answer(&mut fetch, peer, piece, &vec![1; size as usize]),
                    Manner::Silent => Outcome::Ignored,
                    Manner::Rejecting => {
                        fetch.rejected(PeerKey(peer), piece, now);
                        Outcome::Ignored
                    }
                };
                if manner == Manner::Leaving {
                    fetch.gone(PeerKey(peer));
                }
                match outcome {
                    Outcome::Done(raw) => {
                        prop_assert_eq!(raw, info);
                        return Ok(());
                    }
                    Outcome::Lied(liars) => for liar in liars {
                        let manner = manners[usize::try_from(liar.0).unwrap()];
                        prop_assert!(matches!(manner, Manner::Wrong | Manner::WrongSize(_)), "{:?}", manner);
                    },
                    Outcome::Ignored | Outcome::Kept | Outcome::Mismatch => {}
                }
            }
        }
        prop_assert!(false, "not done");
    }
}
