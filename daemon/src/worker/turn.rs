//! A turn at sending blocks, where rates are limited: what may leave before others have theirs.

use std::cell::Cell;
use std::sync::Arc;

use protocol::geometry::BLOCK_LENGTH;

use crate::bus::Limits;

/// Bytes that one connection may send next, under the limit of its torrent and that of all. What it has earned and not
/// used goes back when it is dropped.
pub(super) struct Turn {
    limits: Vec<Arc<Limits>>,
    bytes: usize,
    /// How many of the limits have granted it.
    earned: Cell<usize>,
    used: Cell<usize>,
}

impl Turn {
    /// The next turn; `None` where nothing is limited.
    pub(super) fn new(of_all: &Arc<Limits>, of_torrent: Option<Arc<Limits>>) -> Option<Self> {
        let limits: Vec<Arc<Limits>> = of_torrent.into_iter().chain([Arc::clone(of_all)]).collect();
        let bytes = limits.iter().filter_map(|limits| limits.upload.turn()).min()?;
        Some(Self { limits, bytes, earned: Cell::new(0), used: Cell::new(0) })
    }

    /// Waits for it.
    pub(super) async fn earn(&self) {
        for limits in &self.limits {
            limits.upload.take(self.bytes).await;
            self.earned.set(self.earned.get() + 1);
        }
    }

    /// Most blocks that it is good for.
    pub(super) fn blocks(&self) -> usize {
        (self.bytes / BLOCK_LENGTH as usize).max(1)
    }

    /// Notes that `bytes` of it are used.
    pub(super) fn spend(&self, bytes: u64) {
        self.used.set(usize::try_from(bytes).unwrap_or(usize::MAX));
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let unused = self.bytes.saturating_sub(self.used.get());
        self.limits[..self.earned.get()].iter().for_each(|limits| limits.upload.give_back(unused));
    }
}
