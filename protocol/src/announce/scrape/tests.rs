//! Tests of scrapes: as BEP 48 has them, and as anybody may send them.

use proptest::prelude::*;

use super::super::MAX_RESPONSE_LENGTH;
use super::super::response::tests::any_refusal;
use super::*;

fn hashes(bytes: &[u8]) -> Vec<InfoHash> {
    bytes.iter().map(|byte| InfoHash::new([*byte; 20])).collect()
}

/// A query of the torrents whose hashes are that letter, over and over.
fn query(letters: &[u8]) -> Vec<u8> {
    letters.iter().flat_map(|letter| [&b"&info_hash="[..], &[*letter; 20]].concat()).collect()
}

#[test]
fn torrents_are_taken_in_order_and_once() {
    let query = [&query(b"cab")[..], b"&x=%zz&passkey=a%62&passkey=c&lonely", &query(b"\xffa")].concat();
    let parsed = ScrapeQuery::parse(&query).unwrap();
    assert_eq!(parsed.hashes, hashes(b"abc\xff"));
    assert_eq!(parsed.passkey.as_deref(), Some(&b"ab"[..]));
}

#[test]
fn what_is_no_scrape_is_refused_in_words() {
    let error = |query: &[u8]| ScrapeQuery::parse(query).unwrap_err().to_string();
    assert_eq!(error(b""), "full scrape is disabled: name an info_hash");
    assert_eq!(error(b"info_hash"), "full scrape is disabled: name an info_hash");
    assert_eq!(error(b"info_hash="), "info_hash must be 20 bytes, not 0");
    let hex = [&query(b"a")[..], b"&info_hash=", &[b'a'; 40]].concat();
    assert_eq!(error(&hex), "info_hash must be 20 bytes, not 40 (did you send hex?)");
    assert_eq!(error(b"info_hash=%"), "a bad % escape in info_hash");
}

#[test]
fn a_scrape_has_its_limits() {
    let most: Vec<u8> = (100..200).collect();
    let parsed = |query: &[u8]| ScrapeQuery::parse(query).map(|query| query.hashes.len());
    assert_eq!(parsed(&query(&most)), Ok(MAX_SCRAPE_HASHES));
    assert_eq!(parsed(&query(&[most.clone(), vec![100]].concat())), Ok(MAX_SCRAPE_HASHES), "each once");
    let error = ScrapeQuery::parse(&query(&[most, vec![200]].concat())).unwrap_err();
    assert_eq!(error.to_string(), "a scrape is for at most 100 torrents");
    let pairs = |count| parsed(&[query(b"a"), b"&a=b".repeat(count)].concat());
    assert_eq!([pairs(MAX_PAIRS), pairs(MAX_PAIRS + 1)], [Ok(1), Err(QueryError::TooManyPairs)]);
    let bytes = |length| parsed(&[query(b"a"), vec![b'&'; length - query(b"a").len()]].concat());
    assert_eq!([bytes(MAX_QUERY_LENGTH), bytes(MAX_QUERY_LENGTH + 1)], [Ok(1), Err(QueryError::TooLong)]);
}

#[test]
fn an_answer_looks_as_bep_48_prints_it() {
    let entry = ScrapeEntry { seeds: 5, downloaded: 50, leechers: 10, downloaders: Some(4) };
    let files = vec![
        (InfoHash::new([b'a'; 20]), entry),
        (InfoHash::new([b'b'; 20]), ScrapeEntry { downloaders: None, ..entry }),
    ];
    let reply = ScrapeReply::Files { files, min_request_interval: Some(Duration::from_secs(60)) };
    let expected = "d5:filesd20:aaaaaaaaaaaaaaaaaaaad8:completei5e10:downloadedi50e11:downloadersi4e10:incompletei10ee\
                    20:bbbbbbbbbbbbbbbbbbbbd8:completei5e10:downloadedi50e10:incompletei10eee\
                    5:flagsd20:min_request_intervali60eee";
    assert_eq!(String::from_utf8_lossy(&reply.encode()), expected);
    assert_eq!(ScrapeReply::decode(expected.as_bytes()), Ok(reply));
    let none = ScrapeReply::Files { files: vec![], min_request_interval: None };
    assert_eq!(none.encode(), b"d5:filesdee");
    assert_eq!(ScrapeReply::decode(b"de"), Ok(none));
}

