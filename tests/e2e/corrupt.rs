//! Peers that send wrong bytes: the download goes on without them, they are named, and nothing wrong is kept.

use std::fs;

use tests::get::{Event, GET_LIMIT, exit};
use tests::raw_seed::RawSeed;

use crate::Case;
use crate::offer::Offer;

pub(crate) const CASES: &[Case] = &[
    Case::new("a_peer_that_flips_bytes_does_not_stop_a_download", a_liar_does_not_stop_a_download),
    Case::new("a_peer_that_flips_one_block_is_told_from_an_honest_one", a_liar_is_told_from_an_honest_peer),
    Case::new("what_a_lying_peer_sends_is_never_kept", what_a_lying_peer_sends_is_never_kept),
];

/// Bytes of the payload: 129 pieces of 64 KiB, four blocks each.
const LENGTH: u64 = 8 * 1024 * 1024 + 12_345;
const PIECES_OF_64_KIB: &[&str] = &["--piece-length", "64KiB"];

fn a_liar_does_not_stop_a_download() {
    let offer = Offer::single_with("corrupt", LENGTH, PIECES_OF_64_KIB);
    // The honest seed waits until the other has sent whole pieces, so that there is something to find.
    let honest = RawSeed::start(&offer.torrent, offer.bytes(), 0, |_| false);
    let liar = RawSeed::start(&offer.torrent, offer.bytes(), usize::MAX, |_| true);
    let folder = offer.place("got");
    let mut getter = offer.get(&folder, &[liar.address, honest.address], &[]);
    let failed = getter.expect("piece that is wrong", |event| match event {
        Event::FailedPiece { piece } => Some(*piece),
        _ => None,
    });
    assert!(liar.sent().iter().any(|block| block.piece == failed), "the lying peer has sent of {failed}");
    honest.allow(usize::MAX);
    getter.wait_for_error(&liar.address.to_string(), GET_LIMIT);
    let ended = getter.finish();
    offer.assert_in(&folder);
    assert_eq!(ended.banned(), [liar.address], "the one that lied, and it alone");
    assert!(
        !ended.output.stderr().contains(&honest.address.to_string()),
        "nothing is said of the honest peer: {}",
        ended.output.describe()
    );
}

fn a_liar_is_told_from_an_honest_peer() {
    let offer = Offer::single_with("corrupt-one", LENGTH, PIECES_OF_64_KIB);
    // One block in each piece, and pieces that both peers have sent of.
    let liar = RawSeed::start(&offer.torrent, offer.bytes(), 0, |block| block.begin == 16_384);
    let honest = RawSeed::start(&offer.torrent, offer.bytes(), 0, |_| false);
    let folder = offer.place("got");
    let getter = offer.get(&folder, &[liar.address, honest.address], &[]);
    for seed in [&liar, &honest] {
        seed.wait_asked(GET_LIMIT);
    }
    for _ in 0..offer.block_count() {
        honest.allow(1);
        liar.allow(1);
    }
    liar.allow(usize::MAX);
    honest.allow(usize::MAX);
    let ended = getter.finish();
    offer.assert_in(&folder);
    assert_eq!(ended.banned(), [liar.address], "{}", ended.output.describe());
    ended.assert_says(&[&liar.address.to_string()]);
}

fn what_a_lying_peer_sends_is_never_kept() {
    let offer = Offer::single_with("corrupt-alone", LENGTH, PIECES_OF_64_KIB);
    let liar = RawSeed::start(&offer.torrent, offer.bytes(), usize::MAX, |block| block.piece % 2 == 1);
    let folder = offer.place("got");
    let ended = offer.get(&folder, &[liar.address], &["--timeout", "5s"]).wait(GET_LIMIT);
    ended.assert_code(exit::TIMED_OUT);
    assert_eq!(ended.banned(), [liar.address]);
    assert!(!ended.events.iter().any(|event| matches!(event, Event::Done(_))));
    let verified = ended.verified();
    assert!(verified.iter().all(|piece| piece % 2 == 0), "{verified:?}");
    let (ours, theirs) = (offer.bytes(), fs::read(offer.copy_in(&folder)).unwrap_or_default());
    for piece in &verified {
        let start = usize::try_from(piece * offer.torrent.piece_length).unwrap();
        let end = start + usize::try_from(offer.torrent.piece_bytes(*piece)).unwrap();
        assert!(ours[start..end] == theirs[start..end], "piece {piece} is on disk as it should be");
    }
    // What it remembers is no more than that, and the rest comes from an honest seed.
    let honest = RawSeed::honest(&offer.torrent, offer.bytes());
    let ended = offer.get(&folder, &[honest.address], &[]).finish();
    assert_eq!(ended.checked().map(|have| usize::try_from(have).unwrap()).unwrap_or(0), verified.len());
    offer.assert_in(&folder);
}
