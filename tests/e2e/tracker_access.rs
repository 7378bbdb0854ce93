//! Who may use bttracker, and for which torrents: lists of info-hashes, passkeys in a file or a database, and what the
//! control socket changes in them.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use data_encoding::HEXLOWER;
use rusqlite::Connection;
use tests::bttracker::{Bttracker, Site, with_tracker};
use tests::query::{Ask, Hash, scrape_target, url_data};

use crate::Case;

pub(crate) const CASES: &[Case] = &[
    Case::new("tracker_serves_only_what_is_allowed", serves_only_what_is_allowed),
    Case::new("tracker_serves_nothing_that_is_denied", serves_nothing_that_is_denied),
    Case::new("tracker_reads_its_lists_again", reads_its_lists_again),
    Case::new("tracker_refuses_a_list_with_a_bad_line", refuses_a_list_with_a_bad_line),
    Case::new("tracker_wants_a_passkey_of_the_file", wants_a_passkey_of_the_file),
    Case::new("tracker_wants_a_passkey_of_the_database", wants_a_passkey_of_the_database),
    Case::new("tracker_admits_what_the_control_socket_allows", admits_what_the_control_socket_allows),
    Case::new("tracker_refuses_what_the_control_socket_denies", refuses_what_the_control_socket_denies),
    Case::new("tracker_keeps_passkeys_of_the_control_socket", keeps_passkeys_of_the_control_socket),
    Case::new("tracker_shows_a_swarm_at_the_control_socket", shows_a_swarm_at_the_control_socket),
    Case::new("tracker_refuses_nonsense_at_the_control_socket", refuses_nonsense_at_the_control_socket),
];

const HASH: Hash = [7; 20];
const OTHER: Hash = [0xab; 20];

fn hex(hash: Hash) -> String {
    HEXLOWER.encode(&hash)
}

/// Fails unless an announce of `hash` is refused for good, over HTTP and over UDP.
fn assert_refused(tracker: &Bttracker<'_>, hash: Hash) {
    let answer = tracker.tell(&Ask::leech(hash, 1001));
    assert!(!answer.failure().is_empty());
    assert_eq!(answer.bencode().get("retry in").bytes(), b"never", "{}", answer.text());
    tracker.udp_caller().tell(&Ask::leech(hash, 1002)).error();
    assert_eq!(tracker.peers(hash), []);
}

/// Fails unless `hash` is tracked over HTTP and over UDP.
fn assert_served(tracker: &Bttracker<'_>, hash: Hash) {
    tracker.announce(&Ask::leech(hash, 1001));
    assert_eq!(tracker.udp_caller().announce(&Ask::leech(hash, 1002)).peers.len(), 1);
}

fn serves_only_what_is_allowed() {
    let site = Site::new("t-w-allow", "[access]\nallow = '{site}/allow'");
    site.write("allow", &format!("# Ours.\n\n{}\n  {}  # one more\n", hex(HASH), hex(OTHER).to_uppercase()));
    let tracker = site.start();
    assert_served(&tracker, HASH);
    assert_served(&tracker, OTHER);
    assert_refused(&tracker, [8; 20]);
    tracker.end_well();
}

fn serves_nothing_that_is_denied() {
    let site = Site::new("t-w-deny", "[access]\ndeny = '{site}/deny'");
    site.write("deny", &hex(HASH));
    let tracker = site.start();
    assert_served(&tracker, OTHER);
    assert_refused(&tracker, HASH);
    tracker.end_well();
}

fn reads_its_lists_again() {
    let site = Site::new("t-w-reread", "[access]\nallow = '{site}/allow'\ndeny = '{site}/deny'");
    site.write("allow", &hex(HASH));
    site.write("deny", "");
    let tracker = site.start();
    assert_served(&tracker, HASH);
    site.write("allow", &hex(OTHER));
    tracker.reread();
    assert_served(&tracker, OTHER);
    assert!(!tracker.tell(&Ask::leech(HASH, 1001)).failure().is_empty(), "it was allowed before");
    site.write("deny", &hex(OTHER));
    tracker.reread();
    assert!(!tracker.tell(&Ask::leech(OTHER, 1001)).failure().is_empty(), "denied is above allowed");
    // A bad list is told of, and the one before holds.
    site.write("allow", "rubbish\n");
    site.write("deny", "");
    tracker.reread();
    tracker.wait_for_log("allow");
    assert!(!tracker.tell(&Ask::leech(HASH, 1001)).failure().is_empty());
    tracker.end_well();
}

