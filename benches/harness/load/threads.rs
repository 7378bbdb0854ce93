//! The threads of a load: each has a share of the connections, and all open and close the window together.

use std::io;
use std::ops::Range;
use std::panic;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use super::crowd::Crowd;
use super::options::{Options, Span};
use super::{LoadError, Sample, Tally};
use crate::latencies::Latencies;

/// What one thread does of all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    /// Which thread.
    number: usize,
    /// How many there are.
    of: usize,
}

/// What one thread has to tell. One of them took the samples.
struct Told {
    tally: Tally,
    before: Option<Sample>,
    after: Option<Sample>,
}

/// Measures one window: what happened, and the clocks at both ends of it.
pub(super) fn run(options: &Options) -> Result<(Tally, Sample, Sample), LoadError> {
    // Each has something to ask for.
    let of = options.threads.clamp(1, options.connections);
    let together = &Barrier::new(of);
    let told: Vec<_> = thread::scope(|scope| {
        let start = |number| scope.spawn(move || measure(options, Share { number, of }, together));
        let threads: Vec<_> = (0..of).map(start).collect();
        let results = threads.into_iter().map(|thread| thread.join());
        results.map(|result| result.unwrap_or_else(|panic| panic::resume_unwind(panic))).collect()
    });
    let (mut all, mut before, mut after) = (Tally::default(), None, None);
    for told in told {
        let told = told?;
        all.add(told.tally);
        before = before.or(told.before);
        after = after.or(told.after);
    }
    let samples = before.zip(after).ok_or_else(|| io::Error::other("nobody took the time"))?;
    Ok((all, samples.0, samples.1))
}

/// What one thread does. One that fails meets the others all the same, or they would wait for it.
fn measure(options: &Options, share: Share, together: &Barrier) -> Result<Told, LoadError> {
    let mut crowd = Crowd::connect(options, share).and_then(|mut crowd| {
        crowd.wait_unchoked(Duration::from_secs(options.unchoke_wait_s))?;
        Ok(crowd)
    });
    together.wait();
    crowd = crowd.and_then(|mut crowd| {
        crowd.start()?;
        crowd.go_on(share.of_span(options.warm))?;
        crowd.latencies.clear();
        Ok(crowd)
    });
    let sample = || together.wait().is_leader().then(|| Sample::take(options)).transpose();
    let before = sample();
    let bytes_before: Vec<u64> = crowd.iter().flat_map(Crowd::connection_bytes).collect();
    crowd = crowd.and_then(|mut crowd| {
        crowd.go_on(share.of_span(options.window))?;
        Ok(crowd)
    });
    let after = sample();
    let crowd = crowd?;
    Ok(Told { tally: tally(crowd, &bytes_before), before: before?, after: after? })
}

/// What came to the connections of a thread since they had `bytes_before`.
fn tally(crowd: Crowd, bytes_before: &[u64]) -> Tally {
    let mut first_bytes = Latencies::default();
    crowd.first_bytes().for_each(|time| first_bytes.add(time));
    Tally {
        each: crowd.connection_bytes().zip(bytes_before).map(|(after, before)| after - before).collect(),
        first_bytes,
        unchoked: crowd.unchoked(),
        chokes: crowd.chokes(),
        compared_blocks: crowd.compared_blocks(),
        latencies: crowd.latencies,
    }
}

impl Share {
    /// Of `numbers`, those of this thread.
    pub(super) fn of_numbers(self, numbers: Range<usize>) -> impl Iterator<Item = usize> {
        numbers.skip(self.number).step_by(self.of)
    }

    /// Of requests a second, those of this thread.
    #[expect(clippy::cast_precision_loss, reason = "there are few threads")]
    pub(super) fn of_rate(self, rate: f64) -> f64 {
        rate / self.of as f64
    }

    /// How long this thread goes on where all do so for `span`.
    fn of_span(self, span: Span) -> Span {
        match span {
            Span::Bytes(bytes) => Span::Bytes(bytes.div_ceil(self.of as u64)),
            Span::Time(time) => Span::Time(time),
        }
    }
}
