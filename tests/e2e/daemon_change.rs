//! What btctl changes of torrents that are there: their swarms, their files, their limits, their names.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;
use tests::btctl::{assert_code, exit};
use tests::compare::{EmptyFiles, assert_same};
use tests::daemon::{Home, text};
use tests::download::{Download, Event};
use tests::tracker::Tracker;
use tests::wire::{Peer, Speaks};

use crate::Case;
use crate::offer::{FILES, Offer};

pub(crate) const CASES: &[Case] = &[
    Case::new("daemon_limits_the_rate_of_a_torrent", daemon_limits_the_rate_of_a_torrent),
    Case::new("daemon_pauses_and_goes_on", daemon_pauses_and_goes_on),
    Case::new("daemon_keeps_its_peers_when_the_order_changes", daemon_keeps_its_peers_when_the_order_changes),
    Case::new("daemon_forgets_a_torrent_and_keeps_its_files", daemon_forgets_a_torrent_and_keeps_its_files),
    Case::new("daemon_deletes_the_files_of_a_torrent_alone", daemon_deletes_the_files_of_a_torrent_alone),
    Case::new("daemon_moves_what_it_seeds", daemon_moves_what_it_seeds),
    Case::new("daemon_moves_a_download", daemon_moves_a_download),
    Case::new("daemon_asks_trackers_again", daemon_asks_trackers_again),
    Case::new("daemon_keeps_labels_and_limits", daemon_keeps_labels_and_limits),
    Case::new("daemon_creates_torrents", daemon_creates_torrents),
    Case::new("daemon_has_no_torrent_that_was_not_added", daemon_has_no_torrent_that_was_not_added),
];

const LENGTH: u64 = 3_000_017;
const PIECES_OF_64_KIB: &[&str] = &["--piece-length", "64KiB"];

fn daemon_limits_the_rate_of_a_torrent() {
    const RATE: f64 = 1_000_000.0;
    let offer = Offer::single_with("d-limit", 20_000_000, PIECES_OF_64_KIB);
    let home = Home::new("d-limit-home", "");
    let daemon = home.start();
    let info_hash = daemon.add(&["--seed-only", "--dir", text(offer.home()), text(&offer.file)]);
    daemon.wait_state(&info_hash, "seeding");
    daemon.told(&["limit", &info_hash, "--up", "1M"]);
    let mut download = Download::start(daemon.address(), &offer.torrent, Speaks::Fast);
    let (mut to_ask, mut bytes, mut start) = (0..offer.torrent.piece_count(), 0, Instant::now());
    // Time is the subject: the first second is left out, for a bucket is full at the start.
    let mut is_measuring = false;
    let rate = loop {
        while download.wants_more() {
            download.ask(to_ask.next().expect("the payload is longer")).unwrap();
        }
        let Event::Piece(piece) = download.next_event() else { panic!("it goes on") };
        bytes += piece.data.len();
        let elapsed = start.elapsed();
        if !is_measuring && elapsed > Duration::from_secs(1) {
            (is_measuring, bytes, start) = (true, 0, Instant::now());
        } else if is_measuring && elapsed > Duration::from_secs(6) {
            #[allow(clippy::cast_precision_loss, reason = "less than 2^53 bytes")]
            break bytes as f64 / elapsed.as_secs_f64();
        }
    };
    assert!((rate / RATE - 1.0).abs() < 0.1, "{rate:.0} bytes/s of {RATE}");
    let shown = daemon.torrent(&info_hash)["upload_rate"].as_f64().unwrap();
    assert!((shown / RATE - 1.0).abs() < 0.5, "it is shown as {shown}");
    // Without the limit the rest comes at once.
    daemon.told(&["limit", &info_hash, "--up", "none"]);
    assert_eq!(daemon.torrent(&info_hash)["upload_limit"], json!(null));
    drop(download);
    Download::start(daemon.address(), &offer.torrent, Speaks::Fast).whole();
    daemon.end_well();
}

