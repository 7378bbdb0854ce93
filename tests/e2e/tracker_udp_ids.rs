//! Connection ids over UDP, which keep strangers from asking in somebody else's name, and passkeys in the options of
//! an announce (BEP 41).

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use socket2::{Domain, Protocol, Socket, Type};
use tests::bttracker::{Site, with_tracker};
use tests::needs::Need;
use tests::query::{Ask, Hash, head, scrape_datagram, url_data};
use tests::udp_caller::{PROTOCOL, UdpCaller, action};

use crate::Case;

pub(crate) const CASES: &[Case] = &[
    Case::new("tracker_udp_refuses_a_bad_id_with_no_more_bytes", refuses_a_bad_id_with_no_more_bytes),
    Case::new("tracker_udp_refuses_the_id_of_another_address", refuses_the_id_of_another_address),
    Case::new("tracker_udp_ids_differ_between_trackers", ids_differ_between_trackers),
    Case::new("tracker_udp_ids_outlive_a_restart", ids_outlive_a_restart),
    Case::new("tracker_udp_ids_are_shared_by_nodes_with_a_key", ids_are_shared_by_nodes_with_a_key),
    Case::new("tracker_udp_refuses_a_key_that_is_none", refuses_a_key_that_is_none),
    Case::new("tracker_udp_drops_what_comes_from_port_0", drops_what_comes_from_port_0)
        .needs(&[Need::RawSockets]),
    Case::new("tracker_udp_takes_a_passkey_in_options", takes_a_passkey_in_options),
    Case::new("tracker_udp_refuses_options_without_the_passkey", refuses_options_without_the_passkey),
];

const HASH: Hash = [7; 20];
const KEY: &str = "000102030405060708090a0b0c0d0e0f";

fn refuses_a_bad_id_with_no_more_bytes() {
    with_tracker("t-i-bad", "", |tracker| {
        tracker.announce(&Ask::leech(HASH, 1001));
        for caller in [tracker.udp_caller(), tracker.udp_caller6()] {
            let good = caller.connect();
            for id in [0, 1, u64::MAX, PROTOCOL, good ^ 1, good ^ (1 << 63), good ^ (1 << 32), !good] {
                for request in [
                    Ask::leech(HASH, 1002).datagram(id, 3),
                    scrape_datagram(id, 3, &[HASH]),
                    scrape_datagram(id, 3, &[HASH; 70]),
                ] {
                    let answer = caller.ask(&request, 3);
                    assert!(
                        answer.length() <= request.len(),
                        "{} bytes to {}",
                        answer.length(),
                        request.len()
                    );
                    answer.error();
                }
                // What is too short for an error is answered with less than that, or not at all.
                caller.send(&head(id, action::SCRAPE, 3));
                caller.send(&head(PROTOCOL, action::CONNECT, 4));
                let mut answer = caller.receive();
                if answer.transaction == 3 {
                    assert!(answer.length() <= 16, "{answer:?}");
                    answer = caller.receive();
                }
                assert_eq!(answer.transaction, 4);
            }
        }
        assert_eq!(tracker.peers(HASH).len(), 1);
    });
}

fn refuses_the_id_of_another_address() {
    with_tracker("t-i-other", "", |tracker| {
        let id = tracker.udp_caller().connect();
        let other = UdpCaller::open_at("127.0.0.2", tracker.udp4());
        other.ask(&Ask::leech(HASH, 1001).datagram(id, 3), 3).error();
        let own = other.connect();
        assert_ne!(own, id);
        other.ask(&Ask::leech(HASH, 1001).datagram(own, 3), 3).announced();
        assert_eq!(tracker.peers(HASH), ["127.0.0.2:1001".parse().unwrap()]);
    });
}

fn ids_differ_between_trackers() {
    let (first, second) = (Site::new("t-i-first", ""), Site::new("t-i-second", ""));
    let (one, other) = (first.start(), second.start());
    let id = one.udp_caller().connect();
    other.udp_caller().ask(&Ask::leech(HASH, 1001).datagram(id, 3), 3).error();
    one.end_well();
    other.end_well();
}

/// Has a tracker of `first` give an id, which a tracker of `second`, started once it has ended, must take.
fn assert_shared(first: &Site, second: &Site) {
    let tracker = first.start();
    let id = tracker.udp_caller().connect();
    tracker.end_well();
    let tracker = second.start();
    let answer = tracker.udp_caller().ask(&Ask::leech(HASH, 1001).datagram(id, 3), 3);
    answer.announced();
    tracker.end_well();
}

