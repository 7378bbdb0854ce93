//! bttracker over UDP (BEP 15): what it answers, with how much, and to whom.

use std::net::UdpSocket;

use tests::bttracker::with_tracker;
use tests::caller::Connection;
use tests::query::{Ask, Hash, UDP_ANNOUNCE_BYTES, head, scrape_datagram};
use tests::udp_caller::{PROTOCOL, UdpCaller, action};

use crate::Case;

pub(crate) const CASES: &[Case] = &[
    Case::new("tracker_udp_connects_with_sixteen_bytes", connects_with_sixteen_bytes),
    Case::new("tracker_udp_answers_no_bad_connect", answers_no_bad_connect),
    Case::new("tracker_udp_announces_in_the_form_of_bep_15", announces_in_the_form_of_bep_15),
    Case::new("tracker_udp_answers_no_short_announce_with_peers", answers_no_short_announce_with_peers),
    Case::new("tracker_udp_passes_over_trailing_bytes", passes_over_trailing_bytes),
    Case::new("tracker_udp_refuses_announced_port_0", refuses_announced_port_0),
    Case::new("tracker_udp_refuses_an_unknown_action", refuses_an_unknown_action),
    Case::new("tracker_udp_takes_any_event", takes_any_event),
    Case::new("tracker_udp_gives_as_many_peers_as_wanted", gives_as_many_peers_as_wanted),
    Case::new("tracker_udp_answers_are_bounded", answers_are_bounded),
    Case::new("tracker_udp_scrapes", scrapes),
    Case::new("tracker_udp_scrapes_at_most_74", scrapes_at_most_74),
    Case::new("tracker_udp_passes_over_the_tail_of_a_scrape", passes_over_the_tail_of_a_scrape),
    Case::new("tracker_udp_answers_from_where_it_was_asked", answers_from_where_it_was_asked),
    Case::new("tracker_udp_keeps_the_families_apart", keeps_the_families_apart),
];

const HASH: Hash = [7; 20];

fn connects_with_sixteen_bytes() {
    with_tracker("t-u-connect", "", |tracker| {
        for caller in [tracker.udp_caller(), tracker.udp_caller6()] {
            for transaction in [0, 1, 0xdead_beef, u32::MAX] {
                let request = head(PROTOCOL, action::CONNECT, transaction);
                let answer = caller.ask(&request, transaction);
                assert_eq!((answer.action, answer.length()), (action::CONNECT, 16));
                // More than that is no reason to stay silent, or to say more.
                let answer = caller.ask(&[request.as_slice(), &[1; 300]].concat(), transaction);
                assert_eq!((answer.action, answer.length()), (action::CONNECT, 16));
            }
        }
    });
}

fn answers_no_bad_connect() {
    with_tracker("t-u-magic", "", |tracker| {
        let caller = tracker.udp_caller();
        for magic in [0, 1, PROTOCOL + 1, PROTOCOL.swap_bytes(), u64::MAX] {
            caller.assert_silent(&head(magic, action::CONNECT, 7));
        }
        let good = head(PROTOCOL, action::CONNECT, 7);
        for length in 0..good.len() {
            caller.assert_silent(&good[..length]);
        }
    });
}

fn announces_in_the_form_of_bep_15() {
    with_tracker("t-u-form", "", |tracker| {
        tracker.announce(&Ask::seed(HASH, 1001));
        tracker.announce(&Ask::leech(HASH, 1002));
        let caller = tracker.udp_caller();
        let answer = caller.tell(&Ask::leech(HASH, 1003).event("started"));
        assert_eq!(answer.length(), 20 + 2 * 6);
        let announced = answer.announced();
        assert_eq!((announced.leechers, announced.seeders), (2, 1));
        assert!((1620..=1980).contains(&announced.interval), "{announced:?}");
        let expected = ["127.0.0.1:1001".parse().unwrap(), "127.0.0.1:1002".parse().unwrap()];
        assert_eq!(announced.peers, expected);
        assert!(
            tracker.peers(HASH).contains(&"127.0.0.1:1003".parse().unwrap()),
            "the address in the datagram is not believed: {:?}",
            tracker.peers(HASH)
        );
    });
}

