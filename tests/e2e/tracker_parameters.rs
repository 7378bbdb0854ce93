//! The parameters of an announce: which are needed, what the others come to, and what is never believed.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use tests::bttracker::{Bttracker, with_tracker};
use tests::caller::Connection;
use tests::query::{Ask, Hash, UNKNOWN_LEFT, escaped};

use crate::Case;

pub(crate) const CASES: &[Case] = &[
    Case::new("tracker_names_the_parameter_that_is_missing", names_the_parameter_that_is_missing),
    Case::new("tracker_refuses_a_bad_port", refuses_a_bad_port),
    Case::new("tracker_refuses_a_bad_peer_id", refuses_a_bad_peer_id),
    Case::new("tracker_needs_no_totals", needs_no_totals),
    Case::new("tracker_takes_only_left_0_for_a_seed", takes_only_left_0_for_a_seed),
    Case::new("tracker_gives_as_many_peers_as_wanted", gives_as_many_peers_as_wanted),
    Case::new("tracker_gives_at_most_numwant_max", gives_at_most_numwant_max),
    Case::new("tracker_gives_what_it_is_configured_to", gives_what_it_is_configured_to),
    Case::new("tracker_gives_few_peers_before_the_minimum", gives_few_peers_before_the_minimum),
    Case::new("tracker_lists_peers_when_asked", lists_peers_when_asked),
    Case::new("tracker_leaves_peer_ids_out_when_asked", leaves_peer_ids_out_when_asked),
    Case::new("tracker_ignores_addresses_in_the_query", ignores_addresses_in_the_query),
    Case::new("tracker_lets_a_key_move_a_peer", lets_a_key_move_a_peer),
    Case::new("tracker_moves_no_peer_without_its_key", moves_no_peer_without_its_key),
    Case::new("tracker_understands_what_clients_send", understands_what_clients_send),
];

const HASH: Hash = [7; 20];
/// Lets one address be as many peers as it likes.
const MANY: &str = "[limits]\npeers_per_address_per_torrent = 0";

/// Has `count` peers announce, each for the first time.
fn fill(tracker: &Bttracker<'_>, count: u16) {
    let mut connection = Connection::open(tracker.http4());
    for port in 1..=count {
        connection.get(&Ask::leech(HASH, port).with("&numwant=0").target()).well();
    }
}

fn names_the_parameter_that_is_missing() {
    with_tracker("t-p-missing", "", |tracker| {
        let query = Ask::leech(HASH, 1001).query();
        for name in ["info_hash", "peer_id", "port"] {
            let pairs = query.split('&').filter(|pair| !pair.starts_with(name));
            let query = pairs.collect::<Vec<_>>().join("&");
            let reason = tracker.fetch(&format!("/announce?{query}")).failure();
            assert!(reason.contains(name), "{name}: {reason}");
        }
        for target in ["/announce", "/announce?"] {
            let reason = tracker.fetch(target).failure();
            assert!(reason.contains("info_hash"), "{reason}");
        }
        assert!(tracker.peers(HASH).is_empty());
    });
}

fn refuses_a_bad_port() {
    with_tracker("t-p-port", "", |tracker| {
        for port in ["0", "65536", "-1", "", "x", "1x", "1.5", "99999999999999999999", "%00"] {
            let query = Ask::leech(HASH, 1001).query().replace("port=1001", &format!("port={port}"));
            let reason = tracker.fetch(&format!("/announce?{query}")).failure();
            assert!(reason.contains("port"), "{port}: {reason}");
        }
        assert!(tracker.peers(HASH).is_empty());
        tracker.announce(&Ask::leech(HASH, 1));
        tracker.announce(&Ask::leech(HASH, 65_535));
    });
}

fn refuses_a_bad_peer_id() {
    with_tracker("t-p-id", "", |tracker| {
        for length in [0, 19, 21, 40] {
            let id = "a".repeat(length);
            let query = format!("info_hash={}&peer_id={id}&port=1001&left=5", escaped(&HASH));
            let reason = tracker.fetch(&format!("/announce?{query}")).failure();
            assert!(reason.contains("peer_id"), "{length}: {reason}");
        }
        // Any twenty bytes will do.
        let peer_id = std::array::from_fn(|index| u8::try_from(index * 13 % 256).unwrap());
        tracker.announce(&Ask { peer_id, ..Ask::leech(HASH, 1001) });
    });
}

