//! How bttracker reads a query: raw bytes, and nothing taken for what it is not. What comes of an info-hash is seen
//! through the control API, which names torrents in hexadecimal.

use tests::bttracker::{Bttracker, with_tracker};
use tests::caller::{Answer, Connection};
use tests::query::{Ask, Hash, escaped, scrape_target};

use crate::Case;

pub(crate) const CASES: &[Case] = &[
    Case::new("tracker_takes_a_plus_for_a_plus", takes_a_plus_for_a_plus),
    Case::new("tracker_takes_a_semicolon_for_a_byte", takes_a_semicolon_for_a_byte),
    Case::new("tracker_takes_unescaped_bytes", takes_unescaped_bytes),
    Case::new("tracker_takes_bytes_beyond_ascii_unescaped", takes_bytes_beyond_ascii_unescaped),
    Case::new("tracker_takes_escapes_in_either_case", takes_escapes_in_either_case),
    Case::new("tracker_splits_at_the_first_equals_sign", splits_at_the_first_equals_sign),
    Case::new("tracker_takes_any_twenty_bytes", takes_any_twenty_bytes),
    Case::new("tracker_passes_over_what_is_no_pair", passes_over_what_is_no_pair),
    Case::new("tracker_passes_over_bad_escapes_of_unknown_keys", passes_over_bad_escapes_of_unknown_keys),
    Case::new("tracker_refuses_bad_escapes_of_known_keys", refuses_bad_escapes_of_known_keys),
    Case::new("tracker_refuses_two_info_hashes", refuses_two_info_hashes),
    Case::new("tracker_takes_the_first_of_two", takes_the_first_of_two),
    Case::new("tracker_refuses_an_info_hash_of_another_length", refuses_an_info_hash_of_another_length),
    Case::new("tracker_has_a_hint_for_a_hex_info_hash", has_a_hint_for_a_hex_info_hash),
    Case::new("tracker_refuses_a_long_target_with_414", refuses_a_long_target_with_414),
    Case::new("tracker_refuses_many_pairs", refuses_many_pairs),
    Case::new("tracker_refuses_a_long_head_with_431", refuses_a_long_head_with_431),
    Case::new("tracker_refuses_what_is_no_http", refuses_what_is_no_http),
];

const HASH: Hash = [7; 20];
/// What follows an info-hash in a query that is well.
const REST: &str = "&peer_id=-TT0001-000000001001&port=1001&left=5";

/// Announces with `hash` as it stands in the query.
fn announce_raw(tracker: &Bttracker<'_>, hash: &[u8]) -> Answer {
    let mut connection = Connection::open(tracker.http4());
    let request = [b"GET /announce?info_hash=", hash, REST.as_bytes(), b" HTTP/1.1\r\nHost: t\r\n\r\n"];
    connection.send(&request.concat());
    connection.answer()
}

/// Announces with `written` in the query, which is to be taken for `hash`.
fn assert_taken(name: &str, written: &[u8], hash: Hash) {
    with_tracker(&format!("t-q-{name}"), "", |tracker| {
        announce_raw(tracker, written).well();
        assert_eq!(tracker.peers(hash).len(), 1, "{}", String::from_utf8_lossy(written));
    });
}

fn takes_a_plus_for_a_plus() {
    assert_taken("plus", b"++++++++++++++++++++", [b'+'; 20]);
}

fn takes_a_semicolon_for_a_byte() {
    assert_taken("semicolon", b"a;b;c;d;e;f;g;h;i;j;", *b"a;b;c;d;e;f;g;h;i;j;");
}

fn takes_unescaped_bytes() {
    assert_taken("unescaped", b"+,/;:?@!$'()*[]^{|}`", *b"+,/;:?@!$'()*[]^{|}`");
}

fn takes_bytes_beyond_ascii_unescaped() {
    let hash: Hash = std::array::from_fn(|index| 0x80 + u8::try_from(index * 6).unwrap());
    assert_taken("raw", &hash, hash);
    assert_taken("brackets", b"<><><><><><><><><><>", *b"<><><><><><><><><><>");
}

fn takes_escapes_in_either_case() {
    let hash: Hash = [0xab, 0xcd, 0xef].repeat(7)[..20].try_into().unwrap();
    let mixed: String = ["%aB%Cd%ef"; 6].concat() + "%AB%cd";
    assert_taken("case", mixed.as_bytes(), hash);
}

fn splits_at_the_first_equals_sign() {
    assert_taken("equals", b"====================", [b'='; 20]);
}

fn takes_any_twenty_bytes() {
    with_tracker("t-q-any", "", |tracker| {
        for start in (0..=240).step_by(20) {
            let hash: Hash =
                std::array::from_fn(|index| u8::wrapping_add(start, u8::try_from(index).unwrap()));
            tracker.announce(&Ask::leech(hash, 1001));
            assert_eq!(tracker.peers(hash).len(), 1, "{hash:?}");
        }
    });
}

fn passes_over_what_is_no_pair() {
    with_tracker("t-q-pairs", "", |tracker| {
        for query in ["&&&", "&compact", "&=", "&=x", "&unknown=1&other"] {
            tracker.fetch(&format!("/announce?{query}&{}{query}", Ask::leech(HASH, 1001).query())).well();
        }
    });
}

fn passes_over_bad_escapes_of_unknown_keys() {
    with_tracker("t-q-unknown", "", |tracker| {
        for query in ["&x=%zz", "&x=%", "&x=%4", "&%zz=1", "&x=%%%%"] {
            tracker.announce(&Ask::leech(HASH, 1001).with(query));
        }
    });
}

