//! The limits of bttracker: each holds, says so, lets others alone, and is switched off by 0.

use std::net::SocketAddr;

use tests::bttracker::{Bttracker, with_tracker};
use tests::caller::{Answer, Connection, request};
use tests::query::{Ask, Hash, scrape_target};
use tests::udp_caller::{UdpCaller, action};

use crate::Case;

pub(crate) const CASES: &[Case] = &[
    Case::new("tracker_limits_the_rate_of_an_address", limits_the_rate_of_an_address),
    Case::new("tracker_limits_the_rate_over_udp", limits_the_rate_over_udp),
    Case::new("tracker_has_no_rate_limit_at_0", has_no_rate_limit_at_0),
    Case::new("tracker_limits_peers_of_an_address", limits_peers_of_an_address),
    Case::new("tracker_limits_torrents_of_an_address", limits_torrents_of_an_address),
    Case::new("tracker_has_no_such_limits_at_0", has_no_such_limits_at_0),
    Case::new("tracker_limits_connections_of_an_address", limits_connections_of_an_address),
    Case::new("tracker_limits_connections_in_all", limits_connections_in_all),
    Case::new("tracker_evicts_the_smallest_and_oldest", evicts_the_smallest_and_oldest),
    Case::new("tracker_evicts_where_memory_is_short", evicts_where_memory_is_short),
    Case::new("tracker_ends_slow_requests", ends_slow_requests),
    Case::new("tracker_ends_idle_connections", ends_idle_connections),
];

const HASH: Hash = [7; 20];

fn hash(number: u8) -> Hash {
    [number; 20]
}

fn limits_the_rate_of_an_address() {
    with_tracker("t-l-rate", "[limits]\nrate_per_address = 1\nrate_burst = 10", |tracker| {
        let mut refused: Vec<Answer> = Vec::new();
        for number in 0..100 {
            let answer = match number % 2 {
                0 => tracker.tell(&Ask::leech(hash(number), 1001)),
                _ => tracker.fetch(&scrape_target(&[HASH])),
            };
            if answer.bencode().find("failure reason").is_some() {
                refused.push(answer);
            }
            // Whoever else comes is let alone.
            if number % 10 == 0 {
                tracker.tell_from("127.0.0.2", &Ask::leech(HASH, 1001)).well();
                tracker.announce6(&Ask::leech(HASH, 1001));
            }
        }
        assert!(refused.len() > 50 && refused.len() <= 90, "{} of 100 were refused", refused.len());
        for answer in refused {
            let minutes = answer.number("retry in");
            assert!((1..=60).contains(&minutes), "{}", answer.text());
            assert!(!answer.failure().is_empty());
        }
        // What is no tracker request is not counted.
        assert_eq!(tracker.fetch("/health").status, 200);
    });
}

fn limits_the_rate_over_udp() {
    with_tracker("t-l-rate-udp", "[limits]\nrate_per_address = 1\nrate_burst = 10", |tracker| {
        let (caller, other) = (tracker.udp_caller(), UdpCaller::open_at("127.0.0.2", tracker.udp4()));
        let (id, other_id) = (caller.connect(), other.connect());
        let mut refused = 0;
        for number in 0..50 {
            let request = Ask::leech(hash(number), 1001).datagram(id, 9);
            let answer = caller.ask(&request, 9);
            if answer.action == action::ERROR {
                assert!(answer.length() <= request.len());
                refused += 1;
            }
            if number % 10 == 0 {
                other.ask(&Ask::leech(HASH, 1001).datagram(other_id, 9), 9).announced();
            }
        }
        assert!(refused > 20, "{refused} of 50 were refused");
        // An address has one allowance, however it asks.
        tracker.tell(&Ask::leech(HASH, 1001)).failure();
    });
}

fn has_no_rate_limit_at_0() {
    with_tracker("t-l-rate-0", "[limits]\nrate_per_address = 0\nrate_burst = 1", |tracker| {
        let mut connection = Connection::open(tracker.http4());
        for _ in 0..500 {
            connection.get(&Ask::leech(HASH, 1001).target()).well();
        }
    });
}

fn limits_peers_of_an_address() {
    with_tracker("t-l-peers", "[limits]\npeers_per_address_per_torrent = 3", |tracker| {
        for port in 1..=3 {
            tracker.announce(&Ask::leech(HASH, port));
        }
        tracker.tell(&Ask::leech(HASH, 4)).failure();
        tracker.udp_caller().tell(&Ask::leech(HASH, 5)).error();
        assert_eq!(tracker.peers(HASH).len(), 3);
        // Those that are there may go on, others come, and so may these elsewhere.
        tracker.announce(&Ask::leech(HASH, 3));
        tracker.tell_from("127.0.0.2", &Ask::leech(HASH, 4)).well();
        tracker.announce6(&Ask::leech(HASH, 4));
        tracker.announce(&Ask::leech(hash(8), 4));
        tracker.announce(&Ask::leech(HASH, 1).event("stopped"));
        tracker.announce(&Ask::leech(HASH, 4));
    });
}

fn limits_torrents_of_an_address() {
    with_tracker("t-l-torrents", "[limits]\ntorrents_per_address = 3", |tracker| {
        for number in 1..=3 {
            tracker.announce(&Ask::leech(hash(number), 1001));
        }
        tracker.tell(&Ask::leech(hash(4), 1001)).failure();
        tracker.udp_caller().tell(&Ask::leech(hash(4), 1001)).error();
        tracker.announce(&Ask::leech(hash(2), 1001));
        tracker.tell_from("127.0.0.2", &Ask::leech(hash(4), 1001)).well();
        tracker.announce(&Ask::leech(hash(1), 1001).event("stopped"));
        tracker.announce(&Ask::leech(hash(4), 1001));
    });
}

