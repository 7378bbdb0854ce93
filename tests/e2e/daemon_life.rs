//! The life of `btd run`: it starts, is told of changes, ends, and goes on where it was.

use std::fs;
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::time::SystemTime;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tests::btctl::{self, exit};
use tests::btd::binary;
use tests::daemon::{Home, WAIT_LIMIT, text};
use tests::needs::Need;
use tests::wire::Speaks;

use crate::Case;
use crate::daemon_seed::download;
use crate::offer::{FILES, Offer};

pub(crate) const CASES: &[Case] = &[
    Case::new("daemon_goes_on_after_a_restart", daemon_goes_on_after_a_restart),
    Case::new("daemon_goes_on_after_a_kill", daemon_goes_on_after_a_kill),
    Case::new("daemon_hashes_only_what_has_changed", daemon_hashes_only_what_has_changed),
    Case::new("daemon_reads_its_configuration_again", daemon_reads_its_configuration_again),
    Case::new("daemon_tells_the_service_manager", daemon_tells_the_service_manager),
    Case::new("daemon_takes_a_socket_over", daemon_takes_a_socket_over)
        .needs(&[Need::Program("systemd-socket-activate")]),
    Case::new("daemon_ends_when_it_is_told_to", daemon_ends_when_it_is_told_to),
    Case::new("daemon_refuses_folders_that_are_files", daemon_refuses_folders_that_are_files),
    Case::new("daemon_puts_flags_above_its_file", daemon_puts_flags_above_its_file),
];

const LENGTH: u64 = 3_000_017;
const PIECES_OF_64_KIB: &[&str] = &["--piece-length", "64KiB"];

/// What of a list does not change with time.
fn lasting(list: &Value) -> Vec<Value> {
    let fields = [
        "info_hash",
        "name",
        "state",
        "progress",
        "size",
        "have",
        "uploaded",
        "downloaded",
        "label",
        "dir",
        "added_at",
    ];
    let rows = list.as_array().unwrap().iter();
    rows.map(|row| fields.iter().map(|field| row[*field].clone()).collect()).collect()
}

fn daemon_goes_on_after_a_restart() {
    let offer = Offer::folder("d-restart", FILES, PIECES_OF_64_KIB);
    let second = Offer::single("d-restart-2", LENGTH);
    let third = Offer::single_with("d-restart-3", LENGTH, PIECES_OF_64_KIB);
    let home = Home::new("d-restart-home", "");
    let daemon = home.start();
    let info_hash = daemon.add(&["--label", "x", "--dir", text(offer.home()), text(&offer.file)]);
    daemon.wait_state(&info_hash, "seeding");
    daemon.add(&["--paused", text(&second.file)]);
    daemon.add(&[&third.magnet()]);
    daemon.wait_state(&third.torrent.hex(), "metadata");
    download(&daemon, &offer);
    daemon.wait("what was uploaded", |daemon| {
        (daemon.torrent(&info_hash)["uploaded"] == json!(offer.torrent.length)).then_some(())
    });
    let before = lasting(&daemon.json(&["list"]));
    daemon.end_well();
    let daemon = home.start();
    daemon.wait_state(&third.torrent.hex(), "metadata");
    assert_eq!(lasting(&daemon.json(&["list"])), before);
    // All of it is served, and nothing of it is hashed again.
    download(&daemon, &offer);
    assert!(daemon.metric("btd_hashed_bytes_total").abs() < f64::EPSILON, "nothing had changed");
    daemon.end_well();
}

