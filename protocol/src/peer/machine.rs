//! The state of one connection and its course: handshake, messages, timeouts.
//!
//! Owned by the worker that owns the socket. It decides; it never reads a clock or moves payload.

use std::time::Instant;

use crate::id::InfoHash;
use crate::wire::{HANDSHAKE_LENGTH, Handshake, Message, Reserved};

use super::event::{Arrival, Event};
use super::talk::Talk;
use super::{
    Found, HANDSHAKE_TIMEOUT, IDLE_TIMEOUT, Identity, Input, KEEP_ALIVE_INTERVAL, MAX_WAITING_CONTROL, Order,
    Output, PeerError, STALL_TIMEOUT, UNINTERESTED_TIMEOUT,
};

/// A connection to a peer, opened by either end.
#[derive(Debug)]
pub struct Machine {
    ours: Identity,
    course: Course,
    /// Messages that wait for the socket; they go before any block.
    control: Vec<u8>,
    started_at: Instant,
    heard_at: Instant,
    sent_at: Instant,
    /// When either end last wanted something of the other, or the peer was served.
    wanted_at: Instant,
    /// Whether a block is among what the socket has yet to take.
    is_block_waiting: bool,
    /// Since when the socket has not moved, while it has something of ours to take.
    waiting_since: Option<Instant>,
}

/// How far a connection has come.
#[derive(Debug)]
enum Course {
    /// The peer's handshake is not here as a whole. `asked_for` is the torrent that we came for, if we did.
    Greeting { received: Vec<u8>, asked_for: Option<InfoHash> },
    /// We know what the connection is for, and wait to hear whether we have it. `received` goes on after the
    /// handshake.
    Finding { handshake: Handshake, has_greeted: bool, is_asked: bool, received: Vec<u8> },
    /// Messages.
    Talking(Box<Talk>),
}

impl Machine {
    /// A connection that a peer opened to us at `now`.
    pub fn accepted(ours: Identity, now: Instant) -> Self {
        Self::new(ours, Course::Greeting { received: Vec::new(), asked_for: None }, now)
    }

    /// A connection that we opened at `now` to a peer of `info_hash`.
    pub fn dialled(ours: Identity, info_hash: InfoHash, now: Instant) -> Self {
        let course = Course::Greeting { received: Vec::new(), asked_for: Some(info_hash) };
        let mut machine = Self::new(ours, course, now);
        machine.greet(info_hash);
        machine
    }

    fn new(ours: Identity, course: Course, now: Instant) -> Self {
        Self {
            ours,
            course,
            control: Vec::new(),
            started_at: now,
            heard_at: now,
            sent_at: now,
            wanted_at: now,
            is_block_waiting: false,
            waiting_since: None,
        }
    }

    /// Takes in what happened at `now`; then drain [`Machine::poll_output`], [`Machine::take_events`] and
    /// [`Machine::take_arrivals`].
    ///
    /// # Errors
    /// When the connection must end.
    pub fn handle_input(&mut self, input: Input<'_>, now: Instant) -> Result<(), PeerError> {
        match input {
            Input::Received(bytes) => {
                self.heard_at = now;
                self.receive(bytes, now)
            }
            Input::Found(found) => self.begin(found, now),
            Input::Order(order) => self.obey(order, now),
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
            Course::Talking(talk) if self.control.is_empty() => {
                let dialogue = &mut talk.dialogue;
                if let Some(torrent) = dialogue.serving.torrent() {
                    dialogue.metadata.answer(&torrent.info, &mut self.control);
                }
                if self.control.is_empty() { dialogue.serving.next_block().map(Output::Serve) } else { None }
            }
            _ => None,
        };
        let output = match self.control.is_empty() {
            true => output,
            false => Some(Output::Control(std::mem::take(&mut self.control))),
        };
        if let Some(output) = &output {
            self.is_block_waiting |= matches!(output, Output::Serve(_));
            self.waiting_since.get_or_insert(now);
        }
        output
    }

