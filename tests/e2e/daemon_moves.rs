//! Moves that do not come to their end: what is where, and what may be added there.

use std::fs;
use std::path::Path;
use std::thread::{self, JoinHandle};

use nix::sys::signal::Signal;
use tempfile::TempDir;
use tests::btctl::{assert_code, btctl, exit};
use tests::daemon::{Daemon, Home, text};
use tests::download::Download;
use tests::process::Output;
use tests::wire::Speaks;

use crate::Case;
use crate::offer::Offer;

pub(crate) const CASES: &[Case] = &[
    Case::new(
        "daemon_does_not_fetch_what_was_said_to_lie_elsewhere",
        does_not_fetch_what_was_said_to_lie_elsewhere,
    ),
    Case::new("daemon_goes_home_after_a_stop_on_the_way", daemon_goes_home_after_a_stop_on_the_way),
    Case::new("daemon_shows_a_check_that_waits_for_a_move", daemon_shows_a_check_that_waits_for_a_move),
    Case::new("daemon_holds_no_path_after_a_kill_on_the_way", daemon_holds_no_path_after_a_kill_on_the_way),
    Case::new("daemon_holds_no_path_after_a_move_that_failed", daemon_holds_no_path_after_a_move_that_failed),
];

/// So much takes a while to be copied.
const LONG: u64 = 400_000_000;
const LENGTH: u64 = 300_017;

/// What was complete and is not found where it is said to lie is a mistake, and no download.
fn does_not_fetch_what_was_said_to_lie_elsewhere() {
    let offer = Offer::single("d-elsewhere", LENGTH);
    let home = Home::new("d-elsewhere-home", "");
    let daemon = home.start();
    fs::copy(&offer.payload, home.data().join("payload.bin")).unwrap();
    let info_hash = daemon.add(&["--wait", "--timeout", "100s", text(&offer.file)]);
    let elsewhere = home.join("elsewhere");
    daemon.told(&["move", "--already-there", &info_hash, text(&elsewhere)]);
    let is_told_of = |daemon: &Daemon<'_>| {
        let torrent = daemon.wait_state(&info_hash, "error");
        let error = torrent["error"].as_str().unwrap();
        assert!(error.contains("No such file") && error.contains("btctl verify"), "{error}");
    };
    is_told_of(&daemon);
    daemon.end_well();
    let daemon = home.start();
    is_told_of(&daemon);
    daemon.told(&["resume", &info_hash]);
    is_told_of(&daemon);
    assert!(!elsewhere.exists(), "nothing was made there");
    daemon.told(&["move", "--already-there", &info_hash, text(&home.data())]);
    daemon.wait_state(&info_hash, "seeding");
    Download::start(daemon.address(), &offer.torrent, Speaks::Fast).whole();
    daemon.end_well();
}

/// The folder for what is incomplete is on a file system of its own, so that files are copied.
fn daemon_goes_home_after_a_stop_on_the_way() {
    let offer = Offer::single_with("d-home-stop", LONG, &["--piece-length", "1MiB"]);
    let half = TempDir::new_in("/dev/shm").unwrap();
    let keys = format!("incomplete_dir = '{}'\non_error = ['{{home}}/hook']", text(half.path()));
    let home = Home::new("d-home-stop-home", &keys);
    home.script("hook", &format!("echo \"$BTD_ERROR\" > {}", text(&home.join("failed"))));
    fs::copy(&offer.payload, half.path().join("payload.bin")).unwrap();
    let daemon = home.start();
    let info_hash = daemon.add(&[text(&offer.file)]);
    // It is all there, and so on its way.
    daemon.wait("copy that has begun", |_| fs::read_dir(home.data()).ok()?.flatten().next());
    daemon.signal(Signal::SIGTERM);
    let output = daemon.ended_well();
    assert!(!home.join("failed").exists(), "{}", output.describe());
    let daemon = home.start();
    daemon.wait("payload at home", |daemon| {
        assert_eq!(daemon.torrent(&info_hash)["error"], serde_json::Value::Null);
        home.data().join("payload.bin").exists().then_some(())
    });
    daemon.wait_state(&info_hash, "seeding");
    offer.assert_in(&home.data());
    let left = fs::read_dir(home.data()).unwrap().count() + fs::read_dir(half.path()).unwrap().count();
    assert_eq!(left, 1, "nothing is left on the way");
    daemon.end_well();
}

