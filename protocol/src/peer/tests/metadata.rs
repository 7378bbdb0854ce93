//! The extension protocol and the metadata that a peer asks for.

use super::*;

/// What our extended handshake says.
fn introduction(link: &mut Link) -> ExtendedHandshake {
    link.receive(&link.handshake(Reserved::ours())).unwrap();
    link.control.drain(..crate::wire::HANDSHAKE_LENGTH);
    let mut ours = None;
    link.heard(|message| {
        if let Message::Extended { id: 0, payload } = message {
            ours = Some(ExtendedHandshake::decode(payload).unwrap());
        }
    });
    ours.unwrap()
}

fn say_metadata_id(link: &mut Link, ut_metadata: Option<u8>) {
    let theirs = ExtendedHandshake { ut_metadata, ..ExtendedHandshake::default() }.encode();
    link.say(Message::Extended { id: 0, payload: &theirs }).unwrap();
}

fn request_metadata(link: &mut Link, piece: u32) {
    let request = MetadataMessage::Request { piece }.encode();
    link.say(Message::Extended { id: 1, payload: &request }).unwrap();
}

/// The pieces of metadata that were sent under `wanted_id`, in order, and those that were rejected.
fn metadata_answers(link: &mut Link, wanted_id: u8) -> (Vec<u8>, Vec<u32>) {
    let (mut raw, mut rejected) = (Vec::new(), Vec::new());
    let length = link.torrent.info.raw().len();
    link.heard(|message| {
        let Message::Extended { id, payload } = message else { panic!("{message:?}") };
        assert_eq!(id, wanted_id);
        match MetadataMessage::decode(payload).unwrap() {
            MetadataMessage::Data { piece, total_size, data } => {
                assert_eq!(
                    (piece as usize * METADATA_PIECE_LENGTH, total_size as usize),
                    (raw.len(), length)
                );
                raw.extend_from_slice(data);
            }
            MetadataMessage::Reject { piece } => rejected.push(piece),
            other => panic!("{other:?}"),
        }
    });
    (raw, rejected)
}

#[test]
fn our_extended_handshake_says_what_we_have() {
    let mut link = Link::new(&[0, 1, 2]);
    let ours = introduction(&mut link);
    assert_eq!(ours.metadata_size.map(|size| size as usize), Some(link.torrent.info.raw().len()));
    assert_eq!(ours.request_queue.map(|count| count as usize), Some(MAX_QUEUED_REQUESTS));
    assert_eq!(ours.ut_metadata, Some(1));
    assert!(ours.is_upload_only);
    assert!(!introduction(&mut Link::new(&[0])).is_upload_only, "a part may grow");
}

/// anacrolix and rqbit ask for all of it at once, and never again for what is rejected.
#[test]
fn metadata_of_any_length_is_given_to_who_asks_for_all_of_it_at_once() {
    let mut link = Link::with(torrent_of(1 << 20, &[0]));
    introduction(&mut link);
    say_metadata_id(&mut link, Some(42));
    let pieces = u32::try_from(link.torrent.info.raw().len().div_ceil(METADATA_PIECE_LENGTH)).unwrap();
    assert!(pieces > 100);
    let mut bytes = Vec::new();
    for piece in (0..pieces).chain([0, pieces, u32::MAX]) {
        let request = MetadataMessage::Request { piece }.encode();
        Message::Extended { id: 1, payload: &request }.encode(&mut bytes);
    }
    link.receive(&bytes).unwrap();
    let (raw, rejected) = metadata_answers(&mut link, 42);
    assert_eq!(raw, link.torrent.info.raw()[..]);
    assert_eq!(rejected, [pieces, u32::MAX]);
}

#[test]
fn metadata_waits_for_the_id_under_which_it_is_wanted_and_the_id_stays() {
    let mut link = Link::new(&[0]);
    introduction(&mut link);
    request_metadata(&mut link, 0);
    assert!(link.texts().is_empty());
    say_metadata_id(&mut link, Some(42));
    assert_eq!(metadata_answers(&mut link, 42).0, link.torrent.info.raw()[..]);
    say_metadata_id(&mut link, None);
    request_metadata(&mut link, 0);
    assert_eq!(
        metadata_answers(&mut link, 42).0,
        link.torrent.info.raw()[..],
        "not mentioned is not changed"
    );
    say_metadata_id(&mut link, Some(0));
    request_metadata(&mut link, 0);
    assert!(link.texts().is_empty(), "switched off");
}

#[test]
fn a_peer_that_does_not_speak_extensions_gets_no_extended_handshake() {
    let mut link = Link::new(&[0]);
    link.receive(&link.handshake(plain())).unwrap();
    link.control.drain(..crate::wire::HANDSHAKE_LENGTH);
    link.heard(|message| assert!(!matches!(message, Message::Extended { .. })));
}
