//! The machine against a peer made of bytes: every rule of the connection, on a clock that the test turns.

mod fetching;
mod metadata;
mod timeouts;

use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::bitfield::HaveBits;
use crate::geometry::{BLOCK_LENGTH, Block};
use crate::id::{InfoHash, PeerId};
use crate::meta::{NewTorrent, Payload};
use crate::wire::{
    Decoder, ExtendedHandshake, Handshake, METADATA_PIECE_LENGTH, Message, MetadataMessage, Reserved,
};

const PIECE_LENGTH: u32 = 2 * BLOCK_LENGTH;
const OUR_ID: PeerId = PeerId::new(*b"-BD0100-ourselves___");
const OURS: Identity = Identity { peer_id: OUR_ID, listen_port: Some(6_881) };
const THEIR_ID: PeerId = PeerId::new(*b"-XX0100-somebodyelse");

/// A torrent of three pieces, of which `have` are here.
fn torrent(have: &[u32]) -> TorrentView {
    torrent_of(3, have)
}

fn torrent_of(piece_count: u32, have: &[u32]) -> TorrentView {
    let payload = Payload::File { length: u64::from(piece_count) * u64::from(PIECE_LENGTH) };
    let torrent = NewTorrent::new("payload", payload, PIECE_LENGTH, vec![7; piece_count as usize * 20]);
    let (metainfo, _) = torrent.build().unwrap();
    let bits = HaveBits::new(piece_count);
    have.iter().for_each(|piece| bits.set(*piece));
    TorrentView { info: metainfo.info, have: Arc::new(bits) }
}

/// The machine, the torrent it serves, and what it has said.
struct Link {
    machine: Machine,
    torrent: TorrentView,
    now: Instant,
    control: Vec<u8>,
    served: Vec<Block>,
    events: Vec<Event>,
}

impl Link {
    fn new(have: &[u32]) -> Self {
        Self::with(torrent(have))
    }

    fn with(torrent: TorrentView) -> Self {
        let now = Instant::now();
        let machine = Machine::accepted(OURS, now);
        Self { machine, torrent, now, control: Vec::new(), served: Vec::new(), events: Vec::new() }
    }

    /// A link past its handshakes and the peer's interest, with our first words forgotten.
    fn unchoked(have: &[u32], reserved: Reserved) -> Self {
        let mut link = Self::new(have);
        link.receive(&link.handshake(reserved)).unwrap();
        link.say(Message::Interested).unwrap();
        link.control.clear();
        link
    }

