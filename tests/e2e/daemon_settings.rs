//! Keys of btd.toml, each seen to do what it says: where files lie and how they are made, what is run, how much goes on
//! at a time, who may come in.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use nix::unistd::{Gid, Group, getegid, geteuid, getgroups};
use serde_json::json;
use tests::daemon::{Daemon, Home, WAIT_LIMIT, text};
use tests::download::Download;
use tests::http::Server;
use tests::limit::within;
use tests::needs::Need;
use tests::wire::{Peer, Speaks, frame, handshake, id};

use crate::Case;
use crate::offer::{FILES, Offer};

pub(crate) const CASES: &[Case] = &[
    Case::new("daemon_adds_what_is_put_into_its_watch_folder", daemon_adds_what_is_put_into_its_watch_folder),
    Case::new("daemon_runs_commands", daemon_runs_commands),
    Case::new("daemon_keeps_incomplete_files_apart", daemon_keeps_incomplete_files_apart),
    Case::new("daemon_makes_files_as_it_is_told", daemon_makes_files_as_it_is_told),
    Case::new("daemon_pauses_at_a_ratio", daemon_pauses_at_a_ratio),
    Case::new("daemon_pauses_after_a_time", daemon_pauses_after_a_time),
    Case::new("daemon_downloads_one_after_another", daemon_downloads_one_after_another),
    Case::new("daemon_lets_its_group_in", daemon_lets_its_group_in).needs(&[Need::Unprivileged]),
    Case::new("daemon_bounds_peers_and_slots", daemon_bounds_peers_and_slots),
    Case::new("daemon_tells_trackers_what_is_set", daemon_tells_trackers_what_is_set),
    Case::new("daemon_fetches_in_order_when_told", daemon_fetches_in_order_when_told),
    Case::new("daemon_speaks_to_the_journal", daemon_speaks_to_the_journal).needs(&[Need::Mounts]),
];

const LENGTH: u64 = 3_000_017;
const PIECES_OF_64_KIB: &[&str] = &["--piece-length", "64KiB"];

fn daemon_adds_what_is_put_into_its_watch_folder() {
    let first = Offer::single("d-watch-1", LENGTH);
    let second = Offer::single_with("d-watch-2", LENGTH, PIECES_OF_64_KIB);
    let third = Offer::folder("d-watch-3", FILES, PIECES_OF_64_KIB);
    // A folder that clients may not name.
    let home = Home::new("d-watch-home", "control_roots = ['{home}/data']\nwatch_dir = '{home}/watch'");
    let watch = home.join("watch");
    fs::create_dir(&watch).unwrap();
    // What lies there already, what is moved in, what is written there.
    fs::copy(&first.file, watch.join("first.torrent")).unwrap();
    let daemon = home.start();
    let is_there = |info_hash: &str| {
        daemon.wait(info_hash, |daemon| {
            let reply = daemon.ask("GET", &format!("/v1/torrents/{info_hash}"), None);
            (reply.status == 200).then_some(())
        });
    };
    is_there(&first.torrent.hex());
    fs::write(home.join("x.magnet"), second.magnet() + "\n").unwrap();
    fs::rename(home.join("x.magnet"), watch.join("second.magnet")).unwrap();
    is_there(&second.torrent.hex());
    // One that is no torrent stays, and is told of; the next is added all the same.
    fs::write(watch.join("bad.torrent"), "nonsense").unwrap();
    fs::copy(&third.file, watch.join("third.torrent")).unwrap();
    is_there(&third.torrent.hex());
    daemon.wait_for_log("bad.torrent");
    daemon.wait("names of what was added", |_| {
        let added = ["first.torrent.added", "second.magnet.added", "third.torrent.added", "bad.torrent"];
        added.iter().all(|name| watch.join(name).exists()).then_some(())
    });
    daemon.end_well();
}

