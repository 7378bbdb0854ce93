//! Tests of the packets: as BEP 15 and BEP 41 lay them out, and as anybody may send them.

use proptest::prelude::*;

use super::request::{ANNOUNCE_LENGTH, MAX_TARGET_LENGTH, read_target};
use super::*;
use crate::announce::request::tests::any_announce;
use crate::announce::response::tests::any_peers;
use crate::announce::scrape::tests::any_entry;
use crate::announce::{Announce, Answer, Event, Family, ScrapeEntry};
use crate::id::{InfoHash, PeerId};

fn announce() -> Announce {
    Announce {
        info_hash: InfoHash::new([0xAA; 20]),
        peer_id: PeerId::new([0xBB; 20]),
        port: 0x1AE1,
        uploaded: 3,
        downloaded: 1,
        left: 2,
        event: Event::Started,
        num_want: None,
        key: Some(0xC0FF_EE00),
        tracker_id: None,
    }
}

#[test]
fn packets_look_as_bep_15_prints_them() {
    let connect = UdpRequest::Connect { transaction: 0x0102_0304 }.encode();
    assert_eq!(connect, [0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, 1, 2, 3, 4]);
    let request =
        UdpRequest::Announce { connection: 9, transaction: 8, announce: announce(), target: vec![] };
    let mut expected = vec![0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 8];
    expected.extend([0xAA; 20]);
    expected.extend([0xBB; 20]);
    for number in [1_u64, 2, 3] {
        expected.extend(number.to_be_bytes());
    }
    expected.extend([0, 0, 0, 2, 0, 0, 0, 0, 0xC0, 0xFF, 0xEE, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0x1A, 0xE1]);
    assert_eq!(request.encode(), expected);
    assert_eq!(expected.len(), ANNOUNCE_LENGTH);
    let answer = b"\0\0\0\x01\0\0\0\x08\0\0\x07\x08\0\0\0\x05\0\0\0\x06\x0a\0\0\x01\x1a\xe1\x0a";
    let UdpResponse::Announce { transaction: 8, answer } = UdpResponse::decode(answer, Family::V4).unwrap()
    else {
        panic!("no answer");
    };
    assert_eq!(
        (answer.interval, answer.leechers, answer.seeds),
        (Some(Duration::from_secs(1800)), Some(5), Some(6))
    );
    assert_eq!(answer.peers, ["10.0.0.1:6881".parse().unwrap()]);
}

#[test]
fn a_long_path_travels_in_several_options() {
    let target = vec![b'p'; 300];
    let request = UdpRequest::Announce { connection: 0, transaction: 0, announce: announce(), target };
    let bytes = request.encode();
    assert_eq!(bytes[98..100], [2, 255]);
    assert_eq!(bytes[98 + 257..98 + 259], [2, 45]);
    assert_eq!(UdpRequest::decode(&bytes), Ok(request));
}

#[test]
fn options_are_read_up_to_their_end_and_unknown_ones_skipped() {
    assert_eq!(read_target(b"\x01\x07\x02xx\x02\x02/a\x01\x02\x01?\x00\x02\x01!"), b"/a?");
    assert_eq!(read_target(b"\x02\x03/a"), b"", "cut off");
    assert_eq!(read_target(b"\x02\x01/\x09"), b"/");
    assert!(
        read_target(&b"\x02\x80".iter().chain(&[b'x'; 128]).copied().cycle().take(9_000).collect::<Vec<_>>())
            .len()
            <= MAX_TARGET_LENGTH
    );
}

#[test]
fn what_is_no_packet_is_refused() {
    let connect = UdpRequest::Connect { transaction: 1 }.encode();
    assert_eq!(UdpRequest::decode(&connect[..15]), Err(UdpError::TooShort(15)));
    let mut other = connect.clone();
    other[7] = 0;
    assert_eq!(UdpRequest::decode(&other), Err(UdpError::WrongProtocol));
    other[11] = 4;
    assert_eq!(UdpRequest::decode(&other), Err(UdpError::UnknownAction(4)));
    let mut deaf =
        UdpRequest::Announce { connection: 0, transaction: 0, announce: announce(), target: vec![] }.encode();
    deaf[96..].fill(0);
    assert_eq!(UdpRequest::decode(&deaf), Err(UdpError::Port));
    assert_eq!(UdpResponse::decode(&[0; 15], Family::V4), Err(UdpError::TooShort(15)));
    assert_eq!(UdpResponse::decode(&[0, 0, 0, 4, 0, 0, 0, 0], Family::V4), Err(UdpError::UnknownAction(4)));
}

#[test]
fn whoever_sends_a_wrong_body_can_be_told() {
    let announce = announce();
    let request = UdpRequest::Announce { connection: 9, transaction: 8, announce, target: vec![] };
    let bytes = request.encode();
    let header = UdpHeader { connection: 9, action: ACTION_ANNOUNCE, transaction: 8 };
    assert_eq!(UdpRequest::decode(&bytes[..97]), Err(UdpError::TooShort(97)));
    assert_eq!(UdpHeader::decode(&bytes[..97]), Some(header));
    assert_eq!(UdpHeader::decode(&bytes[..15]), None);
}

