//! The blocks of one open piece: which are free, which are asked for and of whom, which are here.
//!
//! Two bytes a block, as a piece may have 32,768 of them and many may be open. Owned by [`OpenPieces`]; never knows
//! which piece it is.
//!
//! [`OpenPieces`]: super::open::OpenPieces

use std::collections::BTreeMap;

use super::requests::Slot;

/// A block that is asked of nobody.
const FREE: u16 = u16::MAX;
/// A block that came in. Smaller values name the slot of the peer it is asked of.
const RECEIVED: u16 = u16::MAX - 1;
/// Peers that one block may be asked of at a time, in the end-game: more would only send it in vain.
pub(super) const MAX_HOLDERS: usize = 3;

/// The state of every block of a piece.
#[derive(Debug)]
pub(super) struct Blocks {
    states: Box<[u16]>,
    /// Further peers that a block is asked of: only in the end-game.
    rivals: BTreeMap<u32, Vec<Slot>>,
    free: u32,
    received: u32,
    /// No block before this one is free.
    first_free: u32,
}

impl Blocks {
    /// `count` free blocks.
    pub(super) fn new(count: u32) -> Self {
        let states = vec![FREE; count as usize].into();
        Self { states, rivals: BTreeMap::new(), free: count, received: 0, first_free: 0 }
    }

    /// How many blocks are asked of nobody.
    pub(super) fn free(&self) -> u32 {
        self.free
    }

    /// How many blocks are here.
    pub(super) fn received(&self) -> u32 {
        self.received
    }

    /// How many blocks are on their way.
    pub(super) fn busy(&self) -> u32 {
        self.count() - self.free - self.received
    }

    /// How many blocks there are.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.states.len()).unwrap_or(u32::MAX)
    }

    /// Hands the first free block to `slot`.
    pub(super) fn take_free(&mut self, slot: Slot) -> Option<u32> {
        let rest = self.states.get(self.first_free as usize..)?;
        let found = (self.first_free..).zip(rest).find(|(_, state)| **state == FREE);
        self.first_free = found.map_or(self.count(), |(index, _)| index + 1);
        let (index, _) = found?;
        self.states[index as usize] = slot.0;
        self.free -= 1;
        Some(index)
    }

    /// The peers that block `index` is asked of.
    pub(super) fn holders(&self, index: u32) -> Vec<Slot> {
        let rivals = self.rivals.get(&index).into_iter().flatten();
        self.holder(index).into_iter().chain(rivals.copied()).collect()
    }

    /// The first peer that block `index` is asked of.
    fn holder(&self, index: u32) -> Option<Slot> {
        self.states.get(index as usize).filter(|state| **state < RECEIVED).map(|state| Slot(*state))
    }

    /// The busy block with the fewest holders, `slot` not among them, and their number.
    pub(super) fn least_held(&self, slot: Slot) -> Option<(usize, u32)> {
        let mut best = None;
        for (index, state) in (0..).zip(&self.states) {
            if *state >= RECEIVED || *state == slot.0 {
                continue;
            }
            let rivals = self.rivals.get(&index).map_or(&[][..], Vec::as_slice);
            let holders = rivals.len() + 1;
            if holders < MAX_HOLDERS
                && !rivals.contains(&slot)
                && best.is_none_or(|(fewest, _)| holders < fewest)
            {
                best = Some((holders, index));
                if holders == 1 {
                    break;
                }
            }
        }
        best
    }

    /// Asks `slot` too for the busy block `index`.
    pub(super) fn add_rival(&mut self, index: u32, slot: Slot) {
        debug_assert!(self.holder(index).is_some(), "only a busy block has rivals");
        self.rivals.entry(index).or_default().push(slot);
    }

    /// Block `index` came in: those it was asked of, or `None` when it was here.
    pub(super) fn receive(&mut self, index: u32) -> Option<Vec<Slot>> {
        let was = *self.states.get(index as usize).filter(|state| **state != RECEIVED)?;
        let holders = self.holders(index);
        self.rivals.remove(&index);
        self.states[index as usize] = RECEIVED;
        self.received += 1;
        self.free -= u32::from(was == FREE);
        Some(holders)
    }

    /// Block `index` will not come from `slot`: it is free unless another peer holds it.
    pub(super) fn release(&mut self, index: u32, slot: Slot) {
        if self.holder(index) == Some(slot) {
            match self.rivals.get_mut(&index).and_then(Vec::pop) {
                Some(heir) => self.states[index as usize] = heir.0,
                None => self.set_free(index),
            }
        } else if let Some(rivals) = self.rivals.get_mut(&index) {
            rivals.retain(|rival| *rival != slot);
        }
        if self.rivals.get(&index).is_some_and(Vec::is_empty) {
            self.rivals.remove(&index);
        }
    }

    /// What came in is worthless: those blocks are free again.
    pub(super) fn drop_received(&mut self) {
        self.received = 0;
        for index in 0..self.count() {
            if self.states[index as usize] == RECEIVED {
                self.set_free(index);
            }
        }
    }

    fn set_free(&mut self, index: u32) {
        self.states[index as usize] = FREE;
        self.free += 1;
        self.first_free = self.first_free.min(index);
    }
}