fn needs_no_totals() {
    with_tracker("t-p-totals", "", |tracker| {
        let query = format!("info_hash={}&peer_id={}&port=1001", escaped(&HASH), "a".repeat(20));
        tracker.fetch(&format!("/announce?{query}")).well();
        assert_eq!(tracker.scrape(HASH), (0, 0, 1), "who does not say that it has all lacks something");
    });
}

fn takes_only_left_0_for_a_seed() {
    with_tracker("t-p-left", "", |tracker| {
        for (left, seeds) in [
            ("5", 0),
            ("16384", 0),
            ("9223372036854775807", 0),
            ("18446744073709551615", 0),
            ("-1", 0),
            ("", 0),
            ("x", 0),
            ("0x", 0),
            ("99999999999999999999999", 0),
            ("0", 1),
        ] {
            let query = Ask::leech(HASH, 1001).query().replace("left=1000", &format!("left={left}"));
            tracker.fetch(&format!("/announce?{query}"));
            assert_eq!(tracker.scrape(HASH).0, seeds, "left={left}");
        }
        let unknown = tracker.announce(&Ask { left: UNKNOWN_LEFT, ..Ask::leech(HASH, 1001) });
        assert_eq!(unknown.number("incomplete"), 1);
    });
}

fn gives_as_many_peers_as_wanted() {
    with_tracker("t-p-numwant", MANY, |tracker| {
        fill(tracker, 120);
        let cases =
            [("", 50), ("&numwant=-1", 50), ("&numwant=0", 0), ("&numwant=10", 10), ("&numwant=1000", 120)];
        for (port, (rest, count)) in (2_000..).zip(cases) {
            let ask = Ask::leech(HASH, port).with(rest);
            assert_eq!(tracker.announce(&ask).peers().len(), count, "{rest}");
            tracker.announce(&ask.event("stopped"));
        }
        for (port, rest) in (3_000..).zip(["&numwant=", "&numwant=x", "&numwant=99999999999999999999"]) {
            // What is no number is no reason to refuse.
            tracker.announce(&Ask::leech(HASH, port).with(rest));
        }
    });
}

fn gives_at_most_numwant_max() {
    with_tracker("t-p-most", MANY, |tracker| {
        fill(tracker, 230);
        let peers = tracker.announce(&Ask::leech(HASH, 2_000).with("&numwant=1000")).peers();
        assert_eq!(peers.len(), 200);
        assert_eq!(peers.iter().collect::<BTreeSet<_>>().len(), 200, "none twice");
    });
}

fn gives_what_it_is_configured_to() {
    with_tracker("t-p-config", &format!("{MANY}\n[announce]\nnumwant = 5\nnumwant_max = 8"), |tracker| {
        fill(tracker, 30);
        for (port, rest, count) in [(2_000, "", 5), (2_001, "&numwant=7", 7), (2_002, "&numwant=50", 8)] {
            let peers = tracker.announce(&Ask::leech(HASH, port).with(rest)).peers();
            assert_eq!(peers.len(), count, "{rest}");
        }
    });
}

fn gives_few_peers_before_the_minimum() {
    with_tracker("t-p-early", MANY, |tracker| {
        fill(tracker, 100);
        let ask = Ask::leech(HASH, 2_000);
        assert_eq!(tracker.announce(&ask.clone().event("started")).peers().len(), 50);
        let early = tracker.announce(&ask.clone()).peers().len();
        assert!((1..=10).contains(&early), "{early} peers");
        // An event is reason enough to come.
        assert_eq!(tracker.announce(&ask.event("completed")).peers().len(), 50);
    });
}

fn lists_peers_when_asked() {
    with_tracker("t-p-list", "", |tracker| {
        let first = Ask::leech(HASH, 1001);
        tracker.announce(&first);
        tracker.announce6(&Ask::leech(HASH, 1002));
        let answer = tracker.announce(&Ask::leech(HASH, 1003).with("&compact=0")).bencode();
        let mut peers: Vec<(Vec<u8>, u64)> = Vec::new();
        for peer in answer.get("peers").list() {
            assert_eq!(peer.keys(), ["ip", "peer id", "port"]);
            assert_eq!(peer.get("peer id").bytes().len(), 20);
            peers.push((peer.get("ip").bytes().to_vec(), peer.get("port").integer()));
        }
        peers.sort_unstable();
        assert_eq!(peers, [(b"127.0.0.1".to_vec(), 1001), (b"::1".to_vec(), 1002)]);
        for (port, rest) in [(1004, ""), (1005, "&compact=1")] {
            let peers = tracker.announce(&Ask::leech(HASH, port).with(rest)).peers();
            assert!(peers.len() >= 3, "compact: {peers:?}");
        }
    });
}

