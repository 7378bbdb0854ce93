//! What is asked of each peer at the moment. Owned by the [`Picker`], which keeps it in step with the open pieces.
//!
//! A peer that is asked for something sits in a slot, whose number is short enough to be kept for every block.
//!
//! [`Picker`]: super::Picker

use std::collections::{BTreeMap, VecDeque};

use crate::swarm::PeerKey;

/// Peers that can be asked at a time: the two numbers above them mean other things in the state of a block.
const MAX_SLOTS: usize = u16::MAX as usize - 1;

/// The number of a peer that is asked for blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot(pub(super) u16);

/// A block that a peer was asked for, by its number in the piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) piece: u32,
    pub(super) index: u32,
}

/// The outstanding requests of every peer, in the order they were made.
#[derive(Debug, Default)]
pub(super) struct Requests {
    slots: BTreeMap<PeerKey, Slot>,
    seats: Vec<Seat>,
    vacant: Vec<Slot>,
}

#[derive(Debug)]
struct Seat {
    peer: PeerKey,
    requests: VecDeque<Request>,
}

impl Requests {
    /// The slot of `peer`, a new one if it has none; `None` when there are too many peers.
    pub(super) fn seat(&mut self, peer: PeerKey) -> Option<Slot> {
        if let Some(slot) = self.slots.get(&peer) {
            return Some(*slot);
        }
        let seat = Seat { peer, requests: VecDeque::new() };
        let slot = match self.vacant.pop() {
            Some(slot) => {
                self.seats[usize::from(slot.0)] = seat;
                slot
            }
            None => {
                let number = u16::try_from(self.seats.len()).ok().filter(|n| usize::from(*n) < MAX_SLOTS)?;
                self.seats.push(seat);
                Slot(number)
            }
        };
        self.slots.insert(peer, slot);
        Some(slot)
    }

    /// The slot of `peer`, if it was ever asked for something.
    pub(super) fn slot(&self, peer: PeerKey) -> Option<Slot> {
        self.slots.get(&peer).copied()
    }

    /// The peer in `slot`.
    pub(super) fn peer(&self, slot: Slot) -> PeerKey {
        self.seats[usize::from(slot.0)].peer
    }

    /// How many blocks the peer in `slot` is asked for.
    pub(super) fn len(&self, slot: Slot) -> usize {
        self.seats[usize::from(slot.0)].requests.len()
    }

    /// Notes that the peer in `slot` is asked for a block.
    pub(super) fn add(&mut self, slot: Slot, request: Request) {
        self.seats[usize::from(slot.0)].requests.push_back(request);
    }

    /// Strikes a request out; whether there was one. Peers answer in order, or about, so it is near the front.
    pub(super) fn remove(&mut self, slot: Slot, request: Request) -> bool {
        let requests = &mut self.seats[usize::from(slot.0)].requests;
        let place = requests.iter().position(|known| *known == request);
        place.and_then(|place| requests.remove(place)).is_some()
    }

    /// Vacates the slot of `peer`: what it was asked for, which will not come.
    pub(super) fn leave(&mut self, peer: PeerKey) -> Option<(Slot, VecDeque<Request>)> {
        let slot = self.slots.remove(&peer)?;
        self.vacant.push(slot);
        Some((slot, std::mem::take(&mut self.seats[usize::from(slot.0)].requests)))
    }
}
