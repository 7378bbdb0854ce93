//! Where a client comes from when somebody stands between: `ip=`, X-Forwarded-For, Forwarded (RFC 7239) and the PROXY
//! protocol are believed of those that are trusted, and of nobody else.

use std::net::{IpAddr, SocketAddr};

use tests::bttracker::{Bttracker, with_tracker};
use tests::caller::{Answer, Connection, request};
use tests::query::{Ask, Hash};

use crate::Case;

pub(crate) const CASES: &[Case] = &[
    Case::new("tracker_believes_ip_of_the_near_when_told", believes_ip_of_the_near_when_told),
    Case::new("tracker_never_looks_a_name_up", never_looks_a_name_up),
    Case::new("tracker_reads_x_forwarded_for_from_the_right", reads_x_forwarded_for_from_the_right),
    Case::new("tracker_reads_forwarded_from_the_right", reads_forwarded_from_the_right),
    Case::new("tracker_ignores_headers_of_strangers", ignores_headers_of_strangers),
    Case::new("tracker_refuses_a_proxy_that_names_nobody", refuses_a_proxy_that_names_nobody),
    Case::new("tracker_takes_proxy_protocol_1", takes_proxy_protocol_1),
    Case::new("tracker_takes_proxy_protocol_2", takes_proxy_protocol_2),
    Case::new("tracker_takes_a_proxy_that_speaks_for_itself", takes_a_proxy_that_speaks_for_itself),
    Case::new("tracker_refuses_a_bad_proxy_header", refuses_a_bad_proxy_header),
    Case::new("tracker_takes_no_proxy_header_of_strangers", takes_no_proxy_header_of_strangers),
];

const HASH: Hash = [7; 20];
/// Whoever comes from 127.0.0.1 or 10.0.0.0/8 is a proxy.
const TRUSTED: &str = "[http_server]\ntrusted_proxies = ['127.0.0.1/32', '10.0.0.0/8', '2001:db8:ffff::/48']";

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// Announces as `127.0.0.1`, with `headers`.
fn tell_with(tracker: &Bttracker<'_>, headers: &str) -> Answer {
    Connection::open(tracker.http4()).get_with(&Ask::leech(HASH, 1001).target(), headers)
}

/// Announces as `127.0.0.1` with `headers`, and fails unless that is taken for `address`, which it stops being then.
fn assert_taken(tracker: &Bttracker<'_>, headers: &str, address: &str) {
    let answer = tell_with(tracker, headers).well();
    assert_eq!(tracker.peers(HASH), [at(address)], "{headers}");
    let external = match at(address).ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    assert_eq!(answer.bencode().get("external ip").bytes(), external, "{headers}");
    let stop = Ask::leech(HASH, 1001).event("stopped");
    Connection::open(tracker.http4()).get_with(&stop.target(), headers).well();
    assert_eq!(tracker.peers(HASH), [], "{headers}");
}

fn believes_ip_of_the_near_when_told() {
    with_tracker("t-x-ip", "[http_server]\nip_parameter = true", |tracker| {
        tracker.announce(&Ask::leech(HASH, 1001).with("&ip=9.8.7.6"));
        assert_eq!(tracker.peers(HASH), [at("9.8.7.6:1001")]);
        tracker.announce(&Ask::leech([8; 20], 1001).with("&ip=2001%3adb8%3A%3A1"));
        assert_eq!(tracker.peers([8; 20]), [at("[2001:db8::1]:1001")]);
        tracker.announce6(&Ask::leech([9; 20], 1001).with("&ip=9.8.7.6"));
        assert_eq!(tracker.peers([9; 20]), [at("9.8.7.6:1001")]);
        // Over UDP there is no such thing.
        tracker.udp_caller().announce(&Ask::leech([10; 20], 1001));
        assert_eq!(tracker.peers([10; 20]), [at("127.0.0.1:1001")]);
    });
}

fn never_looks_a_name_up() {
    with_tracker("t-x-name", "[http_server]\nip_parameter = true", |tracker| {
        for ip in [
            "localhost",
            "ip6-localhost",
            "example.com",
            "1.2.3",
            "",
            "1.2.3.4.5",
            "0x01020304",
            "9.8.7.6:80",
        ] {
            // It is refused, or passed over.
            tracker.tell(&Ask::leech(HASH, 1001).with(&format!("&ip={ip}"))).bencode();
            let known = tracker.peers(HASH);
            assert!(known.is_empty() || known == [at("127.0.0.1:1001")], "{ip}: {known:?}");
        }
    });
}

