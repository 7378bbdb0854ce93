//! The state of one connection and its course: handshake, messages, timeouts.
//!
//! Owned by the worker that owns the socket. It decides; it never reads a clock or moves payload.

use std::time::Instant;

use crate::id::PeerId;
use crate::wire::{
    Decoder, EXTENDED_HANDSHAKE_ID, ExtendedHandshake, HANDSHAKE_LENGTH, Handshake, Message, MetadataMessage,
    Reserved,
};

use super::metadata::MetadataQueue;
use super::serving::Serving;
use super::{
    HANDSHAKE_TIMEOUT, IDLE_TIMEOUT, Input, KEEP_ALIVE_INTERVAL, MAX_QUEUED_REQUESTS, MAX_WAITING_CONTROL,
    Output, PeerError, STALL_TIMEOUT, TorrentView, UNINTERESTED_TIMEOUT,
};

/// The extended id under which we want `ut_metadata` messages.
const OUR_UT_METADATA: u8 = 1;
/// How we name ourselves in the extended handshake.
const CLIENT: &str = concat!("btd ", env!("CARGO_PKG_VERSION"));

/// A connection that a peer opened to us.
#[derive(Debug)]
pub struct Machine {
    our_id: PeerId,
    course: Course,
    /// Messages that wait for the socket; they go before any block.
    control: Vec<u8>,
    started_at: Instant,
    heard_at: Instant,
    sent_at: Instant,
    /// When the peer was last interested, or was served.
    wanted_at: Instant,
    /// Whether a block is among what the socket has yet to take.
    is_block_waiting: bool,
    /// Since when the socket has not moved, while it has something of ours to take.
    waiting_since: Option<Instant>,
}

/// How far a connection has come.
#[derive(Debug)]
enum Course {
    /// The handshake is not here as a whole.
    Greeting { received: Vec<u8> },
    /// We know what the peer came for, and wait to hear whether we have it. `received` goes on after the handshake.
    Finding { handshake: Handshake, is_asked: bool, received: Vec<u8> },
    /// Messages.
    Talking { decoder: Decoder, serving: Serving, metadata: MetadataQueue },
}

impl Machine {
    /// A connection that was accepted at `now`. `our_id` is what we call ourselves.
    pub fn accepted(our_id: PeerId, now: Instant) -> Self {
        Self {
            our_id,
            course: Course::Greeting { received: Vec::new() },
            control: Vec::new(),
            started_at: now,
            heard_at: now,
            sent_at: now,
            wanted_at: now,
            is_block_waiting: false,
            waiting_since: None,
        }
    }

    /// Takes in what happened at `now`; then drain [`Machine::poll_output`].
    ///
    /// # Errors
    /// When the connection must end.
    pub fn handle_input(&mut self, input: Input<'_>, now: Instant) -> Result<(), PeerError> {
        match input {
            Input::Received(bytes) => {
                self.heard_at = now;
                self.receive(bytes)
            }
            Input::Torrent(torrent) => self.begin(torrent),
            Input::Sent { is_all } => {
                self.sent_at = now;
                if self.is_block_waiting {
                    // A peer that takes blocks is alive, however little it says.
                    self.heard_at = now;
                    self.wanted_at = now;
                }
                self.waiting_since = if is_all { None } else { Some(now) };
                self.is_block_waiting &= !is_all;
                Ok(())
            }
            Input::Tick => self.tick(now),
        }
    }

    /// The next thing to do, at `now`; `None` when there is nothing for the time being.
    pub fn poll_output(&mut self, now: Instant) -> Option<Output> {
        let output = match &mut self.course {
            Course::Finding { handshake, is_asked, .. } if !*is_asked => {
                *is_asked = true;
                return Some(Output::Find(handshake.info_hash));
            }
            Course::Talking { serving, metadata, .. } => {
                if self.control.is_empty() {
                    metadata.answer(&serving.torrent().info, &mut self.control);
                }
                if self.control.is_empty() {
                    serving.next_block().map(Output::Serve)
                } else {
                    Some(Output::Control(std::mem::take(&mut self.control)))
                }
            }
            Course::Greeting { .. } | Course::Finding { .. } => None,
        };
        if let Some(output) = &output {
            self.is_block_waiting |= matches!(output, Output::Serve(_));
            self.waiting_since.get_or_insert(now);
        }
        output
    }

    /// Whether the peer may be read: not while its torrent is looked up, while it leaves our answers unread, or while
    /// as many of its requests wait as we queue.
    pub fn wants_input(&self) -> bool {
        let has_room = match &self.course {
            Course::Greeting { .. } => true,
            Course::Finding { .. } => false,
            Course::Talking { serving, .. } => serving.has_room(),
        };
        has_room && self.control.len() < MAX_WAITING_CONTROL
    }

