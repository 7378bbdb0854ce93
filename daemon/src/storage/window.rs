//! Which parts of a mapped file are known to be in memory, and until when that is trusted.
//!
//! A file is cut into windows, and those into grains: a peer that asks here and there is to cost a grain and no more,
//! one that asks in order the rest of a window.

use std::ops::Range;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Bytes in a grain: what is read at least, and entered into the page table. As long as most blocks.
pub const GRAIN_LENGTH: u64 = 16 * 1024;
/// Bytes in a window: so far what is asked for in order is read ahead.
pub const WINDOW_LENGTH: u64 = GRAINS * GRAIN_LENGTH;
/// Grains of a window, each a bit.
const GRAINS: u64 = 16;
/// How long a grain that was read is trusted to be in memory. The kernel tells nobody when it takes a page back.
const WARM_S: u32 = 10;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Seconds since the process began to look at windows, never zero.
pub fn seconds(now: Instant) -> u32 {
    let since = now.saturating_duration_since(*START).as_secs();
    u32::try_from(since).unwrap_or(u32::MAX - WARM_S).saturating_add(1)
}

/// Which grains of each window of a file were read, and when the first of them was.
#[derive(Debug)]
pub struct Windows {
    states: Box<[AtomicU64]>,
}

/// A window: the second in which its first grain was read since it was last cold, 0 for never; and its grains. So a
/// grain is trusted a little shorter than it might be, and never longer.
#[derive(Debug, Clone, Copy)]
struct State {
    since_s: u32,
    grains: u16,
}

impl State {
    fn unpack(word: u64) -> Self {
        let [a, b, c, d, low, high, ..] = word.to_le_bytes();
        Self { since_s: u32::from_le_bytes([a, b, c, d]), grains: u16::from_le_bytes([low, high]) }
    }

    fn pack(self) -> u64 {
        u64::from(self.since_s) | u64::from(self.grains) << u32::BITS
    }

    fn is_fresh(self, now_s: u32) -> bool {
        self.since_s != 0 && now_s.saturating_sub(self.since_s) < WARM_S
    }

    /// As it is with `grains` read as well.
    fn with(self, grains: u16, now_s: u32) -> Self {
        if self.is_fresh(now_s) {
            Self { grains: self.grains | grains, ..self }
        } else {
            Self { since_s: now_s, grains }
        }
    }
}

