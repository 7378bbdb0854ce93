//! Which parts of a mapped file are known to be in memory, and until when that is trusted.

use std::ops::Range;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

/// Bytes in a window: what is read and entered into the page table at a time.
pub const WINDOW_LENGTH: u64 = 256 * 1024;
/// How long a window that was read is trusted to be in memory. The kernel tells nobody when it takes a page back.
const WARM_S: u32 = 10;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Seconds since the process began to look at windows, never zero.
pub fn seconds(now: Instant) -> u32 {
    let since = now.saturating_duration_since(*START).as_secs();
    u32::try_from(since).unwrap_or(u32::MAX - WARM_S).saturating_add(1)
}

/// When each window of a file was last read; 0 for never.
#[derive(Debug)]
pub struct Windows {
    warmed_at_s: Box<[AtomicU32]>,
}

impl Windows {
    /// For a file of `length` bytes, all cold.
    pub fn new(length: u64) -> Self {
        let count = length.div_ceil(WINDOW_LENGTH);
        Self { warmed_at_s: (0..count).map(|_| AtomicU32::new(0)).collect() }
    }

    /// Whether all of `range` is trusted to be in memory at `now_s`.
    pub fn are_warm(&self, range: Range<u64>, now_s: u32) -> bool {
        self.of(&range).iter().all(|warmed_at_s| {
            let then = warmed_at_s.load(Ordering::Relaxed);
            then != 0 && now_s.saturating_sub(then) < WARM_S
        })
    }

    /// Notes that the windows of `range` were read at `now_s`.
    pub fn set_warm(&self, range: Range<u64>, now_s: u32) {
        self.of(&range).iter().for_each(|warmed_at_s| warmed_at_s.store(now_s, Ordering::Relaxed));
    }

    /// `range` of a file of `length` bytes, widened to whole windows.
    pub fn widen(range: Range<u64>, length: u64) -> Range<u64> {
        let start = range.start / WINDOW_LENGTH * WINDOW_LENGTH;
        start..(range.end.div_ceil(WINDOW_LENGTH) * WINDOW_LENGTH).min(length)
    }

    fn of(&self, range: &Range<u64>) -> &[AtomicU32] {
        let index = |position: u64| usize::try_from(position).unwrap_or(usize::MAX);
        &self.warmed_at_s[index(range.start / WINDOW_LENGTH)..index(range.end.div_ceil(WINDOW_LENGTH))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_warm_for_a_bounded_time() {
        let windows = Windows::new(3 * WINDOW_LENGTH + 1);
        windows.set_warm(WINDOW_LENGTH..2 * WINDOW_LENGTH, 5);
        assert!(windows.are_warm(WINDOW_LENGTH..WINDOW_LENGTH + 10, 5));
        assert!(windows.are_warm(WINDOW_LENGTH..WINDOW_LENGTH + 10, 5 + WARM_S - 1));
        assert!(!windows.are_warm(WINDOW_LENGTH..WINDOW_LENGTH + 10, 5 + WARM_S));
        assert!(!windows.are_warm(WINDOW_LENGTH - 1..WINDOW_LENGTH + 10, 5), "the one before is cold");
        assert!(
            !windows.are_warm(3 * WINDOW_LENGTH..3 * WINDOW_LENGTH + 1, 5),
            "the last, short one is cold"
        );
    }

    #[test]
    fn a_range_is_widened_to_windows_but_not_past_the_file() {
        let length = 2 * WINDOW_LENGTH + 100;
        assert_eq!(Windows::widen(10..20, length), 0..WINDOW_LENGTH);
        assert_eq!(Windows::widen(WINDOW_LENGTH - 1..WINDOW_LENGTH + 1, length), 0..2 * WINDOW_LENGTH);
        assert_eq!(Windows::widen(length - 1..length, length), 2 * WINDOW_LENGTH..length);
    }
}