    fn handshake(&self, reserved: Reserved) -> Vec<u8> {
        let info_hash = self.torrent.info.info_hash();
        Handshake { reserved, info_hash, peer_id: THEIR_ID }.encode().to_vec()
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<(), PeerError> {
        self.machine.handle_input(Input::Received(bytes), self.now)?;
        self.drain()
    }

    fn say(&mut self, message: Message<'_>) -> Result<(), PeerError> {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        self.receive(&bytes)
    }

    /// Does what the machine wants, as a worker whose socket takes everything, and as a swarm that unchokes whoever
    /// is interested.
    fn drain(&mut self) -> Result<(), PeerError> {
        loop {
            let events = self.machine.take_events();
            if events.contains(&Event::Interested(true)) {
                self.machine.handle_input(Input::Order(Order::Choke(false)), self.now)?;
            }
            self.events.extend(events);
            let Some(output) = self.machine.poll_output(self.now) else { break };
            match output {
                Output::Find(info_hash) => {
                    let found = match info_hash == self.torrent.info.info_hash() {
                        true => Found::Torrent(self.torrent.clone()),
                        false => Found::Nothing,
                    };
                    self.machine.handle_input(Input::Found(found), self.now)?;
                }
                Output::Control(bytes) => self.control.extend(bytes),
                Output::Serve(block) => self.served.push(block),
            }
        }
        self.machine.handle_input(Input::Sent { is_all: true }, self.now)
    }

    fn pass(&mut self, time: Duration) -> Result<(), PeerError> {
        self.now += time;
        self.machine.handle_input(Input::Tick, self.now)?;
        self.drain()
    }

    /// Hands `check` each message that the machine has said since the last time, after its handshake.
    fn heard(&mut self, mut check: impl FnMut(Message<'_>)) {
        let control = std::mem::take(&mut self.control);
        let mut input = &control[..];
        let mut decoder = Decoder::new(self.torrent.have.piece_count(), BLOCK_LENGTH);
        while let Some(message) = decoder.next(&mut input).unwrap() {
            check(message);
        }
    }

    fn texts(&mut self) -> Vec<String> {
        let mut texts = Vec::new();
        self.heard(|message| texts.push(format!("{message:?}")));
        texts
    }
}

fn block(piece: u32, begin: u32) -> Block {
    Block { piece, begin, length: BLOCK_LENGTH }
}

fn plain() -> Reserved {
    Reserved::default()
}

#[test]
fn the_handshake_is_answered_however_it_is_split_and_what_follows_it_is_heard() {
    let mut bytes = Link::new(&[0]).handshake(plain());
    Message::Interested.encode(&mut bytes);
    for cut in 0..=bytes.len() {
        let mut link = Link::new(&[0]);
        link.receive(&bytes[..cut]).unwrap();
        link.receive(&bytes[cut..]).unwrap();
        let answer = Handshake::decode(&link.control).unwrap().unwrap();
        assert_eq!(answer.peer_id, OUR_ID);
        assert_eq!(answer.info_hash, link.torrent.info.info_hash());
        link.control.drain(..crate::wire::HANDSHAKE_LENGTH);
        assert_eq!(link.texts(), ["Bitfield([128])", "Unchoke"], "cut at {cut}");
    }
}

#[test]
fn what_we_have_is_said_in_the_shortest_way_that_the_peer_knows() {
    let said = |have: &[u32], reserved| {
        let mut link = Link::new(have);
        link.receive(&link.handshake(reserved)).unwrap();
        link.control.drain(..crate::wire::HANDSHAKE_LENGTH);
        link.texts()
    };
    let mut fast = Reserved::ours();
    fast.0[5] = 0;
    assert_eq!(said(&[0, 1, 2], fast), ["HaveAll"]);
    assert_eq!(said(&[], fast), ["HaveNone"]);
    assert_eq!(said(&[0, 2], fast), ["Bitfield([160])"]);
    assert_eq!(said(&[0, 1, 2], plain()), ["Bitfield([224])"]);
    assert!(said(&[], plain()).is_empty());
}

#[test]
fn garbage_strangers_and_ourselves_are_refused() {
    assert!(matches!(Link::new(&[]).receive(b"GET / HTTP/1.1"), Err(PeerError::Handshake(_))));
    let handshake = |info_hash, peer_id| Handshake { reserved: plain(), info_hash, peer_id }.encode();
    let stranger = InfoHash::new([1; 20]);
    let error = Link::new(&[]).receive(&handshake(stranger, THEIR_ID)).unwrap_err();
    assert_eq!(error, PeerError::UnknownTorrent(stranger));
    let ours = handshake(torrent(&[]).info.info_hash(), OUR_ID);
    assert_eq!(Link::new(&[]).receive(&ours), Err(PeerError::Ourselves));
}

#[test]
fn nothing_is_read_while_the_torrent_is_looked_up() {
    let mut link = Link::new(&[0]);
    let mut bytes = link.handshake(plain());
    Message::Interested.encode(&mut bytes);
    assert!(link.machine.wants_input());
    link.machine.handle_input(Input::Received(&bytes), link.now).unwrap();
    assert!(!link.machine.wants_input());
    link.drain().unwrap();
    assert!(link.machine.wants_input());
}

#[test]
fn requests_are_served_in_order_and_interest_unchokes_once() {
    let mut link = Link::new(&[0, 1, 2]);
    link.receive(&link.handshake(plain())).unwrap();
    link.control.clear();
    link.say(Message::Interested).unwrap();
    link.say(Message::Interested).unwrap();
    assert_eq!(link.texts(), ["Unchoke"]);
    let asked = [block(2, BLOCK_LENGTH), block(0, 0), block(0, 0)];
    asked.iter().for_each(|block| link.say(Message::Request(*block)).unwrap());
    assert_eq!(link.served, asked);
}

#[test]
fn a_request_that_no_torrent_of_this_shape_has_ends_the_connection() {
    for reserved in [plain(), Reserved::ours()] {
        for bad in [block(3, 0), block(0, BLOCK_LENGTH + 1), Block { length: 0, ..block(0, 0) }] {
            let error = Link::unchoked(&[0, 1, 2], reserved).say(Message::Request(bad)).unwrap_err();
            assert!(matches!(error, PeerError::OutOfBounds { .. }), "{error}");
        }
    }
}

#[test]
fn a_request_that_may_not_be_answered_is_rejected_or_ends_the_connection() {
    let mut fast = Link::unchoked(&[0], Reserved::ours());
    fast.say(Message::Request(block(1, 0))).unwrap();
    assert_eq!(fast.texts(), [format!("{:?}", Message::Reject(block(1, 0)))], "a piece we lack");
    let error = Link::unchoked(&[0], plain()).say(Message::Request(block(1, 0))).unwrap_err();
    assert_eq!(error, PeerError::PieceNotHere(1));

    let choked = |reserved| {
        let mut link = Link::new(&[0]);
        link.receive(&link.handshake(reserved)).unwrap();
        link.control.clear();
        link
    };
    let mut fast = choked(Reserved::ours());
    fast.say(Message::Request(block(0, 0))).unwrap();
    assert_eq!(fast.texts(), [format!("{:?}", Message::Reject(block(0, 0)))], "before unchoke");
    assert!(fast.served.is_empty());
    assert_eq!(choked(plain()).say(Message::Request(block(0, 0))), Err(PeerError::RequestWhileChoked));
}

/// rtorrent queues as many requests as its rate suggests, and knows no rejections.
#[test]
fn a_peer_with_a_full_queue_of_requests_is_not_read_until_some_are_served() {
    for reserved in [plain(), Reserved::ours()] {
        let mut bytes = Vec::new();
        (0..MAX_QUEUED_REQUESTS).for_each(|_| Message::Request(block(0, 0)).encode(&mut bytes));
        let mut link = Link::unchoked(&[0], reserved);
        link.machine.handle_input(Input::Received(&bytes), link.now).unwrap();
        assert!(!link.machine.wants_input());
        assert_eq!(link.machine.poll_output(link.now), Some(Output::Serve(block(0, 0))));
        assert!(link.machine.wants_input());
        link.drain().unwrap();
        assert_eq!(link.served.len(), MAX_QUEUED_REQUESTS - 1);
        assert!(link.texts().is_empty());
    }
}

#[test]
fn a_peer_that_never_stops_asking_for_what_it_may_not_have_is_let_go() {
    for useless in [Message::Request(block(0, 0)), Message::Cancel(block(0, 0))] {
        let mut link = Link::unchoked(&[1], Reserved::ours());
        for _ in 0..MAX_USELESS_MESSAGES {
            link.say(useless).unwrap();
        }
        // A block that is served makes good for one.
        link.say(Message::Request(block(1, 0))).unwrap();
        link.say(useless).unwrap();
        assert_eq!(link.say(useless), Err(PeerError::TooManyUseless));
    }
}

#[test]
fn a_peer_that_leaves_our_answers_unread_is_not_read() {
    let mut link = Link::unchoked(&[], Reserved::ours());
    let mut bytes = Vec::new();
    (0..MAX_WAITING_CONTROL / 17 + 1).for_each(|_| Message::Request(block(0, 0)).encode(&mut bytes));
    link.machine.handle_input(Input::Received(&bytes), link.now).unwrap();
    assert!(!link.machine.wants_input());
    link.drain().unwrap();
    assert!(link.machine.wants_input());
}

#[test]
fn a_request_taken_back_is_not_served() {
    let mut link = Link::unchoked(&[0, 1, 2], Reserved::ours());
    let mut bytes = Vec::new();
    for message in [
        Message::Request(block(0, 0)),
        Message::Request(block(1, 0)),
        Message::Cancel(block(0, 0)),
        Message::Cancel(block(2, 0)),
    ] {
        message.encode(&mut bytes);
    }
    link.receive(&bytes).unwrap();
    assert_eq!(link.served, [block(1, 0)]);
    assert_eq!(link.texts(), [format!("{:?}", Message::Reject(block(0, 0)))], "BEP 6 wants an answer");

    let mut link = Link::unchoked(&[0], plain());
    let mut bytes = Vec::new();
    Message::Request(block(0, 0)).encode(&mut bytes);
    Message::Cancel(block(0, 0)).encode(&mut bytes);
    link.receive(&bytes).unwrap();
    assert!(link.served.is_empty() && link.texts().is_empty(), "without it there is none");
}

#[test]
fn small_messages_go_before_blocks() {
    let mut link = Link::unchoked(&[0], Reserved::ours());
    let mut bytes = Vec::new();
    Message::Request(block(0, 0)).encode(&mut bytes);
    Message::Request(block(1, 0)).encode(&mut bytes);
    link.machine.handle_input(Input::Received(&bytes), link.now).unwrap();
    let mut reject = Vec::new();
    Message::Reject(block(1, 0)).encode(&mut reject);
    assert_eq!(link.machine.poll_output(link.now), Some(Output::Control(reject)));
    assert_eq!(link.machine.poll_output(link.now), Some(Output::Serve(block(0, 0))));
}

#[test]
fn messages_of_the_wrong_shape_end_the_connection() {
    let error = |message: Message<'_>, reserved| Link::unchoked(&[0], reserved).say(message).unwrap_err();
    assert_eq!(error(Message::Have(3), plain()), PeerError::NoSuchPiece(3));
    assert_eq!(error(Message::Bitfield(&[0xff]), plain()), PeerError::Bitfield);
    assert!(matches!(error(Message::Bitfield(&[0, 0]), plain()), PeerError::Wire(_)));
    assert_eq!(error(Message::HaveAll, plain()), PeerError::FastNotAnnounced);
    assert_eq!(error(Message::Suggest(0), plain()), PeerError::FastNotAnnounced);
    assert_eq!(error(Message::AllowedFast(9), Reserved::ours()), PeerError::NoSuchPiece(9));
    assert_eq!(error(Message::Reject(block(0, 0)), Reserved::ours()), PeerError::Unasked);
    let unasked = Message::Piece { piece: 0, begin: 0, data: &[] };
    assert_eq!(error(unasked, plain()), PeerError::Unasked);
    let unasked = Message::Piece { piece: 0, begin: 0, data: &[1] };
    let error = Link::unchoked(&[0, 1, 2], plain()).say(unasked).unwrap_err();
    assert!(matches!(error, PeerError::Wire(_)), "not even read, since nothing is missing");
}

#[test]
fn harmless_messages_are_read_past() {
    let mut link = Link::unchoked(&[0], Reserved::ours());
    for message in [
        Message::KeepAlive,
        Message::Choke,
        Message::Unchoke,
        Message::NotInterested,
        Message::Have(2),
        Message::Bitfield(&[0x40]),
        Message::HaveAll,
        Message::HaveNone,
        Message::Suggest(1),
        Message::AllowedFast(1),
        Message::Port(6881),
        Message::Unknown { id: 21 },
        Message::Extended { id: 77, payload: b"whatever" },
        Message::Extended { id: 0, payload: b"not bencoded" },
        Message::Extended { id: 1, payload: b"le" },
    ] {
        link.say(message).unwrap();
    }
    assert!(link.texts().is_empty());
}

proptest! {
    /// Whatever a peer sends, the machine neither panics nor offers a block that is not there.
    #[test]
    fn arbitrary_frames_never_panic_and_only_pieces_we_have_are_served(
        frames in prop::collection::vec((0_u8..24, prop::collection::vec(0_u8..4, 0..14)), 0..40),
        is_fast: bool,
    ) {
        let reserved = if is_fast { Reserved::ours() } else { plain() };
        let mut link = Link::unchoked(&[0, 2], reserved);
        for (id, body) in frames {
            let mut frame = u32::try_from(body.len() + 1).unwrap().to_be_bytes().to_vec();
            frame.push(id);
            frame.extend(body);
            if link.receive(&frame).is_err() {
                break;
            }
        }
        for block in &link.served {
            prop_assert!(link.torrent.have.get(block.piece));
            prop_assert!(link.torrent.info.geometry().block_range(*block).is_some());
        }
    }
}
