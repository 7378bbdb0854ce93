//! Questions over UDP that are open, by transaction.

use std::time::{Duration, Instant};

use super::udp_ids::MARK;
use super::udp_load::Op;

/// So many may be open.
const CAPACITY: u32 = 1 << 18;

/// An open question.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    pub(super) op: Op,
    /// When it was due, after the beginning.
    pub(super) due: Duration,
    pub(super) sent: Instant,
}

/// All open questions. Transactions are given in order, so that the oldest is known.
#[derive(Debug)]
pub(super) struct Slots {
    slots: Vec<Option<Slot>>,
    oldest: u32,
    next: u32,
    open: usize,
}

impl Default for Slots {
    fn default() -> Self {
        // Late answers of an earlier run find nothing here.
        let first = std::process::id().wrapping_mul(0x9e37) ^ subsec();
        let first = first % (MARK - 1);
        Self {
            slots: vec![None; usize::try_from(CAPACITY).unwrap_or_default()],
            oldest: first,
            next: first,
            open: 0,
        }
    }
}

fn subsec() -> u32 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.subsec_nanos())
}

impl Slots {
    /// Transaction of the next question.
    pub(super) fn next(&self) -> u32 {
        self.next
    }

    /// How many are open.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// Whether there is no room for one more.
    pub(super) fn is_full(&self) -> bool {
        self.slots[place(self.next)].is_some()
    }

    /// Keeps the question that was sent as [`Self::next`].
    pub(super) fn put(&mut self, slot: Slot) {
        self.slots[place(self.next)] = Some(slot);
        self.next = (self.next + 1) % MARK;
        self.open += 1;
    }

    /// Takes the question with that transaction, if it is open.
    pub(super) fn take(&mut self, transaction: u32) -> Option<Slot> {
        let age =
            self.next.checked_sub(transaction).unwrap_or_else(|| self.next + (MARK - transaction.min(MARK)));
        if age == 0 || age > CAPACITY {
            return None;
        }
        let slot = self.slots[place(transaction)].take()?;
        self.open -= 1;
        Some(slot)
    }

    /// Gives up those that have been open for longer than `limit`.
    pub(super) fn expire(&mut self, limit: Duration, mut lost: impl FnMut(Slot)) {
        while self.oldest != self.next {
            let place = place(self.oldest);
            if self.slots[place].as_ref().is_some_and(|slot| slot.sent.elapsed() <= limit) {
                return;
            }
            if let Some(slot) = self.slots[place].take() {
                self.open -= 1;
                lost(slot);
            }
            self.oldest = (self.oldest + 1) % MARK;
        }
    }
}

fn place(transaction: u32) -> usize {
    usize::try_from(transaction % CAPACITY).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::population::Population;
    use super::*;

    const WHO: Population = Population { torrents: 1, peers_each: 1, sources: 1, salt: 0 };

    fn slot(torrent: u32, sent: Instant) -> Slot {
        Slot { op: Op::Scrape { who: WHO, torrent, count: 1 }, due: Duration::ZERO, sent }
    }

    #[test]
    fn what_is_answered_is_taken_once_and_what_is_not_is_lost() {
        let (now, limit) = (Instant::now(), Duration::from_secs(3600));
        let old = now.checked_sub(limit * 2).unwrap();
        let mut slots = Slots { oldest: MARK - 2, next: MARK - 2, ..Slots::default() };
        let transactions = [now, old, old, now].map(|sent| {
            let transaction = slots.next();
            slots.put(slot(transaction, sent));
            transaction
        });
        assert_eq!(transactions, [MARK - 2, MARK - 1, 0, 1]);
        assert!(slots.take(MARK - 3).is_none() && slots.take(2).is_none());
        let mut lost = Vec::new();
        slots.expire(limit, |slot| lost.push(slot.op));
        assert!(lost.is_empty(), "the oldest is young");
        assert!(slots.take(MARK - 2).is_some() && slots.take(MARK - 2).is_none());
        slots.expire(limit, |slot| lost.push(slot.op));
        assert_eq!(lost, [slot(MARK - 1, now).op, slot(0, now).op]);
        assert_eq!(slots.open(), 1);
        assert!(slots.take(0).is_none() && slots.take(1).is_some());
        assert_eq!(slots.open(), 0);
    }
}
