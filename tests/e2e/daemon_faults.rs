//! The daemon when its surroundings fail: another daemon, full disks, a state directory that is gone read-only, payload
//! that is gone or another. Each is a clear error, and the rest goes on.

use std::fs::{self, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value as Json, json};
use tests::btctl::btctl;
use tests::btd::binary;
use tests::download::Download;
use tests::mount::{Disk, SmallDisk};
use tests::needs::{Need, unprivileged_command};
use tests::process::{Output, run};
use tests::service::{Client, Home, Service};
use tests::wire::Speaks;

use crate::Case;
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
/// Longest that something may take to be noticed.
const LIMIT: Duration = Duration::from_secs(60);

fn offer(name: &str) -> Offer {
    Offer::single_with(name, LENGTH, &["--piece-length", "64KiB"])
}

/// A torrent that goes on.
fn other_offer(name: &str) -> Offer {
    Offer::single_with(name, LENGTH + 1, &["--piece-length", "64KiB"])
}

/// Runs `btctl` with `words`.
pub(crate) fn control(home: &Home, words: &[&str]) -> Output {
    btctl(&home.socket(), words)
}

/// Runs `btctl`, which must succeed.
pub(crate) fn control_well(home: &Home, words: &[&str]) -> Output {
    let output = control(home, words);
    assert_eq!(output.code(), Some(0), "{words:?}: {}", output.describe());
    output
}

/// Where peers reach the daemon.
fn address(client: &mut Client) -> SocketAddr {
    let stats = client.expect(200, "GET", "/v1/stats", None);
    stats["listen"][0].as_str().unwrap().parse().unwrap()
}

fn path_of(offer: &Offer) -> String {
    format!("/v1/torrents/{}", offer.torrent.hex())
}

/// Has the daemon seed the payload where it lies.
fn add_seed(home: &Home, client: &mut Client, offer: &Offer) {
    let body = json!({ "path": offer.file, "dir": offer.home(), "seed_only": true });
    client.expect(201, "POST", "/v1/torrents", Some(&body));
    control_well(home, &["wait", &offer.torrent.hex(), "--timeout", "1m"]);
}

/// Waits until the torrent is in `state`.
fn wait_for_state(service: &Service, offer: &Offer, state: &str) -> Json {
    wait_until(service, offer, state, |torrent| torrent["state"] == state)
}

/// Waits until the torrent is as it should be.
fn wait_until(service: &Service, offer: &Offer, what: &str, is_so: impl Fn(&Json) -> bool) -> Json {
    service.wait(what, |client| {
        let torrent = client.expect(200, "GET", &path_of(offer), None);
        is_so(&torrent).then_some(torrent)
    })
}

/// Checks that the daemon serves all of the payload.
fn assert_served(client: &mut Client, offer: &Offer) {
    let address = address(client);
    Download::start(address, &offer.torrent, Speaks::Fast).whole();
}

fn assert_refused(output: &Output, words: &[&str]) {
    assert_eq!(output.code(), Some(1), "{}", output.describe());
    let said = output.stderr();
    assert!(!said.contains("panicked"), "{}", output.describe());
    for word in words {
        assert!(said.contains(word), "it should say {word:?}: {}", output.describe());
    }
}

fn second_on_a_state_directory_is_refused() {
    let (home, mut other) = (Home::new("2s"), Home::new("2s"));
    let service = home.start();
    other.state_dir.clone_from(&home.state_dir);
    let holder = format!("in use by btd (process {})", service.id());
    assert_refused(&other.start_in_vain(""), &[other.state_dir.to_str().unwrap(), &holder]);
    assert!(!other.socket().exists());
    service.client().list();
    service.end_well();
    // It is free now.
    other.start().end_well();
}

