//! What bttracker remembers when it ends, is killed, or finds its memory damaged.

use std::fs;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use tests::bttracker::{Bttracker, Site, with_tracker};
use tests::query::{Ask, Hash};

use crate::Case;

pub(crate) const CASES: &[Case] = &[
    Case::new("tracker_remembers_swarms_over_a_restart", remembers_swarms_over_a_restart),
    Case::new("tracker_remembers_nothing_without_a_state_dir", remembers_nothing_without_a_state_dir),
    Case::new("tracker_remembers_the_last_snapshot_when_killed", remembers_the_last_snapshot_when_killed),
    Case::new("tracker_refuses_a_damaged_snapshot", refuses_a_damaged_snapshot),
    Case::new("tracker_forgets_who_was_silent_meanwhile", forgets_who_was_silent_meanwhile),
    Case::new("tracker_ends_well_by_either_signal", ends_well_by_either_signal),
];

const HASH: Hash = [7; 20];
const STATE: &str = "state_dir = '{site}/state'";

/// Has peers of every sort announce.
fn fill(tracker: &Bttracker<'_>) {
    tracker.announce(&Ask::leech(HASH, 1001));
    tracker.announce6(&Ask::leech(HASH, 1002).event("paused"));
    tracker.announce(&Ask::leech(HASH, 1003));
    tracker.announce(&Ask::seed(HASH, 1003).event("completed"));
    for number in 0..100 {
        tracker.announce(&Ask::seed([number, 1].repeat(10).try_into().unwrap(), 1001));
    }
}

/// Fails unless all that [`fill`] has told is known.
fn assert_filled(tracker: &Bttracker<'_>) {
    assert_eq!(tracker.scrape(HASH), (1, 1, 2));
    let torrent = tracker.get(&format!("/v1/torrents/{}", "07".repeat(20)));
    assert_eq!(torrent["paused"], 1, "{torrent}");
    let mut expected = ["127.0.0.1:1001", "127.0.0.1:1003", "[::1]:1002"].map(|it| it.parse().unwrap());
    expected.sort_unstable();
    assert_eq!(tracker.peers(HASH), expected);
    for number in 0..100 {
        assert_eq!(tracker.scrape([number, 1].repeat(10).try_into().unwrap()), (1, 0, 0));
    }
}

fn remembers_swarms_over_a_restart() {
    let site = Site::new("t-r-restart", STATE);
    let tracker = site.start();
    fill(&tracker);
    tracker.end_well();
    for _ in 0..2 {
        let tracker = site.start();
        assert_filled(&tracker);
        // They are peers as before: told of, and the same when they come again.
        assert_eq!(tracker.announce(&Ask::leech(HASH, 1001)).peers().len(), 2);
        assert_eq!(tracker.scrape(HASH), (1, 1, 2));
        tracker.end_well();
    }
}

fn remembers_nothing_without_a_state_dir() {
    let site = Site::new("t-r-none", "");
    let tracker = site.start();
    fill(&tracker);
    tracker.end_well();
    let tracker = site.start();
    assert_eq!(tracker.scrape(HASH), (0, 0, 0));
    tracker.end_well();
    with_tracker("t-r-other", STATE, |tracker| assert_eq!(tracker.scrape(HASH), (0, 0, 0)));
}

/// The snapshot of `site`.
fn snapshot(site: &Site) -> PathBuf {
    site.join("state/swarms.snapshot")
}

fn remembers_the_last_snapshot_when_killed() {
    let site = Site::new("t-r-kill", &format!("{STATE}\nsnapshot_interval = '1s'"));
    let tracker = site.start();
    fill(&tracker);
    let modified = || fs::metadata(snapshot(&site)).and_then(|found| found.modified()).ok();
    // Two that are newer than what was told: the first may have begun before.
    for _ in 0..2 {
        let before = modified();
        tracker.wait("snapshot", |_| (modified() > before).then_some(()));
    }
    tracker.kill();
    let tracker = site.start();
    assert_filled(&tracker);
    tracker.end_well();
}

fn refuses_a_damaged_snapshot() {
    let site = Site::new("t-r-damaged", STATE);
    let tracker = site.start();
    fill(&tracker);
    tracker.end_well();
    let path = snapshot(&site);
    let whole = fs::read(&path).unwrap();
    let flipped = |index: usize| {
        let mut bytes = whole.clone();
        bytes[index] ^= 0x10;
        bytes
    };
    let damages = [
        flipped(0),
        flipped(whole.len() / 2),
        flipped(whole.len() - 1),
        whole[..whole.len() - 1].to_vec(),
        whole[..whole.len() / 3].to_vec(),
        Vec::new(),
        [whole.as_slice(), b"x"].concat(),
    ];
    for (number, damaged) in damages.into_iter().enumerate() {
        fs::write(&path, &damaged).unwrap();
        let tracker = site.start();
        assert_eq!(tracker.scrape(HASH), (0, 0, 0), "{number}: it starts with nothing");
        tracker.wait_for_log(path.to_str().unwrap());
        tracker.announce(&Ask::leech(HASH, 1001));
        let entries = fs::read_dir(site.join("state")).unwrap().flatten().map(|entry| entry.path());
        let aside: Vec<PathBuf> =
            entries.filter(|path| path.to_string_lossy().contains(".damaged")).collect();
        assert!(
            aside.iter().any(|path| fs::read(path).unwrap() == damaged),
            "{number}: not kept in {aside:?}"
        );
        tracker.end_well();
        for path in aside {
            fs::remove_file(path).unwrap();
        }
    }
    fs::write(&path, &whole).unwrap();
    let tracker = site.start();
    assert_filled(&tracker);
    tracker.end_well();
}

fn forgets_who_was_silent_meanwhile() {
    let keys = format!("{STATE}\n[announce]\ninterval = '2s'\nmin_interval = '1s'");
    let site = Site::new("t-r-silent", &keys);
    let tracker = site.start();
    tracker.announce(&Ask::leech(HASH, 1001));
    tracker.end_well();
    let tracker = site.start();
    tracker.wait("end of the silent", |tracker| (tracker.scrape(HASH) == (0, 0, 0)).then_some(()));
    tracker.end_well();
}

fn ends_well_by_either_signal() {
    let site = Site::new("t-r-signal", STATE);
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let tracker = site.start();
        // Those that are connected and silent do not keep it.
        let _kept = tests::caller::Connection::open(tracker.http4());
        tracker.announce(&Ask::leech(HASH, 1001));
        tracker.end_by(signal);
    }
    let tracker = site.start();
    assert_eq!(tracker.scrape(HASH), (0, 0, 1));
    tracker.signal(Signal::SIGTERM);
    tracker.wait_for_notice("STOPPING=1");
    tracker.end_well();
}
