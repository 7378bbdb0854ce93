//! How many lines one place in the sources may say: peers decide how often something happens to them, and are not to
//! fill the log. The log's thread tells how many were suppressed, once it is over.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Lines that one place may say in a window: what a person reads. All places together have some 200.
const MAX_LINES: u32 = 20;
/// How long a window is.
const WINDOW: Duration = Duration::from_secs(10);

/// What each place has said of late.
#[derive(Debug, Default)]
pub(super) struct Flood {
    /// As many as there are places in the sources, at most.
    windows: Mutex<HashMap<Identifier, Window>>,
}

#[derive(Debug)]
struct Window {
    place: &'static Metadata<'static>,
    began: Instant,
    said: u32,
    suppressed: u64,
}

/// Lines that were not said.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Suppressed {
    /// Where they come from.
    pub(super) place: &'static Metadata<'static>,
    /// How many.
    pub(super) count: u64,
}

impl Flood {
    /// Whether `place` may say another line, which counts as said.
    fn admits(&self, place: &'static Metadata<'static>, now: Instant) -> bool {
        let new = || Window { place, began: now, said: 0, suppressed: 0 };
        let mut windows = self.windows();
        let window = windows.entry(place.callsite()).or_insert_with(new);
        // What was suppressed is told first: then the window is taken away.
        if now >= window.began + WINDOW && window.suppressed == 0 {
            *window = new();
        }
        let is_admitted = window.said < MAX_LINES;
        if is_admitted {
            window.said += 1;
        } else {
            window.suppressed += 1;
        }
        is_admitted
    }

    /// When to call `take_due` next. A place that has said its last line is reckoned with before anything is
    /// suppressed: so the log's thread, which writes that line, need not be woken.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.windows().values().filter(|window| window.is_full()).map(|window| window.began + WINDOW).min()
    }

    /// What was suppressed in windows that are over by `now`; all of it, if there is none.
    pub(super) fn take_due(&self, now: Option<Instant>) -> Vec<Suppressed> {
        let is_due = |window: &Window| window.is_full() && now.is_none_or(|now| now >= window.began + WINDOW);
        let mut windows = self.windows();
        let due = windows.extract_if(|_, window| is_due(window)).map(|(_, window)| window);
        let due = due.map(|window| Suppressed { place: window.place, count: window.suppressed });
        due.filter(|suppressed| suppressed.count > 0).collect()
    }

    fn windows(&self) -> MutexGuard<'_, HashMap<Identifier, Window>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    fn is_full(&self) -> bool {
        self.said >= MAX_LINES
    }
}

impl Suppressed {
    /// As a line of the log.
    pub(super) fn text(&self) -> String {
        let line = self.place.line().unwrap_or(0);
        format!("suppressed {} more lines as those of {}, line {line}", self.count, self.place.target())
    }
}

/// Keeps events from all layers when their place has said too much.
#[derive(Debug)]
pub(super) struct FloodGate(pub(super) Arc<Flood>);

impl<S: Subscriber> Layer<S> for FloodGate {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        self.0.admits(event.metadata(), Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::registry;

    use super::*;

    /// Keeps the places of events.
    struct Places(Arc<Mutex<Vec<&'static Metadata<'static>>>>);

    impl<S: Subscriber> Layer<S> for Places {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            self.0.lock().unwrap().push(event.metadata());
        }
    }

    /// Two places in the sources.
    fn places() -> Vec<&'static Metadata<'static>> {
        let places = Arc::new(Mutex::new(Vec::new()));
        tracing::subscriber::with_default(registry().with(Places(Arc::clone(&places))), || {
            tracing::warn!("one");
            tracing::warn!("two");
        });
        places.lock().unwrap().clone()
    }

    #[test]
    fn a_place_says_so_much_in_a_window_and_the_rest_is_counted() {
        let (flood, now, places) = (Flood::default(), Instant::now(), places());
        let said = |n: u32, now| (0..n).filter(|_| flood.admits(places[0], now)).count();
        assert_eq!(said(MAX_LINES - 1, now), 19);
        assert_eq!(flood.next_due(), None, "nothing to tell");
        assert_eq!(said(31, now + WINDOW / 2), 1);
        assert!(flood.admits(places[1], now), "another place has its own window");
        assert_eq!(flood.next_due(), Some(now + WINDOW));
        assert_eq!(flood.take_due(Some(now + WINDOW / 2)), []);
        let suppressed = flood.take_due(Some(now + WINDOW));
        assert_eq!(suppressed, [Suppressed { place: places[0], count: 30 }]);
        assert!(suppressed[0].text().starts_with("suppressed 30 more lines as those of service::log::flood"));
        assert_eq!((flood.next_due(), flood.take_due(None)), (None, vec![]), "told once");
        assert_eq!(said(50, now + WINDOW), 20, "another window");
        assert_eq!(flood.take_due(None), [Suppressed { place: places[0], count: 30 }]);
    }

    #[test]
    fn a_window_that_is_over_makes_room_without_being_told() {
        let (flood, now, places) = (Flood::default(), Instant::now(), places());
        let said = |n: u32, now| (0..n).filter(|_| flood.admits(places[0], now)).count();
        assert_eq!(said(MAX_LINES, now), 20);
        assert_eq!(said(MAX_LINES + 1, now + WINDOW), 20);
    }

    #[test]
    fn the_gate_keeps_events_from_others() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let gate = FloodGate(Arc::default());
        tracing::subscriber::with_default(registry().with(gate).with(Places(Arc::clone(&heard))), || {
            for _ in 0..2 * MAX_LINES {
                tracing::warn!("again");
            }
        });
        assert_eq!(heard.lock().unwrap().len(), 20);
    }
}
