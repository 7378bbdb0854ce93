//! Rate limits: token buckets that connections of all workers draw from, in turns.
//!
//! A token is a byte. Who finds too few waits in a queue, first come first served; since each takes about as much at a
//! time, all get the same. Without a limit nothing is counted.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

/// How often buckets are to be refilled.
pub const REFILL_INTERVAL: Duration = Duration::from_millis(50);
/// What a bucket holds, in parts of a second: what was not used in that time is lost.
const BURST_PER_S: u64 = 5;
/// Least that a bucket holds, or nothing would ever fit: a block with its header, twice.
const MIN_BURST: u64 = 2 * (16 * 1024 + 13);
/// Turns that a bucket is good for: the more, the finer the turns.
const TURNS: u64 = 4;
/// Least that is taken at a time: a block with its header.
const MIN_TURN: u64 = 16 * 1024 + 13;
/// Most that is taken at a time: a batch.
const MAX_TURN: u64 = 1024 * 1024;

/// One limit.
#[derive(Debug)]
pub struct Throttle {
    /// 0 for none.
    rate_bytes_per_s: AtomicU64,
    tokens: Semaphore,
    refill: Mutex<Refill>,
}

#[derive(Debug)]
struct Refill {
    at: Instant,
    /// What was too little to be a byte, in nanoseconds times bytes per second.
    remainder: u128,
}

/// The limits of one direction each, of a torrent or of all.
#[derive(Debug, Default)]
pub struct Limits {
    /// What peers get.
    pub upload: Throttle,
    /// What peers give.
    pub download: Throttle,
}

/// Limits of rates, where there are any.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// Bytes a second that peers get.
    pub upload_bytes_per_s: Option<u64>,
    /// Bytes a second that peers give.
    pub download_bytes_per_s: Option<u64>,
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new(None, Instant::now())
    }
}

impl Limits {
    /// Limits of so many bytes a second, where there are any.
    pub fn new(upload_bytes_per_s: Option<u64>, download_bytes_per_s: Option<u64>, now: Instant) -> Self {
        Self {
            upload: Throttle::new(upload_bytes_per_s, now),
            download: Throttle::new(download_bytes_per_s, now),
        }
    }

    /// Sets other limits; see [`Throttle::set_rate`].
    pub fn set(&self, upload_bytes_per_s: Option<u64>, download_bytes_per_s: Option<u64>, now: Instant) {
        self.upload.set_rate(upload_bytes_per_s, now);
        self.download.set_rate(download_bytes_per_s, now);
    }

    /// Whether there is any limit.
    pub fn are_set(&self) -> bool {
        [&self.upload, &self.download].iter().any(|throttle| throttle.rate_bytes_per_s().is_some())
    }

    /// Adds the tokens of the time since the last refill.
    pub fn refill(&self, now: Instant) {
        self.upload.refill(now);
        self.download.refill(now);
    }
}

impl Throttle {
    /// A limit of so many bytes a second, or none.
    pub fn new(rate_bytes_per_s: Option<u64>, now: Instant) -> Self {
        Self {
            rate_bytes_per_s: AtomicU64::new(stored(rate_bytes_per_s)),
            tokens: Semaphore::new(0),
            refill: Mutex::new(Refill { at: now, remainder: 0 }),
        }
    }

    /// Sets another limit, or none. Who waits under the old one goes on under the new one, in turn.
    pub fn set_rate(&self, rate_bytes_per_s: Option<u64>, now: Instant) {
        // What was earned until now was earned at the old rate.
        self.refill(now);
        let mut refill = self.refill.lock().unwrap_or_else(PoisonError::into_inner);
        *refill = Refill { at: now, remainder: 0 };
        self.rate_bytes_per_s.store(stored(rate_bytes_per_s), Ordering::Relaxed);
        let available = self.tokens.available_permits();
        match rate_bytes_per_s {
            Some(_) => {
                // What is left of no limit, or of a higher one.
                let room = usize::try_from(burst(stored(rate_bytes_per_s))).unwrap_or(usize::MAX);
                self.tokens.forget_permits(available.saturating_sub(room));
            }
            // Enough for all who wait.
            None => self.tokens.add_permits((Semaphore::MAX_PERMITS / 2).saturating_sub(available)),
        }
    }

    /// Bytes a second, if there is a limit.
    pub fn rate_bytes_per_s(&self) -> Option<u64> {
        Some(self.rate_bytes_per_s.load(Ordering::Relaxed)).filter(|rate| *rate > 0)
    }

    /// Most bytes to take at a time, if there is a limit.
    pub fn turn(&self) -> Option<usize> {
        let turn = (burst(self.rate_bytes_per_s()?) / TURNS).clamp(MIN_TURN, MAX_TURN);
        Some(usize::try_from(turn).unwrap_or(usize::MAX))
    }