#[test]
fn paused_is_read_as_others_write_it_and_written_as_none() {
    let event = |request: &[u8]| match UdpRequest::decode(request) {
        Ok(UdpRequest::Announce { announce, .. }) => announce.event,
        other => panic!("{other:?}"),
    };
    let announce = Announce { event: Event::Paused, ..announce() };
    let mut bytes = UdpRequest::Announce { connection: 0, transaction: 0, announce, target: vec![] }.encode();
    assert_eq!(event(&bytes), Event::None);
    let mut read = |number| {
        bytes[83] = number;
        event(&bytes)
    };
    assert_eq!([read(1), read(2), read(3)], [Event::Completed, Event::Started, Event::Stopped]);
    assert_eq!([read(4), read(5)], [Event::Paused, Event::None]);
}

#[test]
fn a_scrape_looks_as_bep_15_prints_it() {
    let hashes = vec![InfoHash::new([0xAA; 20]), InfoHash::new([0xBB; 20])];
    let request = UdpRequest::Scrape { connection: 9, transaction: 8, hashes };
    let bytes = [b"\0\0\0\0\0\0\0\x09\0\0\0\x02\0\0\0\x08", [0xAA; 20].as_slice(), &[0xBB; 20]].concat();
    assert_eq!(request.encode(), bytes);
    assert_eq!(UdpRequest::decode(&[&bytes[..], &[0xCC; 19]].concat()), Ok(request), "a tail is ignored");
    assert_eq!(UdpRequest::decode(&bytes[..35]), Err(UdpError::TooShort(35)));
    let entry = ScrapeEntry { seeds: 1, downloaded: 2, leechers: 3, downloaders: None };
    let response = UdpResponse::Scrape { transaction: 8, entries: vec![entry] };
    let bytes = b"\0\0\0\x02\0\0\0\x08\0\0\0\x01\0\0\0\x02\0\0\0\x03";
    assert_eq!(response.encode(Family::V4), bytes);
    let longer = [&bytes[..], &[0; 11]].concat();
    assert_eq!(UdpResponse::decode(&longer, Family::V4), Ok(response), "a tail is ignored");
}

#[test]
fn a_flood_of_scrapes_is_cut_off() {
    let hashes = |count| (0..count).map(|n: u8| InfoHash::new([n; 20])).collect();
    let scrape = |hashes| UdpRequest::Scrape { connection: 0, transaction: 0, hashes };
    assert_eq!(scrape(hashes(100)).encode().len(), 16 + 74 * 20);
    let mut bytes = scrape(hashes(74)).encode();
    bytes.extend([7; 40]);
    assert_eq!(UdpRequest::decode(&bytes), Ok(scrape(hashes(74))));
    let response = UdpResponse::Scrape { transaction: 0, entries: vec![ScrapeEntry::default(); 75] };
    let Ok(UdpResponse::Scrape { entries, .. }) =
        UdpResponse::decode(&response.encode(Family::V4), Family::V4)
    else {
        panic!("no answer");
    };
    assert_eq!(entries.len(), MAX_UDP_SCRAPE_HASHES);
}

#[test]
fn waiting_doubles_and_ends() {
    let base = Duration::from_secs(15);
    let waits: Vec<u64> = (0..).map_while(|n| retry_delay(base, n)).map(|wait| wait.as_secs()).collect();
    assert_eq!(waits, [15, 30, 60, 120, 240, 480, 960, 1920, 3840]);
}

proptest! {
    #[test]
    fn a_request_survives_the_way(
        connection: u64, transaction: u32, mut announce in any_announce(),
        target in prop::collection::vec(any::<u8>(), 0..600),
        hashes in prop::collection::vec(any::<[u8; 20]>().prop_map(InfoHash::new), 1..=74),
    ) {
        announce.tracker_id = None;
        if announce.event == Event::Paused {
            announce.event = Event::None;
        }
        announce.key = announce.key.or(Some(0));
        for request in [
            UdpRequest::Connect { transaction },
            UdpRequest::Announce { connection, transaction, announce: announce.clone(), target },
            UdpRequest::Scrape { connection, transaction, hashes },
        ] {
            prop_assert_eq!(UdpRequest::decode(&request.encode()), Ok(request));
        }
    }

    #[test]
    fn a_response_survives_the_way(
        transaction: u32, connection: u64, message in "[ -~]{0,50}", numbers: [u32; 3],
        v4 in any_peers(Family::V4), v6 in any_peers(Family::V6),
        mut entries in prop::collection::vec(any_entry(), 0..=74),
    ) {
        entries.iter_mut().for_each(|entry| entry.downloaders = None);
        for (family, peers) in [(Family::V4, v4), (Family::V6, v6)] {
            let answer = Answer {
                interval: Some(Duration::from_secs(numbers[0].into())),
                leechers: Some(numbers[1]), seeds: Some(numbers[2]), peers, ..Answer::default()
            };
            for response in [
                UdpResponse::Connect { transaction, connection },
                UdpResponse::Announce { transaction, answer },
                UdpResponse::Scrape { transaction, entries: entries.clone() },
                UdpResponse::Error { transaction, message: message.clone() },
            ] {
                prop_assert_eq!(UdpResponse::decode(&response.encode(family), family), Ok(response));
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>, action in 0..5_u8, at: prop::sample::Index, byte: u8) {
        for family in Family::ALL {
            let _ = UdpResponse::decode(&[&[0, 0, 0, action], bytes.as_slice()].concat(), family);
        }
        let _ = UdpRequest::decode(&bytes);
        let announce = UdpRequest::Announce { connection: 0, transaction: 0, announce: announce(), target: vec![b'/'] };
        let mut request = [announce.encode(), bytes].concat();
        let at = at.index(request.len());
        request[at] = byte;
        let _ = UdpRequest::decode(&request);
        let _ = UdpRequest::decode(&request[..at]);
    }
}
