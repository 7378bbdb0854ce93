//! What `btd get` cannot do: it says what is wrong, soon, and ends with the exit code that it promises.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use tests::announces::LiveTracker;
use tests::btd::{arguments, btd};
use tests::get::{Ended, Event, GET_LIMIT, Getter, exit};
use tests::mount::SmallDisk;
use tests::needs::Need;
use tests::raw_seed::RawSeed;

use crate::Case;
use crate::offer::{Offer, with_peers};

pub(crate) const CASES: &[Case] = &[
    Case::new("a_magnet_without_anyone_to_ask_fails_at_once", a_magnet_without_anyone_fails_at_once),
    Case::new("a_download_that_takes_too_long_times_out", a_download_that_takes_too_long_times_out),
    Case::new("a_tracker_that_refuses_is_quoted", a_tracker_that_refuses_is_quoted),
    Case::new("a_longer_file_in_the_way_is_kept", a_longer_file_in_the_way_is_kept),
    Case::new("a_folder_that_cannot_be_made_is_named", a_folder_that_cannot_be_made_is_named),
    Case::new("a_full_disk_pauses_a_download", a_full_disk_pauses_a_download).needs(&[Need::Mounts]),
    Case::new("a_selection_of_nothing_is_refused", a_selection_of_nothing_is_refused),
    Case::new("what_is_no_torrent_is_refused", what_is_no_torrent_is_refused),
    Case::new("options_of_get_that_make_no_sense_are_refused", options_that_make_no_sense_are_refused),
    Case::new("peers_that_are_nobody_are_waited_for", peers_that_are_nobody_are_waited_for),
];

/// Longest that a prompt answer may take, on a machine busy with other tests.
const PROMPT_LIMIT: Duration = Duration::from_secs(15);
/// Bytes of the payload: 65 pieces of 256 KiB.
const LENGTH: u64 = 16 * 1024 * 1024 + 12_345;

fn a_magnet_without_anyone_fails_at_once() {
    let offer = Offer::single("no-one", 100_000);
    let ended = Getter::start(offer.magnet(), &offer.place("got"), &[""; 0]).wait(PROMPT_LIMIT);
    ended.assert_code(exit::FAILED);
    ended.assert_says(&["tracker", "peer"]);
}

fn a_download_that_takes_too_long_times_out() {
    let offer = Offer::single("timeout", LENGTH);
    let seed = RawSeed::start(&offer.torrent, offer.bytes(), 40, |_| false);
    let start = Instant::now();
    let ended = offer.get(&offer.place("got"), &[seed.address], &["--timeout", "3s"]).wait(GET_LIMIT);
    ended.assert_code(exit::TIMED_OUT);
    assert!(start.elapsed() >= Duration::from_secs(3), "it gave up after {:?}", start.elapsed());
    assert!(!ended.verified().is_empty(), "what came until then is kept: {}", ended.output.describe());
    // So it does while it waits for metadata.
    let ended = Getter::start(
        offer.magnet(),
        &offer.place("magnet"),
        &with_peers(&[seed.address], &["--timeout", "1s"]),
    );
    ended.wait(GET_LIMIT).assert_code(exit::TIMED_OUT);
}

fn a_tracker_that_refuses_is_quoted() {
    for tracker in [LiveTracker::http(), LiveTracker::udp()] {
        tracker.roll.refuse("this torrent is not welcome here");
        let offer =
            Offer::single_with("refused", 100_000, &["--piece-length", "64KiB", "--tracker", &tracker.url]);
        let ended = Getter::start(&offer.file, &offer.place("got"), &["--timeout", "3s"]).wait(GET_LIMIT);
        assert!(
            matches!(ended.output.code(), Some(exit::FAILED | exit::TIMED_OUT)),
            "{}",
            ended.output.describe()
        );
        ended.assert_says(&["this torrent is not welcome here"]);
    }
}

fn a_longer_file_in_the_way_is_kept() {
    let offer = Offer::single("in-the-way", 1_000_000);
    let folder = offer.place("got");
    let seed = RawSeed::honest(&offer.torrent, offer.bytes());
    let other = vec![7; 1_000_001];
    fs::write(offer.copy_in(&folder), &other).unwrap();
    let ended = offer.get(&folder, &[seed.address], &[]).wait(PROMPT_LIMIT);
    ended.assert_code(exit::FAILED);
    ended.assert_says(&["payload.bin"]);
    assert!(fs::read(offer.copy_in(&folder)).unwrap() == other, "someone else's file is not touched");
}

