//! A connection after its handshakes: each message of the peer, and each order of the swarm.

use std::time::Instant;

use crate::geometry::{BLOCK_LENGTH, Block, MAX_PIECE_COUNT};
use crate::piece_set::PieceSet;
use crate::wire::{Decoder, EXTENDED_HANDSHAKE_ID, ExtendedHandshake, Handshake, Message, MetadataMessage};

use super::early::Early;
use super::event::{Arrival, Data, Event, Introduction};
use super::metadata::MetadataQueue;
use super::requesting::Requesting;
use super::serving::Serving;
use super::{Identity, MAX_QUEUED_REQUESTS, MAX_STATEMENTS, Order, PeerError, TorrentView};

/// The extended id under which we want `ut_metadata` messages.
const OUR_UT_METADATA: u8 = 1;
/// How we name ourselves in the extended handshake.
const CLIENT: &str = concat!("btd ", env!("CARGO_PKG_VERSION"));

/// What both ends say after their handshakes.
#[derive(Debug)]
pub(super) struct Talk {
    decoder: Decoder,
    pub(super) dialogue: Dialogue,
}

/// What has been said, and what follows from it.
#[derive(Debug)]
pub(super) struct Dialogue {
    has_fast: bool,
    pub(super) serving: Serving,
    pub(super) requesting: Requesting,
    pub(super) metadata: MetadataQueue,
    /// What the peer said of its pieces, until we know how many there are.
    early: Option<Early>,
    /// Whether we have told the peer that we want pieces of it.
    pub(super) is_interested: bool,
    /// How often the peer has said what pieces it has, all at once.
    statements: u32,
    /// Pieces of metadata that were asked for and not answered.
    metadata_requests: u32,
    /// Whether the swarm wants to know what moves.
    is_metered: bool,
    /// Payload bytes that came in since the swarm was told.
    received: u64,
    pub(super) events: Vec<Event>,
    pub(super) arrivals: Vec<Arrival>,
}

impl Talk {
    /// Begins to talk with who sent `theirs`; says what we are and have.
    pub(super) fn new(
        ours: &Identity,
        theirs: &Handshake,
        torrent: Option<TorrentView>,
        now: Instant,
        control: &mut Vec<u8>,
    ) -> Self {
        if theirs.reserved.has_extended() {
            introduce(ours, torrent.as_ref(), control);
        }
        let has_fast = theirs.reserved.has_fast();
        let (decoder, early) = match &torrent {
            Some(torrent) => (decoder_of(torrent), None),
            None => (Decoder::new(MAX_PIECE_COUNT, BLOCK_LENGTH), Some(Early::default())),
        };
        let serving = Serving::new(torrent, has_fast);
        let announced = serving.announce_have(control);
        let dialogue = Dialogue {
            has_fast,
            serving,
            requesting: Requesting::new(now),
            metadata: MetadataQueue::default(),
            early,
            is_interested: false,
            statements: 0,
            metadata_requests: 0,
            is_metered: false,
            received: 0,
            events: vec![Event::Met { peer_id: theirs.peer_id, announced }],
            arrivals: Vec::new(),
        };
        Self { decoder, dialogue }
    }

    /// Takes in bytes of the peer. Answers that are not blocks go to `control`.
    pub(super) fn receive(
        &mut self,
        bytes: &[u8],
        now: Instant,
        control: &mut Vec<u8>,
    ) -> Result<(), PeerError> {
        let Self { decoder, dialogue } = self;
        let mut input = bytes;
        while let Some(message) = decoder.next(&mut input)? {
            let Message::Piece { piece, begin, data } = message else {
                dialogue.handle(message, control)?;
                continue;
            };
            let length = data.len();
            let block = Block { piece, begin, length: u32::try_from(length).unwrap_or(u32::MAX) };
            // A message that came as a whole ends where the rest of the input begins.
            let end = bytes.len() - input.len();
            let data = match decoder.take_gathered() {
                Some(bytes) => Data::Gathered { start: bytes.len() - length, bytes },
                None => Data::Within(end - length..end),
            };
            dialogue.arrive(Arrival { block, data }, now)?;
        }
        dialogue.requesting.offer_room(&mut dialogue.events);
        Ok(())
    }