fn daemon_runs_commands() {
    let (offer, _seed, _tracker) = Offer::tracked("d-hooks", LENGTH, usize::MAX);
    let gone = Offer::single("d-hooks-gone", LENGTH);
    let home = Home::new(
        "d-hooks-home",
        "on_complete = ['{home}/hook', '{home}/completed']\non_error = ['{home}/hook', '{home}/failed']",
    );
    home.script("hook", "env > \"$1.new\" && mv \"$1.new\" \"$1\"");
    let daemon = home.start();
    let info_hash = daemon.add(&["--label", "a b; $(x)", text(&offer.file)]);
    let told = daemon.wait_for_file(&home.join("completed"));
    let expected = [
        ("BTD_EVENT", "completed".to_owned()),
        ("BTD_INFO_HASH", info_hash),
        ("BTD_NAME", "payload.bin".to_owned()),
        ("BTD_DIR", text(&home.data()).to_owned()),
        ("BTD_LABEL", "a b; $(x)".to_owned()),
        ("BTD_SIZE", LENGTH.to_string()),
        ("BTD_ERROR", String::new()),
    ];
    for (name, value) in expected {
        assert!(told.lines().any(|line| *line == format!("{name}={value}")), "{name}={value}: {told}");
    }
    assert!(!told.contains("NOTIFY_SOCKET"), "{told}");
    offer.assert_in(&home.data());
    gone.seed_by(&daemon);
    fs::remove_file(&gone.payload).unwrap();
    let mut peer = Peer::connect(daemon.address());
    peer.send(&handshake(gone.torrent.info_hash, Speaks::Fast));
    let told = daemon.wait_for_file(&home.join("failed"));
    let error = told.lines().find_map(|line| line.strip_prefix("BTD_ERROR=")).unwrap_or_default();
    assert!(told.contains("BTD_EVENT=error") && error.contains("payload.bin"), "{told}");
    daemon.end_well();
}

fn daemon_keeps_incomplete_files_apart() {
    let (offer, seed, _tracker) = Offer::tracked("d-incomplete", LENGTH, 64);
    let home = Home::new("d-incomplete-home", "incomplete_dir = '{home}/half'\nincomplete_suffix = '.part'");
    let daemon = home.start();
    let info_hash = daemon.add(&[text(&offer.file)]);
    seed.wait_sent(64, WAIT_LIMIT);
    let have = |daemon: &Daemon<'_>| daemon.torrent(&info_hash)["have"].as_u64();
    daemon.wait("verified pieces", |daemon| (have(daemon) > Some(0)).then_some(()));
    let half = home.join("half/payload.bin.part");
    assert!(half.is_file() && !home.data().join("payload.bin").exists());
    let files = daemon.json(&["files", &info_hash]);
    assert_eq!(files[0]["on_disk"], json!("payload.bin.part"));
    // It is found again after a restart.
    daemon.end_well();
    let daemon = home.start();
    daemon.wait_state(&info_hash, "downloading");
    assert!(have(&daemon) > Some(0));
    seed.allow(usize::MAX);
    daemon.told(&["wait", "--timeout", "100s", &info_hash]);
    daemon.wait("payload at home", |_| home.data().join("payload.bin").exists().then_some(()));
    daemon.wait_state(&info_hash, "seeding");
    offer.assert_in(&home.data());
    assert!(!half.exists());
    Download::start(daemon.address(), &offer.torrent, Speaks::Fast).whole();
    daemon.end_well();
    let daemon = home.start();
    daemon.wait_state(&info_hash, "seeding");
    Download::start(daemon.address(), &offer.torrent, Speaks::Fast).whole();
    daemon.end_well();
}

fn daemon_makes_files_as_it_is_told() {
    for (preallocate, umask, mode) in [("full", "077", 0o600), ("sparse", "022", 0o644)] {
        let (offer, seed, _tracker) = Offer::tracked(&format!("d-make-{preallocate}"), LENGTH, 16);
        let keys = format!("preallocate = '{preallocate}'\numask = '{umask}'");
        let home = Home::new(&format!("d-make-{preallocate}-home"), &keys);
        let daemon = home.start();
        let info_hash = daemon.add(&[text(&offer.file)]);
        seed.wait_sent(16, WAIT_LIMIT);
        daemon.wait("verified pieces", |daemon| {
            (daemon.torrent(&info_hash)["have"].as_u64() > Some(0)).then_some(())
        });
        let file = fs::metadata(home.data().join("payload.bin")).unwrap();
        assert_eq!(file.blocks() * 512 >= LENGTH, preallocate == "full", "{preallocate}");
        assert_eq!(file.permissions().mode() & 0o777, mode, "{umask}");
        daemon.end_well();
    }
}

