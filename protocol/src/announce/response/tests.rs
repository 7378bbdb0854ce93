//! Tests of answers: as real trackers write them, and as hostile ones do.

use proptest::prelude::*;

use super::*;

fn answer(body: &[u8]) -> Answer {
    match Reply::decode(body) {
        Ok(Reply::Answer(answer)) => answer,
        other => panic!("{}: {other:?}", body.escape_ascii()),
    }
}

fn refusal(body: &[u8]) -> Refusal {
    match Reply::decode(body) {
        Ok(Reply::Refusal(refusal)) => refusal,
        other => panic!("{}: {other:?}", body.escape_ascii()),
    }
}

fn peers(texts: &[&str]) -> Vec<SocketAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn a_compact_answer_of_both_families_is_read() {
    let mut body = b"d8:completei5e10:downloadedi9e11:external ip4:\x01\x02\x03\x0410:incompletei7e\
                     8:intervali1800e12:min intervali900e5:peers12:\x0a\0\0\x01\x1a\xe1\x0a\0\0\x02\x1a\xe16:peers618:"
        .to_vec();
    body.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 80]);
    body.extend(b"10:tracker id2:xy15:warning message5:hallo?");
    body.extend(b"e\r\n");
    assert!(Reply::decode(&body).is_err(), "a stray byte where a key should be");
    let body: Vec<u8> = body.iter().copied().filter(|byte| *byte != b'?').collect();
    let answer = answer(&body);
    assert_eq!((answer.seeds, answer.leechers, answer.downloaded), (Some(5), Some(7), Some(9)));
    assert_eq!(answer.interval, Some(Duration::from_secs(1800)));
    assert_eq!(answer.min_interval, Some(Duration::from_secs(900)));
    assert_eq!(answer.external_ip, Some([1, 2, 3, 4].into()));
    assert_eq!((answer.tracker_id, answer.warning), (Some(b"xy".to_vec()), Some("hallo".to_owned())));
    assert_eq!(answer.peers, peers(&["10.0.0.1:6881", "10.0.0.2:6881", "[2001:db8::1]:80"]));
}

#[test]
fn a_list_of_dictionaries_is_read_and_names_are_not_looked_up() {
    let body =
        b"\n d5:peersld2:ip8:10.0.0.17:peer id2:xx4:porti1eed2:ip9:localhost4:porti2eed2:ip3:::14:porti3ee\
                 d2:ip8:10.0.0.1ed4:porti4eed2:ip8:10.0.0.24:porti65536ee3:odded2:ip8:10.0.0.34:porti5eeee";
    assert!(Reply::decode(body).is_err());
    let body =
        b"\n d5:peersld2:ip8:10.0.0.17:peer id2:xx4:porti1eed2:ip9:localhost4:porti2eed2:ip3:::14:porti3ee\
                 d2:ip8:10.0.0.1ed4:porti4eed2:ip8:10.0.0.24:porti65536ee3:oddd2:ip8:10.0.0.34:porti5eeee";
    assert_eq!(answer(body).peers, peers(&["10.0.0.1:1", "[::1]:3", "10.0.0.3:5"]));
}

#[test]
fn peers_that_nobody_can_be_are_left_out() {
    let body = b"d5:peers37:\x0a\0\0\x01\0\x01\x0a\0\0\x01\0\x01\x0a\0\0\x01\0\0\0\0\0\0\0\x01\xff\xff\xff\xff\0\x01\
                 \xe0\0\0\x01\0\x01\x0a6:peers618:\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\x02\0\x01e";
    assert_eq!(answer(body).peers, peers(&["10.0.0.1:1", "10.0.0.2:1"]), "each once, mapped ones as IPv4");
}

#[test]
fn a_flood_of_peers_is_cut_off() {
    let many: Vec<SocketAddr> =
        (0..3_000_u32).map(|n| SocketAddr::new((0x0a00_0000 + n).to_be_bytes().into(), 1)).collect();
    for form in [PeerForm::Compact, PeerForm::List] {
        let body = Reply::Answer(Answer { peers: many.clone(), ..Answer::default() }).encode(form);
        assert_eq!(answer(&body).peers, many[..MAX_PEERS]);
    }
}

#[test]
fn a_refusal_says_why_and_until_when() {
    let never = refusal(b"d14:failure reason12:unregistered8:retry in5:nevere");
    assert_eq!((never.reason.as_str(), never.retry_in), ("unregistered", Some(RetryIn::Never)));
    let later = refusal(b"d14:failure reason4:a\x1b\xffb8:intervali60e8:retry ini5ee");
    assert_eq!(later.reason, "a \u{fffd}b");
    assert_eq!(later.retry_in, Some(RetryIn::After(Duration::from_secs(300))));
    assert_eq!(later.interval, Some(Duration::from_secs(60)));
    assert_eq!(refusal(b"d14:failure reason0:8:retry in3:abce").retry_in, None);
    assert_eq!(
        refusal(&[b"d14:failure reason9999:", [b'x'; 9999].as_slice(), b"e"].concat()).reason.len(),
        512
    );
}

