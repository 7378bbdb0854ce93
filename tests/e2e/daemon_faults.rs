//! The daemon when its surroundings fail: another daemon, full disks, a state directory that is gone read-only, payload
//! that is gone or another. Each is a clear error, and the rest goes on.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value as Json, json};
use tests::api::Client;
use tests::btctl::assert_code;
use tests::btd::binary;
use tests::daemon::{ALL_CORES, Daemon, Home, WAIT_LIMIT, text};
use tests::mount::{Disk, SmallDisk};
use tests::needs::{Need, unprivileged_command};
use tests::process::run;
use tests::wire::{Peer, Speaks, handshake};

use crate::Case;
use crate::daemon_seed::download;
use crate::offer::Offer;

pub(crate) const CASES: &[Case] = &[
    Case::new("daemon_second_on_a_state_directory_is_refused", second_on_a_state_directory_is_refused),
    Case::new("daemon_second_on_a_socket_is_refused", second_on_a_socket_is_refused),
    Case::new("daemon_refuses_the_state_of_a_later_version", refuses_the_state_of_a_later_version),
    Case::new("daemon_names_what_is_wrong_with_its_configuration", names_what_is_wrong_in_its_configuration),
    Case::new("daemon_says_that_it_may_not_read_or_write", says_that_it_may_not_read_or_write)
        .needs(&[Need::Unprivileged]),
    Case::new("daemon_with_a_full_disk_goes_on_after_it", with_a_full_disk_goes_on_after_it)
        .needs(&[Need::Mounts]),
    Case::new("daemon_with_a_full_state_disk_says_so", with_a_full_state_disk_says_so).needs(&[Need::Mounts]),
    Case::new("daemon_with_a_read_only_state_says_so", with_a_read_only_state_says_so)
        .needs(&[Need::LoopDevices]),
    Case::new("daemon_payload_deleted_is_an_error", || payload_is_harmed(Harm::Delete)),
    Case::new("daemon_payload_replaced_is_an_error", || payload_is_harmed(Harm::Replace)),
    Case::new("daemon_payload_truncated_is_an_error", || payload_is_harmed(Harm::Truncate)),
    Case::new(
        "daemon_payload_truncated_while_it_is_served_is_an_error",
        payload_truncated_while_it_is_served,
    ),
    Case::new("daemon_payload_deleted_while_it_is_down_is_an_error", payload_deleted_while_it_is_down),
];

/// Bytes of payloads: 33 pieces of 64 KiB.
const LENGTH: u64 = 2 * 1024 * 1024 + 12_345;

fn offer(name: &str) -> Offer {
    Offer::single_with(name, LENGTH, &["--piece-length", "64KiB"])
}

/// A torrent that goes on.
fn other_offer(name: &str) -> Offer {
    Offer::single_with(name, LENGTH + 1, &["--piece-length", "64KiB"])
}

/// Has the daemon seed the payload where it lies.
fn add_seed(daemon: &Daemon<'_>, offer: &Offer) {
    let id = daemon.add(&["--seed-only", "--dir", text(offer.home()), text(&offer.file)]);
    daemon.told(&["wait", &id, "--timeout", "1m"]);
}

/// Has the daemon go on with a torrent that is whole again, and checks that it serves all of it.
fn resume(daemon: &Daemon<'_>, offer: &Offer) {
    daemon.told(&["resume", &offer.torrent.hex()]);
    daemon.told(&["wait", &offer.torrent.hex(), "--timeout", "1m"]);
    download(daemon, offer);
}

fn second_on_a_state_directory_is_refused() {
    let home = Home::new("2s", "");
    let daemon = home.start();
    let state = home.join("state");
    let other = Home::new("2s-other", &format!("state_dir = '{}'", text(&state)));
    other.refused(&[text(&state), &format!("in use by btd (process {})", daemon.id())]);
    assert!(!other.socket().exists());
    daemon.client().list();
    daemon.end_well();
    // It is free now.
    other.start().end_well();
}