fn daemon_pauses_at_a_ratio() {
    let offer = Offer::single_with("d-ratio", LENGTH, PIECES_OF_64_KIB);
    let other = Offer::single("d-ratio-own", LENGTH);
    let home = Home::new("d-ratio-home", "[limits]\nratio = 1.0");
    let daemon = home.start();
    let info_hash = daemon.add(&["--dir", text(offer.home()), text(&offer.file)]);
    let own = daemon.add(&["--ratio-limit", "never", "--dir", text(other.home()), text(&other.file)]);
    for (info_hash, offer) in [(&info_hash, &offer), (&own, &other)] {
        daemon.wait_state(info_hash, "seeding");
        Download::start(daemon.address(), &offer.torrent, Speaks::Fast).whole();
    }
    let torrent = daemon.wait_state(&info_hash, "paused");
    assert_eq!(torrent["ratio"], json!(1.0));
    daemon.wait("ratio of the other", |daemon| (daemon.torrent(&own)["ratio"] == json!(1.0)).then_some(()));
    assert_eq!(daemon.torrent(&own)["state"], json!("seeding"), "never is never");
    daemon.end_well();
    let daemon = home.start();
    assert_eq!(daemon.torrent(&info_hash)["state"], json!("paused"), "after a restart too");
    daemon.end_well();
}

fn daemon_pauses_after_a_time() {
    let offer = Offer::single("d-time", LENGTH);
    let home = Home::new("d-time-home", "[limits]\nseed_time = '1s'");
    let daemon = home.start();
    let info_hash = offer.seed_by(&daemon);
    // A peer keeps it busy, so that it is looked at each second.
    let download = Download::start(daemon.address(), &offer.torrent, Speaks::Fast);
    let torrent = daemon.wait_state(&info_hash, "paused");
    assert!(torrent["seeded_s"].as_u64() >= Some(1), "{torrent}");
    drop(download);
    daemon.end_well();
}

fn daemon_downloads_one_after_another() {
    let (first, first_seed, _first_tracker) = Offer::tracked("d-queue-1", LENGTH, 8);
    let (second, _second_seed, _second_tracker) = Offer::tracked("d-queue-2", LENGTH + 1, usize::MAX);
    let home = Home::new("d-queue-home", "[limits]\nactive_downloads = 1");
    let daemon = home.start();
    let one = daemon.add(&["--dir", text(&home.join("1")), text(&first.file)]);
    let two = daemon.add(&["--dir", text(&home.join("2")), text(&second.file)]);
    first_seed.wait_sent(8, WAIT_LIMIT);
    let torrent = daemon.wait_state(&two, "queued");
    assert_eq!((&torrent["queue_position"], &torrent["have"]), (&json!(1), &json!(0)));
    assert_eq!(daemon.torrent(&one)["state"], json!("downloading"));
    first_seed.allow(usize::MAX);
    daemon.told(&["wait", "--timeout", "100s", &one, &two]);
    first.assert_in(&home.join("1"));
    second.assert_in(&home.join("2"));
    daemon.end_well();
}

/// A group that files may be given to, and do not have by themselves where there is another.
fn other_group() -> Group {
    let own = getegid();
    let may_be_given = match geteuid().is_root() {
        true => fs::read_to_string("/etc/group").unwrap().lines().filter_map(gid).collect(),
        false => getgroups().unwrap(),
    };
    let other = may_be_given.into_iter().find(|gid| *gid != own).unwrap_or(own);
    Group::from_gid(other).unwrap().unwrap()
}

/// The id in a line of /etc/group.
fn gid(line: &str) -> Option<Gid> {
    Some(Gid::from_raw(line.split(':').nth(2)?.parse().ok()?))
}

fn daemon_lets_its_group_in() {
    let home = Home::new("d-group-home", "");
    let daemon = home.start();
    let mode = |home: &Home| fs::metadata(home.socket()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&home), 0o600, "for its owner alone");
    daemon.end_well();
    let group = other_group();
    home.configure(&format!("control_group = '{}'", group.name));
    let daemon = home.start();
    assert_eq!((mode(&home), fs::metadata(home.socket()).unwrap().gid()), (0o660, group.gid.as_raw()));
    daemon.end_well();
}

/// A peer that wants pieces of `offer`.
fn leech(daemon: &Daemon<'_>, offer: &Offer) -> Peer {
    let mut peer = Peer::greet(daemon.address(), offer.torrent.info_hash, Speaks::Fast);
    peer.send(&frame(id::INTERESTED, &[]));
    peer
}

