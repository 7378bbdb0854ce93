//! Tests of announces over HTTP: as clients send them, and as nobody should.

use proptest::prelude::*;

use super::super::request::tests::any_announce;
use super::*;

const LEAST: &str = "info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=bbbbbbbbbbbbbbbbbbbb&port=1";

/// Reads an announce that has what it must and `more`.
fn with<T>(more: &str, look: impl Fn(AnnounceQuery<'_>) -> T) -> Result<T, QueryError> {
    AnnounceQuery::parse(format!("{LEAST}&{more}").as_bytes()).map(look)
}

fn announce(more: &str) -> Announce {
    with(more, |query| query.announce).unwrap_or_else(|error| panic!("{more}: {error}"))
}

fn refused(query: impl AsRef<[u8]>) -> QueryError {
    AnnounceQuery::parse(query.as_ref()).unwrap_err()
}

#[test]
fn bytes_are_read_as_bytes() {
    let query = b"info_hash=\x00\xff+;%2b%2B%26%3dcccccccccccc&peer_id=%80bbbbbbbbbbbbbbbbb=\xfe&port=65535";
    let parsed = AnnounceQuery::parse(query).unwrap().announce;
    assert_eq!(parsed.info_hash.as_bytes(), b"\x00\xff+;++&=cccccccccccc");
    assert_eq!(parsed.peer_id.as_bytes(), b"\x80bbbbbbbbbbbbbbbbb=\xfe");
    assert_eq!(parsed.port, 65_535);
}

#[test]
fn whoever_says_little_is_a_leecher_that_takes_compact_answers() {
    let query = AnnounceQuery::parse(LEAST.as_bytes()).unwrap();
    let Announce { uploaded, downloaded, left, event, num_want, key, .. } = query.announce;
    assert_eq!((uploaded, downloaded, left), (0, 0, UNKNOWN_LEFT));
    assert_eq!((event, num_want, key), (Event::None, None, None));
    assert!(query.compact && !query.no_peer_id);
    assert_eq!((query.ip, query.passkey), (None, None));
}

#[test]
fn what_means_nothing_is_let_pass() {
    assert_eq!(announce("x=%zz&&&lonely&port&left&=5&;left=0&trackerid=%"), announce(""));
}

#[test]
fn of_what_is_said_twice_the_first_counts() {
    let twice =
        announce("uploaded=5&uploaded=6&event=stopped&event=started&numwant=1&numwant=2&port=0&port=x");
    assert_eq!((twice.uploaded, twice.event, twice.num_want, twice.port), (5, Event::Stopped, Some(1), 1));
    assert_eq!(announce("left=-1&left=0").left, UNKNOWN_LEFT, "although it cannot be read");
    assert_eq!(announce("peer_id=short"), announce(""));
    assert_eq!(announce("key=1&key=%"), announce("key=1"));
    assert_eq!(with("compact=0&compact=1&passkey=a&passkey=b", |query| query.compact), Ok(false));
}

#[test]
fn numbers_that_are_none_make_nobody_a_seed() {
    for left in ["-1", "", "x", "0x0", "+0", " 0", "18446744073709551616", "99999999999999999999999"] {
        assert_eq!(announce(&format!("left={left}")).left, UNKNOWN_LEFT, "{left}");
        assert_eq!(announce(&format!("uploaded={left}&downloaded={left}")), announce(""), "{left}");
    }
    assert_eq!(announce("left=18446744073709551615").left, u64::MAX);
    assert_eq!(announce("left=0").left, 0);
    assert_eq!(announce("left=000").left, 0);
}

#[test]
fn as_many_peers_are_wanted_as_can_be_counted() {
    let wanted = |text: &str| announce(&format!("numwant={text}")).num_want;
    assert_eq!([wanted("0"), wanted("50"), wanted("-1"), wanted("")], [Some(0), Some(50), None, None]);
    assert_eq!([wanted("4294967296"), wanted(&"9".repeat(30))], [Some(u32::MAX); 2]);
}

#[test]
fn only_a_zero_declines_a_compact_answer() {
    let compact = |more: &str| with(more, |query| (query.compact, query.no_peer_id)).unwrap();
    assert_eq!(compact("compact=1&no_peer_id=1"), (true, true));
    assert_eq!(compact("compact=0&no_peer_id=0"), (false, false));
    assert_eq!(compact("compact="), (true, false));
}

#[test]
fn events_that_nobody_knows_are_none() {
    let event = |text| announce(&format!("event={text}")).event;
    assert_eq!([event("started"), event("completed")], [Event::Started, Event::Completed]);
    assert_eq!([event("stopped"), event("paused")], [Event::Stopped, Event::Paused]);
    assert_eq!([event(""), event("Started"), event("empty")], [Event::None; 3]);
}

#[test]
fn an_address_is_one_that_is_written_out() {
    let ip = |more: &str| with(more, |query| query.ip).unwrap();
    assert_eq!(ip("ip=10.0.0.1"), Some([10, 0, 0, 1].into()));
    assert_eq!(ip("ip=2001%3adb8%3A%3A1"), Some("2001:db8::1".parse().unwrap()));
    assert_eq!(ip("ip=localhost&ip=%zz&ip=::1&ip=10.0.0.1"), Some("::1".parse().unwrap()));
    let longest = "1111:2222:3333:4444:5555:6666:255.255.255.255";
    assert_eq!((longest.len(), ip(&format!("ip={longest}"))), (MAX_ADDRESS_LENGTH, longest.parse().ok()));
    for none in ["", "10.0.0.1:80", "[::1]", "1", "t.example", &"1".repeat(99), "ipv4", "\u{e9}"] {
        assert_eq!(ip(&format!("ip={none}&ipv4=10.0.0.1&ipv6=::1")), None, "{none}");
    }
}

#[test]
fn a_passkey_is_unescaped() {
    let passkey = |more: &str| with(more, |query| query.passkey.map(Cow::into_owned));
    assert_eq!(passkey("passkey=a+b&passkey=c"), Ok(Some(b"a+b".to_vec())));
    assert_eq!(passkey("passkey=%61%00"), Ok(Some(b"a\0".to_vec())));
    assert_eq!(passkey("passkey=%6"), Err(QueryError::Escape("passkey")));
}

#[test]
fn what_is_no_announce_is_refused_in_words() {
    let error = |query: &str| refused(query).to_string();
    assert_eq!(error(""), "info_hash is missing");
    let hex = format!("info_hash={}", "a1".repeat(20));
    assert_eq!(error(&hex), "info_hash must be 20 bytes, not 40 (did you send hex?)");
    assert_eq!(error("info_hash=%41"), "info_hash must be 20 bytes, not 1");
    assert_eq!(error("info_hash=%4"), "a bad % escape in info_hash");
    assert_eq!(refused(format!("{LEAST}&info_hash=aaaaaaaaaaaaaaaaaaaa")), QueryError::TwoInfoHashes);
    assert_eq!(refused(LEAST.replace("peer_id", "id")), QueryError::Missing("peer_id"));
    let wrong = QueryError::WrongLength { key: "peer_id", length: 21 };
    assert_eq!(refused(LEAST.replace("peer_id=", "peer_id=b")), wrong);
}

#[test]
fn a_port_is_one_that_can_be_listened_on() {
    assert_eq!(refused(LEAST.replace("&port=1", "")), QueryError::Missing("port"));
    for port in ["0", "65536", "x", "", "+1", "-1", "%31", "18446744073709551617"] {
        let query = LEAST.replace("port=1", &format!("port={port}"));
        assert_eq!(refused(query), QueryError::Port, "{port}");
    }
}

#[test]
fn a_query_has_its_limits() {
    let pairs = |count| with(&"a=b&".repeat(count), |_| ());
    assert_eq!([pairs(MAX_PAIRS - 3), pairs(MAX_PAIRS - 2)], [Ok(()), Err(QueryError::TooManyPairs)]);
    let bytes = |length: usize| with(&"a".repeat(length - LEAST.len() - 1), |_| ());
    assert_eq!([bytes(MAX_QUERY_LENGTH), bytes(MAX_QUERY_LENGTH + 1)], [Ok(()), Err(QueryError::TooLong)]);
}

#[test]
fn keys_of_any_kind_are_told_apart() {
    let key = |text: &str| announce(&format!("key={text}")).key;
    assert_eq!(key("0000BEEF"), Some(0xBEEF));
    assert_ne!(key("%00%01%02%03%04%05%06%07"), key("%00%01%02%03%04%05%06%08"));
    assert_ne!(key("4294967296"), key("4294967297"));
    assert_eq!(with("key=%f", |_| ()), Err(QueryError::Escape("key")));
}

proptest! {
    #[test]
    fn what_btd_asks_is_what_the_tracker_reads(mut announce in any_announce()) {
        let target = announce.http_target("/announce?passkey=1");
        announce.tracker_id = None;
        let passkey = Some(Cow::Borrowed(&b"1"[..]));
        let expected = AnnounceQuery { announce, compact: true, no_peer_id: true, ip: None, passkey };
        prop_assert_eq!(AnnounceQuery::parse(target.split_once('?').unwrap().1.as_bytes()), Ok(expected));
    }

    #[test]
    fn arbitrary_bytes_never_panic(query: Vec<u8>, name in "key|ip|left|port|event|numwant|passkey|peer_id") {
        let _ = AnnounceQuery::parse(&query);
        let _ = AnnounceQuery::parse(&[LEAST.as_bytes(), b"&", name.as_bytes(), b"=", &query].concat());
    }

    #[test]
    fn a_query_with_another_byte_never_panics(announce in any_announce(), at: prop::sample::Index, byte: u8) {
        let mut query = announce.http_target("").into_bytes();
        let at = at.index(query.len());
        query[at] = byte;
        let _ = AnnounceQuery::parse(&query);
        let _ = AnnounceQuery::parse(&query[..at]);
    }
}
