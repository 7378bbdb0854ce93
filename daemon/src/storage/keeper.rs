//! Keeps the memory of a running torrent true: which pieces are verified, how files look, what is on disk for certain.
//!
//! A [`Keeper`] gathers what happened and looks at no disk; the [`Note`] that it makes of it does, on a thread that may
//! wait.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::piece_set::PieceSet;

use super::lane::Lanes;
use super::state::{FileRecord, Progress};
use super::torrent::Torrent;

/// What is to be remembered of one torrent.
#[derive(Debug)]
pub struct Keeper {
    torrent: Arc<Torrent>,
    synced: PieceSet,
    /// Pieces that were verified since the last note.
    news: BTreeSet<u32>,
    has_synced: bool,
    /// What earlier runs have moved.
    uploaded_before: u64,
    downloaded_before: u64,
}

/// What has happened to a torrent since the last note.
#[derive(Debug)]
pub struct Note {
    torrent: Arc<Torrent>,
    synced: Vec<u8>,
    news: BTreeSet<u32>,
    uploaded: u64,
    downloaded: u64,
}

impl Keeper {
    /// A memory that begins with the `synced` pieces and the bytes that earlier runs have moved: sent, and received.
    /// What was found on disk has been checked: from now on files that nobody writes need not be.
    pub fn new(torrent: Arc<Torrent>, synced: PieceSet, moved_before: (u64, u64)) -> Self {
        let (uploaded_before, downloaded_before) = moved_before;
        let news = (0..torrent.info().geometry().piece_count()).collect();
        Self { torrent, synced, news, has_synced: false, uploaded_before, downloaded_before }
    }

    /// A piece was verified and written.
    pub fn verified(&mut self, piece: u32) {
        self.news.insert(piece);
    }

    /// Pieces have been brought to the disk.
    pub fn synced(&mut self, pieces: impl IntoIterator<Item = u32>) {
        for piece in pieces {
            self.has_synced |= self.synced.insert(piece);
        }
    }

    /// What is to be noted, if there is news; `downloaded` counts the bytes of this run.
    pub fn note(&mut self, downloaded: u64) -> Option<Note> {
        let has_news = !self.news.is_empty() || std::mem::take(&mut self.has_synced);
        has_news.then(|| self.take(downloaded))
    }

    /// All there is to note, of every file: for the end.
    pub fn last_note(mut self, downloaded: u64) -> Note {
        self.news = (0..self.torrent.info().geometry().piece_count()).collect();
        self.take(downloaded)
    }

    fn take(&mut self, downloaded: u64) -> Note {
        Note {
            torrent: Arc::clone(&self.torrent),
            synced: self.synced.to_wire(),
            news: std::mem::take(&mut self.news),
            uploaded: self.uploaded_before + self.torrent.uploaded(),
            downloaded: self.downloaded_before + downloaded,
        }
    }
}

impl Note {
    /// Looks at the files that are concerned: those that are complete are closed to writing, and watched from now on.
    /// What comes of it is to be recorded.
    pub fn look(self, lanes: &Lanes) -> Progress {
        if let (Some(first), Some(last)) = (self.news.first(), self.news.last()) {
            lanes.settle(&self.torrent, *first..*last + 1);
        }
        // Bits first: a piece that is written after them is checked again, and its file with it.
        let have = self.torrent.view().have.to_wire();
        let files: BTreeSet<usize> =
            self.news.into_iter().flat_map(|piece| self.torrent.files_of(piece)).collect();
        let look = |file: usize| {
            let payload = self.torrent.payload(file).ok()?;
            // One that is settled must stay as it was then: what it looks like now may be another's doing.
            let record = match payload.stamp() {
                Some(stamp) => stamp.record(),
                None => FileRecord::new(&payload.path().symlink_metadata().ok()?),
            };
            Some((u32::try_from(file).ok()?, record))
        };
        let files: BTreeMap<u32, FileRecord> = files.into_iter().filter_map(look).collect();
        Progress {
            info_hash: self.torrent.info_hash(),
            have,
            synced: self.synced,
            files,
            have_bytes: self.torrent.info().geometry().length() - self.torrent.missing_bytes(|_| true),
            uploaded: self.uploaded,
            downloaded: self.downloaded,
        }
    }
}
