//! The `info` dictionary: what a torrent is. Its bytes are kept as they came, since their SHA-1 is the torrent's
//! name in the world and peers ask for them (BEP 9).
//!
//! Made from a .torrent file or from bytes that peers sent; read by storage, the swarm and whoever lists files.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::distinct::{MAX_RENAMED, rename_apart};
use super::files::{
    Attributes, FileEntry, FileKind, MAX_FILE_COUNT, mark_padding, read_files, read_length, read_text,
};
use super::path::{FilePath, MAX_PATH_DEPTH, MAX_PATH_LENGTH, sanitise_name};
use crate::bencode::{BencodeError, Value, scan_info};
use crate::geometry::{FileLayout, Geometry, GeometryError};
use crate::id::InfoHash;

/// Bytes of a SHA-1 hash in `pieces`.
const HASH_LENGTH: usize = 20;

/// An `info` dictionary that was checked (BEP 3, version 1; a hybrid torrent is read as version 1).
#[derive(Clone, PartialEq, Eq)]
pub struct Info {
    raw: Arc<[u8]>,
    info_hash: InfoHash,
    name: Arc<str>,
    files: Box<[FileEntry]>,
    geometry: Geometry,
    layout: FileLayout,
    /// Where the hashes stand in `raw`: they are most of it, and not held twice.
    pieces: Range<usize>,
    private: bool,
}