    /// What the swarm must know, in order, since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        match &mut self.course {
            Course::Talking(talk) => std::mem::take(&mut talk.dialogue.events),
            _ => Vec::new(),
        }
    }

    /// The blocks that came in since the last call. Data that is not gathered lies in the bytes of the last
    /// [`Input::Received`].
    pub fn take_arrivals(&mut self) -> Vec<Arrival> {
        match &mut self.course {
            Course::Talking(talk) => std::mem::take(&mut talk.dialogue.arrivals),
            _ => Vec::new(),
        }
    }

    /// Whether the peer may be read: not while its torrent is looked up, while it leaves our answers unread, or while
    /// as many of its requests wait as we queue.
    pub fn wants_input(&self) -> bool {
        let has_room = match &self.course {
            Course::Greeting { .. } => true,
            Course::Finding { .. } => false,
            Course::Talking(talk) => talk.dialogue.serving.has_room(),
        };
        has_room && self.control.len() < MAX_WAITING_CONTROL
    }

    /// Whether blocks are on their way to us, so that much is to be read at a time.
    pub fn expects_blocks(&self) -> bool {
        matches!(&self.course, Course::Talking(talk) if talk.dialogue.requesting.is_waiting())
    }

    /// Whether requests of the peer wait to be served.
    pub fn has_requests(&self) -> bool {
        matches!(&self.course, Course::Talking(talk) if talk.dialogue.serving.has_requests())
    }

    /// Whether [`Machine::take_events`] has something.
    pub fn has_events(&self) -> bool {
        matches!(&self.course, Course::Talking(talk) if !talk.dialogue.events.is_empty())
    }

    /// Whether a small message waits for [`Machine::poll_output`]: time alone brings nothing else to send.
    pub fn has_control(&self) -> bool {
        !self.control.is_empty()
    }

    fn greet(&mut self, info_hash: InfoHash) {
        let handshake = Handshake { reserved: Reserved::ours(), info_hash, peer_id: self.ours.peer_id };
        self.control.extend_from_slice(&handshake.encode());
    }

    fn receive(&mut self, bytes: &[u8], now: Instant) -> Result<(), PeerError> {
        match &mut self.course {
            Course::Greeting { received, asked_for } => {
                received.extend_from_slice(bytes);
                let Some(handshake) = Handshake::decode(received)? else { return Ok(()) };
                if handshake.peer_id == self.ours.peer_id {
                    return Err(PeerError::Ourselves);
                }
                if asked_for.is_some_and(|info_hash| info_hash != handshake.info_hash) {
                    return Err(PeerError::OtherTorrent(handshake.info_hash));
                }
                let (received, has_greeted) = (std::mem::take(received), asked_for.is_some());
                self.course = Course::Finding { handshake, has_greeted, is_asked: false, received };
                Ok(())
            }
            Course::Finding { received, .. } => {
                received.extend_from_slice(bytes);
                Ok(())
            }
            Course::Talking(talk) => talk.receive(bytes, now, &mut self.control),
        }
    }

    /// Answers the handshake, says what we have, and goes through what the peer sent meanwhile.
    fn begin(&mut self, found: Found, now: Instant) -> Result<(), PeerError> {
        let Course::Finding { handshake, has_greeted, received, .. } = &mut self.course else {
            return Ok(());
        };
        let (handshake, has_greeted, received) = (*handshake, *has_greeted, std::mem::take(received));
        let torrent = match found {
            Found::Nothing => return Err(PeerError::UnknownTorrent(handshake.info_hash)),
            Found::InfoHash => None,
            Found::Torrent(torrent) => Some(torrent),
        };
        if !has_greeted {
            self.greet(handshake.info_hash);
        }
        let talk = Talk::new(&self.ours, &handshake, torrent, now, &mut self.control);
        self.course = Course::Talking(Box::new(talk));
        self.receive(&received[HANDSHAKE_LENGTH..], now)
    }

    fn obey(&mut self, order: Order, now: Instant) -> Result<(), PeerError> {
        match (&mut self.course, order) {
            (Course::Talking(talk), order) => talk.obey(order, now, &mut self.control),
            (_, Order::Close(parting)) => Err(PeerError::Parted(parting)),
            _ => Ok(()),
        }
    }

    fn tick(&mut self, now: Instant) -> Result<(), PeerError> {
        let since = |then: Instant| now.saturating_duration_since(then);
        let Course::Talking(talk) = &mut self.course else {
            let is_late = since(self.started_at) >= HANDSHAKE_TIMEOUT;
            return if is_late { Err(PeerError::HandshakeTimeout) } else { Ok(()) };
        };
        talk.tick(now, &mut self.control);
        if let Some(waiting_since) = self.waiting_since {
            return if since(waiting_since) >= STALL_TIMEOUT { Err(PeerError::Stalled) } else { Ok(()) };
        }
        if since(self.heard_at) >= IDLE_TIMEOUT {
            return Err(PeerError::Idle);
        }
        if talk.dialogue.serving.is_interested || talk.dialogue.is_interested {
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