fn daemon_pauses_and_goes_on() {
    let (offer, seed, _tracker) = Offer::tracked("d-pause", LENGTH, 16);
    let home = Home::new("d-pause-home", "");
    let daemon = home.start();
    let info_hash = daemon.add(&[text(&offer.file)]);
    seed.wait_sent(16, tests::daemon::WAIT_LIMIT);
    let peers = daemon.wait("peer", |daemon| {
        let peers = daemon.json(&["peers", &info_hash]);
        peers.as_array().is_some_and(|peers| !peers.is_empty()).then_some(peers)
    });
    assert_eq!(peers[0]["address"], json!(seed.address.to_string()));
    assert_eq!((&peers[0]["progress"], &peers[0]["is_incoming"]), (&json!(1.0), &json!(false)));
    daemon.told(&["pause", &info_hash]);
    let torrent = daemon.wait_state(&info_hash, "paused");
    assert_eq!(daemon.json(&["peers", &info_hash]), json!([]));
    assert_eq!((&torrent["peers"], &torrent["download_rate"]), (&json!(0), &json!(0)));
    // A peer that comes now is not let in.
    let mut peer = Peer::connect(daemon.address());
    peer.send(&tests::wire::handshake(offer.torrent.info_hash, Speaks::Fast));
    peer.assert_closed(tests::daemon::WAIT_LIMIT);
    let connections = seed.connections();
    seed.allow(usize::MAX);
    daemon.told(&["resume", &info_hash]);
    daemon.told(&["wait", "--timeout", "100s", &info_hash]);
    assert!(seed.connections() > connections, "peers come back");
    offer.assert_in(&home.data());
    daemon.end_well();
}

fn daemon_keeps_its_peers_when_the_order_changes() {
    let (offer, seed, _tracker) = Offer::tracked("d-order", LENGTH, 16);
    let home = Home::new("d-order-home", "");
    let daemon = home.start();
    let info_hash = daemon.add(&[text(&offer.file)]);
    seed.wait_sent(16, tests::daemon::WAIT_LIMIT);
    let path = format!("/v1/torrents/{info_hash}");
    let changed = daemon.ask("PATCH", &path, Some(&json!({ "sequential": true })));
    assert!((200..300).contains(&changed.status), "{}", changed.text());
    assert_eq!(daemon.torrent(&info_hash)["sequential"], json!(true));
    seed.allow(usize::MAX);
    daemon.told(&["wait", "--timeout", "100s", &info_hash]);
    assert_eq!(seed.connections(), 1, "it came from the peer that was there");
    daemon.end_well();
}

fn daemon_forgets_a_torrent_and_keeps_its_files() {
    let offer = Offer::folder("d-remove", FILES, PIECES_OF_64_KIB);
    let home = Home::new("d-remove-home", "");
    let daemon = home.start();
    let info_hash = offer.seed_by(&daemon);
    let done = daemon.json(&["remove", &info_hash[..6]]);
    assert_eq!(done["torrents"], json!([info_hash]));
    assert_eq!(daemon.json(&["list"]), json!([]));
    assert!(offer.payload.join("a.bin").is_file());
    daemon.refuses(&["show", &info_hash], exit::NO_TORRENT, &["no torrent has", &info_hash]);
    // It may come again.
    daemon.add(&["--dir", text(offer.home()), text(&offer.file)]);
    daemon.wait_state(&info_hash, "seeding");
    daemon.end_well();
    let daemon = home.start();
    daemon.wait_state(&info_hash, "seeding");
    daemon.end_well();
}

fn daemon_deletes_the_files_of_a_torrent_alone() {
    let offer = Offer::folder("d-delete", FILES, PIECES_OF_64_KIB);
    let home = Home::new("d-delete-home", "");
    let daemon = home.start();
    let foreign = offer.payload.join("nested/foreign.txt");
    fs::write(&foreign, "mine").unwrap();
    offer.seed_by(&daemon);
    daemon.told(&["remove", "--data", "payload"]);
    assert!(foreign.is_file(), "what is not of the torrent stays");
    assert!(!offer.payload.join("a.bin").exists() && !offer.payload.join("nested/deeper").exists());
    assert!(offer.file.is_file());
    assert_eq!(daemon.json(&["list"]), json!([]));
    daemon.end_well();
}