fn second_on_a_socket_is_refused() {
    let home = Home::new("2d", "");
    let daemon = home.start();
    let socket = home.socket();
    let other = Home::new("2d-other", &format!("control_socket = '{}'", text(&socket)));
    other.refused(&[text(&socket), &format!("held by process {}", daemon.id())]);
    daemon.client().list();
    // What a killed one has left is taken over.
    daemon.kill();
    assert!(socket.exists());
    other.start().end_well();
    assert!(!socket.exists());
}

fn refuses_the_state_of_a_later_version() {
    let home = Home::new("later", "");
    home.start().end_well();
    let later = rusqlite::Connection::open(home.state_file()).unwrap();
    later.pragma_update(None, "user_version", 99).unwrap();
    drop(later);
    let before = fs::read(home.state_file()).unwrap();
    home.refused(&["state.sqlite: written by a later btd (schema 99"]);
    assert!(fs::read(home.state_file()).unwrap() == before, "it was changed");
    let text = "no database at all, but much longer than a head of one is ".repeat(9);
    fs::write(home.state_file(), text).unwrap();
    home.refused(&["state.sqlite: not a database"]);
}

fn names_what_is_wrong_in_its_configuration() {
    let home = Home::new("config", "");
    // The keys of the test begin in the seventh line; in the sixth, where `workers` is one of them.
    let table: &[(&str, &[&str])] = &[
        ("frobnicate = 3", &["btd.toml:7:1: frobnicate: unknown field"]),
        ("workers = 1\nworkers = 2", &["btd.toml:7:", "workers"]),
        (
            "control_group = 'no-such-group'",
            &["btd.toml:7:17: control_group: there is no group no-such-group"],
        ),
        (
            "[limits]\nupload_rate = \"fast\"",
            &["btd.toml:8:15: limits.upload_rate: a rate is bytes a second"],
        ),
        ("[limits]\nuploadrate = 1", &["btd.toml:8:", "uploadrate"]),
        ("[tracker]\nnumwant = 5000", &["btd.toml:8:11: tracker.numwant: from 0 to 1000"]),
        ("preallocate = 'half'", &["btd.toml:7:15: preallocate: unknown variant `half`"]),
        ("[tracker", &["btd.toml:7:"]),
    ];
    for (keys, words) in table {
        home.configure(keys);
        home.refused(words);
        let mut check = Command::new(binary());
        check.arg("check-config").arg("--config").arg(home.config());
        assert_code(&run(check, WAIT_LIMIT), 1, words);
    }
    fs::remove_file(home.config()).unwrap();
    home.refused(&["btd.toml", "No such file"]);
}

fn says_that_it_may_not_read_or_write() {
    let home = Home::new("perms", "");
    let (config, state) = (home.config(), home.join("state"));
    let chmod = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let refused = |words: &[&str]| {
        let mut command = unprivileged_command(binary());
        command.args(["run", "--config", text(&config)]);
        assert_code(&run(command, WAIT_LIMIT), 1, words);
    };
    chmod(&config, 0);
    refused(&["btd.toml", "denied"]);
    chmod(&config, 0o600);
    home.start().end_well();
    // Nothing can be made in it.
    chmod(&state, 0o500);
    for file in ["state.sqlite", "btd.lock"] {
        chmod(&state.join(file), 0o400);
    }
    refused(&[text(&state), "denied"]);
    chmod(&state.join("btd.lock"), 0o600);
    refused(&["state.sqlite"]);
    chmod(&state, 0);
    refused(&[text(&state), "denied"]);
    chmod(&state, 0o700);
}

