//! The state of one connection and its course: handshake, messages, timeouts.
//!
//! Owned by the worker that owns the socket. It decides; it never reads a clock or moves payload.

use std::time::Instant;

use crate::id::{InfoHash, PeerId};
use crate::wire::{
    Decoder, EXTENDED_HANDSHAKE_ID, ExtendedHandshake, Handshake, Message, MetadataMessage, Reserved,
};

use super::serving::Serving;
use super::{
    HANDSHAKE_TIMEOUT, IDLE_TIMEOUT, Input, KEEP_ALIVE_INTERVAL, MAX_QUEUED_REQUESTS, MAX_WAITING_CONTROL,
    Output, PeerError, STALL_TIMEOUT, TorrentView,
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
    /// We know what the peer came for, and wait to hear whether we have it. `held` arrived after its handshake.
    Finding { handshake: Handshake, is_asked: bool, held: Vec<u8> },
    /// Messages.
    Talking { decoder: Decoder, serving: Serving },
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
        if let Course::Finding { handshake, is_asked, .. } = &mut self.course
            && !*is_asked
        {
            *is_asked = true;
            return Some(Output::Find(handshake.info_hash));
        }
        if let Course::Talking { serving, .. } = &mut self.course
            && self.control.is_empty()
        {
            serving.answer_metadata(&mut self.control);
        }
        let output = if !self.control.is_empty() {
            Some(Output::Control(std::mem::take(&mut self.control)))
        } else if let Course::Talking { serving, .. } = &mut self.course {
            serving.next_block().map(Output::Serve)
        } else {
            None
        };
        if let Some(output) = &output {
            self.is_block_waiting |= matches!(output, Output::Serve(_));
            self.waiting_since.get_or_insert(now);
        }
        output
    }

    /// Whether the peer may be read: not while its torrent is looked up, nor while it leaves our answers unread.
    pub fn wants_input(&self) -> bool {
        !matches!(self.course, Course::Finding { .. }) && self.control.len() < MAX_WAITING_CONTROL
    }

    /// The torrent that the peer came for, once it has said so.
    pub fn info_hash(&self) -> Option<InfoHash> {
        match &self.course {
            Course::Greeting { .. } => None,
            Course::Finding { handshake, .. } => Some(handshake.info_hash),
            Course::Talking { serving, .. } => Some(serving.info_hash()),
        }
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<(), PeerError> {
        match &mut self.course {
            Course::Greeting { received } => {
                received.extend_from_slice(bytes);
                let Some(handshake) = Handshake::decode(received)? else { return Ok(()) };
                if handshake.peer_id == self.our_id {
                    return Err(PeerError::Ourselves);
                }
                let held = received.split_off(crate::wire::HANDSHAKE_LENGTH);
                self.course = Course::Finding { handshake, is_asked: false, held };
                Ok(())
            }
            Course::Finding { held, .. } => {
                held.extend_from_slice(bytes);
                Ok(())
            }
            Course::Talking { decoder, serving } => {
                let mut input = bytes;
                while let Some(message) = decoder.next(&mut input)? {
                    handle_message(serving, message, &mut self.control)?;
                }
                Ok(())
            }
        }
    }

    /// Answers the handshake, says what we have, and goes through what the peer sent meanwhile.
    fn begin(&mut self, torrent: Option<TorrentView>) -> Result<(), PeerError> {
        let Course::Finding { handshake, held, .. } = &mut self.course else { return Ok(()) };
        let handshake = *handshake;
        let held = std::mem::take(held);
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
        self.course = Course::Talking { decoder, serving };
        self.receive(&held)
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
        if matches!(self.course, Course::Greeting { .. }) && since(self.started_at) >= HANDSHAKE_TIMEOUT {
            return Err(PeerError::HandshakeTimeout);
        }
        if let Some(waiting_since) = self.waiting_since {
            return if since(waiting_since) >= STALL_TIMEOUT { Err(PeerError::Stalled) } else { Ok(()) };
        }
        if since(self.heard_at) >= IDLE_TIMEOUT {
            return Err(PeerError::Idle);
        }
        if matches!(self.course, Course::Talking { .. })
            && self.control.is_empty()
            && since(self.sent_at) >= KEEP_ALIVE_INTERVAL
        {
            Message::KeepAlive.encode(&mut self.control);
        }
        Ok(())
    }
}

/// One message of a peer. Answers that are not blocks go to `control`.
fn handle_message(
    serving: &mut Serving,
    message: Message<'_>,
    control: &mut Vec<u8>,
) -> Result<(), PeerError> {
    match message {
        Message::KeepAlive
        | Message::Choke
        | Message::Unchoke
        | Message::Port(_)
        | Message::Unknown { .. } => Ok(()),
        Message::Interested => {
            serving.set_interested(control);
            Ok(())
        }
        Message::NotInterested => Ok(()),
        Message::Have(piece) => serving.check_piece(piece),
        Message::Bitfield(bits) => serving.check_bitfield(bits),
        Message::HaveAll | Message::HaveNone => serving.check_fast(),
        Message::Suggest(piece) | Message::AllowedFast(piece) => {
            serving.check_fast()?;
            serving.check_piece(piece)
        }
        Message::Request(block) => serving.request(block, control),
        Message::Cancel(block) => {
            serving.cancel(block, control);
            Ok(())
        }
        Message::Piece { .. } => Err(PeerError::Unasked),
        Message::Reject(_) => serving.check_fast().and(Err(PeerError::Unasked)),
        Message::Extended { id: EXTENDED_HANDSHAKE_ID, payload } => {
            serving.set_extensions(&ExtendedHandshake::decode(payload)?);
            Ok(())
        }
        Message::Extended { id: OUR_UT_METADATA, payload } => {
            serving.metadata(MetadataMessage::decode(payload)?, control);
            Ok(())
        }
        Message::Extended { .. } => Ok(()),
    }
}
