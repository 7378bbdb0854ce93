//! What we asked of one peer: the blocks on their way, how many may be, and whether the peer keeps its side.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::geometry::{BLOCK_LENGTH, Block};
use crate::wire::Message;

use super::{Event, MAX_ALLOWED_FAST, MAX_REQUESTS, MIN_REQUESTS, REQUEST_TIMEOUT, SNUB_TIME};

#[cfg(test)]
mod tests;

/// Requests that a peer takes when it does not say how many: what clients without BEP 10 have always taken.
const DEFAULT_PEER_QUEUE: u32 = 250;
/// How much of the peer's rate is kept requested: enough to bridge a slow round trip.
const QUEUE_TIME_S: u64 = 3;
/// Requests at first. They double with each round trip while the rate grows (slow start).
const FIRST_REQUESTS: u32 = 8;
/// A rate has stopped growing when it gained less than one part in so many within a second.
const SLOW_START_GAIN: u64 = 8;
/// Requests that a peer may reject within a second, none of them for a choke, before it gets no more until the next: one
/// that rejects all would be asked as often as the line allows.
const MAX_REJECTIONS: u32 = 64;
/// How long a request may wait while the peer answers others: many times what its queue is to bridge.
const LOST_TIME: Duration = Duration::from_secs(120);
/// Blocks given up that may still come in: more than a peer was ever asked for at once are not remembered.
const MAX_GIVEN_UP: usize = 2 * MAX_REQUESTS as usize;

/// The fetching side of a connection.
#[derive(Debug)]
pub(super) struct Requesting {
    is_choked: bool,
    is_snubbed: bool,
    /// Blocks on their way, in the order in which they were asked for.
    outstanding: VecDeque<(Block, Instant)>,
    /// Blocks that were given up lately; when one comes in all the same, it is taken.
    given_up: VecDeque<Block>,
    /// Pieces that may be requested while choked (BEP 6).
    allowed_fast: Vec<u32>,
    /// Credits that the swarm has not used.
    granted: u32,
    /// How many requests are to be on their way.
    depth: u32,
    /// How many the peer takes.
    peer_queue: u32,
    is_starting: bool,
    /// Requests rejected since the last tick.
    rejections: u32,
    /// Payload bytes since the last tick, and in a second of late.
    received: u64,
    rate_bytes_per_s: u64,
    ticked_at: Instant,
    /// When the peer last sent a block, or was asked for the first of those on their way.
    heard_at: Instant,
}