fn second_on_a_socket_is_refused() {
    let home = Home::new("2d");
    let service = home.start();
    let mut other = Home::new("2d");
    other.socket = home.socket();
    let holder = format!("held by process {}", service.id());
    assert_refused(&other.start_in_vain(""), &[home.socket().to_str().unwrap(), &holder]);
    service.client().list();
    // What a killed one has left is taken over.
    service.end(Signal::SIGKILL);
    assert!(home.socket().exists());
    other.start().end_well();
    assert!(!home.socket().exists());
}

fn refuses_the_state_of_a_later_version() {
    let home = Home::new("later");
    home.start().end_well();
    let later = rusqlite::Connection::open(home.state_file()).unwrap();
    later.pragma_update(None, "user_version", 99).unwrap();
    drop(later);
    let before = fs::read(home.state_file()).unwrap();
    assert_refused(&home.start_in_vain(""), &["state.sqlite: written by a later btd (schema 99"]);
    assert!(fs::read(home.state_file()).unwrap() == before, "it was changed");
    fs::write(home.state_file(), "no database at all, but much longer than a head of one is ".repeat(9))
        .unwrap();
    assert_refused(&home.start_in_vain(""), &["state.sqlite: not a database"]);
}

fn names_what_is_wrong_in_its_configuration() {
    let home = Home::new("config");
    // The lines of the test begin with the sixth.
    let table: &[(&str, &[&str])] = &[
        ("frobnicate = 3", &["btd.toml:6:1: frobnicate: unknown field"]),
        ("workers = 1\nworkers = 2", &["btd.toml:7:", "workers"]),
        (
            "control_group = 'no-such-group'",
            &["btd.toml:6:17: control_group: there is no group no-such-group"],
        ),
        (
            "[limits]\nupload_rate = \"fast\"",
            &["btd.toml:7:15: limits.upload_rate: a rate is bytes a second"],
        ),
        ("[limits]\nuploadrate = 1", &["btd.toml:7:", "uploadrate"]),
        ("[tracker]\nnumwant = 5000", &["btd.toml:7:11: tracker.numwant: from 0 to 1000"]),
        ("preallocate = 'half'", &["btd.toml:6:15: preallocate: unknown variant `half`"]),
        ("[tracker", &["btd.toml:6:"]),
    ];
    for (lines, words) in table {
        assert_refused(&home.start_in_vain(lines), words);
        let mut check = Command::new(binary());
        check.arg("check-config").arg("--config").arg(home.config());
        assert_refused(&run(check, LIMIT), words);
    }
    fs::remove_file(home.config()).unwrap();
    let mut missing = Command::new(binary());
    missing.arg("run").arg("--config").arg(home.config());
    assert_refused(&run(missing, LIMIT), &["btd.toml", "No such file"]);
}

fn says_that_it_may_not_read_or_write() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new("perms");
    let chmod = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let start = || run(home.command(unprivileged_command(binary()), ""), LIMIT);
    let mut unreadable = home.command(unprivileged_command(binary()), "");
    chmod(&home.config(), 0);
    assert_refused(
        &run(std::mem::replace(&mut unreadable, Command::new("true")), LIMIT),
        &["btd.toml", "denied"],
    );
    chmod(&home.config(), 0o600);
    home.start().end_well();
    // Nothing can be made in it.
    chmod(&home.state_dir, 0o500);
    for file in ["state.sqlite", "btd.lock"] {
        chmod(&home.state_dir.join(file), 0o400);
    }
    assert_refused(&start(), &[home.state_dir.to_str().unwrap(), "denied"]);
    chmod(&home.state_dir.join("btd.lock"), 0o600);
    assert_refused(&start(), &["state.sqlite"]);
    chmod(&home.state_dir, 0);
    assert_refused(&start(), &[home.state_dir.to_str().unwrap(), "denied"]);
    chmod(&home.state_dir, 0o700);
}

