//! A turn at moving payload, where rates are limited: what one connection may move before others have theirs.

use std::cell::Cell;
use std::pin::Pin;

use crate::bus::Throttle;

/// Bytes that a connection may move next in one direction, under the limit of its torrent and that of all. What it has
/// earned and not used goes back when it is dropped.
pub(super) struct Turn<'a> {
    throttles: [Option<&'a Throttle>; 2],
    bytes: usize,
    /// How many of the limits have granted it.
    earned: Cell<usize>,
    used: Cell<usize>,
}

impl<'a> Turn<'a> {
    /// The next turn, of at most `room` bytes; `None` where nothing is limited.
    pub(super) fn new(throttles: [Option<&'a Throttle>; 2], room: usize) -> Option<Self> {
        let bytes = throttles.iter().flatten().filter_map(|throttle| throttle.turn()).min()?;
        Some(Self { throttles, bytes: bytes.min(room), earned: Cell::new(0), used: Cell::new(0) })
    }

    /// Waits for it. Boxed: most connections have no limit, and need not be larger for those that have.
    pub(super) fn earn(&self) -> Pin<Box<impl Future<Output = ()>>> {
        Box::pin(async {
            for throttle in self.throttles.iter().flatten() {
                throttle.take(self.bytes).await;
                self.earned.set(self.earned.get() + 1);
            }
        })
    }

    /// What it is good for.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Notes that `bytes` of it are used.
    pub(super) fn spend(&self, bytes: usize) {
        self.used.set(bytes);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let unused = self.bytes.saturating_sub(self.used.get());
        let granted = self.throttles.iter().flatten().take(self.earned.get());
        granted.for_each(|throttle| throttle.give_back(unused));
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn what_is_not_used_goes_back_and_what_was_not_granted_does_not() {
        let start = Instant::now();
        let throttle = || Throttle::new(Some(1_000_000), start);
        let (of_torrent, of_all) = (throttle(), throttle());
        of_torrent.refill(start + Duration::from_secs(1));
        let full = of_torrent.available();
        let mut context = Context::from_waker(Waker::noop());
        {
            let turn = Turn::new([Some(&of_torrent), Some(&of_all)], usize::MAX).unwrap();
            assert_eq!(turn.earn().as_mut().poll(&mut context), Poll::Pending, "the second has nothing");
            assert!(of_torrent.available() < full);
        }
        assert_eq!((of_torrent.available(), of_all.available()), (full, 0));
        of_all.refill(start + Duration::from_secs(1));
        {
            let turn = Turn::new([Some(&of_torrent), Some(&of_all)], 50_000).unwrap();
            assert_eq!(turn.earn().as_mut().poll(&mut context), Poll::Ready(()));
            turn.spend(20_000);
        }
        assert_eq!((of_torrent.available(), of_all.available()), (full - 20_000, full - 20_000));
    }

    #[test]
    fn without_a_limit_there_is_no_turn_to_wait_for() {
        let free = Throttle::default();
        assert!(Turn::new([None, Some(&free)], 1).is_none());
    }
}
