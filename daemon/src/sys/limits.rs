//! How the limit of open files is shared out between connections and payload.

/// Descriptors kept for what is neither a peer nor payload nor a worker's: standard streams, watches, files that are
/// opened to be read once.
const RESERVED_FILES: u64 = 64;
/// Descriptors that a worker has for itself: its ring, its clock and its wake-up call.
const FILES_PER_WORKER: u64 = 8;
/// Descriptors that a worker has for each listener: the one that accepts, and the one that ends it.
const FILES_PER_LISTENER: u64 = 2;
/// Most payload files held open for whoever asks next. Each is a mapping too, and as many again may still be sent from
/// after they were closed: together half of `vm.max_map_count` (65,530).
const MAX_OPEN_PAYLOAD_FILES: u64 = 16_384;
/// One in so many of the descriptors that are left is for payload that is open, and one for payload that was closed
/// but is still being sent.
const PAYLOAD_SHARE: u64 = 8;

/// How many descriptors may be used, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileBudget {
    /// Most connections.
    pub connections: usize,
    /// Most payload files held open; as many again may wait to be closed.
    pub payload: usize,
}

impl FileBudget {
    /// Shares out `limit` descriptors, but for those that `workers` with `listeners` each have for themselves.
    pub fn new(limit: u64, workers: usize, listeners: usize) -> Self {
        let many = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let per_worker = many(listeners).saturating_mul(FILES_PER_LISTENER).saturating_add(FILES_PER_WORKER);
        let reserved = many(workers).saturating_mul(per_worker).saturating_add(RESERVED_FILES);
        let free = limit.saturating_sub(reserved).max(2);
        let payload = (free / PAYLOAD_SHARE).clamp(1, MAX_OPEN_PAYLOAD_FILES);
        let count = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        Self { connections: count(free.saturating_sub(2 * payload).max(1)), payload: count(payload) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_gets_a_share_and_a_bound() {
        assert_eq!(FileBudget::new(1_024, 4, 2), FileBudget { connections: 684, payload: 114 });
        assert_eq!(FileBudget::new(1 << 20, 4, 2).payload, 16_384);
        assert_eq!(FileBudget::new(0, 1, 1), FileBudget { connections: 1, payload: 1 });
    }

    #[test]
    fn workers_and_their_listeners_are_reckoned_with() {
        let connections = |workers, listeners| FileBudget::new(4_096, workers, listeners).connections;
        assert_eq!(connections(64, 2), (4_096 - 64 - 64 * 12) * 3 / 4);
        assert!(connections(64, 10) < connections(64, 2));
        assert_eq!(connections(usize::MAX, usize::MAX), 1);
    }
}
