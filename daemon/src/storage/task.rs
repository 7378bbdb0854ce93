//! Work that takes as long as the disk does: how far it is, and whether it is still wanted.
//!
//! Shared by the thread that works, which counts, and whoever waits for it, who looks and may cancel.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A piece of work on payload: hashing, moving.
#[derive(Debug, Default)]
pub struct Task {
    done_bytes: AtomicU64,
    is_cancelled: AtomicBool,
    meter: Meter,
}

/// Counts the bytes that all who have a clone of it hash.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<AtomicU64>);

/// The work was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it was cancelled")]
pub struct Cancelled;

impl Meter {
    /// Bytes that were hashed so far.
    pub fn hashed_bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts bytes that were hashed.
    pub(super) fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Task {
    /// One whose hashing counts with that of others.
    pub fn with(meter: Meter) -> Self {
        Self { meter, ..Self::default() }
    }

    /// Bytes that are done.
    pub fn done_bytes(&self) -> u64 {
        self.done_bytes.load(Ordering::Relaxed)
    }

    /// Ends the work soon: after a megabyte or so of what is under way.
    pub fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether nobody wants the work any more.
    pub fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed)
    }

    /// Fails when nobody wants the work any more.
    pub(super) fn check(&self) -> Result<(), Cancelled> {
        if self.is_cancelled() { Err(Cancelled) } else { Ok(()) }
    }

    /// Counts bytes as they are hashed, and so done.
    pub(super) fn add_hashed(&self, bytes: u64) {
        self.meter.add(bytes);
        self.add(bytes);
    }

    /// Counts bytes as they are done.
    pub(super) fn add(&self, bytes: u64) {
        self.done_bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}