    /// Waits for `bytes` tokens and takes them. A future that is dropped has taken none, or a part of many.
    pub async fn take(&self, bytes: usize) {
        let Some(rate) = self.rate_bytes_per_s() else { return };
        // What never fits the bucket is taken in portions that do.
        let portion = usize::try_from(burst(rate) / 2).unwrap_or(usize::MAX);
        let mut left = bytes;
        while left > 0 {
            let part = left.min(portion);
            let Ok(permit) = self.tokens.acquire_many(u32::try_from(part).unwrap_or(u32::MAX)).await else {
                return;
            };
            permit.forget();
            left -= part;
        }
    }

    /// Gives back tokens that were not used.
    pub fn give_back(&self, bytes: usize) {
        if self.rate_bytes_per_s().is_some() {
            self.tokens.add_permits(bytes);
        }
    }

    /// Tokens that can be taken at once.
    #[cfg(test)]
    pub(crate) fn available(&self) -> usize {
        self.tokens.available_permits()
    }

    /// Adds the tokens of the time since the last refill, as far as they fit.
    pub fn refill(&self, now: Instant) {
        let Some(rate) = self.rate_bytes_per_s() else { return };
        let mut refill = self.refill.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = now.saturating_duration_since(refill.at);
        refill.at = now;
        let earned = elapsed.as_nanos() * u128::from(rate) + refill.remainder;
        refill.remainder = earned % NANOS_PER_S;
        let earned = u64::try_from(earned / NANOS_PER_S).unwrap_or(u64::MAX);
        let room = burst(rate).saturating_sub(self.tokens.available_permits() as u64);
        self.tokens.add_permits(usize::try_from(earned.min(room)).unwrap_or(0));
    }
}

const NANOS_PER_S: u128 = 1_000_000_000;

/// A limit as it is stored: 0 for none, so at least a byte a second.
fn stored(rate_bytes_per_s: Option<u64>) -> u64 {
    rate_bytes_per_s.map_or(0, |rate| rate.max(1))
}

/// What the bucket of a limit holds.
fn burst(rate_bytes_per_s: u64) -> u64 {
    (rate_bytes_per_s / BURST_PER_S).max(MIN_BURST).min(u64::from(u32::MAX >> 4))
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn poll(future: std::pin::Pin<&mut impl Future<Output = ()>>) -> bool {
        future.poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    #[test]
    fn what_leaves_in_ten_seconds_is_the_rate_whatever_the_refills() {
        for rate in [20_000_u64, 1_000_000, 300_000_000] {
            let start = Instant::now();
            let throttle = Throttle::new(Some(rate), start);
            let turn = throttle.turn().unwrap();
            let (mut now, mut taken) = (start, 0_u64);
            let mut waiting = None;
            for step in 0_u64.. {
                now += Duration::from_millis(20 + step * 37 % 60);
                if now > start + Duration::from_secs(10) {
                    break;
                }
                throttle.refill(now);
                loop {
                    let mut take = waiting.take().unwrap_or_else(|| Box::pin(throttle.take(turn)));
                    if !poll(take.as_mut()) {
                        waiting = Some(take);
                        break;
                    }
                    taken += turn as u64;
                }
            }
            let expected = rate * 10;
            assert!(taken.abs_diff(expected) <= expected / 20 + turn as u64, "{taken} of {expected}");
        }
    }

    #[test]
    fn who_waits_is_served_in_order() {
        let start = Instant::now();
        let throttle = Throttle::new(Some(100_000), start);
        let mut first = pin!(throttle.take(20_000));
        let mut second = pin!(throttle.take(1));
        assert!(!poll(first.as_mut()) && !poll(second.as_mut()));
        throttle.refill(start + Duration::from_millis(100));
        assert!(!poll(second.as_mut()), "the first has not had its turn");
        throttle.refill(start + Duration::from_millis(250));
        assert!(poll(first.as_mut()) && poll(second.as_mut()));
    }

    #[test]
    fn a_limit_that_is_lifted_lets_all_go_who_wait_and_a_new_one_counts() {
        let start = Instant::now();
        let throttle = Throttle::new(Some(100_000), start);
        let mut waiting: Vec<_> =
            (0..50).map(|_| Box::pin(throttle.take(usize::try_from(MAX_TURN).unwrap()))).collect();
        assert!(!waiting.iter_mut().any(|take| poll(take.as_mut())));
        throttle.set_rate(None, start);
        // Whoever takes in portions comes again for the next.
        assert!(waiting.iter_mut().all(|take| poll(take.as_mut())));
        assert_eq!(throttle.turn(), None);
        throttle.set_rate(Some(1_000_000), start);
        let burst = usize::try_from(burst(1_000_000)).unwrap();
        assert!(throttle.available() <= burst, "nothing is left of the time without a limit");
        assert!(!poll(pin!(throttle.take(burst + 1))));
        throttle.set_rate(Some(100), start);
        assert!(throttle.available() as u64 <= MIN_BURST);
    }

    #[test]
    fn without_a_limit_nothing_waits() {
        let throttle = Throttle::default();
        assert!(poll(pin!(throttle.take(usize::MAX))));
        assert_eq!(throttle.turn(), None);
    }
}