fn with_a_full_disk_goes_on_after_it() {
    let home = Home::new("full", "");
    let disk = SmallDisk::mount(home.path(), 3_072);
    let folder = disk.path().join("data");
    home.configure(&format!("{ALL_CORES}\ndata_dir = '{}'", text(&folder)));
    let filler = disk.path().join("filler");
    fs::write(&filler, vec![1; 2 << 20]).unwrap();
    let (wanted, seeded) = (offer("full-wanted"), other_offer("full-seeded"));
    let source = wanted.seed(&[]);
    let daemon = home.start();
    add_seed(&daemon, &seeded);
    let id = daemon.add(&[wanted.magnet_of(source.address())]);
    let torrent = daemon
        .wait("complaint", |daemon| Some(daemon.torrent(&id)).filter(|torrent| !torrent["error"].is_null()));
    assert_eq!(torrent["state"], "downloading");
    let error = torrent["error"].as_str().unwrap();
    assert!(error.starts_with(text(&folder)) && error.contains("no room left on the disk"), "{error}");
    download(&daemon, &seeded);
    fs::remove_file(&filler).unwrap();
    // It goes on by itself.
    daemon.told(&["wait", &id, "--timeout", "1m"]);
    assert!(daemon.torrent(&id)["error"].is_null());
    wanted.assert_in(&folder);
    daemon.end_well();
    source.end_well();
}

/// A torrent that nobody has, as the body of a request; every other one is looked for.
pub(crate) fn unknown_torrent(number: u64) -> Json {
    json!({ "magnet": format!("magnet:?xt=urn:btih:{number:040x}&dn=unknown-{number}"), "paused": number.is_multiple_of(2) })
}

/// Adds torrents until one is refused; returns how many were not, and the refusal.
fn add_until_refused(client: &mut Client, from: u64) -> (u64, Json) {
    for number in from..from + 100_000 {
        let answer = client.ask("POST", "/v1/torrents", Some(&unknown_torrent(number)));
        let answer = answer.expect("the daemon lives");
        if answer.status != 201 {
            assert_eq!(answer.status, 500, "{}", answer.text());
            return (number - from, answer.json());
        }
    }
    panic!("none of 100,000 torrents was refused");
}

fn with_a_full_state_disk_says_so() {
    let home = Home::new("fulls", "");
    let disk = SmallDisk::mount(home.path(), 1_024);
    home.configure(&format!("state_dir = '{}'", text(&disk.path().join("state"))));
    let seeded = offer("full-state");
    let daemon = home.start();
    add_seed(&daemon, &seeded);
    let filler = disk.path().join("filler");
    // As much as there is room for.
    fs::write(&filler, vec![1; 1 << 20]).unwrap_err();
    let mut client = daemon.client();
    let (count, refusal) = add_until_refused(&mut client, 1);
    let message = refusal["message"].as_str().unwrap();
    assert!(message.contains("state.sqlite") && message.contains("full"), "{message}");
    assert_eq!(client.list().len() as u64, count + 1);
    let (id, label) = (seeded.torrent.hex(), json!({ "label": "x" }));
    let path = format!("/v1/torrents/{id}");
    client.expect(500, "PATCH", &path, Some(&label));
    assert!(daemon.torrent(&id)["label"].is_null(), "it was not written");
    download(&daemon, &seeded);
    fs::remove_file(&filler).unwrap();
    client.expect(200, "PATCH", &path, Some(&label));
    client.expect(201, "POST", "/v1/torrents", Some(&unknown_torrent(count + 1)));
    daemon.kill();
    let daemon = home.start();
    assert_eq!(daemon.client().list().len() as u64, count + 2);
    assert_eq!(daemon.torrent(&id)["label"], "x");
    daemon.end_well();
}

fn with_a_read_only_state_says_so() {
    let home = Home::new("ro", "");
    let disk = Disk::mount(home.path());
    let state = disk.path().join("state");
    home.configure(&format!("state_dir = '{}'", text(&state)));
    let seeded = offer("read-only");
    let daemon = home.start();
    add_seed(&daemon, &seeded);
    let mut client = daemon.client();
    client.expect(201, "POST", "/v1/torrents", Some(&unknown_torrent(1)));
    disk.fail();
    let refusal = client.expect(500, "POST", "/v1/torrents", Some(&unknown_torrent(2)));
    assert!(refusal["message"].as_str().unwrap().contains("state.sqlite"), "{refusal}");
    client.expect(500, "DELETE", &format!("/v1/torrents/{:040x}", 1), None);
    assert_eq!(client.list().len(), 2);
    download(&daemon, &seeded);
    let ended = daemon.end_well();
    assert!(ended.stderr().contains("state.sqlite"), "{}", ended.describe());
    home.refused(&[text(&state), "Read-only"]);
}