#[test]
fn odd_answers_are_read_as_far_as_they_go() {
    let body = b" d5:filesd3:abcd8:completei1ee20:bbbbbbbbbbbbbbbbbbbbd8:completei-1e8:completei2e10:incomplete1:xe\
                 20:aaaaaaaaaaaaaaaaaaaai7e20:aaaaaaaaaaaaaaaaaaaad10:downloadedi3ee20:aaaaaaaaaaaaaaaaaaaadee\
                 5:flagsd20:min_request_interval1:xee trailing";
    let files = vec![
        (InfoHash::new([b'a'; 20]), ScrapeEntry { downloaded: 3, ..ScrapeEntry::default() }),
        (InfoHash::new([b'b'; 20]), ScrapeEntry { seeds: 2, ..ScrapeEntry::default() }),
    ];
    assert_eq!(ScrapeReply::decode(body), Ok(ScrapeReply::Files { files, min_request_interval: None }));
    assert_eq!(ScrapeReply::decode(b"le"), Err(ResponseError::NotADictionary));
    assert!(matches!(ScrapeReply::decode(b"<html>"), Err(ResponseError::Bencode(_))));
    let long = vec![b'd'; MAX_RESPONSE_LENGTH + 1];
    assert_eq!(ScrapeReply::decode(&long), Err(ResponseError::TooLong(MAX_RESPONSE_LENGTH + 1)));
}

#[test]
fn a_flood_of_torrents_is_cut_off() {
    let hash = |n: u32| InfoHash::new([[0; 16].as_slice(), &n.to_be_bytes()].concat().try_into().unwrap());
    let files: Vec<_> = (0..2_000).map(|n| (hash(n), ScrapeEntry::default())).collect();
    let body = ScrapeReply::Files { files: files.clone(), min_request_interval: None }.encode();
    let Ok(ScrapeReply::Files { files: read, .. }) = ScrapeReply::decode(&body) else { panic!("no answer") };
    assert_eq!(read, files[..MAX_FILES]);
}

/// Any numbers of a swarm.
pub(in super::super) fn any_entry() -> impl Strategy<Value = ScrapeEntry> {
    any::<(u32, u32, u32, Option<u32>)>().prop_map(|(seeds, downloaded, leechers, downloaders)| ScrapeEntry {
        seeds,
        downloaded,
        leechers,
        downloaders,
    })
}

prop_compose! {
    fn any_reply()(
        files in prop::collection::btree_map(any::<[u8; 20]>(), any_entry(), 0..10),
        interval: Option<u32>, refusal in prop::option::of(any_refusal()),
    ) -> ScrapeReply {
        let files = files.into_iter().map(|(hash, entry)| (InfoHash::new(hash), entry)).collect();
        let min_request_interval = interval.map(|seconds| Duration::from_secs(seconds.into()));
        refusal.map_or(ScrapeReply::Files { files, min_request_interval }, ScrapeReply::Refusal)
    }
}

proptest! {
    #[test]
    fn encode_then_decode_is_identity(reply in any_reply()) {
        prop_assert_eq!(ScrapeReply::decode(&reply.encode()), Ok(reply));
    }

    #[test]
    fn what_is_asked_is_what_is_read(all in prop::collection::btree_set(any::<[u8; 20]>(), 1..100)) {
        let escape = |hash: &[u8; 20]| percent_encoding::percent_encode(hash, percent_encoding::NON_ALPHANUMERIC).to_string();
        let query: Vec<String> = all.iter().rev().map(|hash| format!("info_hash={}", escape(hash))).collect();
        let query = query.join("&");
        let expected: Vec<InfoHash> = all.into_iter().map(InfoHash::new).collect();
        let read = ScrapeQuery::parse(query.as_bytes()).map(|query| query.hashes);
        prop_assert_eq!(read, if query.len() > MAX_QUERY_LENGTH { Err(QueryError::TooLong) } else { Ok(expected) });
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>, reply in any_reply(), at: prop::sample::Index, byte: u8) {
        let _ = ScrapeQuery::parse(&bytes);
        let _ = ScrapeReply::decode(&bytes);
        for (mut valid, is_reply) in [(reply.encode(), true), (query(b"ab"), false)] {
            let at = at.index(valid.len());
            valid[at] = byte;
            for bytes in [&valid[..], &valid[..at]] {
                if is_reply {
                    let _ = ScrapeReply::decode(bytes);
                } else {
                    let _ = ScrapeQuery::parse(bytes);
                }
            }
        }
    }
}