fn answers_no_short_announce_with_peers() {
    with_tracker("t-u-short", "", |tracker| {
        tracker.announce(&Ask::leech(HASH, 1001));
        let caller = tracker.udp_caller();
        let id = caller.connect();
        let good = Ask::leech(HASH, 1002).datagram(id, 9);
        for length in 0..UDP_ANNOUNCE_BYTES {
            caller.send(&good[..length]);
            // Silence or an error; what is asked next is answered either way.
            caller.send(&head(PROTOCOL, action::CONNECT, 10));
            let mut answer = caller.receive();
            if answer.transaction == 9 {
                assert!(
                    answer.length() <= UDP_ANNOUNCE_BYTES && answer.error().contains("short"),
                    "{answer:?}"
                );
                answer = caller.receive();
            }
            assert_eq!((answer.action, answer.transaction), (action::CONNECT, 10));
        }
        assert_eq!(tracker.peers(HASH).len(), 1);
    });
}

fn passes_over_trailing_bytes() {
    with_tracker("t-u-trailing", "", |tracker| {
        for (port, options) in (1..).zip([
            vec![0; 1],
            vec![0; 100],
            vec![1; 100],
            vec![2],
            vec![2, 255],
            vec![2, 255, b'/'],
            vec![99, 3, 1, 2, 3],
            vec![99, 200],
            vec![255; 700],
        ]) {
            tracker.udp_caller().announce(&Ask { options, ..Ask::leech(HASH, port) });
        }
        assert_eq!(tracker.peers(HASH).len(), 9);
    });
}

fn refuses_announced_port_0() {
    with_tracker("t-u-port", "", |tracker| {
        let answer = tracker.udp_caller().tell(&Ask::leech(HASH, 0));
        assert!(answer.error().contains("port"), "{}", answer.error());
        assert!(tracker.peers(HASH).is_empty());
    });
}

fn refuses_an_unknown_action() {
    with_tracker("t-u-action", "", |tracker| {
        let caller = tracker.udp_caller();
        let id = caller.connect();
        for action in [3, 4, 5, 99, u32::MAX] {
            let request = [head(id, action, 5), vec![0; 82]].concat();
            let answer = caller.ask(&request, 5);
            assert!(answer.length() <= request.len());
            answer.error();
        }
    });
}

fn takes_any_event() {
    with_tracker("t-u-event", "", |tracker| {
        let caller = tracker.udp_caller();
        caller.announce(&Ask::leech(HASH, 1001).event("started"));
        for event in ["unknown", "paused"] {
            caller.announce(&Ask::leech(HASH, 1001).event(event));
            assert_eq!(tracker.scrape(HASH), (0, 0, 1), "{event}");
        }
        caller.announce(&Ask::seed(HASH, 1001).event("completed"));
        assert_eq!(tracker.scrape(HASH), (1, 1, 0));
        caller.announce(&Ask::seed(HASH, 1001).event("stopped"));
        assert_eq!(tracker.scrape(HASH), (0, 1, 0));
    });
}

fn gives_as_many_peers_as_wanted() {
    with_tracker("t-u-numwant", "", |tracker| {
        let caller = tracker.udp_caller();
        for port in 1..=70 {
            caller.announce(&Ask::leech(HASH, port).want(0));
        }
        for (port, want, count) in [(1_001, -1, 50), (1_002, 0, 0), (1_003, 7, 7), (1_004, i32::MIN, 50)] {
            let ask = Ask::leech(HASH, port).want(want);
            assert_eq!(caller.announce(&ask).peers.len(), count, "num_want {want}");
            caller.announce(&ask.event("stopped"));
        }
        assert_eq!(caller.announce(&Ask::leech(HASH, 1_005).want(1_000)).peers.len(), 70);
    });
}

