//! Whether every thread that must not stand still still moves, for whoever tells the service manager that we live.
//!
//! A thread owns a [`Pulse`] and beats at each turn of its loop: one store, no lock, no system call. Nobody asks it
//! anything, and a thread that has ended is not noticed any sooner than one that hangs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Longest that a watched thread that has nothing to do may go without a beat: rare enough to cost nothing.
pub const BEAT_INTERVAL: Duration = Duration::from_secs(5);
/// Beats that may be missed at least, whatever the service manager's patience: a machine can be busy.
const MISSED_BEATS: u32 = 3;
/// How many times to look in the time that the service manager waits.
const LOOKS: u32 = 4;

/// The pulse of one thread, for the thread itself.
#[derive(Debug, Clone, Default)]
pub struct Pulse(Arc<AtomicU64>);

impl Pulse {
    /// The thread moves. To be called at least every [`BEAT_INTERVAL`].
    pub fn beat(&self) {
        // One writer, and the number means nothing but that it changes.
        self.0.store(self.count().wrapping_add(1), Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A thread that is watched.
#[derive(Debug)]
struct Watched {
    name: String,
    pulse: Pulse,
    /// The last beat that was seen, and when.
    seen: (u64, Instant),
}

/// Watches the pulses of threads.
#[derive(Debug)]
pub struct Heartbeats {
    patience: Duration,
    watched: Vec<Watched>,
}

impl Heartbeats {
    /// Watches for a service manager that waits `watchdog` for a sign of life. A thread is given half of that, so that
    /// there is time to say which one hangs.
    pub fn new(watchdog: Duration) -> Self {
        Self { patience: (watchdog / 2).max(BEAT_INTERVAL * MISSED_BEATS), watched: Vec::new() }
    }

    /// How often to look, and to tell a service manager that waits `watchdog`.
    pub fn interval(watchdog: Duration) -> Duration {
        watchdog / LOOKS
    }

    /// Watches a thread, which need not have started. It has beaten at `now`.
    pub fn watch(&mut self, name: impl Into<String>, pulse: Pulse, now: Instant) {
        let seen = (pulse.count(), now);
        self.watched.push(Watched { name: name.into(), pulse, seen });
    }

    /// Looks at all pulses, and names the threads that have not moved for too long.
    pub fn stalled(&mut self, now: Instant) -> Vec<&str> {
        for watched in &mut self.watched {
            let count = watched.pulse.count();
            if count != watched.seen.0 {
                watched.seen = (count, now);
            }
        }
        let patience = self.patience;
        let is_stalled = |watched: &&Watched| now.saturating_duration_since(watched.seen.1) > patience;
        self.watched.iter().filter(is_stalled).map(|watched| watched.name.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    impl Heartbeats {
        fn are_all_alive(&mut self, now: Instant) -> bool {
            self.stalled(now).is_empty()
        }
    }

    fn second(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn one_thread_that_stands_still_is_named() {
        let start = Instant::now();
        let pulses = [Pulse::default(), Pulse::default(), Pulse::default()];
        let mut heartbeats = Heartbeats::new(MINUTE);
        for (number, pulse) in pulses.iter().enumerate() {
            heartbeats.watch(format!("worker {number}"), pulse.clone(), start);
        }
        for n in (5..=30).step_by(5) {
            pulses[0].beat();
            pulses[2].beat();
            assert!(heartbeats.are_all_alive(start + second(n)), "after {n} s");
        }
        assert_eq!(heartbeats.stalled(start + second(31)), ["worker 1"]);
        pulses[1].beat();
        assert!(heartbeats.are_all_alive(start + second(32)), "it moves again");
        assert!(!heartbeats.are_all_alive(start + second(63)), "nobody has moved since");
    }

    #[test]
    fn a_beat_before_the_first_look_counts_and_one_before_it_was_watched_does_not() {
        let start = Instant::now();
        let pulse = Pulse::default();
        pulse.beat();
        let mut heartbeats = Heartbeats::new(MINUTE);
        heartbeats.watch("catalog", pulse.clone(), start);
        assert!(!heartbeats.are_all_alive(start + second(31)));
        pulse.beat();
        assert!(heartbeats.are_all_alive(start + second(31)));
    }

    #[test]
    fn an_impatient_service_manager_does_not_make_idle_threads_look_dead() {
        let start = Instant::now();
        let watchdog = second(4);
        let pulse = Pulse::default();
        let mut heartbeats = Heartbeats::new(watchdog);
        heartbeats.watch("coordinator", pulse.clone(), start);
        assert!(heartbeats.are_all_alive(start + BEAT_INTERVAL));
        assert!(heartbeats.are_all_alive(start + 2 * BEAT_INTERVAL));
        assert!(!heartbeats.are_all_alive(start + 4 * BEAT_INTERVAL));
        assert!(Heartbeats::interval(watchdog) * 2 < watchdog, "told in time, even once late");
    }

    #[test]
    fn nobody_to_watch_is_no_reason_to_die_and_time_may_stand_still() {
        let start = Instant::now();
        let mut heartbeats = Heartbeats::new(MINUTE);
        assert!(heartbeats.are_all_alive(start + MINUTE));
        heartbeats.watch("worker 0", Pulse::default(), start + MINUTE);
        assert!(heartbeats.are_all_alive(start));
    }
}
