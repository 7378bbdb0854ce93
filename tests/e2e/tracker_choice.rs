//! Whom bttracker tells of whom: one swarm behind every door, never oneself, and no seed to a seed.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use tests::bttracker::with_tracker;
use tests::caller::{Connection, fetch};
use tests::query::{Ask, Hash};

use crate::Case;

pub(crate) const CASES: &[Case] = &[
    Case::new("tracker_tells_nobody_of_oneself", tells_nobody_of_oneself),
    Case::new("tracker_tells_no_seed_of_seeds", tells_no_seed_of_seeds),
    Case::new("tracker_has_one_swarm_for_both_protocols", has_one_swarm_for_both_protocols),
    Case::new("tracker_tells_of_both_families_over_http", tells_of_both_families_over_http),
    Case::new("tracker_tells_of_the_packets_family_over_udp", tells_of_the_packets_family_over_udp),
    Case::new("tracker_gives_both_families_a_share", gives_both_families_a_share),
    Case::new("tracker_tells_of_other_peers_each_time", tells_of_other_peers_each_time),
    Case::new("tracker_keeps_torrents_apart", keeps_torrents_apart),
    Case::new("tracker_has_all_workers_share_a_swarm", has_all_workers_share_a_swarm),
];

const HASH: Hash = [7; 20];

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn tells_nobody_of_oneself() {
    with_tracker("t-c-self", "", |tracker| {
        let caller = tracker.udp_caller();
        for round in 0..20 {
            for port in 1..=5 {
                let ask = Ask::leech(HASH, port);
                let own = at(&format!("127.0.0.1:{port}"));
                let peers = tracker.announce(&ask).peers();
                assert!(!peers.contains(&own), "{peers:?}");
                assert!(round == 0 || peers.len() == 4, "all others: {peers:?}");
                assert!(!caller.announce(&ask).peers.contains(&own));
                let list = tracker.announce(&ask.with("&compact=0")).bencode();
                let mut ports = list.get("peers").list().iter().map(|peer| peer.get("port").integer());
                assert!(!ports.any(|it| it == u64::from(port)), "{list:?}");
            }
        }
    });
}

fn tells_no_seed_of_seeds() {
    with_tracker("t-c-seeds", "", |tracker| {
        for port in 1..=5 {
            tracker.announce(&Ask::seed(HASH, port));
        }
        tracker.announce6(&Ask::seed(HASH, 6));
        tracker.announce(&Ask::leech(HASH, 1001));
        let leech = [at("127.0.0.1:1001")];
        assert_eq!(tracker.announce(&Ask::seed(HASH, 1)).peers(), leech);
        assert_eq!(tracker.udp_caller().announce(&Ask::seed(HASH, 2)).peers, leech);
        assert_eq!(tracker.announce6(&Ask::seed(HASH, 6)).peers(), leech);
        assert_eq!(tracker.announce(&Ask::leech(HASH, 1001)).peers().len(), 6, "a leecher is told of all");
    });
}

fn has_one_swarm_for_both_protocols() {
    with_tracker("t-c-one", "", |tracker| {
        tracker.announce(&Ask::leech(HASH, 1001));
        assert_eq!(tracker.udp_caller().announce(&Ask::leech(HASH, 1002)).peers, [at("127.0.0.1:1001")]);
        assert_eq!(tracker.announce(&Ask::leech(HASH, 1001)).peers(), [at("127.0.0.1:1002")]);
        assert_eq!(tracker.udp_caller().scrape(&[HASH]), [(0, 0, 2)]);
        // What was told over one is taken back over the other.
        tracker.announce(&Ask::leech(HASH, 1002).event("stopped"));
        tracker.udp_caller().announce(&Ask::leech(HASH, 1001).event("stopped"));
        assert_eq!(tracker.scrape(HASH), (0, 0, 0));
    });
}