/// What happens to a payload while it is seeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    Delete,
    Replace,
    Truncate,
}

impl Harm {
    fn happen(self, path: &Path, kept: &Path) {
        fs::rename(path, kept).unwrap();
        match self {
            Self::Delete => {}
            // Of the same length, and another time.
            Self::Replace => fs::write(path, vec![7; usize::try_from(LENGTH).unwrap()]).unwrap(),
            Self::Truncate => {
                fs::copy(kept, path).unwrap();
                OpenOptions::new().write(true).open(path).unwrap().set_len(LENGTH / 2).unwrap();
            }
        }
    }
}

/// Comes for a torrent whose payload is gone; the error that it has then.
fn come_for(daemon: &Daemon<'_>, offer: &Offer) -> String {
    let mut peer = Peer::connect(daemon.address());
    peer.send(&handshake(offer.torrent.info_hash, Speaks::Fast));
    let torrent = daemon.wait_state(&offer.torrent.hex(), "error");
    peer.assert_closed(WAIT_LIMIT);
    torrent["error"].as_str().unwrap().to_owned()
}

/// What the payload has become is noticed when somebody comes for it; it can be put back.
fn payload_is_harmed(harm: Harm) {
    let home = Home::new("harm", ALL_CORES);
    let (harmed, other) = (offer("harmed"), other_offer("other"));
    let daemon = home.start();
    add_seed(&daemon, &harmed);
    add_seed(&daemon, &other);
    let kept = harmed.home().join("kept");
    harm.happen(&harmed.payload, &kept);
    let error = come_for(&daemon, &harmed);
    assert!(error.contains("payload.bin") && error.contains("btctl resume"), "{error}");
    download(&daemon, &other);
    fs::rename(&kept, &harmed.payload).unwrap();
    resume(&daemon, &harmed);
    daemon.end_well();
}

/// One that is loaded is watched: nobody has to come for it.
fn payload_truncated_while_it_is_served() {
    let home = Home::new("served", ALL_CORES);
    let (harmed, other) = (offer("shrinks"), other_offer("steady"));
    let daemon = home.start();
    add_seed(&daemon, &harmed);
    add_seed(&daemon, &other);
    download(&daemon, &harmed);
    let bytes = harmed.bytes();
    OpenOptions::new().write(true).open(&harmed.payload).unwrap().set_len(LENGTH / 2).unwrap();
    let torrent = daemon.wait_state(&harmed.torrent.hex(), "error");
    assert!(torrent["error"].as_str().unwrap().contains("payload.bin"), "{torrent}");
    download(&daemon, &other);
    fs::write(&harmed.payload, bytes).unwrap();
    resume(&daemon, &harmed);
    daemon.end_well();
}

fn payload_deleted_while_it_is_down() {
    let home = Home::new("down", ALL_CORES);
    let (gone, other) = (offer("gone"), other_offer("stays"));
    let daemon = home.start();
    add_seed(&daemon, &gone);
    add_seed(&daemon, &other);
    daemon.end_well();
    let kept = gone.home().join("kept");
    fs::rename(&gone.payload, &kept).unwrap();
    let daemon = home.start();
    // Files are looked at when somebody comes for them.
    assert_eq!(daemon.client().list().len(), 2);
    let error = come_for(&daemon, &gone);
    assert!(error.contains("payload.bin"), "{error}");
    download(&daemon, &other);
    daemon.end_well();
    // The error is remembered, and what to do about it works.
    let daemon = home.start();
    daemon.wait_state(&gone.torrent.hex(), "error");
    fs::rename(&kept, &gone.payload).unwrap();
    resume(&daemon, &gone);
    daemon.end_well();
}