/// Has a torrent moved into `folder`; returns when files are being copied there.
fn begin_move(home: &Home, daemon: &Daemon<'_>, info_hash: &str, folder: &Path) -> JoinHandle<Output> {
    let words = ["move".to_owned(), info_hash.to_owned(), text(folder).to_owned()];
    let socket = home.socket();
    let moving = thread::spawn(move || btctl(&socket, &words));
    daemon.wait("copy that has begun", |_| fs::read_dir(folder).ok()?.flatten().next());
    moving
}

/// Who waits for a check sees it from when it was asked for, so that its end is not taken for that of another.
fn daemon_shows_a_check_that_waits_for_a_move() {
    let offer = Offer::single_with("d-check-move", LONG, &["--piece-length", "1MiB"]);
    let away = TempDir::new_in("/dev/shm").unwrap();
    let home = Home::new("d-check-move-home", "");
    let daemon = home.start();
    let info_hash = offer.seed_by(&daemon);
    let moving = begin_move(&home, &daemon, &info_hash, away.path());
    assert_eq!(daemon.ask("POST", &format!("/v1/torrents/{info_hash}/verify"), None).status, 200);
    assert_eq!(daemon.torrent(&info_hash)["state"], "checking");
    assert_code(&moving.join().unwrap(), exit::DONE, &[]);
    daemon.wait_state(&info_hash, "seeding");
    // Twice: when it was added, and now.
    assert_eq!(daemon.metric("btd_hashed_bytes_total"), 2.0 * LONG as f64);
    assert_eq!(fs::metadata(away.path().join("payload.bin")).unwrap().len(), LONG);
    daemon.end_well();
}

fn daemon_holds_no_path_after_a_kill_on_the_way() {
    let moved = Offer::single_with("d-hold-kill", LONG, &["--piece-length", "1MiB"]);
    let other = Offer::single("d-hold-kill-other", LENGTH);
    let away = TempDir::new_in("/dev/shm").unwrap();
    let home = Home::new("d-hold-kill-home", "");
    let daemon = home.start();
    let info_hash = moved.seed_by(&daemon);
    let moving = begin_move(&home, &daemon, &info_hash, away.path());
    daemon.kill();
    assert_ne!(moving.join().unwrap().code(), Some(exit::DONE), "it was cut short");
    let daemon = home.start();
    daemon.wait_state(&info_hash, "seeding");
    daemon.add(&["--paused", "--dir", text(away.path()), text(&other.file)]);
    // Where it is it stays in the way.
    let words = ["add", "--paused", "--dir", text(moved.home()), text(&other.file)];
    daemon.told(&["remove", &other.torrent.hex()]);
    daemon.refuses(&words, exit::REFUSED, &[&info_hash]);
    daemon.end_well();
}

fn daemon_holds_no_path_after_a_move_that_failed() {
    let moved = Offer::single("d-hold", LENGTH);
    let other = Offer::single("d-hold-other", LENGTH + 1);
    let home = Home::new("d-hold-home", "");
    let daemon = home.start();
    let info_hash = moved.seed_by(&daemon);
    daemon.refuses(&["move", &info_hash, text(other.home())], exit::REFUSED, &["payload.bin"]);
    Download::start(daemon.address(), &moved.torrent, Speaks::Fast).whole();
    other.seed_by(&daemon);
    other.assert_in(other.home());
    daemon.end_well();
}