fn reads_x_forwarded_for_from_the_right() {
    with_tracker("t-x-forwarded-for", TRUSTED, |tracker| {
        for (headers, address) in [
            ("X-Forwarded-For: 9.9.9.9\r\n", "9.9.9.9:1001"),
            ("x-forwarded-for:9.9.9.9\r\n", "9.9.9.9:1001"),
            ("X-FORWARDED-FOR: 1.1.1.1, 9.9.9.9\r\n", "9.9.9.9:1001"),
            ("X-Forwarded-For: 1.1.1.1, 9.9.9.9, 10.1.2.3\r\n", "9.9.9.9:1001"),
            ("X-Forwarded-For: 1.1.1.1,9.9.9.9 ,10.1.2.3,10.9.9.9\r\n", "9.9.9.9:1001"),
            ("X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 9.9.9.9, 10.1.2.3\r\n", "9.9.9.9:1001"),
            ("X-Forwarded-For: rubbish, 9.9.9.9, 10.1.2.3\r\n", "9.9.9.9:1001"),
            ("X-Forwarded-For: 2001:db8::17\r\n", "[2001:db8::17]:1001"),
            ("X-Forwarded-For: 1.1.1.1, 2001:db8::17, 2001:db8:ffff::1\r\n", "[2001:db8::17]:1001"),
            // Never one of IPv4 in the clothes of IPv6.
            ("X-Forwarded-For: ::ffff:9.9.9.9\r\n", "9.9.9.9:1001"),
        ] {
            assert_taken(tracker, headers, address);
        }
    });
}

fn reads_forwarded_from_the_right() {
    with_tracker("t-x-rfc7239", TRUSTED, |tracker| {
        for (headers, address) in [
            ("Forwarded: for=9.9.9.9\r\n", "9.9.9.9:1001"),
            ("forwarded: For=\"9.9.9.9:4711\";proto=http;by=10.0.0.1\r\n", "9.9.9.9:1001"),
            ("Forwarded: proto=http; for=9.9.9.9; host=tracker.example\r\n", "9.9.9.9:1001"),
            ("Forwarded: for=\"[2001:db8:cafe::17]:4711\"\r\n", "[2001:db8:cafe::17]:1001"),
            ("Forwarded: for=\"[2001:db8:cafe::17]\", for=10.1.2.3\r\n", "[2001:db8:cafe::17]:1001"),
            ("Forwarded: for=1.1.1.1, for=9.9.9.9;by=10.0.0.1, for=10.1.2.3\r\n", "9.9.9.9:1001"),
            ("Forwarded: for=unknown, for=9.9.9.9\r\n", "9.9.9.9:1001"),
            ("Forwarded: for=1.1.1.1\r\nForwarded: for=9.9.9.9\r\n", "9.9.9.9:1001"),
        ] {
            assert_taken(tracker, headers, address);
        }
    });
}

fn ignores_headers_of_strangers() {
    let headers = "X-Forwarded-For: 9.9.9.9\r\nForwarded: for=9.9.9.9\r\nX-Real-IP: 9.9.9.9\r\n";
    with_tracker("t-x-default", "", |tracker| {
        assert_taken(tracker, headers, "127.0.0.1:1001");
    });
    with_tracker("t-x-stranger", TRUSTED, |tracker| {
        let from = "127.0.0.2".parse().unwrap();
        let mut connection = Connection::open_from(from, tracker.http4());
        connection.get_with(&Ask::leech(HASH, 1001).target(), headers).well();
        assert_eq!(tracker.peers(HASH), [at("127.0.0.2:1001")]);
    });
}

fn refuses_a_proxy_that_names_nobody() {
    with_tracker("t-x-nobody", TRUSTED, |tracker| {
        for headers in [
            "",
            "X-Forwarded-For: \r\n",
            "X-Forwarded-For: unknown\r\n",
            "X-Forwarded-For: 1.1.1.1, rubbish\r\n",
            "X-Forwarded-For: 1.1.1.1, rubbish, 10.1.2.3\r\n",
            "X-Forwarded-For: 1.2.3.4.5\r\n",
            "X-Forwarded-For: \u{e9}\r\n",
            "Forwarded: for=unknown\r\n",
            "Forwarded: for=_hidden\r\n",
            "Forwarded: proto=http\r\n",
            "Forwarded: for=\"\r\n",
        ] {
            let reason = tell_with(tracker, headers).failure();
            assert!(!reason.contains("127.0.0.1"), "{headers}: {reason}");
            assert_eq!(tracker.peers(HASH), [], "{headers}");
        }
        // A proxy asks for itself whether all is well.
        assert_eq!(tracker.fetch("/health").status, 200);
    });
}

