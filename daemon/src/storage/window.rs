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
/// Seconds in a generation. A grain is trusted to be in memory for the generation in which it was last read or sent, and
/// the next: five to ten seconds. The kernel tells nobody when it takes a page back.
const GENERATION_S: u32 = 5;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Seconds since the process began to look at windows, never zero.
pub fn seconds(now: Instant) -> u32 {
    let since = now.saturating_duration_since(*START).as_secs();
    u32::try_from(since).unwrap_or(u32::MAX).saturating_add(1)
}

/// Which grains of each window of a file were in memory lately.
#[derive(Debug)]
pub struct Windows {
    states: Box<[AtomicU64]>,
}

/// A window: the grains that were read or sent in a generation, and in the one before.
#[derive(Debug, Clone, Copy)]
struct State {
    generation: u32,
    now: u16,
    before: u16,
}

impl State {
    fn unpack(word: u64) -> Self {
        let [a, b, c, d, now_low, now_high, before_low, before_high] = word.to_le_bytes();
        Self {
            generation: u32::from_le_bytes([a, b, c, d]),
            now: u16::from_le_bytes([now_low, now_high]),
            before: u16::from_le_bytes([before_low, before_high]),
        }
    }

    fn pack(self) -> u64 {
        u64::from(self.generation) | u64::from(self.now) << 32 | u64::from(self.before) << 48
    }

    /// As it is in `generation`. A clock that was read a little earlier does not turn it back.
    fn in_generation(self, generation: u32) -> Self {
        match generation.saturating_sub(self.generation) {
            0 => self,
            1 => Self { generation, now: 0, before: self.now },
            _ => Self { generation, now: 0, before: 0 },
        }
    }

    fn are_warm(self, grains: u16) -> bool {
        (self.now | self.before) & grains == grains
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
        let generation = now_s / GENERATION_S;
        self.parts(range).all(|(state, grains)| {
            State::unpack(state.load(Ordering::Relaxed)).in_generation(generation).are_warm(grains)
        })
    }

    /// As [`Windows::are_warm`], for what is sent if it is: that touches the pages, so what is sent again and again stays
    /// warm. A grain of which only a part is sent counts as a whole: of files that begin within a grain of their torrent no
    /// block covers one.
    pub fn are_warm_to_send(&self, range: Range<u64>, now_s: u32) -> bool {
        let are_warm = self.are_warm(range.clone(), now_s);
        if are_warm {
            self.set_warm(range, now_s);
        }
        are_warm
    }

    /// Notes that the grains of `range` were read at `now_s`.
    pub fn set_warm(&self, range: Range<u64>, now_s: u32) {
        let generation = now_s / GENERATION_S;
        for (state, grains) in self.parts(range) {
            let with = |word| {
                let state = State::unpack(word).in_generation(generation);
                let with = State { now: state.now | grains, ..state }.pack();
                // Most of the time it is known, and the word stays in the caches of all cores.
                (with != word).then_some(with)
            };
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

    /// The first second of a generation.
    const START_S: u32 = 20 * GENERATION_S;

    fn grain(number: u64) -> Range<u64> {
        number * GRAIN_LENGTH..(number + 1) * GRAIN_LENGTH
    }

    #[test]
    fn a_grain_that_was_read_is_warm_for_this_generation_and_the_next() {
        let windows = Windows::new(3 * WINDOW_LENGTH + 1);
        let second = WINDOW_LENGTH..2 * WINDOW_LENGTH;
        windows.set_warm(second.clone(), START_S);
        assert!(windows.are_warm(second.start..second.start + 10, START_S));
        assert!(windows.are_warm(second.clone(), START_S + 2 * GENERATION_S - 1));
        assert!(!windows.are_warm(second.clone(), START_S + 2 * GENERATION_S));
        assert!(!windows.are_warm(second.start - 1..second.start + 10, START_S), "the one before is cold");
        let last = 3 * WINDOW_LENGTH..3 * WINDOW_LENGTH + 1;
        assert!(!windows.are_warm(last.clone(), START_S), "the last, short one is cold");
        windows.set_warm(last.clone(), START_S);
        assert!(windows.are_warm(last, START_S));
    }

    #[test]
    fn what_is_sent_again_and_again_stays_warm_and_its_neighbours_do_not() {
        let windows = Windows::new(WINDOW_LENGTH);
        windows.set_warm(grain(3).start..grain(4).end, START_S);
        for generation in 1..10 {
            assert!(windows.are_warm_to_send(grain(3), START_S + generation * GENERATION_S), "{generation}");
        }
        let now_s = START_S + 10 * GENERATION_S;
        assert!(windows.are_warm(grain(3), now_s) && !windows.are_warm(grain(4), now_s));
        assert!(!windows.are_warm_to_send(grain(3).start..grain(4).end, now_s), "a half is not enough");
        assert!(!windows.are_warm(grain(3), now_s + GENERATION_S), "nor is it as if that had been sent");
    }

    #[test]
    fn one_grain_does_not_make_its_neighbours_warm_nor_keep_them_so() {
        let windows = Windows::new(WINDOW_LENGTH);
        windows.set_warm(grain(3), START_S);
        assert!(windows.are_warm(grain(3), START_S) && !windows.are_warm(grain(2), START_S));
        assert!(!windows.are_warm(grain(3).start..grain(4).end, START_S));
        windows.set_warm(grain(4), START_S + GENERATION_S);
        assert!(windows.are_warm(grain(3).start..grain(4).end, START_S + GENERATION_S));
        let later_s = START_S + 2 * GENERATION_S;
        windows.set_warm(grain(5), later_s);
        assert!(
            windows.are_warm(grain(4).start..grain(5).end, later_s) && !windows.are_warm(grain(3), later_s)
        );
    }

    #[test]
    fn a_clock_that_was_read_earlier_does_not_turn_back() {
        let windows = Windows::new(WINDOW_LENGTH);
        windows.set_warm(grain(3), START_S);
        windows.set_warm(grain(4), START_S - 1);
        assert!(windows.are_warm(grain(3).start..grain(4).end, START_S));
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
