//! `btd get` that ends before it is done, and goes on: what was verified is not fetched again, what changed is.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;

use nix::sys::signal::Signal;
use tests::get::{GET_LIMIT, exit};
use tests::raw_seed::RawSeed;

use crate::Case;
use crate::offer::Offer;

pub(crate) const CASES: &[Case] = &[
    Case::new("an_interrupted_download_goes_on", || goes_on(Signal::SIGINT)),
    Case::new("a_terminated_download_goes_on", || goes_on(Signal::SIGTERM)),
    Case::new("a_payload_that_was_altered_is_fetched_again", a_payload_that_was_altered_is_fetched_again),
    Case::new("a_payload_that_was_removed_is_fetched_again", a_payload_that_was_removed_is_fetched_again),
    Case::new("a_finished_download_needs_no_peers", a_finished_download_needs_no_peers),
    Case::new("a_payload_that_is_there_already_is_not_fetched", a_payload_that_is_there_is_not_fetched),
    Case::new("a_magnet_goes_on_without_asking_for_metadata", a_magnet_goes_on_without_metadata),
    Case::new("two_downloads_into_one_folder_are_refused", two_downloads_into_one_folder_are_refused),
    Case::new("names_are_whole_once_files_are", names_are_whole_once_files_are),
];

/// Bytes of the payload: 65 pieces of 256 KiB, sixteen blocks each.
const LENGTH: u64 = 16 * 1024 * 1024 + 12_345;
const PIECE_BLOCKS: usize = 16;

fn goes_on(signal: Signal) {
    let offer = Offer::single("resume", LENGTH);
    let folder = offer.place("got");
    let seed = RawSeed::start(&offer.torrent, offer.bytes(), 20 * PIECE_BLOCKS, |_| false);
    let mut getter = offer.get(&folder, &[seed.address], &[]);
    for _ in 0..10 {
        getter.verified();
    }
    let ended = getter.end(signal);
    ended.assert_code(exit::INTERRUPTED);
    let verified = ended.verified();
    seed.hang_up();
    seed.allow(usize::MAX);
    let before = seed.sent_count();
    let ended = offer.get(&folder, &[seed.address], &[]).finish();
    offer.assert_in(&folder);
    let checked = usize::try_from(ended.checked().expect("a check is told")).unwrap();
    assert!(checked >= verified.len(), "{checked} pieces are known of {}", verified.len());
    let (fetched, lacking) = (seed.sent_count() - before, offer.block_count() - checked * PIECE_BLOCKS);
    // No block of a piece that was verified; the rest of the queue of the end-game is twice at most.
    let again = ended.verified().iter().filter(|piece| verified.contains(piece)).count();
    assert_eq!(again, 0, "pieces that were verified before");
    assert!(fetched >= lacking && fetched < lacking + 2 * PIECE_BLOCKS, "{fetched} blocks for {lacking}");
}

/// A finished download of a payload of one file, and the seed that it came from.
fn finished(name: &str) -> (Offer, std::path::PathBuf, RawSeed) {
    let offer = Offer::single(name, LENGTH);
    let folder = offer.place("got");
    let seed = RawSeed::honest(&offer.torrent, offer.bytes());
    offer.get(&folder, &[seed.address], &[]).finish();
    offer.assert_in(&folder);
    (offer, folder, seed)
}

fn a_payload_that_was_altered_is_fetched_again() {
    let (offer, folder, seed) = finished("altered");
    let before = seed.sent_count();
    let file = OpenOptions::new().write(true).open(offer.copy_in(&folder)).unwrap();
    file.write_all_at(b"not what was here before", 5 * 256 * 1024 + 77).unwrap();
    drop(file);
    let ended = offer.get(&folder, &[seed.address], &[]).finish();
    assert_eq!((ended.checked(), ended.verified()), (Some(64), vec![5]));
    assert_eq!(seed.sent_count() - before, PIECE_BLOCKS, "one piece is fetched");
    offer.assert_in(&folder);
}

fn a_payload_that_was_removed_is_fetched_again() {
    let (offer, folder, seed) = finished("removed");
    fs::remove_file(offer.copy_in(&folder)).unwrap();
    let ended = offer.get(&folder, &[seed.address], &[]).finish();
    assert_eq!((ended.checked().unwrap_or(0), ended.verified().len()), (0, 65));
    offer.assert_in(&folder);
    // Half of it is gone.
    let file = OpenOptions::new().write(true).open(offer.copy_in(&folder)).unwrap();
    file.set_len(LENGTH / 2).unwrap();
    let ended = offer.get(&folder, &[seed.address], &[]).finish();
    assert_eq!((ended.checked(), ended.verified().len()), (Some(32), 33));
    offer.assert_in(&folder);
}

fn a_finished_download_needs_no_peers() {
    let (offer, folder, seed) = finished("finished");
    drop(seed);
    let ended = offer.get(&folder, &[], &[]).finish();
    assert_eq!((ended.checked(), ended.verified()), (Some(65), vec![]));
    offer.assert_in(&folder);
}

fn a_payload_that_is_there_is_not_fetched() {
    let offer = Offer::single("there", LENGTH);
    let folder = offer.place("got");
    fs::copy(&offer.payload, offer.copy_in(&folder)).unwrap();
    let ended = offer.get(&folder, &[], &[]).finish();
    assert_eq!((ended.checked(), ended.verified()), (Some(65), vec![]));
}

fn a_magnet_goes_on_without_metadata() {
    let offer = Offer::single("magnet-resume", LENGTH);
    let folder = offer.place("got");
    let seeder = offer.seed(&[]);
    let options = crate::offer::with_peers(&[seeder.address()], &["--download-limit", "4M"]);
    let mut getter = tests::get::Getter::start(offer.magnet(), &folder, &options);
    getter.verified();
    getter.end(Signal::SIGINT).assert_code(exit::INTERRUPTED);
    seeder.end_well();
    // The raw seed knows nothing of metadata.
    let seed = RawSeed::honest(&offer.torrent, offer.bytes());
    let options = crate::offer::with_peers(&[seed.address], &[]);
    let ended = tests::get::Getter::start(offer.magnet(), &folder, &options).finish();
    assert!(ended.checked().is_some_and(|have| have > 0), "{}", ended.output.describe());
    offer.assert_in(&folder);
}

fn two_downloads_into_one_folder_are_refused() {
    let offer = Offer::single("claimed", LENGTH);
    let folder = offer.place("got");
    let seed = RawSeed::start(&offer.torrent, offer.bytes(), 2 * PIECE_BLOCKS, |_| false);
    let mut first = offer.get(&folder, &[seed.address], &[]);
    first.verified();
    let second = offer.get(&folder, &[seed.address], &[]).wait(GET_LIMIT);
    second.assert_code(exit::FAILED);
    second.assert_says(&["another btd"]);
    seed.allow(usize::MAX);
    first.finish();
    offer.assert_in(&folder);
}

fn names_are_whole_once_files_are() {
    let offer = Offer::single("suffix", LENGTH);
    let folder = offer.place("got");
    let seed = RawSeed::start(&offer.torrent, offer.bytes(), 4 * PIECE_BLOCKS, |_| false);
    let mut getter = offer.get(&folder, &[seed.address], &["--incomplete-suffix", ".part"]);
    getter.verified();
    assert!(folder.join("payload.bin.part").is_file() && !offer.copy_in(&folder).exists());
    seed.allow(usize::MAX);
    getter.finish();
    offer.assert_in(&folder);
    assert!(!folder.join("payload.bin.part").exists());
}
