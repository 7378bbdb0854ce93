//! Makes a torrent of files on disk.

use std::sync::Arc;

use protocol::bitfield::HaveBits;
use protocol::geometry::{FileLayout, Geometry, GeometryError};
use protocol::meta::{
    CreateError as BuildError, Metainfo, NewFile, NewTorrent, Payload, default_piece_length,
};

use super::file::{FileError, PayloadFile, Stamp, compare};
use super::hash::{Hashing, Source};
use super::scan::{Scan, ScannedFile};
use super::task::{Cancelled, Task};
use super::torrent::Torrent;

/// What a torrent says beside what its files say.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Trackers, each a tier of its own.
    pub trackers: Vec<String>,
    /// Bytes in a piece; `None` to choose by size.
    pub piece_length: Option<u32>,
    /// Whether peers may only come from the trackers (BEP 27).
    pub is_private: bool,
    /// What its maker has to say.
    pub comment: Option<String>,
    /// When it is made, in seconds of Unix time.
    pub creation_date: Option<i64>,
}

/// A torrent that was made.
#[derive(Debug)]
pub struct Created {
    /// What a reader makes of it.
    pub metainfo: Metainfo,
    /// The .torrent file.
    pub bytes: Vec<u8>,
    payload: Vec<Option<Arc<PayloadFile>>>,
}

/// Why no torrent could be made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// A file could not be read, or changed while it was hashed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The payload cannot be cut into such pieces.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// The parts do not make a torrent.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Somebody claims to have more than 16 EiB.
    #[error("the files are too large to count")]
    TooLarge,
    /// Nobody wants it any more.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl Created {
    /// The torrent, ready to serve all of its pieces.
    pub fn into_torrent(self) -> Torrent {
        let have = HaveBits::new(self.metainfo.info.geometry().piece_count());
        (0..have.piece_count()).for_each(|piece| have.set(piece));
        Torrent::new(self.metainfo.info, have, self.payload)
    }
}

/// Bytes in all files of `scan`, for a progress bar.
pub fn length(scan: &Scan) -> u64 {
    scan.files.iter().map(|file| file.stamp.length).fold(0, u64::saturating_add)
}

/// Hashes the files of `scan` and makes a torrent of them. `task` counts bytes as they are done.
///
/// # Errors
/// When a file cannot be read or changes meanwhile, or no valid torrent comes of it.
pub fn create(scan: Scan, options: Options, task: &Task) -> Result<Created, CreateError> {
    let lengths = scan.files.iter().map(|file| file.stamp.length);
    let layout = FileLayout::new(lengths).ok_or(CreateError::TooLarge)?;
    let piece_length = options.piece_length.unwrap_or_else(|| default_piece_length(layout.length()));
    let geometry = Geometry::new(layout.length(), piece_length.into())?;
    let sources: Vec<Source<'_>> =
        scan.files.iter().map(|file| Source::File(&file.path, file.stamp)).collect();
    let hashing = Hashing { geometry: &geometry, layout: &layout, sources: &sources, task };
    let pieces = hashing.all()?;
    task.check()?;
    for file in &scan.files {
        compare(&file.path, &file.stamp, &Stamp::of_path(&file.path)?)?;
    }
    let payload = if scan.is_single {
        Payload::File { length: layout.length() }
    } else {
        let new = |file: &ScannedFile| NewFile { path: file.components.clone(), length: file.stamp.length };
        Payload::Folder { files: scan.files.iter().map(new).collect() }
    };
    let pieces = pieces.into_iter().flatten().flatten().collect();
    let torrent = NewTorrent {
        private: options.is_private,
        trackers: options.trackers,
        comment: options.comment,
        created_by: Some(concat!("btd ", env!("CARGO_PKG_VERSION")).to_owned()),
        creation_date: options.creation_date,
        ..NewTorrent::new(&scan.name, payload, piece_length, pieces)
    };
    let (metainfo, bytes) = torrent.build()?;
    let payload =
        scan.files.into_iter().map(|file| Some(Arc::new(PayloadFile::new(file.path, file.stamp)))).collect();
    Ok(Created { metainfo, bytes, payload })
}