fn with_a_full_disk_goes_on_after_it() {
    let mut home = Home::new("full");
    let disk = SmallDisk::mount(home.path(), 3_072);
    home.data_dir = disk.path().join("data");
    let filler = disk.path().join("filler");
    fs::write(&filler, vec![1; 2 << 20]).unwrap();
    let (wanted, seeded) = (offer("full-wanted"), other_offer("full-seeded"));
    let source = wanted.seed(&[]);
    let service = home.start();
    let mut client = service.client();
    add_seed(&home, &mut client, &seeded);
    let magnet = format!("{}&x.pe={}", wanted.magnet(), source.address());
    client.expect(201, "POST", "/v1/torrents", Some(&json!({ "magnet": magnet })));
    let error = wait_until(&service, &wanted, "complaint", |it| !it["error"].is_null());
    assert_eq!(error["state"], "downloading");
    let (error, folder) = (error["error"].as_str().unwrap(), home.data_dir.to_str().unwrap());
    assert!(error.starts_with(folder) && error.contains("no room left on the disk"), "{error}");
    assert_served(&mut client, &seeded);
    fs::remove_file(&filler).unwrap();
    // It goes on by itself.
    control_well(&home, &["wait", &wanted.torrent.hex(), "--timeout", "1m"]);
    assert!(client.expect(200, "GET", &path_of(&wanted), None)["error"].is_null());
    wanted.assert_in(&home.data_dir);
    service.end_well();
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
            assert_eq!(answer.status, 500, "{}", answer.body);
            return (number - from, answer.body);
        }
    }
    panic!("none of 100,000 torrents was refused");
}

fn with_a_full_state_disk_says_so() {
    let mut home = Home::new("fulls");
    let disk = SmallDisk::mount(home.path(), 1_024);
    home.state_dir = disk.path().join("state");
    let seeded = offer("full-state");
    let service = home.start();
    let mut client = service.client();
    add_seed(&home, &mut client, &seeded);
    let filler = disk.path().join("filler");
    // As much as there is room for.
    fs::write(&filler, vec![1; 1 << 20]).unwrap_err();
    let (count, refusal) = add_until_refused(&mut client, 1);
    let message = refusal["message"].as_str().unwrap();
    assert!(message.contains("state.sqlite") && message.contains("full"), "{message}");
    assert_eq!(client.list().len() as u64, count + 1);
    let label = json!({ "label": "x" });
    let refused = client.ask("PATCH", &path_of(&seeded), Some(&label)).unwrap();
    assert_eq!(refused.status, 500, "{}", refused.body);
    assert!(client.expect(200, "GET", &path_of(&seeded), None)["label"].is_null(), "it was not written");
    assert_served(&mut client, &seeded);
    fs::remove_file(&filler).unwrap();
    client.expect(200, "PATCH", &path_of(&seeded), Some(&label));
    client.expect(201, "POST", "/v1/torrents", Some(&unknown_torrent(count + 1)));
    service.end(Signal::SIGKILL);
    let service = home.start();
    let mut client = service.client();
    assert_eq!(client.list().len() as u64, count + 2);
    assert_eq!(client.expect(200, "GET", &path_of(&seeded), None)["label"], "x");
    service.end_well();
}