fn daemon_hashes_only_what_has_changed() {
    let offer = Offer::folder("d-changed", FILES, PIECES_OF_64_KIB);
    let home = Home::new("d-changed-home", "");
    let daemon = home.start();
    let info_hash = offer.seed_by(&daemon);
    daemon.end_well();
    let changed = fs::OpenOptions::new().write(true).open(offer.payload.join("a.bin")).unwrap();
    changed.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let daemon = home.start();
    download(&daemon, &offer);
    let hashed = daemon.metric("btd_hashed_bytes_total");
    assert!((1_000_003.0..2_000_000.0).contains(&hashed), "{hashed} bytes were hashed");
    daemon.end_well();
    // One that is wrong now is found, and not sent.
    let file = offer.payload.join("nested/deeper/still/big.bin");
    let wrong = fs::OpenOptions::new().write(true).open(&file).unwrap();
    wrong.write_all_at(b"wrong", 5_000_000).unwrap();
    let daemon = home.start();
    let mut peer = tests::wire::Peer::connect(daemon.address());
    peer.send(&tests::wire::handshake(offer.torrent.info_hash, Speaks::Fast));
    let torrent = daemon.wait_state(&info_hash, "error");
    assert!(torrent["error"].as_str().unwrap().contains("big.bin"), "{torrent}");
    daemon.end_well();
}

fn daemon_goes_on_after_a_kill() {
    let (offer, seed, _tracker) = Offer::tracked("d-kill", LENGTH, 100);
    let home = Home::new("d-kill-home", "");
    let daemon = home.start();
    let info_hash = daemon.add(&[text(&offer.file)]);
    seed.wait_sent(100, WAIT_LIMIT);
    daemon.wait("verified pieces", |daemon| {
        (daemon.torrent(&info_hash)["have"].as_u64() > Some(500_000)).then_some(())
    });
    daemon.kill();
    seed.hang_up();
    let daemon = home.start();
    daemon.wait_state(&info_hash, "downloading");
    seed.allow(usize::MAX);
    daemon.told(&["wait", "--timeout", "100s", &info_hash]);
    offer.assert_in(&home.data());
    daemon.end_well();
}

fn daemon_reads_its_configuration_again() {
    let home = Home::new("d-reload-home", "[limits]\nactive_downloads = 1");
    let daemon = home.start();
    let offers = [0, 1]
        .map(|index| Offer::single_with(&format!("d-reload-{index}"), LENGTH + index, PIECES_OF_64_KIB));
    for (number, offer) in offers.iter().enumerate() {
        daemon.add(&["--dir", text(&home.join(&number.to_string())), text(&offer.file)]);
    }
    let [first, second] = offers.each_ref().map(|offer| offer.torrent.hex());
    daemon.wait_state(&first, "downloading");
    let torrent = daemon.wait_state(&second, "queued");
    assert_eq!(torrent["queue_position"], json!(1));
    // A broken file is refused, and all goes on.
    home.configure("[limits]\nactive_downloads = 'many'");
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for_log("active_downloads");
    daemon.wait_for_notice("RELOADING=1");
    daemon.wait_for_notice("READY=1");
    daemon.wait_state(&second, "queued");
    // What can change does; what needs a restart is named.
    home.configure("workers = 3\n[limits]\nactive_downloads = 2");
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for_log("takes a restart to change: workers");
    daemon.wait_for_log("reloaded: limits.active_downloads changed");
    daemon.wait_state(&second, "downloading");
    assert_eq!(daemon.json(&["stats"])["workers"], json!(1));
    daemon.end_well();
    let daemon = home.start();
    assert_eq!(daemon.json(&["stats"])["workers"], json!(3));
    daemon.end_well();
}

fn daemon_tells_the_service_manager() {
    let offer = Offer::single("d-notify", LENGTH);
    let home = Home::new("d-notify-home", "");
    let mut command = home.command();
    command.env("WATCHDOG_USEC", "400000");
    let daemon = home.start_with(command);
    assert_eq!(daemon.wait_for_notice("STATUS="), "STATUS=0 torrents");
    for _ in 0..3 {
        daemon.wait_for_notice("WATCHDOG=1");
    }
    offer.seed_by(&daemon);
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for_notice("RELOADING=1");
    assert!(daemon.wait_for_notice("MONOTONIC_USEC=").len() > "MONOTONIC_USEC=".len());
    daemon.wait_for_notice("READY=1");
    assert_eq!(daemon.wait_for_notice("STATUS="), "STATUS=1 torrents: 1 seeding");
    daemon.signal(Signal::SIGTERM);
    daemon.wait_for_notice("STOPPING=1");
    daemon.wait_for_notice("EXTEND_TIMEOUT_USEC=");
}