fn daemon_moves_what_it_seeds() {
    let offer = Offer::folder("d-move", FILES, PIECES_OF_64_KIB);
    let home = Home::new("d-move-home", "");
    let daemon = home.start();
    let copy = home.join("copy");
    assert_code(&daemon.btctl(&["list"]), exit::DONE, &[]);
    fs::create_dir_all(&copy).unwrap();
    let info_hash = offer.seed_by(&daemon);
    // A peer is connected meanwhile.
    let mut download = Download::start(daemon.address(), &offer.torrent, Speaks::Fast);
    download.whole();
    let to = home.join("moved/here");
    daemon.told(&["move", &info_hash, text(&to)]);
    let torrent = daemon.wait_state(&info_hash, "seeding");
    assert_eq!(torrent["dir"], json!(text(&to)));
    assert!(!offer.payload.exists() && to.join("payload/a.bin").is_file());
    Download::start(daemon.address(), &offer.torrent, Speaks::Fast).whole();
    // The user has moved it himself.
    fs::rename(to.join("payload"), copy.join("payload")).unwrap();
    daemon.told(&["move", "--already-there", &info_hash, text(&copy)]);
    daemon.wait_state(&info_hash, "seeding");
    Download::start(daemon.address(), &offer.torrent, Speaks::Fast).whole();
    // What is in the way stays.
    fs::create_dir_all(home.join("taken/payload")).unwrap();
    fs::write(home.join("taken/payload/a.bin"), "mine").unwrap();
    daemon.refuses(
        &["move", &info_hash, text(&home.join("taken"))],
        exit::REFUSED,
        &["a.bin: is there already"],
    );
    assert_eq!(fs::read(home.join("taken/payload/a.bin")).unwrap(), b"mine");
    daemon.wait_state(&info_hash, "seeding");
    Download::start(daemon.address(), &offer.torrent, Speaks::Fast).whole();
    daemon.end_well();
}

fn daemon_moves_a_download() {
    let (offer, seed, _tracker) = Offer::tracked("d-move-half", LENGTH, 64);
    let home = Home::new("d-move-half-home", "");
    let daemon = home.start();
    let info_hash = daemon.add(&[text(&offer.file)]);
    seed.wait_sent(64, tests::daemon::WAIT_LIMIT);
    daemon.wait("verified piece", |daemon| {
        (daemon.torrent(&info_hash)["have"].as_u64() > Some(0)).then_some(())
    });
    let to = home.join("elsewhere");
    daemon.told(&["move", &info_hash, text(&to)]);
    seed.allow(usize::MAX);
    daemon.told(&["wait", "--timeout", "100s", &info_hash]);
    offer.assert_in(&to);
    assert!(!home.data().join("payload.bin").exists());
    // Nothing came twice but for what was on its way.
    let sent = seed.sent_count();
    assert!(sent < offer.block_count() + 64, "{sent} blocks of {}", offer.block_count());
    daemon.end_well();
}

fn daemon_asks_trackers_again() {
    let tracker = Tracker::start();
    let offer = Offer::single_with("d-reannounce", LENGTH, &["--tracker", &tracker.url]);
    let home = Home::new("d-reannounce-home", "");
    let daemon = home.start();
    let info_hash = offer.seed_by(&daemon);
    let row = daemon.wait("answer of the tracker", |daemon| {
        let rows = daemon.json(&["trackers", &info_hash]);
        (rows[0]["state"] == "working").then(|| rows[0].clone())
    });
    assert_eq!((&row["url"], &row["tier"], &row["seeds"]), (&json!(tracker.url), &json!(0), &json!(1)));
    daemon.told(&["reannounce", &info_hash]);
    let host = tracker.url.trim_start_matches("http://").split(['/', ':']).next().unwrap().to_owned();
    assert_eq!(daemon.json(&["list", "--tracker", &host]).as_array().map(Vec::len), Some(1));
    assert_eq!(daemon.json(&["list", "--tracker", "other.example"]), json!([]));
    daemon.told(&["pause", &info_hash]);
    daemon.refuses(&["reannounce", &info_hash], exit::REFUSED, &["not running"]);
    daemon.end_well();
}