fn has_no_such_limits_at_0() {
    let keys =
        "[limits]\npeers_per_address_per_torrent = 0\ntorrents_per_address = 0\ntorrents = 0\nmemory = '0'";
    with_tracker("t-l-off", keys, |tracker| {
        let mut connection = Connection::open(tracker.http4());
        for port in 1..=300 {
            connection.get(&Ask::leech(HASH, port).want(0).target()).well();
            connection.get(&Ask::leech(hash(u8::try_from(port % 250).unwrap()), 1001).target()).well();
        }
        assert!(tracker.peers(HASH).len() >= 300);
    });
}

/// Whether a new connection to `to`, from the address `from`, is served; the connection.
fn open(from: &str, to: SocketAddr) -> Option<Connection> {
    let mut connection = Connection::open_from(from.parse().unwrap(), to);
    connection.try_send(request("/health", "").as_bytes()).ok();
    match connection.try_answer() {
        Ok(answer) if answer.status == 200 => Some(connection),
        Ok(answer) => {
            assert_eq!(answer.status, 503, "{answer:?}");
            assert!(answer.header("retry-after").is_some(), "{answer:?}");
            None
        }
        Err(error) => {
            assert_ne!(error.kind(), std::io::ErrorKind::TimedOut, "it neither answers nor closes");
            None
        }
    }
}

/// Waits until a new connection from `from` is served.
fn wait_open(tracker: &Bttracker<'_>, from: &str) {
    tracker.wait("place for a connection", |tracker| open(from, tracker.http4()));
}

fn limits_connections_of_an_address() {
    with_tracker("t-l-connections", "[http_server]\nconnections_per_address = 3", |tracker| {
        let kept: Vec<Connection> =
            (0..3).map(|_| open("127.0.0.1", tracker.http4()).expect("the first three")).collect();
        assert!(open("127.0.0.1", tracker.http4()).is_none(), "a fourth");
        assert!(open("127.0.0.2", tracker.http4()).is_some(), "others are let alone");
        drop(kept);
        wait_open(tracker, "127.0.0.1");
    });
    with_tracker("t-l-connections-0", "[http_server]\nconnections_per_address = 0", |tracker| {
        let kept: Vec<Option<Connection>> = (0..300).map(|_| open("127.0.0.1", tracker.http4())).collect();
        assert!(kept.iter().all(Option::is_some));
    });
}

fn limits_connections_in_all() {
    with_tracker("t-l-all", "[http_server]\nconnections = 3", |tracker| {
        let kept = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
            .map(|from| open(from, tracker.http4()).expect("the first three"));
        assert!(open("127.0.0.4", tracker.http4()).is_none(), "a fourth");
        drop(kept);
        wait_open(tracker, "127.0.0.4");
    });
}

fn evicts_the_smallest_and_oldest() {
    with_tracker("t-l-evict", "[limits]\ntorrents = 3", |tracker| {
        // The oldest has two peers, the second and the third one.
        tracker.announce(&Ask::leech(hash(1), 1));
        tracker.announce(&Ask::leech(hash(1), 2));
        tracker.announce(&Ask::leech(hash(2), 1));
        tracker.announce(&Ask::leech(hash(3), 1));
        tracker.announce(&Ask::leech(hash(4), 1));
        let counts: Vec<usize> = (1..=4).map(|number| tracker.peers(hash(number)).len()).collect();
        assert_eq!(counts, [2, 0, 1, 1], "the second is the smallest and oldest");
    });
}

fn evicts_where_memory_is_short() {
    let keys = "[limits]\nmemory = '16MiB'\ntorrents_per_address = 0\nrate_per_address = 0";
    with_tracker("t-l-memory", keys, |tracker| {
        let caller = tracker.udp_caller();
        let id = caller.connect();
        let mut name: Hash = [0; 20];
        for number in 0..300_000_u32 {
            name[..4].copy_from_slice(&number.to_be_bytes());
            caller.ask(&Ask::leech(name, 1001).want(0).datagram(id, number), number).announced();
        }
        let status = std::fs::read_to_string(format!("/proc/{}/status", tracker.id())).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.strip_suffix("kB"));
        let resident: u64 = resident.unwrap().trim().parse().unwrap();
        assert!(resident < 64 * 1024, "{resident} kB for 16 MiB of swarms");
        assert_eq!(tracker.peers(name).len(), 1, "the newest is there");
        assert_eq!(tracker.peers([0; 20]).len(), 0, "the oldest is not");
    });
}

fn ends_slow_requests() {
    with_tracker("t-l-slow", "[http_server]\nidle_timeout = '1s'", |tracker| {
        let whole = request(&Ask::leech(HASH, 1001).target(), "");
        for length in [0, 1, 20, whole.len() - 2] {
            let mut connection = Connection::open(tracker.http4());
            connection.send(&whole.as_bytes()[..length]);
            let answer = String::from_utf8_lossy(&connection.rest()).into_owned();
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
        }
        assert_eq!(tracker.peers(HASH), []);
        tracker.announce(&Ask::leech(HASH, 1001));
    });
}

fn ends_idle_connections() {
    with_tracker("t-l-idle", "[http_server]\nidle_timeout = '1s'", |tracker| {
        let mut connection = Connection::open(tracker.http4());
        connection.get(&Ask::leech(HASH, 1001).target()).well();
        connection.assert_closed();
    });
}
