//! What trackers are told: when a download starts, is complete and stops, with numbers that are true.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tests::announces::{Announce, LiveTracker};
use tests::get::{GET_LIMIT, Getter, exit};
use tests::raw_seed::RawSeed;

use crate::Case;
use crate::offer::Offer;

pub(crate) const CASES: &[Case] = &[
    Case::new("an_http_tracker_is_told_the_truth", || is_told_the_truth(&LiveTracker::http())),
    Case::new("a_udp_tracker_is_told_the_truth", || is_told_the_truth(&LiveTracker::udp())),
    Case::new("a_tracker_is_told_when_a_download_is_interrupted", is_told_of_an_interruption),
    Case::new("a_finished_download_is_not_completed_again", a_finished_download_is_not_completed_again),
    Case::new("a_tracker_that_is_silent_holds_nothing_up", a_tracker_that_is_silent_holds_nothing_up),
    Case::new("the_next_tracker_is_asked_when_one_is_dead", the_next_tracker_is_asked_when_one_is_dead),
];

/// Bytes of the payload: 65 pieces of 256 KiB, sixteen blocks each.
const LENGTH: u64 = 16 * 1024 * 1024 + 12_345;
const PIECE_BYTES: u64 = 256 * 1024;
/// What btd promises for its farewell, and what a busy machine adds.
const STOP_LIMIT: Duration = Duration::from_millis(3500);

fn offer(name: &str, trackers: &[&str]) -> Offer {
    let trackers = trackers.iter().flat_map(|url| ["--tracker", *url]);
    Offer::single_with(
        name,
        LENGTH,
        &["--piece-length", "256KiB"].into_iter().chain(trackers).collect::<Vec<_>>(),
    )
}

/// Waits for the announce of `event` by who is at `port`.
fn event(tracker: &LiveTracker, port: u16, event: &str) -> Announce {
    tracker.roll.wait_for(event, GET_LIMIT, |announce| {
        (announce.address.port() == port && announce.event == event).then(|| announce.clone())
    })
}

fn is_told_the_truth(tracker: &LiveTracker) {
    let offer = offer("told", &[&tracker.url]);
    let seeder = offer.seed(&[]);
    let seed_port = seeder.address().port();
    let started = event(tracker, seed_port, "started");
    assert_eq!((started.left, started.downloaded, started.uploaded), (0, 0, 0));
    let folder = offer.place("got");
    let mut getter = Getter::start(&offer.file, &folder, &[""; 0]);
    let port = getter.address().port();
    getter.done();
    getter.finish();
    offer.assert_in(&folder);
    let started = event(tracker, port, "started");
    assert_eq!((started.left, started.downloaded, started.uploaded), (LENGTH, 0, 0));
    assert_eq!(tracker.roll.log()[0].info_hash, offer.torrent.info_hash);
    let completed = event(tracker, port, "completed");
    assert_eq!(completed.left, 0, "{completed:?}");
    assert!((LENGTH..LENGTH * 5 / 4).contains(&completed.downloaded), "{completed:?}");
    let stopped = event(tracker, port, "stopped");
    assert_eq!((stopped.left, stopped.downloaded), (0, completed.downloaded));
    assert_eq!(started.peer_id, stopped.peer_id, "one peer id for one download");
    seeder.end_well();
    let stopped = event(tracker, seed_port, "stopped");
    assert!((LENGTH..LENGTH * 5 / 4).contains(&stopped.uploaded), "{stopped:?}");
    assert_eq!((stopped.left, stopped.downloaded), (0, 0));
    let log = tracker.roll.log();
    let count = |port: u16, event: &str| {
        log.iter().filter(|announce| announce.address.port() == port && announce.event == event).count()
    };
    for name in ["started", "stopped"] {
        assert_eq!((count(port, name), count(seed_port, name)), (1, 1), "{name} is told once: {log:?}");
    }
    assert_eq!((count(port, "completed"), count(seed_port, "completed")), (1, 0), "{log:?}");
}

fn is_told_of_an_interruption() {
    let tracker = LiveTracker::http();
    let offer = offer("interrupted", &[&tracker.url]);
    let seed = RawSeed::start(&offer.torrent, offer.bytes(), 20 * 16, |_| false);
    let mut getter = offer.get(&offer.place("got"), &[seed.address], &[]);
    let port = getter.address().port();
    for _ in 0..20 {
        getter.verified();
    }
    event(&tracker, port, "started");
    let signal = Instant::now();
    getter.end(Signal::SIGINT).assert_code(exit::INTERRUPTED);
    let stopped = event(&tracker, port, "stopped");
    assert!(stopped.at - signal < STOP_LIMIT, "told after {:?}", stopped.at - signal);
    let left = LENGTH - 20 * PIECE_BYTES;
    let blocks = stopped.downloaded.div_ceil(16_384);
    if stopped.left == left {
        assert_eq!(blocks, 20 * 16, "{stopped:?}");
    } else {
        // The last piece, which is one short block, is among the twenty: of others some blocks may be here.
        assert_eq!(stopped.left, left + PIECE_BYTES - 12_345, "{stopped:?}");
        assert!((19 * 16 + 1..=20 * 16).contains(&blocks), "{stopped:?}");
    }
}

fn a_finished_download_is_not_completed_again() {
    let tracker = LiveTracker::http();
    let offer = offer("completed", &[&tracker.url]);
    let folder = offer.place("got");
    std::fs::copy(&offer.payload, offer.copy_in(&folder)).unwrap();
    let mut getter = Getter::start(&offer.file, &folder, &["--seed"]);
    let port = getter.address().port();
    let started = event(&tracker, port, "started");
    assert_eq!(started.left, 0);
    getter.end(Signal::SIGINT);
    event(&tracker, port, "stopped");
    let log = tracker.roll.log();
    assert!(log.iter().all(|announce| announce.event != "completed"), "{log:?}");
}

fn a_tracker_that_is_silent_holds_nothing_up() {
    // It takes connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/announce", silent.local_addr().unwrap());
    let offer = offer("silent-tracker", &[&url]);
    let seed = RawSeed::honest(&offer.torrent, offer.bytes());
    let folder = offer.place("got");
    let mut getter = offer.get(&folder, &[seed.address], &["--seed"]);
    getter.done();
    let signal = Instant::now();
    getter.end(Signal::SIGINT);
    assert!(signal.elapsed() < STOP_LIMIT + Duration::from_secs(1), "it ended after {:?}", signal.elapsed());
    offer.assert_in(&folder);
}

fn the_next_tracker_is_asked_when_one_is_dead() {
    let tracker = LiveTracker::udp();
    // Nobody listens at port 1.
    let offer = offer("tiers", &["http://127.0.0.1:1/announce", &tracker.url]);
    let seeder = offer.seed(&[]);
    event(&tracker, seeder.address().port(), "started");
    let folder = offer.place("got");
    Getter::start(offer.magnet(), &folder, &[""; 0]).finish();
    offer.assert_in(&folder);
    seeder.end_well();
}