impl Windows {
    /// For a file of `length` bytes, all cold.
    pub fn new(length: u64) -> Self {
        let count = length.div_ceil(WINDOW_LENGTH);
        Self { states: (0..count).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Whether all of `range` is trusted to be in memory at `now_s`.
    pub fn are_warm(&self, range: Range<u64>, now_s: u32) -> bool {
        self.parts(range).all(|(state, grains)| {
            let state = State::unpack(state.load(Ordering::Relaxed));
            state.is_fresh(now_s) && state.grains & grains == grains
        })
    }

    /// Notes that the grains of `range` were read at `now_s`.
    pub fn set_warm(&self, range: Range<u64>, now_s: u32) {
        for (state, grains) in self.parts(range) {
            let with = |word| Some(State::unpack(word).with(grains, now_s).pack());
            // Never fails: it always has a new word.
            let _ = state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, with);
        }
    }

    /// `range` of a file of `length` bytes, widened to whole grains.
    pub fn widen(range: Range<u64>, length: u64) -> Range<u64> {
        let start = range.start / GRAIN_LENGTH * GRAIN_LENGTH;
        start..range.end.next_multiple_of(GRAIN_LENGTH).min(length)
    }

    /// Where the window ends that `position` lies in, or at the end of.
    pub fn end_of(position: u64) -> u64 {
        position.next_multiple_of(WINDOW_LENGTH)
    }

    /// The windows that `range` touches, and which grains of each.
    fn parts(&self, range: Range<u64>) -> impl Iterator<Item = (&AtomicU64, u16)> {
        let index = |position: u64| usize::try_from(position).unwrap_or(usize::MAX);
        let first = range.start / WINDOW_LENGTH;
        let states = &self.states[index(first)..index(range.end.div_ceil(WINDOW_LENGTH))];
        (first..).zip(states).map(move |(number, state)| {
            let window = number * WINDOW_LENGTH;
            let grain_of =
                |position: u64| position.saturating_sub(window).min(WINDOW_LENGTH).div_ceil(GRAIN_LENGTH);
            let start = range.start.saturating_sub(window) / GRAIN_LENGTH;
            (state, mask(start..grain_of(range.end)))
        })
    }
}

/// A bit for each grain of `grains`.
fn mask(grains: Range<u64>) -> u16 {
    let below = |grain: u64| 1_u32.unbounded_shl(u32::try_from(grain).unwrap_or(u32::MAX)).wrapping_sub(1);
    // Of 16 bits, as there are grains.
    u16::try_from(below(grains.end) & !below(grains.start)).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_grain_is_warm_for_a_bounded_time() {
        let windows = Windows::new(3 * WINDOW_LENGTH + 1);
        windows.set_warm(WINDOW_LENGTH..2 * WINDOW_LENGTH, 5);
        assert!(windows.are_warm(WINDOW_LENGTH..WINDOW_LENGTH + 10, 5));
        assert!(windows.are_warm(WINDOW_LENGTH..2 * WINDOW_LENGTH, 5 + WARM_S - 1));
        assert!(!windows.are_warm(WINDOW_LENGTH..WINDOW_LENGTH + 10, 5 + WARM_S));
        assert!(!windows.are_warm(WINDOW_LENGTH - 1..WINDOW_LENGTH + 10, 5), "the one before is cold");
        assert!(
            !windows.are_warm(3 * WINDOW_LENGTH..3 * WINDOW_LENGTH + 1, 5),
            "the last, short one is cold"
        );
        windows.set_warm(3 * WINDOW_LENGTH..3 * WINDOW_LENGTH + 1, 5);
        assert!(windows.are_warm(3 * WINDOW_LENGTH..3 * WINDOW_LENGTH + 1, 5));
    }

    #[test]
    fn one_grain_does_not_make_its_neighbours_warm_nor_keep_them_so() {
        let windows = Windows::new(WINDOW_LENGTH);
        let grain = |number: u64| number * GRAIN_LENGTH..(number + 1) * GRAIN_LENGTH;
        windows.set_warm(grain(3), 5);
        assert!(windows.are_warm(grain(3), 5) && !windows.are_warm(grain(2), 5));
        assert!(!windows.are_warm(grain(3).start..grain(4).end, 5));
        windows.set_warm(grain(4), 10);
        assert!(windows.are_warm(grain(3).start..grain(4).end, 10));
        windows.set_warm(grain(5), 5 + WARM_S);
        assert!(windows.are_warm(grain(5), 5 + WARM_S) && !windows.are_warm(grain(3), 5 + WARM_S));
    }

    #[test]
    fn a_range_is_widened_to_grains_but_not_past_the_file() {
        let length = 2 * WINDOW_LENGTH + 100;
        assert_eq!(Windows::widen(10..20, length), 0..GRAIN_LENGTH);
        assert_eq!(
            Windows::widen(WINDOW_LENGTH - 1..WINDOW_LENGTH + 1, length),
            WINDOW_LENGTH - GRAIN_LENGTH..WINDOW_LENGTH + GRAIN_LENGTH
        );
        assert_eq!(Windows::widen(length - 1..length, length), 2 * WINDOW_LENGTH..length);
        assert_eq!([0, 1, WINDOW_LENGTH].map(Windows::end_of), [0, WINDOW_LENGTH, WINDOW_LENGTH]);
    }

    proptest! {
        /// Whatever was read, exactly the grains of it are warm.
        #[test]
        fn what_is_warm_is_what_was_read(
            read in prop::collection::vec((0_u64..70, 1_u64..40), 0..8),
            asked in (0_u64..70, 1_u64..40),
        ) {
            const LENGTH: u64 = 70 * GRAIN_LENGTH;
            let range = |(start, count): (u64, u64)| {
                start * GRAIN_LENGTH..((start + count) * GRAIN_LENGTH).min(LENGTH)
            };
            let windows = Windows::new(LENGTH);
            let mut known = [false; 70];
            let grains = |range: &Range<u64>| {
                usize::try_from(range.start / GRAIN_LENGTH).unwrap()..usize::try_from(range.end / GRAIN_LENGTH).unwrap()
            };
            for part in read {
                windows.set_warm(range(part), 3);
                known[grains(&range(part))].fill(true);
            }
            let all_known = known[grains(&range(asked))].iter().all(|known| *known);
            prop_assert_eq!(windows.are_warm(range(asked), 3), all_known);
        }
    }
}
