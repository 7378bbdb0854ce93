//! Which downloads may run: so many at a time, the others in the order in which they came. Those that run and get nothing
//! hold up nobody.

use std::collections::BTreeSet;

use crate::bus::TorrentId;

/// Downloads that run, and those that wait.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Most that run; `None` for all.
    max_active: Option<usize>,
    active: BTreeSet<TorrentId>,
    /// Those that run, and for which nothing has come for long: they take no place.
    stalled: BTreeSet<TorrentId>,
    waiting: BTreeSet<TorrentId>,
}

impl Queue {
    pub(super) fn new(max_active: Option<usize>) -> Self {
        Self { max_active, ..Self::default() }
    }

    /// Whether `id` may run: it has a place, or gets one, or waits from now on.
    pub(super) fn enter(&mut self, id: TorrentId) -> bool {
        if self.active.contains(&id) || self.stalled.contains(&id) {
            return true;
        }
        // Who came first goes first.
        let is_first = self.waiting.first().is_none_or(|first| id <= *first);
        if self.has_room() && is_first {
            self.waiting.remove(&id);
            self.active.insert(id);
            return true;
        }
        self.waiting.insert(id);
        false
    }

    /// Gives up the place of `id`, or its turn. Those that may begin now are to [`enter`](Self::enter) again.
    pub(super) fn leave(&mut self, id: TorrentId) -> Vec<TorrentId> {
        self.stalled.remove(&id);
        let had_turn = self.waiting.remove(&id) | self.active.remove(&id);
        if had_turn { self.next() } else { Vec::new() }
    }

    /// Whether something comes for `id`, which runs. Those that may begin now are to [`enter`](Self::enter). One for which
    /// something comes again goes on, and takes a place also where there is none.
    pub(super) fn set_stalled(&mut self, id: TorrentId, is_stalled: bool) -> Vec<TorrentId> {
        if is_stalled && self.active.remove(&id) {
            self.stalled.insert(id);
            return self.next();
        }
        if !is_stalled && self.stalled.remove(&id) {
            self.active.insert(id);
        }
        Vec::new()
    }

    /// Lets so many run. Those that may begin now are to [`enter`](Self::enter); none that runs is stopped.
    pub(super) fn set_max_active(&mut self, max_active: Option<usize>) -> Vec<TorrentId> {
        self.max_active = max_active;
        self.next()
    }

    /// The place of `id` among those that wait, from 1.
    pub(super) fn position(&self, id: TorrentId) -> Option<usize> {
        self.waiting.contains(&id).then(|| self.waiting.range(..=id).count())
    }

    fn has_room(&self) -> bool {
        self.max_active.is_none_or(|max| self.active.len() < max)
    }

    /// Those that wait and for which there is room.
    fn next(&self) -> Vec<TorrentId> {
        let room = self.max_active.map_or(usize::MAX, |max| max.saturating_sub(self.active.len()));
        self.waiting.iter().take(room).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: TorrentId = TorrentId(1);
    const B: TorrentId = TorrentId(2);
    const C: TorrentId = TorrentId(3);

    #[test]
    fn so_many_run_and_the_first_to_come_is_the_next() {
        let mut queue = Queue::new(Some(1));
        assert!(queue.enter(B) && queue.enter(B), "asking twice takes one place");
        assert!(!queue.enter(C) && !queue.enter(A));
        assert_eq!((queue.position(A), queue.position(C), queue.position(B)), (Some(1), Some(2), None));
        assert_eq!(queue.leave(B), [A]);
        assert!(!queue.enter(C), "it is not its turn");
        assert!(queue.enter(A));
        queue.leave(C);
        assert_eq!(queue.leave(A), []);
        assert!(queue.enter(A) && !queue.enter(B) && !queue.enter(C));
        queue.leave(A);
        assert_eq!(queue.leave(B), [C], "who has its turn and goes gives it to the next");
    }

    #[test]
    fn one_that_gets_nothing_holds_up_nobody() {
        let mut queue = Queue::new(Some(1));
        assert!(queue.enter(A) && !queue.enter(B) && !queue.enter(C));
        assert_eq!(queue.set_stalled(A, false), []);
        assert_eq!(queue.set_stalled(A, true), [B]);
        assert!(queue.enter(B) && queue.enter(A), "it runs still");
        assert_eq!(queue.set_stalled(A, false), []);
        assert_eq!(queue.leave(B), [], "it has its place again");
        assert_eq!(queue.set_stalled(A, true), [C]);
        assert_eq!(queue.leave(A), [], "it had none to give");
        assert!(queue.enter(C));
        assert_eq!(queue.set_stalled(A, true), [], "it does not run");
    }

    #[test]
    fn a_wider_queue_lets_more_begin_and_a_narrower_one_stops_none() {
        let mut queue = Queue::new(Some(1));
        assert!(queue.enter(A) && !queue.enter(B) && !queue.enter(C));
        assert_eq!(queue.set_max_active(Some(2)), [B]);
        assert!(queue.enter(B));
        assert_eq!(queue.set_max_active(Some(1)), []);
        assert_eq!(queue.leave(A), [], "one runs still");
        assert_eq!(queue.set_max_active(None), [C]);
    }
}
