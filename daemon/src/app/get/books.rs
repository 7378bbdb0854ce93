//! Writes down how a download stands, as long as it runs: what its keeper notes goes to the state in its folder.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::storage::keeper::Keeper;
use crate::storage::lane::Lanes;
use crate::storage::state::{Claim, Recorder, StateError};
use crate::storage::write::{Durable, Writer};

/// How often what was written is brought to the disk: what a machine that loses power may have to hash again.
const SYNC_INTERVAL: Duration = Duration::from_secs(30);

/// The books of one download.
#[derive(Debug)]
pub(super) struct Books {
    keeper: Keeper,
    recorder: Recorder,
    _claim: Claim,
    durable: mpsc::UnboundedReceiver<Durable>,
    to_durable: mpsc::UnboundedSender<Durable>,
    synced_at: Instant,
}

impl Books {
    pub(super) fn new(keeper: Keeper, recorder: Recorder, claim: Claim) -> Self {
        let (to_durable, durable) = mpsc::unbounded_channel();
        Self { keeper, recorder, _claim: claim, durable, to_durable, synced_at: Instant::now() }
    }

    /// A piece was verified and written.
    pub(super) fn verified(&mut self, piece: u32) {
        self.keeper.verified(piece);
    }

    /// Notes what is new; `downloaded` counts the bytes of this run. Has what was written brought to the disk, now and
    /// then. At the end nobody waits for that: should the machine lose power before the kernel has done it, what was
    /// written last is hashed again.
    pub(super) fn look_after(&mut self, downloaded: u64, lanes: &Lanes, writer: Option<&Writer>) {
        self.hear();
        if let Some(note) = self.keeper.note(downloaded) {
            self.recorder.record(note.look(lanes));
        }
        if let Some(writer) = writer.filter(|_| self.synced_at.elapsed() >= SYNC_INTERVAL) {
            self.synced_at = Instant::now();
            let reply = self.to_durable.clone();
            // A writer that is too far behind is asked again.
            let _ = writer.sync(move |durable| drop(reply.send(durable)));
        }
    }

    fn hear(&mut self) {
        while let Ok(durable) = self.durable.try_recv() {
            self.keeper.synced(durable.pieces.into_iter().map(|(_, piece)| piece));
        }
    }

    /// Writes the last note, and waits for it.
    ///
    /// # Errors
    /// When it could not be written, or not in time.
    pub(super) fn finish(
        mut self,
        lanes: &Lanes,
        downloaded: u64,
        timeout: Duration,
    ) -> Result<(), StateError> {
        self.hear();
        self.recorder.record(self.keeper.last_note(downloaded).look(lanes));
        self.recorder.finish(timeout)
    }
}
