//! The clock of a worker: a timer that its ring reads, so that a thread which serves makes ring and poll calls only.
//! tokio's own timer would write to an eventfd each time.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Duration;

use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

/// A timer that can be read once for each interval.
#[derive(Debug)]
pub(super) struct Clock(TimerFd);

impl Clock {
    /// A clock that ticks every `interval`.
    ///
    /// # Errors
    /// When the kernel has no timer for us.
    pub(super) fn start(interval: Duration) -> io::Result<Self> {
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC)?;
        timer.set(Expiration::Interval(interval.into()), TimerSetTimeFlags::empty())?;
        Ok(Self(timer))
    }

    /// Ends a read that is under way, as far as the kernel lets us.
    pub(super) fn end(&self) {
        let at_once = Expiration::OneShot(Duration::from_nanos(1).into());
        let _ = self.0.set(at_once, TimerSetTimeFlags::empty());
    }
}

impl AsRawFd for Clock {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}
