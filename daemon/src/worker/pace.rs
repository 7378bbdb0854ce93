//! How many blocks one peer gets at a time: as many as it takes quickly, so that a slow one pins little.

use std::time::Duration;

/// Most blocks in a batch. More do not save anything that can be measured, would let one peer have the socket buffers to
/// itself, and are memory that a thousand peers who wait hold at a time.
const MAX_BLOCKS: usize = 32;
/// Blocks in the first batch. Where a thousand peers who start together get long ones at once, the receive windows of some
/// are seen to stay small, and those peers slow; under bbr, those of all.
const FIRST_BLOCKS: usize = 1;
/// A batch that leaves within this time may be followed by one that is a block longer.
const FAST: Duration = Duration::from_millis(250);
/// After a batch that takes longer than this the next is half as long.
const SLOW: Duration = Duration::from_secs(1);

/// The length of a peer's next batch.
#[derive(Debug)]
pub(super) struct Pace {
    blocks: usize,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { blocks: FIRST_BLOCKS }
    }

    /// Most blocks of the next batch.
    pub(super) fn blocks(&self) -> usize {
        self.blocks
    }

    /// Notes that a batch took `time` to leave.
    pub(super) fn note(&mut self, time: Duration) {
        if time <= FAST {
            self.blocks = (self.blocks + 1).min(MAX_BLOCKS);
        } else if time > SLOW {
            self.blocks = (self.blocks / 2).max(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_peer_gets_long_batches_and_a_slow_one_short_ones() {
        let mut pace = Pace::new();
        assert_eq!(pace.blocks(), FIRST_BLOCKS);
        pace.note(FAST);
        assert_eq!(pace.blocks(), FIRST_BLOCKS + 1);
        (0..MAX_BLOCKS).for_each(|_| pace.note(FAST));
        assert_eq!(pace.blocks(), MAX_BLOCKS);
        pace.note(SLOW);
        assert_eq!(pace.blocks(), MAX_BLOCKS, "neither fast nor slow");
        (0..10).for_each(|_| pace.note(SLOW + FAST));
        assert_eq!(pace.blocks(), 1);
    }
}