fn daemon_bounds_peers_and_slots() {
    let offer = Offer::single("d-slots", LENGTH);
    let home = Home::new("d-slots-home", "[limits]\nupload_slots = 1\nconnections_per_torrent = 2");
    let daemon = home.start();
    let info_hash = offer.seed_by(&daemon);
    let _peers = [leech(&daemon, &offer), leech(&daemon, &offer)];
    let peers = daemon.wait("two peers that are interested", |daemon| {
        let peers = daemon.json(&["peers", &info_hash]);
        let rows = peers.as_array().unwrap();
        let is_decided = rows.iter().any(|peer| peer["is_choked"] == json!(false));
        let interested = rows.iter().filter(|peer| peer["is_interested"] == json!(true)).count();
        (interested == 2 && is_decided).then_some(peers)
    });
    let unchoked = peers.as_array().unwrap().iter().filter(|peer| peer["is_choked"] == json!(false)).count();
    assert_eq!(unchoked, 1, "{peers}");
    let mut third = Peer::connect(daemon.address());
    third.send(&handshake(offer.torrent.info_hash, Speaks::Fast));
    third.assert_closed(WAIT_LIMIT);
    assert_eq!(daemon.json(&["peers", &info_hash]).as_array().map(Vec::len), Some(2));
    daemon.end_well();
}

fn daemon_tells_trackers_what_is_set() {
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let log = Arc::clone(&asked);
    let server = Server::start(move |_, path| {
        log.lock().unwrap_or_else(PoisonError::into_inner).push(path.to_owned());
        b"d8:intervali60e5:peers0:e".to_vec()
    });
    let offer = Offer::single_with("d-tracker", LENGTH, &["--tracker", &server.url("/announce")]);
    let home = Home::new("d-tracker-home", "[tracker]\nannounce_port = 12345\nnumwant = 7");
    let daemon = home.start();
    daemon.add(&[text(&offer.file)]);
    let path =
        daemon.wait("announce", |_| asked.lock().unwrap_or_else(PoisonError::into_inner).first().cloned());
    assert!(path.contains("port=12345") && path.contains("numwant=7"), "{path}");
    daemon.end_well();
    let log = asked.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(log.last().is_some_and(|path| path.contains("event=stopped")), "{log:?}");
}

fn daemon_fetches_in_order_when_told() {
    let (offer, seed, _tracker) = Offer::tracked("d-order", LENGTH, usize::MAX);
    let home = Home::new("d-order-home", "");
    let daemon = home.start();
    daemon.told(&["add", "--sequential", "--wait", "--timeout", "100s", text(&offer.file)]);
    offer.assert_in(&home.data());
    let asked: Vec<u32> = seed.sent().iter().map(|block| block.piece).collect();
    assert!(asked.is_sorted() && asked.len() == offer.block_count(), "{asked:?}");
    daemon.end_well();
}

/// The journal's socket has its place in the system: the daemon runs where that is one of the test's own.
fn daemon_speaks_to_the_journal() {
    let home = Home::new("d-journal-home", "[log]\ntarget = 'journald'");
    let journal = UnixDatagram::bind(home.join("journal")).unwrap();
    journal.set_read_timeout(Some(WAIT_LIMIT)).unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c"]);
    command.arg(
        "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal && \
         ln -s \"$1\" /run/systemd/journal/socket && exec \"$2\" run --config \"$3\"",
    );
    command.arg("sh").arg(home.join("journal")).arg(tests::btd::binary()).arg(home.config());
    let daemon = home.start_with(command);
    // As journald has it: a name, the length of the value in eight bytes, the value.
    let field = |name: &str, value: &str| {
        let length = u64::try_from(value.len()).unwrap().to_le_bytes();
        [name.as_bytes(), b"\n", &length, value.as_bytes(), b"\n"].concat()
    };
    let serving = field("MESSAGE", &format!("serving; the control socket is {}", home.socket().display()));
    let has = |record: &[u8], field: &[u8]| record.windows(field.len()).any(|window| window == field);
    let mut buffer = [0; 65_536];
    let record = loop {
        let length = within(WAIT_LIMIT, journal.recv(&mut buffer));
        let length = length.unwrap_or_else(|error| panic!("the record of a daemon that serves: {error}"));
        if has(&buffer[..length], &serving) {
            break &buffer[..length];
        }
    };
    for field in [field("PRIORITY", "6"), field("SYSLOG_IDENTIFIER", "btd")] {
        assert!(has(record, &field), "{}", String::from_utf8_lossy(record));
    }
    let output = daemon.end_well();
    assert_eq!(output.stderr(), "", "nothing of it is said twice");
}