fn daemon_keeps_labels_and_limits() {
    let offer = Offer::single("d-label", LENGTH);
    let home = Home::new("d-label-home", "");
    let daemon = home.start();
    let info_hash = offer.seed_by(&daemon);
    daemon.told(&["label", &info_hash, "linux isos"]);
    daemon.told(&["limit", "all", "--up", "500k", "--down", "2M", "--ratio", "never", "--seed-time", "14d"]);
    let check = |daemon: &tests::daemon::Daemon<'_>| {
        let torrent = daemon.torrent(&info_hash);
        assert_eq!(
            (&torrent["label"], &torrent["ratio_limit"], &torrent["seed_time_limit_s"]),
            (&json!("linux isos"), &json!(0.0), &json!(14 * 24 * 3600))
        );
        assert_eq!(
            (&torrent["upload_limit"], &torrent["download_limit"]),
            (&json!(500_000), &json!(2_000_000))
        );
    };
    check(&daemon);
    daemon.kill();
    let daemon = home.start();
    check(&daemon);
    daemon.told(&["limit", &info_hash, "--ratio", "default", "--down", "none", "--seed-time", "default"]);
    daemon.told(&["label", &info_hash]);
    let torrent = daemon.torrent(&info_hash);
    let fields = ["label", "ratio_limit", "seed_time_limit_s", "download_limit"];
    assert!(fields.iter().all(|field| torrent[field].is_null()), "{torrent}");
    daemon.end_well();
}

fn daemon_creates_torrents() {
    let offer = Offer::folder("d-create", FILES, PIECES_OF_64_KIB);
    let home = Home::new("d-create-home", "");
    let daemon = home.start();
    let file = home.join("new.torrent");
    let options = [
        "create",
        text(&offer.payload),
        "-o",
        text(&file),
        "--piece-length",
        "128KiB",
        "--private",
        "--comment",
        "a word",
        "--tracker",
        "http://tracker.example/announce",
    ];
    let made = daemon.json(&options);
    assert_eq!(made["piece_length"], json!(131_072));
    let seen = tests::btd::btd_json(&["inspect", "--json", text(&file)]);
    assert_eq!((&seen["info_hash"], &seen["comment"]), (&made["info_hash"], &json!("a word")));
    assert!(fs::read_to_string(&file).is_err(), "hashes are bytes");
    assert!(fs::read(&file).unwrap().windows(12).any(|it| it == b"7:privatei1e"));
    assert_eq!(daemon.json(&["list"]), json!([]), "it is made, not added");
    // The same, and seeded.
    let made =
        daemon.json(&["create", text(&offer.payload), "--seed", "--label", "own", "--piece-length", "64KiB"]);
    let info_hash = offer.torrent.hex();
    assert_eq!(made["info_hash"], json!(info_hash), "as btd create makes it");
    let torrent = daemon.wait_state(&info_hash, "seeding");
    assert_eq!((&torrent["label"], &torrent["progress"]), (&json!("own"), &json!(1.0)));
    let into = home.join("got");
    let seeder = daemon.address();
    let got = tests::get::Getter::start(&offer.file, &into, &crate::offer::with_peers(&[seeder], &[]));
    got.finish();
    assert_same(&offer.payload, &into.join("payload"), EmptyFiles::Wanted);
    let missing = home.join("none");
    let why = format!("{}: No such file", missing.display());
    daemon.refuses(&["create", text(&missing), "-o", "-"], exit::REFUSED, &[&why]);
    daemon.end_well();
}

fn daemon_has_no_torrent_that_was_not_added() {
    let home = Home::new("d-none-home", "");
    let daemon = home.start();
    let id = "0123456789abcdef0123456789abcdef01234567";
    let why = format!("no torrent has the info-hash or name `{id}`");
    for command in ["show", "files", "peers", "trackers", "pieces", "pause", "resume", "remove", "verify"] {
        daemon.refuses(&[command, id], exit::NO_TORRENT, &[&why]);
    }
    for command in ["reannounce", "export", "magnet", "wait", "label"] {
        daemon.refuses(&[command, id], exit::NO_TORRENT, &[&why]);
    }
    daemon.refuses(&["move", id, text(&home.data())], exit::NO_TORRENT, &[&why]);
    daemon.refuses(&["limit", id, "--up", "1M"], exit::NO_TORRENT, &[&why]);
    daemon.refuses(&["select", id, "--all"], exit::NO_TORRENT, &[&why]);
    daemon.refuses(&["nonsense"], exit::USAGE, &["unrecognized subcommand 'nonsense'"]);
    assert_eq!(daemon.json(&["pause", "all"])["torrents"], json!([]));
    daemon.end_well();
}