fn answers_are_bounded() {
    let keys = "[announce]\nnumwant_max = 200\n[limits]\npeers_per_address_per_torrent = 0";
    with_tracker("t-u-bounded", keys, |tracker| {
        for address in [tracker.http4(), tracker.http6()] {
            let mut connection = Connection::open(address);
            for port in 1..=300 {
                connection.get(&Ask::leech(HASH, port).with("&numwant=0").target()).well();
            }
        }
        for (caller, bytes, most) in [(tracker.udp_caller(), 6, 200), (tracker.udp_caller6(), 18, 66)] {
            for (port, want) in [(1_001, 1_000), (1_002, i32::MAX)] {
                let answer = caller.tell(&Ask::leech(HASH, port).want(want));
                assert_eq!((answer.length() - 20) / bytes, most, "peers");
            }
        }
    });
}

fn scrapes() {
    with_tracker("t-u-scrape", "", |tracker| {
        tracker.announce(&Ask::seed(HASH, 1001));
        tracker.announce6(&Ask::leech(HASH, 1002));
        tracker.announce6(&Ask::seed(HASH, 1002).event("completed"));
        tracker.announce(&Ask::leech([8; 20], 1001));
        for caller in [tracker.udp_caller(), tracker.udp_caller6()] {
            // In the order asked, and as often.
            let rows = caller.scrape(&[[8; 20], HASH, [9; 20], HASH]);
            assert_eq!(rows, [(0, 0, 1), (2, 1, 0), (0, 0, 0), (2, 1, 0)]);
        }
    });
}

fn scrapes_at_most_74() {
    with_tracker("t-u-scrape-most", "", |tracker| {
        let caller = tracker.udp_caller();
        let hashes: Vec<Hash> = (0..100).map(|number| [number; 20]).collect();
        assert_eq!(caller.scrape(&hashes[..74]).len(), 74);
        let id = caller.connect();
        for count in [75, 100] {
            let answer = caller.ask(&scrape_datagram(id, 6, &hashes[..count]), 6);
            assert!(answer.action == action::ERROR || answer.rows().len() == 74, "{answer:?}");
        }
        let answer = caller.ask(&scrape_datagram(id, 6, &[]), 6);
        assert!(answer.action == action::ERROR || answer.rows().is_empty(), "{answer:?}");
    });
}

fn passes_over_the_tail_of_a_scrape() {
    with_tracker("t-u-scrape-tail", "", |tracker| {
        tracker.announce(&Ask::leech(HASH, 1001));
        let caller = tracker.udp_caller();
        let id = caller.connect();
        for tail in [1, 7, 19] {
            let request = [scrape_datagram(id, 6, &[HASH]), vec![0; tail]].concat();
            assert_eq!(caller.ask(&request, 6).rows(), [(0, 0, 1)], "{tail} bytes more");
        }
    });
}

fn answers_from_where_it_was_asked() {
    with_tracker("t-u-wildcard", "udp = ['0.0.0.0:0']", |tracker| {
        let port = tracker.udp4().port();
        for address in ["127.0.0.1", "127.0.0.2", "127.9.8.7"] {
            let to = format!("{address}:{port}").parse().unwrap();
            let answer = UdpCaller::open(to).ask(&head(PROTOCOL, action::CONNECT, 3), 3);
            assert_eq!(answer.from, to);
            UdpCaller::open(to).announce(&Ask::leech(HASH, 1001));
        }
    });
}

fn keeps_the_families_apart() {
    with_tracker("t-u-v6only", "http = ['[::]:0']\nudp = ['[::]:0']", |tracker| {
        UdpCaller::open(format!("[::1]:{}", tracker.udp6().port()).parse().unwrap()).connect();
        // Where nobody listens, the kernel says so.
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(("127.0.0.1", tracker.udp6().port())).unwrap();
        socket.set_read_timeout(Some(tests::daemon::WAIT_LIMIT)).unwrap();
        socket.send(&head(PROTOCOL, action::CONNECT, 3)).unwrap();
        let refused = socket.recv(&mut [0; 100]).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        let refused = std::net::TcpStream::connect(("127.0.0.1", tracker.http6().port())).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    });
}
