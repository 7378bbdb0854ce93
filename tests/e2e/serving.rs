//! What a well-behaved peer gets: the right greeting, every block, and the metadata.

use sha1::{Digest, Sha1};
use tests::bencode::{Value, dictionary};
use tests::btd::{Seeder, arguments, btd};
use tests::download::Download;
use tests::folders::scratch;
use tests::payload::write_single;
use tests::torrent::{Block, Torrent};
use tests::wire::{Message, Peer, Speaks, frame, id, request};

use crate::Case;
use crate::swarm::Swarm;

pub(crate) const CASES: &[Case] = &[
    Case::new("a_fast_peer_is_told_have_all", a_fast_peer_is_told_have_all),
    Case::new("a_plain_peer_gets_a_full_bitfield", a_plain_peer_gets_a_full_bitfield),
    Case::new("every_kind_of_peer_gets_every_piece", every_kind_of_peer_gets_every_piece),
    Case::new("a_request_while_choked_is_rejected", a_request_while_choked_is_rejected),
    Case::new("blocks_of_any_length_are_served", blocks_of_any_length_are_served),
    Case::new("metadata_is_served", metadata_is_served),
    Case::new("metadata_that_does_not_exist_is_rejected", metadata_that_does_not_exist_is_rejected),
    Case::new("two_torrents_are_served_at_one_port", two_torrents_are_served_at_one_port),
];

const NO_OPTIONS: &[&str] = &[];

/// The first message that says what btd has.
fn first_have(peer: &mut Peer) -> Message {
    peer.expect("what btd has", |message| {
        let says_what = matches!(message.id, Some(id::BITFIELD | id::HAVE_ALL | id::HAVE_NONE | id::HAVE));
        says_what.then(|| message.clone())
    })
}

fn a_fast_peer_is_told_have_all() {
    let swarm = Swarm::start("have-all");
    let mut peer = Peer::greet(swarm.address(), swarm.torrent.info_hash, Speaks::Fast);
    assert_eq!(first_have(&mut peer), Message { id: Some(id::HAVE_ALL), payload: vec![] });
    swarm.seeder.end_well();
}

fn a_plain_peer_gets_a_full_bitfield() {
    let swarm = Swarm::start("bitfield");
    let mut peer = Peer::greet(swarm.address(), swarm.torrent.info_hash, Speaks::Plain);
    let message = first_have(&mut peer);
    assert_eq!(message.id, Some(id::BITFIELD));
    let pieces = swarm.torrent.piece_count();
    assert_ne!(pieces % 8, 0, "the spare bits are worth a look");
    let bits: String = message.payload.iter().map(|byte| format!("{byte:08b}")).collect();
    let (owned, spare) = bits.split_at(usize::try_from(pieces).unwrap());
    assert!(
        owned.bytes().all(|bit| bit == b'1') && spare.bytes().all(|bit| bit == b'0') && spare.len() < 8,
        "{bits}"
    );
    swarm.seeder.end_well();
}

fn every_kind_of_peer_gets_every_piece() {
    let swarm = Swarm::start("kinds");
    for speaks in [Speaks::Plain, Speaks::Fast, Speaks::FastAndExtended] {
        Download::start(swarm.address(), &swarm.torrent, speaks).whole();
    }
    swarm.seeder.end_well();
}

fn a_request_while_choked_is_rejected() {
    let swarm = Swarm::start("choked");
    let mut peer = Peer::greet(swarm.address(), swarm.torrent.info_hash, Speaks::Fast);
    // Nobody is unchoked before saying that it is interested.
    let block = Block { piece: 1, begin: 16_384, length: 16_384 };
    peer.send(&request(block));
    let answer = peer.expect("an answer to the request", |message| message.block().map(|_| message.clone()));
    assert_eq!((answer.id, answer.block()), (Some(id::REJECT), Some(block)));
    swarm.seeder.end_well();
}

fn blocks_of_any_length_are_served() {
    let swarm = Swarm::start("lengths");
    let mut peer = Peer::unchoked(swarm.address(), swarm.torrent.info_hash, Speaks::Plain);
    let payload = std::fs::read(&swarm.payload).unwrap();
    let last = swarm.torrent.piece_count() - 1;
    let end = swarm.torrent.piece_bytes(last);
    for (piece, begin, length) in [
        (0, 0, 1),
        (0, 1, 16_384),
        (1, 4_095, 4_098),
        (2, 0, 65_536),
        (3, 65_535, 1),
        (last, end - 3, 3),
        (4, 100, 131_072),
    ] {
        let block = Block { piece, begin, length };
        if begin + length > swarm.torrent.piece_bytes(piece) {
            panic!("{block:?} is not inside its piece: the test is wrong");
        }
        peer.send(&request(block));
        let data = peer.expect("the block", |message| {
            (message.block() == Some(block)).then(|| message.payload[8..].to_vec())
        });
        let start = u64::from(piece) * u64::from(swarm.torrent.piece_length) + u64::from(begin);
        let start = usize::try_from(start).unwrap();
        assert!(data == payload[start..][..data.len()], "{block:?} has other bytes");
    }
    swarm.seeder.end_well();
}

