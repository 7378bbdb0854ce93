//! Gets the files of a torrent ready: made, and what is there already found again without reading it, or by reading it.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use protocol::bitfield::HaveBits;
use protocol::meta::{FileKind, Info};
use protocol::piece_set::PieceSet;
use protocol::swarm::picker::Priority;

use crate::storage::Torrent;
use crate::storage::file::{PayloadFile, Stamp};
use crate::storage::hash::{Hashing, Source};
use crate::storage::selection;
use crate::storage::state::{FileRecord, OnDisk, Saved, trust};
use crate::storage::write::place::{Placing, place};

use super::super::Failure;
use super::super::terminal::with_progress;

/// The folder where `btd get` remembers what it does; no torrent may put files there.
pub(super) const STATE_FOLDER: &str = ".btd";

/// What the files of a torrent are made from.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) info: Arc<Info>,
    pub(super) folder: std::path::PathBuf,
    pub(super) placing: Placing,
    /// Whether each file is wanted.
    pub(super) wanted: Vec<bool>,
    pub(super) saved: Saved,
    pub(super) is_quiet: bool,
}

/// A torrent whose files are ready.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) torrent: Arc<Torrent>,
    /// How much each piece is wanted; empty where all are wanted alike.
    pub(super) priorities: Vec<Priority>,
    /// Pieces that are on disk for certain, whatever happens to the machine.
    pub(super) synced: PieceSet,
}

impl Plan {
    /// Makes the files and finds out which pieces are there. Takes as long as the disk does.
    pub(super) fn carry_out(self) -> Result<Prepared, Failure> {
        let Self { info, folder, placing, wanted, saved, is_quiet } = self;
        if info.files().iter().any(|file| file.path.components().next() == Some(STATE_FOLDER)) {
            return Err(format!(
                "a file of {} lies under {STATE_FOLDER}, where btd keeps its state",
                info.name()
            )
            .into());
        }
        if let Some(suffix) = &placing.suffix {
            refuse_clash(&info, suffix)?;
        }
        // Looked at before they are touched: making them changes their times.
        let found = look(&info, &folder, placing.suffix.as_deref());
        // What is there as a whole is served, whether it was asked for this time or before.
        let is_whole = |file: usize| {
            let length = info.files()[file].length;
            matches!(found[file], OnDisk::File(record) if length > 0 && record.length == length)
        };
        let placed: Vec<bool> =
            wanted.iter().enumerate().map(|(file, wanted)| *wanted || is_whole(file)).collect();
        let files = place(&info, &folder, &placed, &placing)?;
        refuse_shared(&files)?;
        let trusted = trust::trust(&saved, info.geometry(), info.layout(), &found);
        let have = HaveBits::new(info.geometry().piece_count());
        trusted.trusted.iter().for_each(|piece| have.set(piece));
        if !trusted.to_check.is_empty() {
            check(&info, &files, &trusted.to_check, &have, is_quiet);
        }
        let priorities = selection::priorities(&info, &wanted);
        let torrent = Arc::new(Torrent::new(info, have, files));
        Ok(Prepared { torrent, priorities, synced: trusted.synced })
    }
}

/// Refuses a suffix that makes the name of one file, while it grows, that of another.
fn refuse_clash(info: &Info, suffix: &str) -> Result<(), Failure> {
    let paths: HashSet<String> = info.files().iter().map(|file| file.path.to_string()).collect();
    match paths.iter().find(|path| paths.contains(&format!("{path}{suffix}"))) {
        Some(path) => {
            Err(format!("--incomplete-suffix {suffix}: {path}{suffix} is a file of the torrent too").into())
        }
        None => Ok(()),
    }
}

/// Refuses files that are one and the same on disk: what is written to one would be read from another.
fn refuse_shared(files: &[Option<Arc<PayloadFile>>]) -> Result<(), Failure> {
    let mut seen = HashSet::new();
    for file in files.iter().flatten() {
        if !seen.insert(file.identity()) {
            return Err(format!(
                "{}: is the same file on disk as another of the torrent",
                file.path().display()
            )
            .into());
        }
    }
    Ok(())
}

/// How the files of `info` look before anything is done to them.
fn look(info: &Info, folder: &Path, suffix: Option<&str>) -> Vec<OnDisk> {
    let record = |path: &Path| path.symlink_metadata().ok().filter(std::fs::Metadata::is_file);
    let on_disk = |path: &Path| {
        let partial = suffix.map(|suffix| {
            let mut partial = path.as_os_str().to_owned();
            partial.push(suffix);
            std::path::PathBuf::from(partial)
        });
        let metadata = record(path).or_else(|| partial.as_deref().and_then(record));
        metadata.map_or(OnDisk::Missing, |metadata| OnDisk::File(FileRecord::new(&metadata)))
    };
    let entries = info.files().iter();
    entries
        .map(|entry| match entry.kind {
            FileKind::Regular => {
                let mut path = folder.to_owned();
                path.extend(entry.path.components());
                on_disk(&path)
            }
            FileKind::Padding => OnDisk::Padding,
            FileKind::Symlink { .. } => OnDisk::Missing,
        })
        .collect()
}

/// Hashes the pieces `to_check` and sets the bits of those that match. Files that have none of them are not read.
fn check(
    info: &Info,
    files: &[Option<Arc<PayloadFile>>],
    to_check: &PieceSet,
    have: &HaveBits,
    is_quiet: bool,
) {
    let stamps: Vec<Option<Stamp>> =
        files.iter().map(|file| file.as_ref().and_then(|file| Stamp::of_path(file.path()).ok())).collect();
    let is_touched = |file: usize| {
        let mut pieces = info.geometry().pieces_of(info.layout().file_range(file));
        pieces.any(|piece| to_check.contains(piece))
    };
    let source = |file: usize| match (&files[file], stamps[file]) {
        _ if info.files()[file].kind == FileKind::Padding => Source::Zeros,
        (Some(payload), Some(stamp)) if is_touched(file) => Source::File(payload.path(), stamp),
        _ => Source::Missing,
    };
    let sources: Vec<Source<'_>> = (0..files.len()).map(source).collect();
    let hashes =
        with_progress(&format!("checking {}", info.name()), info.geometry().length(), is_quiet, |progress| {
            Hashing { geometry: info.geometry(), layout: info.layout(), sources: &sources, progress }
                .what_is_there()
        });
    for (file, error) in &hashes.errors {
        tracing::warn!("{}: {error}", info.files()[*file].path);
    }
    for (piece, hash) in (0..).zip(&hashes.pieces) {
        if hash.as_ref() == Some(info.piece_hash(piece)) {
            have.set(piece);
        }
    }
}