fn ids_outlive_a_restart() {
    let site = Site::new("t-i-restart", "state_dir = '{site}/state'");
    assert_shared(&site, &site);
}

fn ids_are_shared_by_nodes_with_a_key() {
    let keys = "[udp_server]\nkey = '{site}/key'";
    let sites = ["t-i-node-1", "t-i-node-2"].map(|name| Site::new(name, keys));
    for site in &sites {
        site.write("key", &format!("{KEY}\n"));
    }
    assert_shared(&sites[0], &sites[1]);
}

fn refuses_a_key_that_is_none() {
    let site = Site::new("t-i-no-key", "[udp_server]\nkey = '{site}/key'");
    site.refused(site.command(), &["key"]);
    for text in ["", "00", "x", &KEY[1..], &format!("{KEY}00"), &KEY.replace('0', "g")] {
        let path = site.write("key", text);
        site.refused(site.command(), &[path.to_str().unwrap()]);
    }
}

/// Sends `payload` as a datagram from port 0, which no ordinary socket has.
fn send_from_port_0(to: SocketAddr, payload: &[u8]) {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::UDP)).expect("root has raw sockets");
    let length = u16::try_from(8 + payload.len()).expect("a datagram is short");
    // Ports, length, and no checksum.
    let header = [[0, 0], to.port().to_be_bytes(), length.to_be_bytes(), [0, 0]].concat();
    let to = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);
    socket.send_to(&[header.as_slice(), payload].concat(), &to.into()).expect("a datagram is sent");
}

fn drops_what_comes_from_port_0() {
    with_tracker("t-i-port-0", "", |tracker| {
        let caller = tracker.udp_caller();
        let id = caller.connect();
        send_from_port_0(tracker.udp4(), &head(PROTOCOL, action::CONNECT, 3));
        send_from_port_0(tracker.udp4(), &Ask::leech(HASH, 1001).datagram(id, 3));
        // What comes after them is answered, and by then they were seen.
        caller.announce(&Ask::leech(HASH, 1002));
        assert_eq!(tracker.peers(HASH), ["127.0.0.1:1002".parse().unwrap()]);
    });
}

/// Has `test` use a tracker that wants the passkey `sesame-2026`.
fn privately(name: &str, test: impl FnOnce(&tests::bttracker::Bttracker<'_>)) {
    let site = Site::new(name, "[access]\npasskeys = '{site}/passkeys'");
    site.write("passkeys", "another\nsesame-2026\n");
    let tracker = site.start();
    test(&tracker);
    tracker.end_well();
}

fn takes_a_passkey_in_options() {
    privately("t-i-passkey", |tracker| {
        let whole = [url_data("/sesame-2026/announce"), vec![0]].concat();
        for (port, options) in (1..).zip([
            whole.clone(),
            url_data("/sesame-2026/announce"),
            url_data("/announce/sesame-2026"),
            url_data("/announce?passkey=sesame-2026"),
            url_data("/announce?x=y&passkey=sesame-2026&z"),
            // In pieces, with fill between, and after options that nobody knows.
            [url_data("/ses"), url_data("ame-2026/"), url_data(""), url_data("announce")].concat(),
            [vec![1, 1, 1], url_data("/sesame-2"), vec![1], url_data("026/announce"), vec![1, 0]].concat(),
            [vec![77, 2, 9, 9, 200, 0], whole.clone()].concat(),
            [whole, vec![2, 250, 1, 2]].concat(),
        ]) {
            tracker.udp_caller().announce(&Ask { options, ..Ask::leech(HASH, port) });
        }
        assert_eq!(tracker.peers(HASH).len(), 9);
    });
}

fn refuses_options_without_the_passkey() {
    privately("t-i-no-passkey", |tracker| {
        let end_first = [vec![0], url_data("/sesame-2026/announce")].concat();
        for options in [
            Vec::new(),
            url_data("/announce"),
            url_data("/sesame-202/announce"),
            url_data("/sesame-20266/announce"),
            url_data("/SESAME-2026/announce"),
            url_data("/announce?x=sesame-2026"),
            url_data(""),
            vec![2, 200, b'/'],
            end_first,
        ] {
            let answer =
                tracker.udp_caller().tell(&Ask { options: options.clone(), ..Ask::leech(HASH, 1001) });
            assert!(answer.error().contains("passkey"), "{options:?}: {}", answer.error());
        }
        assert!(tracker.peers(HASH).is_empty());
    });
}
