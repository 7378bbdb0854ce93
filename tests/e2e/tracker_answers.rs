//! The form of what bttracker answers over HTTP: keys, their order, when to come again, and how it says no. That every
//! answer is bencoded in order, of its exact length and sort, is checked wherever one is read ([`tests::caller`]).

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use tests::bttracker::with_tracker;
use tests::caller::{Connection, compact6};
use tests::query::{Ask, Hash, scrape_target};

use crate::Case;

pub(crate) const CASES: &[Case] = &[
    Case::new("tracker_says_no_with_status_200", says_no_with_status_200),
    Case::new("tracker_says_when_to_come_again_after_a_no", says_when_to_come_again_after_a_no),
    Case::new("tracker_answers_with_known_keys_in_order", answers_with_known_keys_in_order),
    Case::new("tracker_always_has_peers_in_its_answer", always_has_peers_in_its_answer),
    Case::new("tracker_has_peers6_where_there_are_some", has_peers6_where_there_are_some),
    Case::new("tracker_spreads_its_interval", spreads_its_interval),
    Case::new("tracker_sends_the_interval_it_is_told_to", sends_the_interval_it_is_told_to),
    Case::new("tracker_says_where_a_client_comes_from", says_where_a_client_comes_from),
    Case::new("tracker_says_its_id_where_it_has_one", says_its_id_where_it_has_one),
    Case::new("tracker_counts_in_its_answer", counts_in_its_answer),
    Case::new("tracker_answers_in_well_under_a_mebibyte", answers_in_well_under_a_mebibyte),
];

const HASH: Hash = [7; 20];

fn says_no_with_status_200() {
    with_tracker("t-a-no", "", |tracker| {
        let mut connection = Connection::open(tracker.http4());
        for target in ["/announce", "/announce?info_hash=x", "/scrape", "/scrape?info_hash=x"] {
            let answer = connection.get(target);
            assert!(!answer.failure().is_empty(), "{target}");
            assert!(answer.body.starts_with(b"d14:failure reason"), "{target}: {}", answer.text());
            assert!(answer.failure().chars().all(|it| !it.is_control()), "{target}: {}", answer.text());
        }
    });
}

fn says_when_to_come_again_after_a_no() {
    with_tracker("t-a-again", "", |tracker| {
        let answer = tracker.fetch("/announce?info_hash=x");
        answer.failure();
        assert!((1620..=1980).contains(&answer.number("interval")), "{}", answer.text());
        assert_eq!(answer.number("min interval"), 300);
    });
}

fn answers_with_known_keys_in_order() {
    with_tracker("t-a-keys", "", |tracker| {
        tracker.announce6(&Ask::leech(HASH, 1001));
        let answer = tracker.announce(&Ask::leech(HASH, 1002)).bencode();
        let keys = answer.keys();
        for key in ["complete", "external ip", "incomplete", "interval", "min interval", "peers", "peers6"] {
            assert!(keys.contains(&key.to_owned()), "no {key} in {keys:?}");
        }
        let known = ["downloaded", "tracker id", "warning message"];
        assert!(keys.len() == 7 || keys.iter().any(|key| known.contains(&key.as_str())), "{keys:?}");
    });
}

fn always_has_peers_in_its_answer() {
    with_tracker("t-a-peers", "", |tracker| {
        for event in ["", "started", "completed", "paused", "stopped"] {
            let body = tracker.announce(&Ask::leech(HASH, 1001).event(event)).text();
            assert!(body.contains("5:peers0:"), "{event}: {body}");
            let body = tracker.announce6(&Ask::leech([8; 20], 1001).event(event)).text();
            assert!(body.contains("5:peers0:"), "{event}: {body}");
        }
    });
}

fn has_peers6_where_there_are_some() {
    with_tracker("t-a-peers6", "", |tracker| {
        let first = tracker.announce(&Ask::leech(HASH, 1001)).bencode();
        assert_eq!(first.find("peers6"), None, "there is none, and nobody of IPv6 asks");
        let second = tracker.announce6(&Ask::leech(HASH, 1002)).bencode();
        assert_eq!(second.find("peers6").map_or(0, |it| it.bytes().len()), 0);
        let third = tracker.announce(&Ask::leech(HASH, 1003)).bencode();
        assert_eq!(compact6(third.get("peers6").bytes()), ["[::1]:1002".parse().unwrap()]);
    });
}