impl Requesting {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            is_choked: true,
            is_snubbed: false,
            outstanding: VecDeque::new(),
            given_up: VecDeque::new(),
            allowed_fast: Vec::new(),
            granted: 0,
            depth: FIRST_REQUESTS,
            peer_queue: DEFAULT_PEER_QUEUE,
            is_starting: true,
            rejections: 0,
            received: 0,
            rate_bytes_per_s: 0,
            ticked_at: now,
            heard_at: now,
        }
    }

    /// Takes what the peer says of its queue (`reqq`, BEP 10).
    pub(super) fn set_peer_queue(&mut self, length: u32) {
        self.peer_queue = length.max(1);
    }

    /// Whether blocks are on their way.
    pub(super) fn is_waiting(&self) -> bool {
        !self.outstanding.is_empty()
    }

    /// The peer answers requests no longer, or again. Without the fast extension a choke forgets all requests
    /// (BEP 3); with it the peer rejects each.
    pub(super) fn set_choked(&mut self, is_choked: bool, has_fast: bool, events: &mut Vec<Event>) {
        if std::mem::replace(&mut self.is_choked, is_choked) == is_choked {
            return;
        }
        if is_choked {
            self.granted = 0;
            if !has_fast {
                while let Some((block, _)) = self.outstanding.pop_front() {
                    self.give_up(block, events);
                }
            }
        }
        events.push(Event::Choked(is_choked));
    }

    /// The piece may be requested while choked.
    pub(super) fn allow(&mut self, piece: u32, events: &mut Vec<Event>) {
        if self.allowed_fast.len() < MAX_ALLOWED_FAST && !self.allowed_fast.contains(&piece) {
            self.allowed_fast.push(piece);
            events.push(Event::AllowedFast(piece));
        }
    }

    /// Asks for `blocks`. What cannot be asked for now is rejected at once.
    pub(super) fn request(
        &mut self,
        blocks: &[Block],
        now: Instant,
        control: &mut Vec<u8>,
        events: &mut Vec<Event>,
    ) {
        for block in blocks {
            self.granted = self.granted.saturating_sub(1);
            if self.is_choked && !self.allowed_fast.contains(&block.piece) {
                events.push(Event::Rejected(*block));
                continue;
            }
            if self.outstanding.is_empty() {
                self.heard_at = now;
            }
            self.outstanding.push_back((*block, now));
            Message::Request(*block).encode(control);
        }
    }

    /// Takes back the request for `block`, which came from elsewhere.
    pub(super) fn cancel(&mut self, block: Block, control: &mut Vec<u8>, events: &mut Vec<Event>) {
        if self.take(block) {
            Message::Cancel(block).encode(control);
            self.give_up(block, events);
        }
    }

    /// A block came in: whether it was asked for.
    pub(super) fn receive(&mut self, block: Block, now: Instant, events: &mut Vec<Event>) -> bool {
        if self.take(block) {
            if self.is_starting {
                self.depth += 1;
            }
        } else if let Some(position) = self.given_up.iter().position(|given_up| *given_up == block) {
            self.given_up.swap_remove_back(position);
        } else {
            return false;
        }
        self.received += u64::from(block.length);
        self.heard_at = now;
        if std::mem::take(&mut self.is_snubbed) {
            events.push(Event::Snubbing(false));
        }
        events.push(Event::Received(block));
        true
    }

    /// The peer will not send `block`: whether it was asked for it. What was given up is answered too, and first: the
    /// block may have been asked for anew since, and that request is still to be answered.
    pub(super) fn rejected(&mut self, block: Block, events: &mut Vec<Event>) -> bool {
        if let Some(position) = self.given_up.iter().position(|given_up| *given_up == block) {
            self.given_up.swap_remove_back(position);
            return true;
        }
        let was_waiting = self.take(block);
        if was_waiting {
            self.rejections += u32::from(!self.is_choked);
            events.push(Event::Rejected(block));
        }
        was_waiting
    }

    /// Offers the swarm the room there is, when it is worth a word.
    pub(super) fn offer_room(&mut self, events: &mut Vec<Event>) {
        let is_choked = self.is_choked && self.allowed_fast.is_empty();
        if is_choked || self.rejections >= MAX_REJECTIONS {
            return;
        }
        let taken = u32::try_from(self.outstanding.len()).unwrap_or(u32::MAX).saturating_add(self.granted);
        let depth = if self.is_snubbed || self.is_choked { 1 } else { self.depth() };
        let room = depth.saturating_sub(taken);
        if room > 0 && (room >= depth / 4 || taken == 0) {
            self.granted += room;
            events.push(Event::Room(room));
        }
    }

    /// Lets time pass: the rate of the last second sets the depth of the queue, and a peer that does not answer is
    /// given up on.
    pub(super) fn tick(&mut self, now: Instant, control: &mut Vec<u8>, events: &mut Vec<Event>) {
        self.measure(now);
        self.rejections = 0;
        if self.outstanding.is_empty() {
            return;
        }
        if now.saturating_duration_since(self.heard_at) >= SNUB_TIME && !self.is_snubbed {
            self.is_snubbed = true;
            self.is_starting = false;
            self.depth = MIN_REQUESTS;
            self.granted = 0;
            events.push(Event::Snubbing(true));
            // One stays asked for, so that the peer can show that it has come back.
            while self.outstanding.len() > 1 {
                self.withdraw_last(control, events);
            }
        }
        // A request that the peer has passed over while it answered others: it was lost on its way, or in the peer.
        while let Some((block, asked_at)) = self.outstanding.front().copied()
            && now.saturating_duration_since(asked_at) >= LOST_TIME
        {
            self.outstanding.pop_front();
            Message::Cancel(block).encode(control);
            self.give_up(block, events);
        }
        let oldest = self.outstanding.front().map_or(now, |(_, asked_at)| *asked_at);
        let silence = now.saturating_duration_since(oldest.max(self.heard_at));
        if silence >= REQUEST_TIMEOUT {
            while self.is_waiting() {
                self.withdraw_last(control, events);
            }
        }
    }

    fn withdraw_last(&mut self, control: &mut Vec<u8>, events: &mut Vec<Event>) {
        if let Some((block, _)) = self.outstanding.pop_back() {
            Message::Cancel(block).encode(control);
            self.give_up(block, events);
        }
    }

    /// How many requests are to be on their way.
    fn depth(&self) -> u32 {
        self.depth.clamp(MIN_REQUESTS, self.peer_queue.clamp(MIN_REQUESTS, MAX_REQUESTS))
    }

    fn measure(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.ticked_at);
        if since < Duration::from_millis(100) {
            return;
        }
        self.ticked_at = now;
        // Requests that wait longer than the queue is to bridge: it is long enough. A slow peer, which answers in fits and
        // starts, would else seem to grow for ever.
        let oldest = self.outstanding.front().map_or(now, |(_, asked_at)| *asked_at);
        self.is_starting &= now.saturating_duration_since(oldest) < Duration::from_secs(QUEUE_TIME_S);
        let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let rate = std::mem::take(&mut self.received).saturating_mul(1_000) / millis;
        if self.is_starting
            && rate > 0
            && rate < self.rate_bytes_per_s + self.rate_bytes_per_s / SLOW_START_GAIN
        {
            self.is_starting = false;
        }
        // Half of the past: a burst or a gap of one second is no trend.
        self.rate_bytes_per_s = (self.rate_bytes_per_s + rate).div_ceil(2).max(rate / 2);
        let wanted = self.rate_bytes_per_s.saturating_mul(QUEUE_TIME_S) / u64::from(BLOCK_LENGTH);
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
        self.depth = if self.is_starting { self.depth.max(wanted) } else { wanted }.min(MAX_REQUESTS);
    }

    /// Takes `block` out of those on their way; whether it was among them. Peers answer in order, so it is the first
    /// as a rule.
    fn take(&mut self, block: Block) -> bool {
        let position = self.outstanding.iter().position(|(waiting, _)| *waiting == block);
        position.and_then(|position| self.outstanding.remove(position)).is_some()
    }

    fn give_up(&mut self, block: Block, events: &mut Vec<Event>) {
        if self.given_up.len() == MAX_GIVEN_UP {
            self.given_up.pop_front();
        }
        self.given_up.push_back(block);
        events.push(Event::Rejected(block));
    }
}