fn daemon_takes_a_socket_over() {
    let home = Home::new("d-activate-home", "");
    let mut command = Command::new("systemd-socket-activate");
    command.arg("--listen").arg(home.socket()).arg("--fdname=control");
    command.arg(format!("--setenv=NOTIFY_SOCKET={}", home.join("notify").display()));
    command.arg(binary()).arg("run").arg("--config").arg(home.config());
    let daemon = home.spawn(command);
    daemon.wait_for_log("Listening on");
    // Whoever comes first waits until it serves.
    let version = daemon.json(&["version"]);
    daemon.wait_for_notice("READY=1");
    assert_eq!(version["btd"]["pid"], json!(daemon.id()));
    assert_eq!(daemon.json(&["list"]), json!([]));
    daemon.end_well();
    assert!(home.socket().exists(), "it is the service manager's, and stays");
}

fn daemon_ends_when_it_is_told_to() {
    let home = Home::new("d-end-home", "");
    let daemon = home.start();
    daemon.told(&["shutdown"]);
    daemon.ended_well();
    assert!(!home.socket().exists(), "nothing is left behind");
    btctl::assert_code(&btctl::btctl(&home.socket(), &["stats"]), exit::NO_DAEMON, &[text(&home.socket())]);
    let daemon = home.start();
    daemon.signal(Signal::SIGINT);
    daemon.ended_well();
    // A socket that nobody listens at any more is no hindrance.
    home.start().kill();
    assert!(home.socket().exists());
    home.start().end_well();
}

fn daemon_refuses_folders_that_are_files() {
    let home = Home::new("d-file-home", "");
    fs::write(home.join("file"), "").unwrap();
    for key in ["state_dir", "data_dir"] {
        home.configure(&format!("{key} = '{{home}}/file'"));
        home.refused(&[&format!("{}: File exists", home.join("file").display())]);
    }
}

fn daemon_puts_flags_above_its_file() {
    let offer = Offer::single("d-flags", LENGTH);
    let home = Home::new("d-flags-home", "[log]\nlevel = 'error'");
    let mut command = home.command();
    let flags = [
        // Not where the file has it listen.
        ("--listen", "127.0.0.2:0".to_owned()),
        ("--data-dir", text(&home.join("flag-data")).to_owned()),
        ("--state-dir", text(&home.join("flag-state")).to_owned()),
        ("--watch-dir", text(&home.join("flag-watch")).to_owned()),
        ("--metrics-listen", "127.0.0.1:0".to_owned()),
        ("--workers", "2".to_owned()),
    ];
    command.args(flags.iter().flat_map(|(flag, value)| [*flag, value])).arg("-vv");
    let daemon = home.start_with(command);
    daemon.wait_for_log("INFO");
    assert_eq!(daemon.address().ip().to_string(), "127.0.0.2");
    assert_eq!(daemon.json(&["stats"])["workers"], json!(2));
    assert!(home.join("flag-state/state.sqlite").is_file() && home.join("flag-watch").is_dir());
    assert_eq!(tests::api::ask_at(daemon.metrics_address(), "/metrics").status, 200);
    let info_hash = daemon.add(&["--paused", text(&offer.file)]);
    assert_eq!(daemon.torrent(&info_hash)["dir"], json!(text(&home.join("flag-data"))));
    daemon.end_well();
    let mut command = home.command();
    command.arg("--socket").arg(home.join("flag.sock")).arg("-q");
    let daemon = home.start_with(command);
    let told = btctl::json_lines(&home.join("flag.sock"), &["version"]);
    assert_eq!(told[0]["btd"]["pid"], json!(daemon.id()));
    let output = daemon.end_well();
    assert!(!output.stderr().contains("INFO"), "{}", output.describe());
}
