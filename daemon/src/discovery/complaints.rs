//! What the log says of trackers: each failing one once, until it works again, however many torrents ask it.

use std::collections::HashSet;

use super::client::AskError;

/// Most trackers that are remembered; beyond them failures are only said at level debug.
const MAX_TRACKERS: usize = 1024;

/// Trackers that failed last time, by origin: paths may be secrets and are never logged.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    known: HashSet<String>,
}

impl Complaints {
    pub(super) fn failed(&mut self, origin: &str, reason: &str) {
        if self.is_news(origin) {
            tracing::warn!(tracker = origin, "the tracker does not answer: {reason}");
        } else {
            tracing::debug!(tracker = origin, "the tracker does not answer: {reason}");
        }
    }

    pub(super) fn refused(&mut self, origin: &str, reason: &str) {
        if self.is_news(origin) {
            tracing::warn!(tracker = origin, "the tracker refuses: {reason}");
        } else {
            tracing::debug!(tracker = origin, "the tracker refuses: {reason}");
        }
    }

    pub(super) fn answered(&mut self, origin: &str) {
        self.known.remove(origin);
    }

    /// Says an error of an announce, unless it is nobody's fault.
    pub(super) fn error(&mut self, origin: &str, error: &AskError) {
        if matches!(error, AskError::NoAddress) {
            tracing::debug!(tracker = origin, "{error}");
        } else {
            self.failed(origin, &error.to_string());
        }
    }

    fn is_news(&mut self, origin: &str) -> bool {
        !self.known.contains(origin)
            && self.known.len() < MAX_TRACKERS
            && self.known.insert(origin.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_news_once_until_the_tracker_works() {
        let mut complaints = Complaints::default();
        assert!(complaints.is_news("a") && complaints.is_news("b"));
        assert!(!complaints.is_news("a"));
        complaints.answered("a");
        assert!(complaints.is_news("a"));
        (0..2 * MAX_TRACKERS).for_each(|n| complaints.failed(&n.to_string(), ""));
        assert!(complaints.known.len() <= MAX_TRACKERS);
    }
}
