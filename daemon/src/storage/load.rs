//! Gets the payload of a torrent ready: looks at its files, weighs what is remembered of them, hashes what is left.
//!
//! A [`seed`]'s files are only ever read: none is made, extended or opened for writing. Those of a [`download`] are
//! made. Called by the catalog and by `btd get`, on threads that may wait for disks.

use std::collections::{HashMap, HashSet};
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::bitfield::HaveBits;
use protocol::meta::{FileEntry, FileKind, Info};
use protocol::piece_set::PieceSet;

use super::file::{FileError, PayloadFile, Stamp};
use super::hash::{Hashing, Source};
use super::hint;
use super::state::{FileRecord, OnDisk, Saved, trust};
use super::task::{Cancelled, Task};
use super::torrent::Torrent;
use super::write::place::{PlaceError, Placing, place};

/// The payload of a torrent as it was found.
#[derive(Debug)]
pub struct Loaded {
    info: Arc<Info>,
    have: HaveBits,
    synced: PieceSet,
    to_check: PieceSet,
    /// One for each file of the torrent, as in [`Torrent::new`].
    files: Vec<Option<Arc<PayloadFile>>>,
    on_disk: Vec<OnDisk>,
    /// What went wrong with files, by number.
    errors: Vec<(usize, FileError)>,
}

/// Why the payload of a torrent cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file cannot be read.
    #[error("{}{}", .0, advice(.0))]
    File(FileError),
    /// A file is too short.
    #[error("{}: has {found} bytes instead of {expected}", .path.display())]
    Truncated {
        /// Its path.
        path: PathBuf,
        /// Bytes that it should have.
        expected: u64,
        /// Bytes that it has.
        found: u64,
    },
    /// A piece is not what the torrent says.
    #[error("{}: piece {piece} does not match its hash", .path.display())]
    Damaged {
        /// The first file that the piece lies in.
        path: PathBuf,
        /// The first such piece.
        piece: u32,
    },
    /// Files cannot be made.
    #[error("{}{}", .0, place_advice(.0))]
    Place(#[from] PlaceError),
    /// Two files are one on disk: what is written to one would be read from the other.
    #[error("{}: is the same file on disk as another of the torrent", .0.display())]
    Shared(PathBuf),
    /// The name of one file, while it grows, is that of another.
    #[error("incomplete files cannot end in {suffix}: {path}{suffix} is a file of the torrent too")]
    SuffixClash {
        /// What names end in.
        suffix: String,
        /// A file of the torrent.
        path: String,
    },
}

fn advice(error: &FileError) -> String {
    match error {
        FileError::Unreadable { path, source } => hint::ending(source, path),
        _ => String::new(),
    }
}

fn place_advice(error: &PlaceError) -> String {
    match error {
        PlaceError::Io { path, source } => hint::ending(source, path),
        _ => String::new(),
    }
}

/// Looks at the payload of a seed, whose files' paths start at `dir`; one that is not complete may end in `suffix`. Nothing is changed on disk, and nothing read.
pub fn seed(info: Arc<Info>, dir: &Path, saved: &Saved, suffix: Option<&str>) -> Loaded {
    let mut errors = Vec::new();
    let (mut files, mut on_disk) = (Vec::new(), Vec::new());
    for (number, entry) in info.files().iter().enumerate() {
        let path = present(path_of(dir, entry), suffix);
        let found = (entry.kind == FileKind::Regular).then(|| stat(&path)).transpose();
        let found = found.map_err(|error| errors.push((number, error))).ok().flatten();
        on_disk.push(on_disk_of(entry, found.as_ref()));
        files.push(found.map(|metadata| Arc::new(PayloadFile::new(path, Stamp::new(&metadata)))));
    }
    Loaded::new(info, saved, files, on_disk, errors)
}

/// Makes the files of a download below `dir` that are `wanted`, one `bool` for each, and looks what is there already.
/// What is there as a whole is used whether it is wanted or not.
///
/// # Errors
/// When a file cannot be made, or may not.
pub fn download(
    info: Arc<Info>,
    dir: &Path,
    saved: &Saved,
    wanted: &[bool],
    placing: &Placing,
) -> Result<Loaded, LoadError> {
    if let Some(suffix) = &placing.suffix {
        refuse_clash(&info, suffix)?;
    }
    // Looked at before they are touched: making them changes their times.
    let on_disk = look(&info, dir, placing.suffix.as_deref());
    let is_whole = |file: usize| {
        let length = info.files()[file].length;
        matches!(on_disk[file], OnDisk::File(record) if length > 0 && record.length == length)
    };
    let placed: Vec<bool> =
        wanted.iter().enumerate().map(|(file, wanted)| *wanted || is_whole(file)).collect();
    let files = place(&info, dir, &placed, placing)?;
    refuse_shared(&files)?;
    Ok(Loaded::new(info, saved, files, on_disk, Vec::new()))
}