/// Has `test` use a tracker that 127.0.0.1 speaks the PROXY protocol to.
fn behind_proxy(name: &str, test: impl FnOnce(&Bttracker<'_>)) {
    with_tracker(name, &format!("{TRUSTED}\nproxy_protocol = true\nidle_timeout = '2s'"), test);
}

/// What version 2 of the PROXY protocol says of a connection from `from`, with `extra` after the addresses.
fn version_2(from: SocketAddr, extra: &[u8]) -> Vec<u8> {
    let ports = [from.port().to_be_bytes(), 6969_u16.to_be_bytes()].concat();
    let (family, addresses) = match from.ip() {
        IpAddr::V4(ip) => (0x11, [ip.octets(), [127, 0, 0, 1]].concat()),
        IpAddr::V6(ip) => (0x21, [ip.octets(), [0; 16]].concat()),
    };
    let rest = [addresses, ports, extra.to_vec()].concat();
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n".as_slice(), &[0x21, family], &length, &rest].concat()
}

/// Announces on a connection that begins with `header`, in two parts, and that is kept; fails unless that is taken for
/// `address`.
fn assert_proxied(tracker: &Bttracker<'_>, header: &[u8], address: &str) {
    let mut connection = Connection::open(tracker.http4());
    let (first, second) = header.split_at(header.len() / 2);
    connection.send(first);
    connection.send(second);
    for _ in 0..2 {
        // What is said of the connection is above what its client says.
        connection.get_with(&Ask::leech(HASH, 1001).target(), "X-Forwarded-For: 1.1.1.1\r\n").well();
        assert_eq!(tracker.peers(HASH), [at(address)], "{header:?}");
    }
    connection.get(&Ask::leech(HASH, 1001).event("stopped").target()).well();
}

fn takes_proxy_protocol_1() {
    behind_proxy("t-x-proxy1", |tracker| {
        assert_proxied(tracker, b"PROXY TCP4 9.9.9.9 127.0.0.1 4711 6969\r\n", "9.9.9.9:1001");
        assert_proxied(tracker, b"PROXY TCP6 2001:db8::17 ::1 4711 6969\r\n", "[2001:db8::17]:1001");
        // The header and the request may come as one.
        let request = request(&Ask::leech(HASH, 1002).target(), "");
        let mut connection = Connection::open(tracker.http4());
        connection.send(format!("PROXY TCP4 9.9.9.9 127.0.0.1 4711 6969\r\n{request}").as_bytes());
        connection.answer().well();
        assert_eq!(tracker.peers(HASH), [at("9.9.9.9:1002")]);
    });
}

fn takes_proxy_protocol_2() {
    behind_proxy("t-x-proxy2", |tracker| {
        assert_proxied(tracker, &version_2(at("9.9.9.9:4711"), &[]), "9.9.9.9:1001");
        assert_proxied(tracker, &version_2(at("[2001:db8::17]:4711"), &[]), "[2001:db8::17]:1001");
        // Type, length and value of something that need not be known.
        assert_proxied(tracker, &version_2(at("9.9.9.9:4711"), &[0x04, 0, 3, 1, 2, 3]), "9.9.9.9:1001");
    });
}

fn takes_a_proxy_that_speaks_for_itself() {
    behind_proxy("t-x-local", |tracker| {
        let local = [b"\r\n\r\n\0\r\nQUIT\n".as_slice(), &[0x20, 0, 0, 0]].concat();
        for header in [local.as_slice(), b"PROXY UNKNOWN\r\n"] {
            let mut connection = Connection::open(tracker.http4());
            connection.send(header);
            assert_eq!(connection.get("/health").status, 200, "{header:?}");
        }
    });
}

fn refuses_a_bad_proxy_header() {
    behind_proxy("t-x-bad", |tracker| {
        let request = request(&Ask::leech(HASH, 1001).target(), "");
        for header in [
            "",
            "PROXY\r\n",
            "PROXY TCP4 9.9.9.9\r\n",
            "PROXY TCP4 localhost 127.0.0.1 1 2\r\n",
            "PROXY TCP4 9.9.9.9 127.0.0.1 99999 2\r\n",
            "PROXY TCP6 9.9.9.9 127.0.0.1 1 2\r\n",
            "proxy TCP4 9.9.9.9 127.0.0.1 1 2\r\n",
            &format!("PROXY TCP4 {}\r\n", "9".repeat(200)),
            "\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c",
            "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x01x",
        ] {
            let mut connection = Connection::open(tracker.http4());
            connection.try_send(format!("{header}{request}").as_bytes()).ok();
            let answer = String::from_utf8_lossy(&connection.rest()).into_owned();
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{header:?}: {answer}");
        }
        // Half of one is waited for so long, and no longer.
        let mut connection = Connection::open(tracker.http4());
        connection.send(b"PROXY TCP4 9.9.9.9");
        connection.rest();
        assert_eq!(tracker.peers(HASH), []);
    });
}

fn takes_no_proxy_header_of_strangers() {
    behind_proxy("t-x-proxy-stranger", |tracker| {
        let from = "127.0.0.2".parse().unwrap();
        let mut connection = Connection::open_from(from, tracker.http4());
        connection.send(b"PROXY TCP4 9.9.9.9 127.0.0.1 4711 6969\r\n");
        connection.try_send(request(&Ask::leech(HASH, 1001).target(), "").as_bytes()).ok();
        let answer = String::from_utf8_lossy(&connection.rest()).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
        // It may ask as it is.
        tracker.tell_from("127.0.0.2", &Ask::leech(HASH, 1001)).well();
        assert_eq!(tracker.peers(HASH), [at("127.0.0.2:1001")]);
    });
}