fn leaves_peer_ids_out_when_asked() {
    with_tracker("t-p-no-id", "", |tracker| {
        tracker.announce(&Ask::leech(HASH, 1001));
        let answer = tracker.announce(&Ask::leech(HASH, 1002).with("&compact=0&no_peer_id=1")).bencode();
        assert_eq!(answer.get("peers").list()[0].keys(), ["ip", "port"]);
    });
}

fn ignores_addresses_in_the_query() {
    with_tracker("t-p-ip", "", |tracker| {
        tracker.announce(&Ask::leech(HASH, 1001).with("&ip=9.9.9.9&ipv4=8.8.8.8:1&ipv6=%5B2001:db8::1%5D:1"));
        tracker.announce6(&Ask::leech(HASH, 1002).with("&ip=9.9.9.9&ipv4=8.8.8.8&ipv6=2001:db8::1"));
        let expected: [SocketAddr; 2] = ["127.0.0.1:1001".parse().unwrap(), "[::1]:1002".parse().unwrap()];
        assert_eq!(tracker.peers(HASH), expected);
        assert_eq!(tracker.announce(&Ask::leech(HASH, 1003)).peers(), expected);
    });
}

fn lets_a_key_move_a_peer() {
    with_tracker("t-p-key", "", |tracker| {
        let ask = Ask::leech(HASH, 1001).with("&key=0ABC1234");
        tracker.announce(&ask);
        tracker.tell_from("127.0.0.2", &ask).well();
        assert_eq!(tracker.peers(HASH), ["127.0.0.2:1001".parse().unwrap()]);
        assert_eq!(tracker.scrape(HASH), (0, 0, 1));
    });
}

fn moves_no_peer_without_its_key() {
    with_tracker("t-p-no-key", "", |tracker| {
        tracker.announce(&Ask::leech(HASH, 1001).with("&key=0ABC1234"));
        for (number, rest) in (2..).zip(["", "&key=ffffffff"]) {
            // Peer ids are no secret: every peer is told them.
            tracker.tell_from(&format!("127.0.0.{number}"), &Ask::leech(HASH, 1001).with(rest)).well();
        }
        assert_eq!(tracker.peers(HASH).len(), 3);
    });
}

/// What clients send after info-hash and peer id, as they spell it.
const SENT: &[(&str, &str)] = &[
    (
        "libtorrent",
        "&port=6881&uploaded=0&downloaded=0&left=16384&corrupt=0&key=4A5B6C7D&event=started&numwant=200&compact=1\
         &no_peer_id=1&supportcrypto=1&redundant=0&ipv4=192.168.1.2&ipv4=10.0.0.2&ipv6=fe80%3a%3a1",
    ),
    (
        "transmission",
        "&port=51413&uploaded=0&downloaded=0&left=9223372036854775807&numwant=80&key=5f2e&compact=1\
         &supportcrypto=1&requirecrypto=1&corrupt=0&event=paused&trackerid=a b&ipv4=1.2.3.4&ipv6=2001:db8::1",
    ),
    (
        "aria2",
        "&uploaded=0&downloaded=0&left=1024&compact=1&key=%00%ff%80%2b%26%3d%20a&numwant=50&no_peer_id=1&port=6901\
         &event=started&supportcrypto=1",
    ),
    ("rtorrent", "&key=5be2&compact=1&port=6890&uploaded=0&downloaded=0&left=77&event=started"),
    (
        "anacrolix",
        "&port=42069&uploaded=0&downloaded=0&left=9223372036854775807&key=-1234567&event=started&compact=1\
         &supportcrypto=1&ip=1.2.3.4&ip=2001%3Adb8%3A%3A1",
    ),
];

fn understands_what_clients_send() {
    with_tracker("t-p-clients", "", |tracker| {
        for (index, (name, rest)) in (1..).zip(SENT) {
            // One has a blank where an escape should be: no blank gets past a request line.
            let rest = rest.replace(' ', "");
            let id = escaped(format!("{name:-<20}").as_bytes());
            let query = format!("info_hash={}&peer_id={id}{rest}", escaped(&HASH));
            let answer = tracker.fetch(&format!("/announce?{query}")).well();
            assert_eq!(answer.number("incomplete"), index, "{name}");
            assert_eq!(answer.peers().len(), usize::try_from(index - 1).unwrap(), "{name}");
        }
    });
}
