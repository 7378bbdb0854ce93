//! Times what changes its subject: a round does it on the clock, and checks and undoes it off the clock.
//!
//! Reading the clock is part of each round, some tens of ns: what takes less than a few microseconds is to be done many
//! times in one.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::Bencher;

/// Measures `work`. What came out of it goes to `undo`, which compares it with what should, and brings `subject` back
/// to where it was.
pub(crate) fn measure<S, T>(
    bencher: &mut Bencher<'_>,
    subject: &mut S,
    mut work: impl FnMut(&mut S) -> T,
    mut undo: impl FnMut(&mut S, T),
) {
    bencher.iter_custom(|rounds| {
        let mut spent = Duration::ZERO;
        for _ in 0..rounds {
            let begun = Instant::now();
            let out = black_box(work(subject));
            spent += begun.elapsed();
            undo(subject, out);
        }
        spent
    });
}