/// Why an `info` dictionary is refused. Files are counted from 0, in the order of the torrent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InfoError {
    /// The bytes are not exactly one bencoded value.
    #[error("`info` is not valid bencode: {0}")]
    Bencode(#[from] BencodeError),
    /// It is something else than a dictionary.
    #[error("`info` is not a dictionary")]
    NotADictionary,
    /// It describes its files for version 2 only (BEP 52).
    #[error("v2-only torrents are not supported yet")]
    V2Only,
    /// `name` is not there.
    #[error("`name` is missing, empty or not a string")]
    MissingName,
    /// `piece length` is not there.
    #[error("`piece length` is missing or not an integer")]
    MissingPieceLength,
    /// `piece length` is below zero.
    #[error("`piece length` is negative: {0}")]
    NegativePieceLength(i64),
    /// The pieces are too long, too many, or there is nothing to share.
    #[error("the files cannot be cut by `piece length`: {0}")]
    Geometry(#[from] GeometryError),
    /// Neither `length` nor `files` is there.
    #[error("both `length` and `files` are missing")]
    NoLengthOrFiles,
    /// `files` is something else than a list.
    #[error("`files` is not a list")]
    FilesNotAList,
    /// `files` is empty.
    #[error("`files` is empty")]
    NoFiles,
    /// `files` is too long.
    #[error("`files` has more than {MAX_FILE_COUNT} files")]
    TooManyFiles,
    /// An item of `files` is something else than a dictionary.
    #[error("file {file} of `files` is not a dictionary")]
    FileNotADictionary {
        /// Which file.
        file: usize,
    },
    /// A file has no `length`.
    #[error("`length` of file {file} is missing or not an integer")]
    MissingLength {
        /// Which file.
        file: usize,
    },
    /// A file has a `length` below zero.
    #[error("`length` of file {file} is negative: {length}")]
    NegativeLength {
        /// Which file.
        file: usize,
        /// What it says, in bytes.
        length: i64,
    },
    /// The lengths of the files add up to more than 64 bits hold.
    #[error("`length` of all files together does not fit 64 bits")]
    LengthOverflow,
    /// A file has no `path`.
    #[error("`path` of file {file} is missing or not a list")]
    MissingPath {
        /// Which file.
        file: usize,
    },
    /// A file has an empty `path`.
    #[error("`path` of file {file} is empty")]
    EmptyPath {
        /// Which file.
        file: usize,
    },
    /// A file has a `path` with something else than strings in it.
    #[error("`path` of file {file} has a component that is not a string")]
    PathComponent {
        /// Which file.
        file: usize,
    },
    /// A file lies too deep.
    #[error("`path` of file {file} has more than {MAX_PATH_DEPTH} components")]
    PathTooDeep {
        /// Which file.
        file: usize,
    },
    /// A file has a path that no system call takes.
    #[error("`path` of file {file} has {length} bytes, more than {MAX_PATH_LENGTH}")]
    PathTooLong {
        /// Which file.
        file: usize,
        /// Its bytes after each component was cut to the length of a file name, and after what had to be added to
        /// tell it from another file's.
        length: usize,
    },
    /// Too many files would be stored under the name of another.
    #[error("`path` of more than {MAX_RENAMED} files is the same as another's")]
    TooManyClashes,
    /// `pieces` is not there.
    #[error("`pieces` is missing or not a string")]
    MissingPieces,
    /// `pieces` is not made of whole hashes.
    #[error("`pieces` has {0} bytes, which is not a multiple of 20")]
    PiecesLength(usize),
    /// `pieces` has too many or too few hashes.
    #[error("`pieces` has {found} hashes, but the files make {expected} pieces")]
    PieceCount {
        /// How many pieces the files make.
        expected: u32,
        /// How many hashes there are.
        found: usize,
    },
}

impl Info {
    /// Checks `raw`, the exact bytes of an `info` dictionary and nothing behind them.
    ///
    /// # Errors
    /// When it is not valid, exceeds a limit, or describes a torrent of version 2 only.
    pub fn parse(raw: Arc<[u8]>) -> Result<Self, InfoError> {
        scan_info(&raw)?;
        Self::from_scanned(raw)
    }

    /// As [`Info::parse`], for bytes that passed the scan of the whole file.
    pub(super) fn from_scanned(raw: Arc<[u8]>) -> Result<Self, InfoError> {
        let keys = InfoKeys::read(&raw)?;
        let name = keys.name()?;
        let piece_length = keys.piece_length()?;
        let mut files = keys.files(&name)?;
        let lengths = files.iter().map(|file| file.length);
        let layout = FileLayout::new(lengths).ok_or(InfoError::LengthOverflow)?;
        let geometry = Geometry::new(layout.length(), piece_length)?;
        let pieces = keys.pieces(&geometry)?;
        mark_padding(&mut files, &layout, &geometry);
        rename_apart(&mut files)?;
        let private = keys.is_private();
        let info_hash = InfoHash::of_info(&raw);
        Ok(Self { raw, info_hash, name, files, geometry, layout, pieces, private })
    }

    /// The same torrent with its `files` under other paths, which are apart from each other.
    pub(super) fn with_files(&self, files: Box<[FileEntry]>) -> Self {
        debug_assert_eq!(files.len(), self.files.len());
        Self { files, ..self.clone() }
    }

    /// The bytes of the dictionary as they came, to be served as metadata (BEP 9).
    pub fn raw(&self) -> &Arc<[u8]> {
        &self.raw
    }

    /// SHA-1 of [`Info::raw`].
    pub fn info_hash(&self) -> InfoHash {
        self.info_hash
    }

    /// The torrent's name, fit to be the name of a file or folder.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The files in the order of the torrent; never none.
    pub fn files(&self) -> &[FileEntry] {
        &self.files
    }

    /// How the payload is cut into pieces.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Where each of [`Info::files`] lies in the payload.
    pub fn layout(&self) -> &FileLayout {
        &self.layout
    }

    /// The SHA-1 that `piece` must have. A piece out of range is our own mistake, and panics.
    pub fn piece_hash(&self, piece: u32) -> &[u8; HASH_LENGTH] {
        let (hashes, _) = self.raw[self.pieces.clone()].as_chunks();
        &hashes[piece as usize]
    }

    /// Whether peers may only come from the torrent's own trackers (BEP 27).
    pub fn is_private(&self) -> bool {
        self.private
    }
}

impl fmt::Debug for Info {
    /// Names the torrent without its megabytes of hashes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { info_hash, name, .. } = self;
        f.debug_struct("Info").field("info_hash", info_hash).field("name", name).finish_non_exhaustive()
    }
}