fn with_a_read_only_state_says_so() {
    let mut home = Home::new("ro");
    let disk = Disk::mount(home.path());
    home.state_dir = disk.path().join("state");
    let seeded = offer("read-only");
    let service = home.start();
    let mut client = service.client();
    add_seed(&home, &mut client, &seeded);
    client.expect(201, "POST", "/v1/torrents", Some(&unknown_torrent(1)));
    disk.fail();
    let refusal = client.expect(500, "POST", "/v1/torrents", Some(&unknown_torrent(2)));
    assert!(refusal["message"].as_str().unwrap().contains("state.sqlite"), "{refusal}");
    client.expect(500, "DELETE", &format!("/v1/torrents/{:040x}", 1), None);
    assert_eq!(client.list().len(), 2);
    assert_served(&mut client, &seeded);
    let ended = service.end(Signal::SIGTERM);
    assert_eq!(ended.code(), Some(0), "{}", ended.describe());
    assert!(ended.stderr().contains("state.sqlite") && !ended.stderr().contains("panicked"));
    assert_refused(&home.start_in_vain(""), &[home.state_dir.to_str().unwrap(), "Read-only"]);
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

/// What the payload has become is noticed when somebody comes for it; it can be put back.
fn payload_is_harmed(harm: Harm) {
    let home = Home::new("harm");
    let (harmed, other) = (offer("harmed"), other_offer("other"));
    let service = home.start();
    let mut client = service.client();
    add_seed(&home, &mut client, &harmed);
    add_seed(&home, &mut client, &other);
    let kept = harmed.home().join("kept");
    harm.happen(&harmed.payload, &kept);
    let error = come_for(&service, &mut client, &harmed);
    assert!(error.contains("payload.bin") && error.contains("btctl resume"), "{error}");
    assert_served(&mut client, &other);
    fs::rename(&kept, &harmed.payload).unwrap();
    control_well(&home, &["resume", &harmed.torrent.hex()]);
    control_well(&home, &["wait", &harmed.torrent.hex(), "--timeout", "1m"]);
    assert_served(&mut client, &harmed);
    service.end_well();
}

/// One that is loaded is watched: nobody has to come for it.
fn payload_truncated_while_it_is_served() {
    let home = Home::new("served");
    let (harmed, other) = (offer("shrinks"), other_offer("steady"));
    let service = home.start();
    let mut client = service.client();
    add_seed(&home, &mut client, &harmed);
    add_seed(&home, &mut client, &other);
    assert_served(&mut client, &harmed);
    let bytes = harmed.bytes();
    OpenOptions::new().write(true).open(&harmed.payload).unwrap().set_len(LENGTH / 2).unwrap();
    let torrent = wait_for_state(&service, &harmed, "error");
    assert!(torrent["error"].as_str().unwrap().contains("payload.bin"), "{torrent}");
    assert_served(&mut client, &other);
    fs::write(&harmed.payload, bytes).unwrap();
    control_well(&home, &["resume", &harmed.torrent.hex()]);
    control_well(&home, &["wait", &harmed.torrent.hex(), "--timeout", "1m"]);
    assert_served(&mut client, &harmed);
    service.end_well();
}

/// Comes for a torrent whose payload is gone; the error that it has then.
fn come_for(service: &Service, client: &mut Client, offer: &Offer) -> String {
    let mut peer = tests::wire::Peer::connect(address(client));
    peer.send(&tests::wire::handshake(offer.torrent.info_hash, Speaks::Fast));
    let torrent = wait_for_state(service, offer, "error");
    peer.assert_closed(LIMIT);
    torrent["error"].as_str().unwrap().to_owned()
}

fn payload_deleted_while_it_is_down() {
    let home = Home::new("down");
    let (gone, other) = (offer("gone"), other_offer("stays"));
    let service = home.start();
    let mut client = service.client();
    add_seed(&home, &mut client, &gone);
    add_seed(&home, &mut client, &other);
    service.end_well();
    let kept: PathBuf = gone.home().join("kept");
    fs::rename(&gone.payload, &kept).unwrap();
    let service = home.start();
    let mut client = service.client();
    // Files are looked at when somebody comes for them.
    assert_eq!(client.list().len(), 2);
    let error = come_for(&service, &mut client, &gone);
    assert!(error.contains("payload.bin"), "{error}");
    assert_served(&mut client, &other);
    service.end_well();
    // The error is remembered, and what to do about it works.
    let service = home.start();
    let mut client = service.client();
    wait_for_state(&service, &gone, "error");
    fs::rename(&kept, &gone.payload).unwrap();
    control_well(&home, &["resume", &gone.torrent.hex()]);
    assert_served(&mut client, &gone);
    service.end_well();
}