    /// Does what the swarm decided.
    pub(super) fn obey(
        &mut self,
        order: Order,
        now: Instant,
        control: &mut Vec<u8>,
    ) -> Result<(), PeerError> {
        let Self { decoder, dialogue } = self;
        match order {
            Order::Begin(torrent) => {
                if let Some(early) = dialogue.early.take() {
                    decoder.set_limits(torrent.have.piece_count(), BLOCK_LENGTH);
                    dialogue.begin(early, torrent)?;
                }
            }
            Order::Request(blocks) => {
                dialogue.requesting.request(&blocks, now, control, &mut dialogue.events);
            }
            Order::Cancel(block) => dialogue.requesting.cancel(block, control, &mut dialogue.events),
            Order::Interested(is_interested) => {
                if std::mem::replace(&mut dialogue.is_interested, is_interested) != is_interested {
                    let message = if is_interested { Message::Interested } else { Message::NotInterested };
                    message.encode(control);
                }
            }
            Order::Choke(is_choked) => dialogue.serving.set_choked(is_choked, control),
            Order::Have(pieces) => pieces.iter().for_each(|piece| Message::Have(*piece).encode(control)),
            Order::RequestMetadata(piece) => dialogue.request_metadata(piece, control),
            Order::Meter(is_metered) => dialogue.is_metered = is_metered,
            Order::Close(parting) => return Err(PeerError::Parted(parting)),
        }
        dialogue.requesting.offer_room(&mut dialogue.events);
        Ok(())
    }

    /// Lets time pass.
    pub(super) fn tick(&mut self, now: Instant, control: &mut Vec<u8>) {
        let dialogue = &mut self.dialogue;
        dialogue.requesting.tick(now, control, &mut dialogue.events);
        dialogue.requesting.offer_room(&mut dialogue.events);
        if dialogue.is_metered {
            let (received, sent) = (std::mem::take(&mut dialogue.received), dialogue.serving.take_sent());
            if received + sent > 0 {
                dialogue.events.push(Event::Traffic { received, sent });
            }
        }
    }
}

impl Dialogue {
    /// The metadata is here: what the peer said of its pieces can be understood.
    fn begin(&mut self, early: Early, torrent: TorrentView) -> Result<(), PeerError> {
        let pieces = early.settle(torrent.have.piece_count())?;
        self.serving.set_torrent(torrent);
        if !pieces.is_empty() {
            self.events.push(Event::Has(pieces));
        }
        Ok(())
    }

    /// A block came in.
    fn arrive(&mut self, arrival: Arrival, now: Instant) -> Result<(), PeerError> {
        if !self.requesting.receive(arrival.block, now, &mut self.events) {
            return Err(PeerError::Unasked);
        }
        self.received += u64::from(arrival.block.length);
        self.arrivals.push(arrival);
        Ok(())
    }

    /// One message of the peer, other than a block.
    fn handle(&mut self, message: Message<'_>, control: &mut Vec<u8>) -> Result<(), PeerError> {
        match message {
            Message::KeepAlive | Message::Port(_) | Message::Unknown { .. } => {}
            Message::Choke | Message::Unchoke => {
                let is_choked = message == Message::Choke;
                self.requesting.set_choked(is_choked, self.has_fast, &mut self.events);
            }
            Message::Interested | Message::NotInterested => {
                let is_interested = message == Message::Interested;
                if std::mem::replace(&mut self.serving.is_interested, is_interested) != is_interested {
                    self.events.push(Event::Interested(is_interested));
                }
            }
            Message::Have(_) | Message::Bitfield(_) => self.has(message)?,
            Message::HaveAll | Message::HaveNone => {
                self.check_fast()?;
                self.has(message)?;
            }
            Message::Suggest(piece) => {
                self.check_fast()?;
                self.check_piece(piece)?;
                self.events.push(Event::Suggested(piece));
            }
            Message::AllowedFast(piece) => {
                self.check_fast()?;
                self.check_piece(piece)?;
                self.requesting.allow(piece, &mut self.events);
            }
            Message::Request(block) => self.serving.request(block, control)?,
            Message::Cancel(block) => self.serving.cancel(block, control)?,
            // Blocks are handled where their data is at hand.
            Message::Piece { .. } => return Err(PeerError::Unasked),
            Message::Reject(block) => {
                self.check_fast()?;
                if !self.requesting.rejected(block, &mut self.events) {
                    return Err(PeerError::Unasked);
                }
            }
            Message::Extended { id, payload } => self.handle_extended(id, payload, control),
        }
        Ok(())
    }

    /// What the peer says of its pieces.
    fn has(&mut self, message: Message<'_>) -> Result<(), PeerError> {
        if let Some(early) = &mut self.early {
            match message {
                Message::Have(piece) => early.have(piece)?,
                Message::Bitfield(bits) => early.bits(bits)?,
                Message::HaveAll => early.all(),
                _ => early.none(),
            }
            return Ok(());
        }
        let piece_count = self.piece_count();
        let event = match message {
            Message::Have(piece) => {
                self.check_piece(piece)?;
                Event::HasPiece(piece)
            }
            Message::Bitfield(bits) => {
                Event::Has(PieceSet::from_wire(bits, piece_count).ok_or(PeerError::Bitfield)?)
            }
            Message::HaveAll => Event::Has(PieceSet::full(piece_count)),
            _ => Event::Has(PieceSet::new(piece_count)),
        };
        if matches!(event, Event::Has(_)) {
            self.count_statement()?;
        }
        self.events.push(event);
        Ok(())
    }