fn tells_of_both_families_over_http() {
    with_tracker("t-c-both", "", |tracker| {
        tracker.announce(&Ask::leech(HASH, 1001));
        tracker.announce6(&Ask::leech(HASH, 1002));
        let both = [at("127.0.0.1:1001"), at("[::1]:1002")];
        assert_eq!(tracker.announce(&Ask::leech(HASH, 1003)).peers(), both);
        tracker.announce(&Ask::leech(HASH, 1003).event("stopped"));
        assert_eq!(tracker.announce6(&Ask::leech(HASH, 1004)).peers(), both);
    });
}

fn tells_of_the_packets_family_over_udp() {
    with_tracker("t-c-udp", "", |tracker| {
        tracker.announce(&Ask::leech(HASH, 1001));
        tracker.announce6(&Ask::leech(HASH, 1002));
        let answer = tracker.udp_caller().announce(&Ask::leech(HASH, 1003));
        assert_eq!((answer.peers, answer.leechers), (vec![at("127.0.0.1:1001")], 3));
        let answer = tracker.udp_caller6().announce(&Ask::leech(HASH, 1004));
        assert_eq!((answer.peers, answer.leechers), (vec![at("[::1]:1002")], 4));
    });
}

fn gives_both_families_a_share() {
    with_tracker("t-c-share", "[limits]\npeers_per_address_per_torrent = 0", |tracker| {
        let mut connection = Connection::open(tracker.http4());
        for port in 1..=200 {
            connection.get(&Ask::leech(HASH, port).with("&numwant=0").target()).well();
        }
        for port in 201..=210 {
            fetch(tracker.http6(), &Ask::leech(HASH, port).with("&numwant=0").target()).well();
        }
        let mut of_few = 0;
        for port in 1000..1020 {
            let peers = tracker.announce(&Ask::leech(HASH, port)).peers();
            assert_eq!(peers.len(), 50);
            of_few += peers.iter().filter(|peer| peer.is_ipv6()).count();
        }
        assert!(of_few > 0, "the few of IPv6 are never told of");
    });
}

fn tells_of_other_peers_each_time() {
    with_tracker("t-c-random", "[limits]\npeers_per_address_per_torrent = 0", |tracker| {
        let mut connection = Connection::open(tracker.http4());
        for port in 1..=100 {
            connection.get(&Ask::leech(HASH, port).with("&numwant=0").target()).well();
        }
        let mut told = BTreeSet::new();
        for port in 1001..=1100 {
            let ask = Ask::leech(HASH, port).want(10);
            let peers = tracker.announce(&ask).peers();
            assert_eq!(peers.iter().collect::<BTreeSet<_>>().len(), 10, "none twice");
            tracker.announce(&ask.event("stopped"));
            told.extend(peers);
        }
        // Chance leaves out one of them in 400 runs.
        assert!(told.len() >= 99, "each peer is told of: {}", told.len());
    });
}

fn keeps_torrents_apart() {
    with_tracker("t-c-apart", "", |tracker| {
        for number in 0..50 {
            let answer = tracker.announce(&Ask::leech([number; 20], 1001));
            assert_eq!((answer.peers(), answer.number("incomplete")), (vec![], 1));
        }
    });
}

fn has_all_workers_share_a_swarm() {
    with_tracker("t-c-workers", "workers = 4", |tracker| {
        let hash = |port: u16| [u8::try_from(port % 8).unwrap(); 20];
        for port in 1..=64 {
            match port % 4 {
                0 => tracker.announce(&Ask::leech(hash(port), port)).well(),
                1 => tracker.announce6(&Ask::leech(hash(port), port)).well(),
                2 => {
                    tracker.udp_caller().announce(&Ask::leech(hash(port), port));
                    continue;
                }
                _ => {
                    tracker.udp_caller6().announce(&Ask::leech(hash(port), port));
                    continue;
                }
            };
        }
        for number in 0..8 {
            assert_eq!(tracker.scrape([number; 20]), (0, 0, 8));
        }
    });
}
