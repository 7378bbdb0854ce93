//! A turn at sending blocks, where rates are limited: what may leave before others have theirs.

use std::sync::Arc;

use protocol::geometry::BLOCK_LENGTH;

use crate::bus::Limits;

/// Bytes that one connection may send next, under the limit of all torrents and that of its own.
pub(super) struct Turn {
    of_all: Arc<Limits>,
    of_torrent: Option<Arc<Limits>>,
    bytes: usize,
}

impl Turn {
    /// The next turn; `None` where nothing is limited.
    pub(super) fn new(of_all: &Arc<Limits>, of_torrent: Option<Arc<Limits>>) -> Option<Self> {
        let torrent_turn = of_torrent.as_ref().and_then(|limits| limits.upload.turn());
        let bytes = of_all.upload.turn().into_iter().chain(torrent_turn).min()?;
        Some(Self { of_all: Arc::clone(of_all), of_torrent, bytes })
    }

    /// Waits for it.
    pub(super) async fn earn(&self) {
        if let Some(limits) = &self.of_torrent {
            limits.upload.take(self.bytes).await;
        }
        self.of_all.upload.take(self.bytes).await;
    }

    /// Most blocks that it is good for.
    pub(super) fn blocks(&self) -> usize {
        (self.bytes / BLOCK_LENGTH as usize).max(1)
    }

    /// Gives back what was not used, when `sent` payload bytes were.
    pub(super) fn settle(&self, sent: u64) {
        let unused = self.bytes.saturating_sub(usize::try_from(sent).unwrap_or(usize::MAX));
        self.of_torrent.iter().for_each(|limits| limits.upload.give_back(unused));
        self.of_all.upload.give_back(unused);
    }
}