fn spreads_its_interval() {
    with_tracker("t-a-interval", "[limits]\npeers_per_address_per_torrent = 0", |tracker| {
        let mut connection = Connection::open(tracker.http4());
        let mut intervals = BTreeSet::new();
        for port in 1..=300 {
            let answer = connection.get(&Ask::leech(HASH, port).with("&numwant=0").target()).well();
            let (interval, least) = (answer.number("interval"), answer.number("min interval"));
            assert!((1620..=1980).contains(&interval), "30 minutes, more or less a tenth: {interval}");
            assert!((1..=interval).contains(&least) && least == 300, "{least}");
            intervals.insert(interval);
        }
        assert!(intervals.len() > 15, "they do not all come back at once: {intervals:?}");
        let (low, high) = (*intervals.first().unwrap(), *intervals.last().unwrap());
        assert!(low < 1710 && high > 1890, "from {low} to {high}");
        let caller = tracker.udp_caller();
        let over_udp: BTreeSet<u32> =
            (1..=100).map(|port| caller.announce(&Ask::leech(HASH, port).want(0)).interval).collect();
        assert!(over_udp.len() > 10 && over_udp.iter().all(|it| (1620..=1980).contains(it)), "{over_udp:?}");
    });
}

fn sends_the_interval_it_is_told_to() {
    with_tracker("t-a-config", "[announce]\ninterval = '1h'\nmin_interval = '7m'", |tracker| {
        let answer = tracker.announce(&Ask::leech(HASH, 1001));
        assert!((3240..=3960).contains(&answer.number("interval")), "{}", answer.text());
        assert_eq!(answer.number("min interval"), 420);
    });
}

fn says_where_a_client_comes_from() {
    with_tracker("t-a-external", "", |tracker| {
        let answer = tracker.announce(&Ask::leech(HASH, 1001)).bencode();
        assert_eq!(answer.get("external ip").bytes(), Ipv4Addr::LOCALHOST.octets());
        let answer = tracker.announce6(&Ask::leech(HASH, 1001)).bencode();
        assert_eq!(answer.get("external ip").bytes(), Ipv6Addr::LOCALHOST.octets());
    });
}

fn says_its_id_where_it_has_one() {
    with_tracker("t-a-no-id", "", |tracker| {
        assert_eq!(tracker.announce(&Ask::leech(HASH, 1001)).bencode().find("tracker id"), None);
    });
    with_tracker("t-a-id", "[announce]\ntracker_id = 'a b'", |tracker| {
        let answer = tracker.announce(&Ask::leech(HASH, 1001)).bencode();
        assert_eq!(answer.get("tracker id").bytes(), b"a b");
    });
}

fn counts_in_its_answer() {
    with_tracker("t-a-counts", "", |tracker| {
        let counts = |ask: &Ask| {
            let answer = tracker.announce(ask);
            (answer.number("complete"), answer.number("incomplete"))
        };
        assert_eq!(counts(&Ask::leech(HASH, 1001)), (0, 1), "the one that asks counts, too");
        assert_eq!(counts(&Ask::seed(HASH, 1002)), (1, 1));
        assert_eq!(counts(&Ask::leech(HASH, 1003).event("paused")), (1, 2));
        let answer = tracker.announce6(&Ask::leech(HASH, 1004));
        assert_eq!((answer.number("complete"), answer.number("incomplete")), (1, 3), "both families");
    });
}

fn answers_in_well_under_a_mebibyte() {
    let keys = "[announce]\nnumwant_max = 200\n[limits]\npeers_per_address_per_torrent = 0";
    with_tracker("t-a-size", keys, |tracker| {
        let mut connection = Connection::open(tracker.http6());
        for port in 1..=250 {
            connection.get(&Ask::leech(HASH, port).with("&numwant=0").target()).well();
        }
        let answer = tracker.announce(&Ask::leech(HASH, 1001).with("&compact=0&numwant=100000"));
        assert_eq!(answer.bencode().get("peers").list().len(), 200);
        assert!(answer.body.len() < 100_000, "{} bytes", answer.body.len());
        // Nor is a scrape of all that may be asked for at once any longer.
        let hashes: Vec<Hash> = (0..100).map(|number| [number; 20]).collect();
        assert!(tracker.fetch(&scrape_target(&hashes)).body.len() < 20_000);
    });
}