fn a_folder_that_cannot_be_made_is_named() {
    let offer = Offer::single("no-folder", 100_000);
    let file = offer.home().join("a-file");
    fs::write(&file, "in the way").unwrap();
    let ended = offer.get(&file.join("below"), &[([127, 0, 0, 1], 1).into()], &[]).wait(PROMPT_LIMIT);
    ended.assert_code(exit::FAILED);
    ended.assert_says(&["a-file/below"]);
    // A folder stands where the file should be.
    let folder = offer.place("got");
    fs::create_dir(offer.copy_in(&folder)).unwrap();
    let ended = offer.get(&folder, &[([127, 0, 0, 1], 1).into()], &[]).wait(PROMPT_LIMIT);
    ended.assert_code(exit::FAILED);
    ended.assert_says(&["payload.bin"]);
}

fn a_full_disk_pauses_a_download() {
    let offer = Offer::single("full", LENGTH);
    let disk = SmallDisk::mount(offer.home(), 24 * 1024);
    let filler = disk.path().join("filler");
    fs::write(&filler, vec![1; 16 * 1024 * 1024]).unwrap();
    let seed = RawSeed::honest(&offer.torrent, offer.bytes());
    let mut getter = offer.get(disk.path(), &[seed.address], &[]);
    getter.wait_for_error("no room on the disk", GET_LIMIT);
    let full = getter.expect("progress with a full disk", |event| match event {
        Event::Progress(progress) if progress.is_disk_full => Some(*progress),
        _ => None,
    });
    assert!(full.have > 0 && full.left > 0, "{full:?}");
    fs::remove_file(&filler).unwrap();
    let ended = getter.finish();
    assert_eq!(ended.verified().len(), 65, "each piece is told once: {}", ended.output.describe());
    offer.assert_in(disk.path());
}

/// Checks that `btd get` of `offer` with `options` is refused at once and says `words`.
fn assert_unwilling(offer: &Offer, options: &[&str], words: &[&str]) -> Ended {
    let peer = ([127, 0, 0, 1], 1).into();
    let ended = offer.get(&offer.place("got"), &[peer], options).wait(PROMPT_LIMIT);
    assert!(
        matches!(ended.output.code(), Some(exit::FAILED | exit::USAGE)),
        "{options:?}: {}",
        ended.output.describe()
    );
    ended.assert_says(words);
    ended
}

fn a_selection_of_nothing_is_refused() {
    let offer = Offer::folder("select-nothing", &[("a", 70_000), ("b", 60_000)], &[]);
    for select in ["2", "0,99", "*.iso", "0-2", "1-0", ""] {
        assert_unwilling(&offer, &["--select", select], &[select]);
    }
    let entries: Vec<_> =
        fs::read_dir(offer.place("got")).unwrap().flatten().map(|entry| entry.path()).collect();
    assert!(!entries.contains(&offer.copy_in(&offer.place("got"))), "nothing is made: {entries:?}");
}

fn what_is_no_torrent_is_refused() {
    let offer = Offer::single("no-torrent", 100_000);
    let folder = offer.place("got");
    let text = offer.home().join("letter.torrent");
    fs::write(&text, "Dear tracker,").unwrap();
    let missing = offer.home().join("missing.torrent");
    for (what, words) in [(text.as_path(), "letter.torrent"), (missing.as_path(), "missing.torrent")] {
        let ended = Getter::start(what, &folder, &[""; 0]).wait(PROMPT_LIMIT);
        ended.assert_code(exit::FAILED);
        ended.assert_says(&[words]);
    }
    let ended = Getter::start("magnet:?xt=urn:btih:short", &folder, &[""; 0]).wait(PROMPT_LIMIT);
    assert!(matches!(ended.output.code(), Some(exit::FAILED | exit::USAGE)), "{}", ended.output.describe());
    // Nobody listens at port 1.
    let ended = Getter::start("http://127.0.0.1:1/x.torrent", &folder, &[""; 0]).wait(PROMPT_LIMIT);
    ended.assert_code(exit::FAILED);
    ended.assert_says(&["http://127.0.0.1:1/x.torrent"]);
}

fn options_that_make_no_sense_are_refused() {
    let offer = Offer::single("options", 100_000);
    for options in [
        ["--peer", "nowhere"],
        ["--timeout", "soon"],
        ["--download-limit", "fast"],
        ["--upload-limit", "0"],
        ["--preallocate", "maybe"],
        ["--workers", "0"],
    ] {
        let file = offer.file.as_os_str();
        let output = btd(&arguments(&[&"get", &options[0], &options[1], &file]));
        assert_eq!(output.code(), Some(exit::USAGE), "{options:?}: {}", output.describe());
        assert!(output.stderr().contains(options[0]), "{options:?}: {}", output.describe());
    }
}

fn peers_that_are_nobody_are_waited_for() {
    let offer = Offer::single("nobody", 100_000);
    // One port where nobody listens, and a listener that never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let peers = [([127, 0, 0, 1], 1).into(), silent.local_addr().unwrap()];
    let ended = offer.get(&offer.place("got"), &peers, &["--timeout", "2s"]).wait(GET_LIMIT);
    ended.assert_code(exit::TIMED_OUT);
    assert_eq!(ended.verified(), [] as [u32; 0]);
}