#[test]
fn odd_values_are_left_out_and_the_rest_is_kept() {
    let body = b"d8:completei-1e8:completei3e11:external ip3:abc8:intervali99999999999999999999e\
                 12:min intervali-5e5:peersi7e6:peers6le10:tracker id0:e";
    assert_eq!(answer(body), Answer { seeds: Some(3), ..Answer::default() });
    assert_eq!(answer(b"de"), Answer::default());
}

#[test]
fn a_web_page_is_no_answer() {
    assert!(matches!(Reply::decode(b"<html>"), Err(ResponseError::Bencode(_))));
    assert!(matches!(Reply::decode(b""), Err(ResponseError::Bencode(_))));
    assert_eq!(Reply::decode(b"le"), Err(ResponseError::NotADictionary));
    assert!(matches!(Reply::decode(&vec![b'd'; MAX_RESPONSE_LENGTH + 1]), Err(ResponseError::TooLong(_))));
}

#[test]
fn answers_are_written_with_their_keys_in_order() {
    let body = Reply::Answer(Answer::default()).encode(PeerForm::Compact);
    assert_eq!(body, b"d5:peers0:e", "peers are always there");
    let full = Answer {
        interval: Some(Duration::from_secs(1800)),
        min_interval: Some(Duration::from_secs(900)),
        tracker_id: Some(b"t".to_vec()),
        seeds: Some(1),
        leechers: Some(2),
        downloaded: Some(3),
        external_ip: Some([1, 1, 1, 1].into()),
        warning: Some("w".to_owned()),
        peers: peers(&["1.1.1.1:257", "[::2]:258"]),
    };
    let body = Reply::Answer(full).encode(PeerForm::List);
    let expected = "d8:completei1e10:downloadedi3e11:external ip4:\x01\x01\x01\x0110:incompletei2e8:intervali1800e\
                    12:min intervali900e5:peersld2:ip7:1.1.1.14:porti257eed2:ip3:::24:porti258eee10:tracker id1:t\
                    15:warning message1:we";
    assert_eq!(body.escape_ascii().to_string(), expected.as_bytes().escape_ascii().to_string());
}

fn any_interval() -> impl Strategy<Value = Option<Duration>> {
    prop::option::of(any::<u32>().prop_map(|seconds| Duration::from_secs(seconds.into())))
}

/// Peers of `family` that can be dialled, each once.
pub(in super::super) fn any_peers(family: Family) -> impl Strategy<Value = Vec<SocketAddr>> {
    prop::collection::hash_set((1..0xdf_ffff_u32, 1..=u16::MAX), 0..20).prop_map(move |peers| {
        let address = |number: u32| match family {
            Family::V4 => IpAddr::from((number << 8 | 1).to_be_bytes()),
            Family::V6 => IpAddr::from((0x2001_u128 << 112 | u128::from(number)).to_be_bytes()),
        };
        peers.into_iter().map(|(number, port)| SocketAddr::new(address(number), port)).collect()
    })
}

prop_compose! {
    fn any_answer()(
        (interval, min_interval) in (any_interval(), any_interval()),
        tracker_id in prop::option::of(prop::collection::vec(any::<u8>(), 1..20)),
        seeds: Option<u32>, leechers: Option<u32>, downloaded: Option<u32>, external_ip: Option<IpAddr>,
        warning in prop::option::of("[ -~]{0,40}"),
        (v4, v6) in (any_peers(Family::V4), any_peers(Family::V6)),
    ) -> Answer {
        let peers = [v4, v6].concat();
        Answer { interval, min_interval, tracker_id, seeds, leechers, downloaded, external_ip, warning, peers }
    }
}

prop_compose! {
    pub(in super::super) fn any_refusal()(
        reason in "[ -~]{0,40}", interval in any_interval(), min_interval in any_interval(),
        retry_in in prop::option::of(prop::option::of(0..1_000_u64)),
    ) -> Refusal {
        let retry_in = retry_in.map(|minutes| match minutes {
            Some(minutes) => RetryIn::After(Duration::from_secs(minutes * 60)),
            None => RetryIn::Never,
        });
        Refusal { reason, interval, min_interval, retry_in }
    }
}

proptest! {
    #[test]
    fn encode_then_decode_is_identity(answer in any_answer(), refusal in any_refusal()) {
        for reply in [Reply::Answer(answer), Reply::Refusal(refusal)] {
            for form in [PeerForm::Compact, PeerForm::List] {
                prop_assert_eq!(Reply::decode(&reply.encode(form)), Ok(reply.clone()));
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>, answer in any_answer(), at: prop::sample::Index, byte: u8) {
        let _ = Reply::decode(&bytes);
        let mut body = Reply::Answer(answer).encode(PeerForm::List);
        let at = at.index(body.len());
        body[at] = byte;
        let _ = Reply::decode(&body);
        let _ = Reply::decode(&body[..at]);
    }
}