    /// Whether a small message waits for [`Machine::poll_output`]: time alone brings nothing else to send.
    pub fn has_control(&self) -> bool {
        !self.control.is_empty()
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<(), PeerError> {
        match &mut self.course {
            Course::Greeting { received } => {
                received.extend_from_slice(bytes);
                let Some(handshake) = Handshake::decode(received)? else { return Ok(()) };
                if handshake.peer_id == self.our_id {
                    return Err(PeerError::Ourselves);
                }
                let received = std::mem::take(received);
                self.course = Course::Finding { handshake, is_asked: false, received };
                Ok(())
            }
            Course::Finding { received, .. } => {
                received.extend_from_slice(bytes);
                Ok(())
            }
            Course::Talking { decoder, serving, metadata } => {
                let mut input = bytes;
                while let Some(message) = decoder.next(&mut input)? {
                    handle_message(serving, metadata, message, &mut self.control)?;
                }
                Ok(())
            }
        }
    }

    /// Answers the handshake, says what we have, and goes through what the peer sent meanwhile.
    fn begin(&mut self, torrent: Option<TorrentView>) -> Result<(), PeerError> {
        let Course::Finding { handshake, received, .. } = &mut self.course else { return Ok(()) };
        let (handshake, received) = (*handshake, std::mem::take(received));
        let torrent = torrent.ok_or(PeerError::UnknownTorrent(handshake.info_hash))?;
        let ours =
            Handshake { reserved: Reserved::ours(), info_hash: handshake.info_hash, peer_id: self.our_id };
        self.control.extend_from_slice(&ours.encode());
        if handshake.reserved.has_extended() {
            self.introduce(&torrent);
        }
        let serving = Serving::new(torrent, handshake.reserved.has_fast());
        serving.announce_have(&mut self.control);
        let decoder = Decoder::new(serving.piece_count(), 0);
        self.course = Course::Talking { decoder, serving, metadata: MetadataQueue::default() };
        self.receive(&received[HANDSHAKE_LENGTH..])
    }

    /// Our extended handshake (BEP 10).
    fn introduce(&mut self, torrent: &TorrentView) {
        let handshake = ExtendedHandshake {
            ut_metadata: Some(OUR_UT_METADATA),
            metadata_size: u32::try_from(torrent.info.raw().len()).ok(),
            request_queue: u32::try_from(MAX_QUEUED_REQUESTS).ok(),
            client: Some(CLIENT.to_owned()),
            is_upload_only: torrent.have.is_complete(),
        };
        let payload = handshake.encode();
        Message::Extended { id: EXTENDED_HANDSHAKE_ID, payload: &payload }.encode(&mut self.control);
    }

    fn tick(&mut self, now: Instant) -> Result<(), PeerError> {
        let since = |then: Instant| now.saturating_duration_since(then);
        let Course::Talking { serving, .. } = &self.course else {
            let is_late = since(self.started_at) >= HANDSHAKE_TIMEOUT;
            return if is_late { Err(PeerError::HandshakeTimeout) } else { Ok(()) };
        };
        if let Some(waiting_since) = self.waiting_since {
            return if since(waiting_since) >= STALL_TIMEOUT { Err(PeerError::Stalled) } else { Ok(()) };
        }
        if since(self.heard_at) >= IDLE_TIMEOUT {
            return Err(PeerError::Idle);
        }
        if serving.is_interested {
            self.wanted_at = now;
        } else if since(self.wanted_at) >= UNINTERESTED_TIMEOUT {
            return Err(PeerError::Uninterested);
        }
        if self.control.is_empty() && since(self.sent_at) >= KEEP_ALIVE_INTERVAL {
            Message::KeepAlive.encode(&mut self.control);
        }
        Ok(())
    }
}

/// One message of a peer. Answers that are not blocks go to `control`.
fn handle_message(
    serving: &mut Serving,
    metadata: &mut MetadataQueue,
    message: Message<'_>,
    control: &mut Vec<u8>,
) -> Result<(), PeerError> {
    match message {
        Message::KeepAlive
        | Message::Choke
        | Message::Unchoke
        | Message::Port(_)
        | Message::Unknown { .. } => Ok(()),
        Message::Interested | Message::NotInterested => {
            serving.set_interested(message == Message::Interested, control);
            Ok(())
        }
        Message::Have(piece) => serving.check_piece(piece),
        Message::Bitfield(bits) => serving.check_bitfield(bits),
        Message::HaveAll | Message::HaveNone => serving.check_fast(),
        Message::Suggest(piece) | Message::AllowedFast(piece) => {
            serving.check_fast()?;
            serving.check_piece(piece)
        }
        Message::Request(block) => serving.request(block, control),
        Message::Cancel(block) => serving.cancel(block, control),
        Message::Piece { .. } => Err(PeerError::Unasked),
        Message::Reject(_) => serving.check_fast().and(Err(PeerError::Unasked)),
        Message::Extended { id, payload } => {
            handle_extended(serving, metadata, id, payload, control);
            Ok(())
        }
    }
}

/// A message of the extension protocol. One that cannot be read is passed over: its frame was whole.
fn handle_extended(
    serving: &Serving,
    metadata: &mut MetadataQueue,
    id: u8,
    payload: &[u8],
    control: &mut Vec<u8>,
) {
    match id {
        EXTENDED_HANDSHAKE_ID => {
            if let Ok(handshake) = ExtendedHandshake::decode(payload) {
                metadata.set_peer_id(handshake.ut_metadata);
            }
        }
        OUR_UT_METADATA => {
            if let Ok(MetadataMessage::Request { piece }) = MetadataMessage::decode(payload) {
                metadata.request(piece, &serving.torrent().info, control);
            }
        }
        _ => {}
    }
}