fn refuses_a_list_with_a_bad_line() {
    let site = Site::new("t-w-bad", "[access]\nallow = '{site}/allow'");
    let path = site.join("allow");
    site.refused(site.command(), &[path.to_str().unwrap()]);
    for line in ["rubbish", "0123", &format!("{}00", hex(HASH)), &hex(HASH).replace('7', "g")] {
        site.write("allow", &format!("{}\n{line}\n", hex(OTHER)));
        // It says where: in the second line.
        site.refused(site.command(), &[path.to_str().unwrap(), "2"]);
    }
}

/// Fails unless `good` and no other passkey is admitted.
fn assert_private(tracker: &Bttracker<'_>, good: &str) {
    let (ask, query) = (Ask::leech(HASH, 1001), Ask::leech(HASH, 1001).query());
    for target in [
        format!("/{good}/announce?{query}"),
        format!("/announce/{good}?{query}"),
        format!("/announce?passkey={good}&{query}"),
        format!("/announce?{query}&passkey={good}"),
    ] {
        tracker.fetch(&target).well();
    }
    let options = url_data(&format!("/{good}/announce"));
    tracker.udp_caller().announce(&Ask { options, ..ask.clone() });
    for target in [
        format!("/announce?{query}"),
        format!("/bad/announce?{query}"),
        format!("/announce/bad?{query}"),
        format!("/announce?{query}&passkey=bad"),
        format!("/announce?{query}&passkey="),
        format!("/{good}x/announce?{query}"),
        scrape_target(&[HASH]),
        format!("/bad{}", scrape_target(&[HASH])),
    ] {
        let answer = tracker.fetch(&target);
        assert!(answer.failure().contains("passkey"), "{target}: {}", answer.failure());
        assert_eq!(answer.bencode().get("retry in").bytes(), b"never", "{target}");
        assert!(!answer.text().contains(good), "it tells nobody");
    }
    tracker.udp_caller().tell(&ask).error();
    let scrape = scrape_target(&[HASH]);
    for target in [format!("/{good}{scrape}"), format!("{scrape}&passkey={good}")] {
        assert_eq!(tracker.fetch(&target).row(HASH), (0, 0, 1), "{target}");
    }
}

fn wants_a_passkey_of_the_file() {
    let site = Site::new("t-w-passkeys", "[access]\npasskeys = '{site}/passkeys'");
    site.write("passkeys", "# Members.\nfirst-1\nsecond_2\n");
    let tracker = site.start();
    assert_private(&tracker, "first-1");
    assert_private(&tracker, "second_2");
    site.write("passkeys", "third-3\n");
    tracker.reread();
    assert_private(&tracker, "third-3");
    let gone = tracker.fetch(&format!("/first-1{}", Ask::leech(HASH, 1001).target()));
    assert!(!gone.failure().is_empty(), "it was taken out");
    tracker.end_well();
}

fn wants_a_passkey_of_the_database() {
    let site = Site::new("t-w-sqlite", "[access]\npasskeys = '{site}/passkeys.sqlite'");
    let database = Connection::open(site.join("passkeys.sqlite")).unwrap();
    let create = "CREATE TABLE passkeys (id INTEGER PRIMARY KEY, passkey TEXT NOT NULL UNIQUE)";
    database.execute(create, []).unwrap();
    let insert = |key: &str| database.execute("INSERT INTO passkeys (passkey) VALUES (?1)", [key]).unwrap();
    insert("first-1");
    let tracker = site.start();
    assert_private(&tracker, "first-1");
    insert("second-2");
    tracker.reread();
    assert_private(&tracker, "second-2");
    tracker.end_well();
}