/// How the files of a download look: under their own names, or those with `suffix`. No link is followed to them.
pub fn look(info: &Info, dir: &Path, suffix: Option<&str>) -> Vec<OnDisk> {
    let record = |path: &Path| path.symlink_metadata().ok().filter(Metadata::is_file);
    let find = |path: PathBuf| {
        let mut partial = path.clone().into_os_string();
        partial.push(suffix?);
        record(partial.as_ref())
    };
    let look = |entry: &FileEntry| {
        let path = path_of(dir, entry);
        on_disk_of(entry, record(&path).or_else(|| find(path)).as_ref())
    };
    info.files().iter().map(look).collect()
}

impl Loaded {
    fn new(
        info: Arc<Info>,
        saved: &Saved,
        files: Vec<Option<Arc<PayloadFile>>>,
        on_disk: Vec<OnDisk>,
        errors: Vec<(usize, FileError)>,
    ) -> Self {
        let trust = trust::trust(saved, info.geometry(), info.layout(), &on_disk);
        let have = HaveBits::new(info.geometry().piece_count());
        trust.trusted.iter().for_each(|piece| have.set(piece));
        Self { info, have, synced: trust.synced, to_check: trust.to_check, files, on_disk, errors }
    }

    /// The pieces that are there and verified.
    pub fn have(&self) -> &HaveBits {
        &self.have
    }

    /// Those of them that are on disk for certain, whatever happens to the machine.
    pub fn synced(&self) -> &PieceSet {
        &self.synced
    }

    /// The pieces whose bytes may be there, and which [`Loaded::check`] hashes.
    pub fn to_check(&self) -> &PieceSet {
        &self.to_check
    }

    /// Bytes of the pieces to check.
    pub fn bytes_to_check(&self) -> u64 {
        self.to_check.iter().map(|piece| u64::from(self.info.geometry().length_of(piece))).sum()
    }

    /// How files looked, one for each of the torrent.
    pub fn on_disk(&self) -> &[OnDisk] {
        &self.on_disk
    }

    /// What went wrong with files so far, by number.
    pub fn errors(&self) -> &[(usize, FileError)] {
        &self.errors
    }

    /// Forgets what is known of the pieces: all are to be hashed.
    pub fn distrust(&mut self) {
        let count = self.info.geometry().piece_count();
        self.have = HaveBits::new(count);
        self.to_check = PieceSet::full(count);
    }

    /// Hashes the pieces to check, and takes those that match. `task` counts their bytes.
    ///
    /// # Errors
    /// When the task is cancelled. What matched until then is taken; the rest is still to check.
    pub fn check(&mut self, task: &Task) -> Result<(), Cancelled> {
        if self.to_check.is_empty() {
            return Ok(());
        }
        let stamps: Vec<Option<Stamp>> = self.files.iter().map(|file| stamp(file.as_deref()?)).collect();
        let source = |file: usize| match (&self.files[file], stamps[file]) {
            _ if self.info.files()[file].kind == FileKind::Padding => Source::Zeros,
            (Some(payload), Some(stamp)) => Source::File(payload.path(), stamp),
            _ => Source::Missing,
        };
        let sources: Vec<Source<'_>> = (0..self.files.len()).map(source).collect();
        let (geometry, layout) = (self.info.geometry(), self.info.layout());
        let hashing = Hashing { geometry, layout, sources: &sources, task };
        let mut hashes = hashing.what_is_there_of(&self.to_check);
        let matching: Vec<u32> = hashes.matching(&self.info).collect();
        matching.iter().for_each(|piece| self.have.set(*piece));
        self.sync(&matching);
        self.errors.append(&mut hashes.errors);
        let is_cancelled = task.is_cancelled();
        for piece in self.to_check.clone().iter() {
            if !is_cancelled || hashes.pieces[piece as usize].is_some() {
                self.to_check.remove(piece);
            }
            if !self.have.get(piece) {
                self.synced.remove(piece);
            }
        }
        if is_cancelled { Err(Cancelled) } else { Ok(()) }
    }

    /// Makes sure that pieces of settled files are on disk, whoever wrote them. Those of growing files are their
    /// writer's to sync.
    fn sync(&mut self, pieces: &[u32]) {
        let mut is_synced = HashMap::new();
        let mut sync = |file: usize| {
            let payload = self.files[file].as_ref().filter(|file| file.is_settled());
            let synced =
                || payload.is_some_and(|file| file.open().is_ok_and(|file| file.sync_data().is_ok()));
            *is_synced.entry(file).or_insert_with(synced)
        };
        for piece in pieces {
            let mut extents = self.info.layout().extents(self.info.geometry().piece_range(*piece));
            let is_padding = |file: usize| self.on_disk[file] == OnDisk::Padding;
            if extents.all(|extent| is_padding(extent.file) || sync(extent.file)) {
                self.synced.insert(*piece);
            }
        }
    }

