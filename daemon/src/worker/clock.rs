//! The clock of a worker: a timer that its ring reads, so that a thread which serves makes ring and poll calls only.
//! tokio's own timer would write to an eventfd each time. While there is nothing that time could end it ticks seldom,
//! only to show that the thread moves.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Duration;

use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use service::heartbeats::BEAT_INTERVAL;

/// A timer that can be read once for each interval.
#[derive(Debug)]
pub(super) struct Clock {
    timer: TimerFd,
    interval: Duration,
    is_awake: Cell<bool>,
}

impl Clock {
    /// A clock that ticks every `interval`, once it is woken, and until then every [`BEAT_INTERVAL`].
    ///
    /// # Errors
    /// When the kernel has no timer for us.
    pub(super) fn new(interval: Duration) -> io::Result<Self> {
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC)?;
        let clock = Self { timer, interval, is_awake: Cell::new(true) };
        clock.rest();
        Ok(clock)
    }

    /// Has it tick as time passes, if it rests. A read that waits is served by the next tick.
    pub(super) fn wake(&self) {
        if !self.is_awake.replace(true) {
            self.set(Expiration::Interval(self.interval.into()));
        }
    }

    /// Has it tick seldom until it is woken.
    pub(super) fn rest(&self) {
        if self.is_awake.replace(false) {
            self.set(Expiration::Interval(BEAT_INTERVAL.into()));
        }
    }

    /// Ends a read that is under way, as far as the kernel lets us.
    pub(super) fn end(&self) {
        self.set(Expiration::OneShot(Duration::from_nanos(1).into()));
    }

    fn set(&self, expiration: Expiration) {
        if let Err(error) = self.timer.set(expiration, TimerSetTimeFlags::empty()) {
            tracing::error!("a worker cannot set its clock: {error}");
        }
    }
}

impl AsRawFd for Clock {
    fn as_raw_fd(&self) -> RawFd {
        self.timer.as_fd().as_raw_fd()
    }
}