/// The keys of an `info` dictionary that mean something to us.
#[derive(Default)]
struct InfoKeys<'a> {
    raw: &'a [u8],
    name: Option<Value<'a>>,
    name_utf8: Option<Value<'a>>,
    piece_length: Option<Value<'a>>,
    pieces: Option<Value<'a>>,
    length: Option<Value<'a>>,
    files: Option<Value<'a>>,
    private: Option<Value<'a>>,
    attr: Option<Value<'a>>,
    meta_version: Option<Value<'a>>,
}

impl<'a> InfoKeys<'a> {
    fn read(raw: &'a [u8]) -> Result<Self, InfoError> {
        let mut keys = Self { raw, ..Self::default() };
        for (key, value) in Value::scanned(raw).dictionary().ok_or(InfoError::NotADictionary)? {
            match key {
                b"name" => keys.name = Some(value),
                b"name.utf-8" => keys.name_utf8 = Some(value),
                b"piece length" => keys.piece_length = Some(value),
                b"pieces" => keys.pieces = Some(value),
                b"length" => keys.length = Some(value),
                b"files" => keys.files = Some(value),
                b"private" => keys.private = Some(value),
                b"attr" => keys.attr = Some(value),
                b"meta version" => keys.meta_version = Some(value),
                _ => {}
            }
        }
        let is_v2 = keys.meta_version.and_then(Value::integer) == Some(2);
        if is_v2 && keys.pieces.is_none() { Err(InfoError::V2Only) } else { Ok(keys) }
    }

    fn name(&self) -> Result<Arc<str>, InfoError> {
        let name = read_text(self.name_utf8, self.name).filter(|name| !name.is_empty());
        name.map(|name| sanitise_name(&name)).ok_or(InfoError::MissingName)
    }

    fn piece_length(&self) -> Result<u64, InfoError> {
        let length = self.piece_length.and_then(Value::integer).ok_or(InfoError::MissingPieceLength)?;
        u64::try_from(length).map_err(|_| InfoError::NegativePieceLength(length))
    }

    /// The files as they are listed. Where `length` is given too, `files` counts, as for everybody else.
    fn files(&self, name: &Arc<str>) -> Result<Box<[FileEntry]>, InfoError> {
        match (self.files, self.length) {
            (Some(list), _) => Ok(read_files(list, name)?.into()),
            (None, length @ Some(_)) => {
                let Attributes { executable, hidden, .. } = Attributes::read(self.attr);
                let (path, kind) = (FilePath::single(Arc::clone(name)), FileKind::Regular);
                Ok([FileEntry { path, length: read_length(length, 0)?, kind, executable, hidden }].into())
            }
            (None, None) => Err(InfoError::NoLengthOrFiles),
        }
    }

    /// Where the hashes stand in the raw bytes.
    fn pieces(&self, geometry: &Geometry) -> Result<Range<usize>, InfoError> {
        let value = self.pieces.ok_or(InfoError::MissingPieces)?;
        let hashes = value.string().ok_or(InfoError::MissingPieces)?;
        if !hashes.len().is_multiple_of(HASH_LENGTH) {
            return Err(InfoError::PiecesLength(hashes.len()));
        }
        let (expected, found) = (geometry.piece_count(), hashes.len() / HASH_LENGTH);
        if u32::try_from(found) != Ok(expected) {
            return Err(InfoError::PieceCount { expected, found });
        }
        let start = hashes.as_ptr().addr() - self.raw.as_ptr().addr();
        Ok(start..start + hashes.len())
    }

    fn is_private(&self) -> bool {
        self.private.and_then(Value::integer).is_some_and(|private| private != 0)
    }
}