/// Orders `method` at `path` of a tracker at `site`, and has `check` look at it and at one started after that.
fn lasting(site: &Site, method: &str, path: &str, check: impl Fn(&Bttracker<'_>)) {
    let tracker = site.start();
    tracker.order(method, path);
    if method == "PUT" {
        // Twice is no more than once.
        tracker.order(method, path);
    }
    check(&tracker);
    tracker.end_well();
    let tracker = site.start();
    check(&tracker);
    tracker.end_well();
}

fn admits_what_the_control_socket_allows() {
    let site = Site::new("t-w-put", "[access]\nallow = '{site}/allow'");
    site.write("allow", &format!("# Kept.\n{}\n", hex(OTHER)));
    let path = format!("/v1/allowed/{}", hex(HASH));
    let tracker = site.start();
    assert_refused(&tracker, HASH);
    assert_eq!(tracker.ask("GET", &path).status, 404);
    tracker.end_well();
    lasting(&site, "PUT", &path, |tracker| {
        assert_eq!(tracker.ask("GET", &path).status, 200);
        assert_served(tracker, HASH);
        assert_served(tracker, OTHER);
    });
    let text = fs::read_to_string(site.join("allow")).unwrap();
    assert!(text.contains("# Kept.") && text.contains(&hex(OTHER)) && text.contains(&hex(HASH)), "{text}");
    lasting(&site, "DELETE", &path, |tracker| {
        assert_eq!(tracker.ask("GET", &path).status, 404);
        tracker.tell(&Ask::leech(HASH, 1001)).failure();
        tracker.announce(&Ask::leech(OTHER, 1001));
    });
}

fn refuses_what_the_control_socket_denies() {
    let site = Site::new("t-w-put-deny", "[access]\ndeny = '{site}/deny'");
    site.write("deny", "");
    let path = format!("/v1/denied/{}", hex(HASH));
    lasting(&site, "PUT", &path, |tracker| assert_refused(tracker, HASH));
    lasting(&site, "DELETE", &path, |tracker| assert_served(tracker, HASH));
}

fn keeps_passkeys_of_the_control_socket() {
    for name in ["passkeys", "passkeys.sqlite"] {
        let site = Site::new("t-w-put-key", &format!("[access]\npasskeys = '{{site}}/{name}'"));
        if name == "passkeys" {
            site.write(name, "");
        } else {
            let database = Connection::open(site.join(name)).unwrap();
            database.execute("CREATE TABLE passkeys (passkey TEXT PRIMARY KEY)", []).unwrap();
        }
        lasting(&site, "PUT", "/v1/passkeys/new-1", |tracker| {
            assert_eq!(tracker.ask("GET", "/v1/passkeys/new-1").status, 200);
            assert_private(tracker, "new-1");
        });
        lasting(&site, "DELETE", "/v1/passkeys/new-1", |tracker| {
            assert_eq!(tracker.ask("GET", "/v1/passkeys/new-1").status, 404);
            tracker.fetch(&format!("/new-1{}", Ask::leech(HASH, 1001).target())).failure();
        });
    }
}

fn shows_a_swarm_at_the_control_socket() {
    let site = Site::new("t-w-show", "");
    let tracker = site.start();
    tracker.announce(&Ask::seed(HASH, 1));
    tracker.announce6(&Ask::leech(HASH, 2));
    tracker.announce(&Ask::leech(HASH, 3).event("paused"));
    tracker.announce(&Ask::leech(HASH, 4));
    tracker.announce(&Ask::seed(HASH, 4).event("completed"));
    let torrent = tracker.get(&format!("/v1/torrents/{}", hex(HASH)));
    assert_eq!(torrent["info_hash"], hex(HASH).as_str());
    assert_eq!((&torrent["seeds"], &torrent["downloaded"]), (&2.into(), &1.into()), "{torrent}");
    assert_eq!(torrent["paused"], 1, "{torrent}");
    let peers = torrent["peers"].as_array().unwrap();
    assert_eq!(peers.len(), 4, "{torrent}");
    for peer in peers {
        let port: u16 = peer["address"].as_str().unwrap().rsplit_once(':').unwrap().1.parse().unwrap();
        assert_eq!(peer["peer_id"], HEXLOWER.encode(&Ask::leech(HASH, port).peer_id).as_str());
        let state = [(1, "seed"), (2, "leecher"), (3, "paused"), (4, "seed")];
        assert!(state.contains(&(port, peer["state"].as_str().unwrap())), "{peer}");
    }
    let few = tracker.get(&format!("/v1/torrents/{}?limit=2", hex(HASH).to_uppercase()));
    assert_eq!(few["peers"].as_array().map(Vec::len), Some(2));
    assert_eq!(tracker.ask("GET", &format!("/v1/torrents/{}", hex(OTHER))).status, 404);
    let server = tracker.get("/v1/server");
    assert_eq!(server["pid"], tracker.id());
    assert!(server["version"].is_string() && server["uptime_s"].is_u64(), "{server}");
    assert!(tracker.get("/v1/stats").is_object());
    let mode = fs::metadata(site.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "for its owner alone");
    tracker.end_well();
    assert!(!site.socket().exists(), "nothing is left behind");
}

fn refuses_nonsense_at_the_control_socket() {
    with_tracker("t-w-nonsense", "", |tracker| {
        for path in ["/v1/torrents/xyz", "/v1/torrents/0123", "/v1/allowed/xyz", "/v1/denied/0"] {
            assert_eq!(tracker.ask("GET", path).status, 400, "{path}");
        }
        for path in ["/", "/v1", "/v1/nothing", "/announce"] {
            assert_eq!(tracker.ask("GET", path).status, 404, "{path}");
        }
        assert_eq!(tracker.ask("POST", "/v1/server").status, 405);
        // Where no list is, none can be changed.
        for path in [format!("/v1/allowed/{}", hex(HASH)), "/v1/passkeys/x".to_owned()] {
            let status = tracker.ask("PUT", &path).status;
            assert!((400..500).contains(&status), "{path}: {status}");
        }
        tracker.announce(&Ask::leech(HASH, 1001));
    });
}