fn refuses_bad_escapes_of_known_keys() {
    with_tracker("t-q-escapes", "", |tracker| {
        for hash in ["%zzaaaaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaaaa%", "aaaaaaaaaaaaaaaaaaa%4"] {
            let reason = announce_raw(tracker, hash.as_bytes()).failure();
            assert!(reason.contains("info_hash"), "{hash}: {reason}");
        }
    });
}

fn refuses_two_info_hashes() {
    with_tracker("t-q-two", "", |tracker| {
        for second in [HASH, [8; 20]] {
            let ask = Ask::leech(HASH, 1001).with(&format!("&info_hash={}", escaped(&second)));
            let reason = tracker.tell(&ask).failure();
            assert!(reason.contains("info_hash"), "{reason}");
            assert!(tracker.peers(second).is_empty(), "nobody has announced");
        }
    });
}

fn takes_the_first_of_two() {
    with_tracker("t-q-first", "", |tracker| {
        let rest = "&port=2002&left=0&peer_id=-TT0001-999999999999&ip=1.2.3.4&ip=5.6.7.8&ipv6=%3A%3A1&ipv6=x";
        tracker.announce(&Ask::leech(HASH, 1001).with(rest));
        assert_eq!(tracker.peers(HASH), ["127.0.0.1:1001".parse().unwrap()]);
        assert_eq!(tracker.scrape(HASH), (0, 0, 1));
    });
}

fn refuses_an_info_hash_of_another_length() {
    with_tracker("t-q-length", "", |tracker| {
        for length in [0, 1, 19, 21, 33, 64] {
            let reason = announce_raw(tracker, &vec![b'x'; length]).failure();
            assert!(reason.contains("info_hash"), "{length}: {reason}");
            let reason = tracker.fetch(&format!("/scrape?info_hash={}", "x".repeat(length))).failure();
            assert!(reason.contains("info_hash"), "{length}: {reason}");
        }
    });
}

fn has_a_hint_for_a_hex_info_hash() {
    with_tracker("t-q-hex", "", |tracker| {
        let hex = "0123456789abcdefABCDEF0123456789abcdef01";
        let reasons = [
            announce_raw(tracker, hex.as_bytes()).failure(),
            tracker.fetch(&format!("/scrape?info_hash={hex}")).failure(),
        ];
        for reason in reasons {
            assert!(
                reason.contains("info_hash") && reason.contains("20") && reason.contains("hex"),
                "{reason}"
            );
        }
    });
}

fn refuses_a_long_target_with_414() {
    with_tracker("t-q-414", "", |tracker| {
        let target = |length: usize| {
            let start = Ask::leech(HASH, 1001).with("&x=").target();
            start.clone() + &"y".repeat(length - start.len())
        };
        tracker.fetch(&target(8 * 1024 - 1)).well();
        for length in [8 * 1024 + 1, 12_000, 15_000] {
            assert_eq!(tracker.fetch(&target(length)).status, 414, "{length} bytes");
        }
        // Whatever it is, it is answered or ended.
        let mut connection = Connection::open(tracker.http4());
        connection.try_send(b"GET /announce?").and_then(|()| connection.try_send(&vec![b'x'; 300_000])).ok();
        connection.shut();
        connection.rest();
        tracker.announce(&Ask::leech(HASH, 1002));
    });
}

fn refuses_many_pairs() {
    with_tracker("t-q-many", "", |tracker| {
        // Six are there already.
        let ask = |pairs: usize| Ask::leech(HASH, 1001).with(&"&x=1".repeat(pairs - 6));
        tracker.announce(&ask(64));
        for pairs in [65, 200] {
            tracker.tell(&ask(pairs)).failure();
        }
        // A scrape is not meant by that.
        let hashes: Vec<Hash> = (0..100).map(|number| [number; 20]).collect();
        assert_eq!(tracker.fetch(&scrape_target(&hashes)).row([99; 20]), (0, 0, 0));
    });
}

fn refuses_a_long_head_with_431() {
    with_tracker("t-q-431", "", |tracker| {
        let fetch = |length: usize| {
            let header = format!("X-Long: {}\r\n", "y".repeat(length));
            Connection::open(tracker.http4()).get_with("/health", &header)
        };
        assert_eq!(fetch(15_000).status, 200);
        assert_eq!(fetch(17_000).status, 431);
        let many = "X: y\r\n".repeat(3_000);
        assert_eq!(Connection::open(tracker.http4()).get_with("/health", &many).status, 431);
    });
}

fn refuses_what_is_no_http() {
    with_tracker("t-q-garbage", "", |tracker| {
        for garbage in [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(),
            b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0",
            b"hello\r\n\r\n",
            b"GET\r\n\r\n",
            b"GET /announce\r\n\r\n",
            b"GET  /announce HTTP/1.1\r\n\r\n",
            b"GET /announce HTTP/9.9\r\n\r\n",
            b"GET announce HTTP/1.1\r\nHost: t\r\n\r\n",
            b"GET /announce HTTP/1.1\r\nno header\r\n\r\n",
            b"\0\0\0\0\r\n\r\n",
        ] {
            let mut connection = Connection::open(tracker.http4());
            connection.send(garbage);
            connection.shut();
            let answer = String::from_utf8_lossy(&connection.rest()).into_owned();
            let is_refusal =
                answer.is_empty() || answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.0 4");
            assert!(is_refusal || answer.starts_with("HTTP/1.1 505"), "{garbage:?}: {answer}");
        }
        tracker.announce(&Ask::leech(HASH, 1001));
    });
}