/// Greets with extended messages; returns the connection, btd's number for `ut_metadata` and the metadata's size.
fn extended(seeder: &Seeder, torrent: &Torrent) -> (Peer, u8, usize) {
    let mut peer = Peer::greet(seeder.address(), torrent.info_hash, Speaks::FastAndExtended);
    let ours = dictionary([("m", dictionary([("ut_metadata", Value::Integer(7))]))]);
    peer.send(&frame(id::EXTENDED, &[&[0], ours.encode().as_slice()].concat()));
    let theirs = peer.expect("an extended handshake", |message| {
        let payload = (message.id == Some(id::EXTENDED)).then_some(message.payload.as_slice())?;
        payload.strip_prefix(&[0]).map(|body| Value::decode(body).0)
    });
    let number = u8::try_from(theirs.get("m").get("ut_metadata").integer()).expect("a message number");
    (peer, number, usize::try_from(theirs.get("metadata_size").integer()).expect("a size"))
}

/// Asks for a piece of the metadata; returns the answer's dictionary and the bytes after it.
fn metadata_piece(peer: &mut Peer, number: u8, piece: i64) -> (Value, Vec<u8>) {
    let ask = dictionary([("msg_type", Value::Integer(0)), ("piece", Value::Integer(piece))]);
    peer.send(&frame(id::EXTENDED, &[&[number], ask.encode().as_slice()].concat()));
    peer.expect("an answer about metadata", |message| {
        let payload = (message.id == Some(id::EXTENDED)).then_some(message.payload.as_slice())?;
        payload.strip_prefix(&[7]).map(Value::decode).map(|(answer, data)| (answer, data.to_vec()))
    })
}

fn metadata_is_served() {
    // Small pieces make metadata of several parts.
    let swarm = Swarm::start_with("metadata", &["--piece-length", "16KiB"]);
    let (mut peer, number, size) = extended(&swarm.seeder, &swarm.torrent);
    assert_eq!(size, swarm.torrent.info_length);
    let parts = size.div_ceil(16_384);
    assert!(parts >= 2, "{size} bytes of metadata are too few to prove anything");
    let mut metadata = Vec::new();
    for part in 0..i64::try_from(parts).unwrap() {
        let (answer, data) = metadata_piece(&mut peer, number, part);
        assert_eq!(answer.get("msg_type").integer(), 1, "{answer:?}");
        assert_eq!(answer.get("piece"), &Value::Integer(part));
        assert_eq!(answer.get("total_size"), &Value::Integer(i64::try_from(size).unwrap()));
        metadata.extend(data);
    }
    assert_eq!(metadata.len(), size);
    assert_eq!(<[u8; 20]>::from(Sha1::digest(&metadata)), swarm.torrent.info_hash);
    swarm.seeder.end_well();
}

fn metadata_that_does_not_exist_is_rejected() {
    let swarm = Swarm::start("no-metadata");
    let (mut peer, number, _) = extended(&swarm.seeder, &swarm.torrent);
    for piece in [1_000, i64::from(i32::MAX)] {
        let (answer, data) = metadata_piece(&mut peer, number, piece);
        assert_eq!((answer.get("msg_type").integer(), data.len()), (2, 0), "{answer:?}");
    }
    // The connection goes on.
    assert_eq!(metadata_piece(&mut peer, number, 0).0.get("msg_type").integer(), 1);
    swarm.seeder.end_well();
}

fn two_torrents_are_served_at_one_port() {
    let scratch = scratch("two");
    let paths = [1, 2].map(|seed| write_single(scratch.path(), &format!("{seed}.bin"), seed, 1_000_000));
    let torrents = paths.each_ref().map(|path| {
        let torrent = path.with_extension("torrent");
        let made = btd(&arguments(&[&"create", path, &"-o", &torrent]));
        assert_eq!(made.code(), Some(0), "{}", made.describe());
        Torrent::read(&torrent)
    });
    let seeder = Seeder::start(&paths.each_ref().map(|path| path.as_path()), NO_OPTIONS);
    for (torrent, announced) in torrents.iter().zip(&seeder.torrents) {
        assert_eq!(torrent.hex(), announced.info_hash);
        Download::start(seeder.address(), torrent, Speaks::Fast).whole();
    }
    seeder.end_well();
}