    /// Counts what a peer says of all its pieces at once: each costs memory, and moves all pieces in the picker.
    fn count_statement(&mut self) -> Result<(), PeerError> {
        self.statements += 1;
        if self.statements > MAX_STATEMENTS { Err(PeerError::TooManyStatements) } else { Ok(()) }
    }

    fn piece_count(&self) -> u32 {
        self.serving.torrent().map_or(MAX_PIECE_COUNT, |torrent| torrent.have.piece_count())
    }

    fn check_piece(&self, piece: u32) -> Result<(), PeerError> {
        if piece < self.piece_count() { Ok(()) } else { Err(PeerError::NoSuchPiece(piece)) }
    }

    fn check_fast(&self) -> Result<(), PeerError> {
        if self.has_fast { Ok(()) } else { Err(PeerError::FastNotAnnounced) }
    }

    /// A message of the extension protocol. One that cannot be read is passed over: its frame was whole.
    fn handle_extended(&mut self, id: u8, payload: &[u8], control: &mut Vec<u8>) {
        match id {
            EXTENDED_HANDSHAKE_ID => {
                if let Ok(handshake) = ExtendedHandshake::decode(payload) {
                    self.handle_introduction(handshake);
                }
            }
            OUR_UT_METADATA => match MetadataMessage::decode(payload) {
                Ok(MetadataMessage::Request { piece }) => {
                    let info = self.serving.torrent().map(|torrent| &*torrent.info);
                    self.metadata.request(piece, info, control);
                }
                Ok(MetadataMessage::Data { piece, total_size, data }) if self.take_metadata_request() => {
                    self.events.push(Event::Metadata { piece, total_size, data: data.to_vec() });
                }
                Ok(MetadataMessage::Reject { piece }) if self.take_metadata_request() => {
                    self.events.push(Event::MetadataRejected(piece));
                }
                // What nobody asked for is of no interest.
                _ => {}
            },
            _ => {}
        }
    }

    /// Whether an answer is waited for, which this is then.
    fn take_metadata_request(&mut self) -> bool {
        let is_waiting = self.metadata_requests > 0;
        self.metadata_requests = self.metadata_requests.saturating_sub(1);
        is_waiting
    }

    fn handle_introduction(&mut self, handshake: ExtendedHandshake) {
        self.metadata.set_peer_id(handshake.ut_metadata);
        handshake.request_queue.inspect(|length| self.requesting.set_peer_queue(*length));
        self.events.push(Event::Introduced(Introduction {
            client: handshake.client,
            listen_port: handshake.listen_port,
            is_upload_only: handshake.is_upload_only,
            metadata_size: handshake.metadata_size.filter(|_| self.metadata.peer_id().is_some()),
        }));
    }

    /// Asks for a piece of metadata; a peer that does not speak of it any more has rejected it.
    fn request_metadata(&mut self, piece: u32, control: &mut Vec<u8>) {
        match self.metadata.peer_id() {
            Some(id) => {
                self.metadata_requests += 1;
                let payload = MetadataMessage::Request { piece }.encode();
                Message::Extended { id, payload: &payload }.encode(control);
            }
            None => self.events.push(Event::MetadataRejected(piece)),
        }
    }
}

fn decoder_of(torrent: &TorrentView) -> Decoder {
    // Whoever has everything asks for nothing.
    let max_block_length = if torrent.have.is_complete() { 0 } else { BLOCK_LENGTH };
    Decoder::new(torrent.have.piece_count(), max_block_length)
}

/// Our extended handshake (BEP 10).
fn introduce(ours: &Identity, torrent: Option<&TorrentView>, control: &mut Vec<u8>) {
    let handshake = ExtendedHandshake {
        ut_metadata: Some(OUR_UT_METADATA),
        metadata_size: torrent.and_then(|torrent| u32::try_from(torrent.info.raw().len()).ok()),
        listen_port: ours.listen_port,
        request_queue: u32::try_from(MAX_QUEUED_REQUESTS).ok(),
        client: Some(CLIENT.to_owned()),
        is_upload_only: torrent.is_some_and(|torrent| torrent.have.is_complete()),
    };
    let payload = handshake.encode();
    Message::Extended { id: EXTENDED_HANDSHAKE_ID, payload: &payload }.encode(control);
}