    /// Whether a piece is there, or may be.
    pub fn may_have_any(&self) -> bool {
        self.have.have_count() > 0 || !self.to_check.is_empty()
    }

    /// Goes on if every piece is there, or may be.
    ///
    /// # Errors
    /// What is wrong with the first that is not.
    pub fn require_complete(mut self) -> Result<Self, LoadError> {
        let mut pieces = 0..self.info.geometry().piece_count();
        match pieces.find(|piece| !self.have.get(*piece) && !self.to_check.contains(*piece)) {
            Some(piece) => Err(self.complain(piece)),
            None => Ok(self),
        }
    }

    /// What is wrong with `piece`.
    fn complain(&mut self, piece: u32) -> LoadError {
        let extents = self.info.layout().extents(self.info.geometry().piece_range(piece));
        let numbers: Vec<usize> = extents.map(|extent| extent.file).collect();
        if let Some(place) = self.errors.iter().position(|(file, _)| numbers.contains(file)) {
            return LoadError::File(self.errors.swap_remove(place).1);
        }
        let files = numbers.iter().filter_map(|file| Some((*file, self.files[*file].as_ref()?)));
        for (file, payload) in files.clone() {
            let (found, expected) = (payload.length(), self.info.files()[file].length);
            if found < expected {
                return LoadError::Truncated { path: payload.path().into(), expected, found };
            }
        }
        let path = files.map(|(_, payload)| payload.path().to_owned()).next();
        LoadError::Damaged { path: path.unwrap_or_else(|| self.info.name().into()), piece }
    }

    /// The torrent. Pieces that are still to check are not part of it.
    pub fn into_torrent(self) -> Torrent {
        Torrent::new(self.info, self.have, self.files)
    }

    /// The torrent, with every piece whose files are long enough: those that are not known to be verified are hashed
    /// when they are asked for (`--skip-check`).
    pub fn into_unproven_torrent(self) -> Torrent {
        let nothing = Saved::default();
        let there = trust::trust(&nothing, self.info.geometry(), self.info.layout(), &self.on_disk).to_check;
        Torrent::unproven(self.info, self.have, &there, self.files)
    }
}

/// How a file is now, or was when it was settled.
fn stamp(file: &PayloadFile) -> Option<Stamp> {
    file.stamp().or_else(|| Stamp::of_path(file.path()).ok())
}

/// Where the file is, if paths start at `dir`.
fn path_of(dir: &Path, entry: &FileEntry) -> PathBuf {
    let mut path = dir.to_owned();
    path.extend(entry.path.components());
    path
}

fn on_disk_of(entry: &FileEntry, found: Option<&Metadata>) -> OnDisk {
    match (&entry.kind, found) {
        (FileKind::Padding, _) => OnDisk::Padding,
        (FileKind::Regular, Some(metadata)) => OnDisk::File(FileRecord::new(metadata)),
        _ => OnDisk::Missing,
    }
}

/// `path`, or where it lies while it is not complete, if only that is there.
fn present(path: PathBuf, suffix: Option<&str>) -> PathBuf {
    let Some(suffix) = suffix.filter(|_| path.symlink_metadata().is_err()) else { return path };
    let mut partial = path.clone().into_os_string();
    partial.push(suffix);
    let partial = PathBuf::from(partial);
    if partial.symlink_metadata().is_ok() { partial } else { path }
}

/// The regular file at `path`.
fn stat(path: &Path) -> Result<Metadata, FileError> {
    let metadata = path.metadata().map_err(|source| FileError::Unreadable { path: path.into(), source })?;
    if metadata.is_file() { Ok(metadata) } else { Err(FileError::NotAFile(path.into())) }
}

/// Refuses a suffix that makes the name of one file, while it grows, that of another.
fn refuse_clash(info: &Info, suffix: &str) -> Result<(), LoadError> {
    let paths: HashSet<String> = info.files().iter().map(|file| file.path.to_string()).collect();
    match paths.iter().find(|path| paths.contains(&format!("{path}{suffix}"))) {
        Some(path) => Err(LoadError::SuffixClash { suffix: suffix.to_owned(), path: path.clone() }),
        None => Ok(()),
    }
}

/// Refuses files that are one and the same on disk.
fn refuse_shared(files: &[Option<Arc<PayloadFile>>]) -> Result<(), LoadError> {
    let mut seen = HashSet::new();
    match files.iter().flatten().find(|file| !seen.insert(file.identity())) {
        Some(file) => Err(LoadError::Shared(file.path().into())),
        None => Ok(()),
    }
}

#[cfg(test)]
pub(super) mod tests;
