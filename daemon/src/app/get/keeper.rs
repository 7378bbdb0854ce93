//! Keeps the memory of a download true: which pieces are verified, how files look, what is on disk for certain.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::id::InfoHash;
use protocol::piece_set::PieceSet;
use tokio::sync::mpsc;

use crate::storage::Torrent;
use crate::storage::lane::Lanes;
use crate::storage::state::{Claim, FileRecord, Progress, Recorder, StateError};
use crate::storage::write::{Durable, Writer};

/// How often what was written is brought to the disk: what a machine that loses power may have to hash again.
const SYNC_INTERVAL: Duration = Duration::from_secs(30);

/// The memory of one torrent.
#[derive(Debug)]
pub(super) struct Keeper {
    torrent: Arc<Torrent>,
    recorder: Recorder,
    _claim: Claim,
    synced: PieceSet,
    /// Pieces that were verified since the last note.
    news: BTreeSet<u32>,
    /// What earlier runs have moved.
    uploaded_before: u64,
    downloaded_before: u64,
    durable: mpsc::UnboundedReceiver<Durable>,
    to_durable: mpsc::UnboundedSender<Durable>,
    synced_at: Instant,
}

impl Keeper {
    /// A memory that begins with the `synced` pieces and the bytes that earlier runs have moved. What was found on
    /// disk has been checked: from now on files that nobody writes need not be.
    pub(super) fn new(
        torrent: Arc<Torrent>,
        recorder: Recorder,
        claim: Claim,
        synced: PieceSet,
        moved_before: (u64, u64),
    ) -> Self {
        let (to_durable, durable) = mpsc::unbounded_channel();
        let (uploaded_before, downloaded_before) = moved_before;
        let news = (0..torrent.info().geometry().piece_count()).collect();
        Self {
            torrent,
            recorder,
            _claim: claim,
            synced,
            news,
            uploaded_before,
            downloaded_before,
            durable,
            to_durable,
            synced_at: Instant::now(),
        }
    }

    /// A piece was verified and written.
    pub(super) fn verified(&mut self, piece: u32) {
        self.news.insert(piece);
    }

    /// Files that are complete are closed to writing, and watched from now on.
    pub(super) fn settle(&self, lanes: &Lanes) {
        if let (Some(first), Some(last)) = (self.news.first(), self.news.last()) {
            lanes.settle(&self.torrent, *first..*last + 1);
        }
    }

    /// Has what was written brought to the disk, now and then. At the end nobody waits for that: should the machine
    /// lose power before the kernel has done it, what was written last is hashed again.
    pub(super) fn sync(&mut self, writer: &Writer) {
        if self.synced_at.elapsed() >= SYNC_INTERVAL {
            self.synced_at = Instant::now();
            let reply = self.to_durable.clone();
            // A writer that is too far behind is asked again.
            let _ = writer.sync(move |durable| drop(reply.send(durable)));
        }
    }

    fn take(&mut self, durable: Durable) {
        for (_, piece) in durable.pieces {
            self.synced.insert(piece);
        }
    }

    /// Takes a note of how it stands, if there is news; `downloaded` counts the bytes of this run.
    pub(super) fn record(&mut self, downloaded: u64) {
        let mut has_news = !self.news.is_empty();
        while let Ok(durable) = self.durable.try_recv() {
            has_news |= !durable.pieces.is_empty();
            self.take(durable);
        }
        if has_news {
            let progress = self.progress(downloaded);
            self.recorder.record(progress);
        }
    }

    fn progress(&mut self, downloaded: u64) -> Progress {
        let news = std::mem::take(&mut self.news);
        // Bits first: a piece that is written after them is checked again, and its file with it.
        let have = self.torrent.view().have.to_wire();
        let files: BTreeSet<usize> =
            news.into_iter().flat_map(|piece| self.torrent.files_of(piece)).collect();
        let look = |file: usize| {
            let metadata: Metadata = self.torrent.path_of(file)?.symlink_metadata().ok()?;
            Some((u32::try_from(file).ok()?, FileRecord::new(&metadata)))
        };
        let files: BTreeMap<u32, FileRecord> = files.into_iter().filter_map(look).collect();
        Progress {
            info_hash: self.info_hash(),
            have,
            synced: self.synced.to_wire(),
            files,
            uploaded: self.uploaded_before + self.torrent.uploaded(),
            downloaded: self.downloaded_before + downloaded,
        }
    }

    fn info_hash(&self) -> InfoHash {
        self.torrent.info_hash()
    }

    /// Settles what is complete, writes the last note, and waits for it.
    ///
    /// # Errors
    /// When it could not be written, or not in time.
    pub(super) fn finish(
        mut self,
        lanes: &Lanes,
        downloaded: u64,
        timeout: Duration,
    ) -> Result<(), StateError> {
        self.news = (0..self.torrent.info().geometry().piece_count()).collect();
        self.settle(lanes);
        while let Ok(durable) = self.durable.try_recv() {
            self.take(durable);
        }
        let progress = self.progress(downloaded);
        self.recorder.record(progress);
        self.recorder.finish(timeout)
    }
}
