//! The files of a torrent, as the `files` list of version 1 has them (BEP 3), with attributes (BEP 47).

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use super::info::InfoError;
use super::path::{FilePath, MAX_PATH_DEPTH, MAX_PATH_LENGTH};
use crate::bencode::Value;
use crate::geometry::{FileLayout, Geometry};

/// Most files of a torrent: ten times the largest known, some hundred bytes of memory each.
pub const MAX_FILE_COUNT: usize = 1024 * 1024;
/// What BitComet put into the names of its padding files.
const BITCOMET_PADDING: &str = "_____padding_file_";

/// One file of a torrent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Where it is stored, from the torrent's name on. No two files on disk share or nest their paths.
    pub path: FilePath,
    /// Its bytes in the payload; zero for a symbolic link.
    pub length: u64,
    /// What it is on disk.
    pub kind: FileKind,
    /// Whether it is to be executable (BEP 47, `x`).
    pub executable: bool,
    /// Whether it is to be hidden (BEP 47, `h`): nothing that Linux knows, kept for display.
    pub hidden: bool,
}

/// What a file of a torrent is on disk (BEP 47).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileKind {
    /// A file with bytes of the payload.
    Regular,
    /// Zeros that align the file behind it to a piece: counted in the payload, never on disk.
    Padding,
    /// A symbolic link inside the torrent, without bytes of its own.
    Symlink {
        /// What it points to, from the torrent's name on, as [`FileEntry::path`] does; it may not exist. `None`
        /// where it leads nowhere or out of the torrent: such a link must never be made.
        target: Option<FilePath>,
    },
}

/// What the `attr` key says (BEP 47). Unknown letters are for readers to come.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Attributes {
    padding: bool,
    symlink: bool,
    pub(super) executable: bool,
    pub(super) hidden: bool,
}

impl Attributes {
    /// Reads the value of `attr`; anything but a string says nothing.
    pub(super) fn read(value: Option<Value<'_>>) -> Self {
        let letters = value.and_then(Value::string).unwrap_or_default();
        let has = |letter| letters.contains(&letter);
        Self { padding: has(b'p'), symlink: has(b'l'), executable: has(b'x'), hidden: has(b'h') }
    }
}

/// Reads the value of `files`. Paths are sanitised, and not yet apart from each other; padding is known by attribute
/// only.
pub(super) fn read_files(list: Value<'_>, root: &Arc<str>) -> Result<Vec<FileEntry>, InfoError> {
    let mut files = Vec::new();
    for (index, file) in list.list().ok_or(InfoError::FilesNotAList)?.enumerate() {
        if index >= MAX_FILE_COUNT {
            return Err(InfoError::TooManyFiles);
        }
        files.push(FileKeys::read(file, index)?.entry(root)?);
    }
    if files.is_empty() { Err(InfoError::NoFiles) } else { Ok(files) }
}

/// Marks the files that are padding by their names: `.pad/` and their length, or BitComet's. A name alone proves
/// nothing, there are folders called `.pad`: padding also ends where a piece does.
pub(super) fn mark_padding(files: &mut [FileEntry], layout: &FileLayout, geometry: &Geometry) {
    for (index, file) in files.iter_mut().enumerate() {
        let is_named = file.kind == FileKind::Regular && is_padding_name(file.path.below_root(), file.length);
        if is_named && ends_a_piece(layout.file_range(index), geometry) {
            file.kind = FileKind::Padding;
        }
    }
}

/// Whether `range` of the payload ends where a whole piece does, so that what follows begins one.
fn ends_a_piece(range: Range<u64>, geometry: &Geometry) -> bool {
    let piece = geometry.piece_range(geometry.pieces_of(range.clone()).end.saturating_sub(1));
    let is_whole = piece.end - piece.start == u64::from(geometry.piece_length());
    !range.is_empty() && piece.end == range.end && is_whole
}

/// A file's length as it stands in a torrent: missing, negative or usable.
pub(super) fn read_length(value: Option<Value<'_>>, file: usize) -> Result<u64, InfoError> {
    let length = value.and_then(Value::integer).ok_or(InfoError::MissingLength { file })?;
    u64::try_from(length).map_err(|_| InfoError::NegativeLength { file, length })
}

/// The keys of one file that mean something to us.
struct FileKeys<'a> {
    index: usize,
    length: Option<Value<'a>>,
    path: Option<Value<'a>>,
    path_utf8: Option<Value<'a>>,
    attr: Option<Value<'a>>,
    symlink_path: Option<Value<'a>>,
}

impl<'a> FileKeys<'a> {
    fn read(file: Value<'a>, index: usize) -> Result<Self, InfoError> {
        let entries = file.dictionary().ok_or(InfoError::FileNotADictionary { file: index })?;
        let mut keys =
            Self { index, length: None, path: None, path_utf8: None, attr: None, symlink_path: None };
        for (key, value) in entries {
            match key {
                b"length" => keys.length = Some(value),
                b"path" => keys.path = Some(value),
                b"path.utf-8" => keys.path_utf8 = Some(value),
                b"attr" => keys.attr = Some(value),
                b"symlink path" => keys.symlink_path = Some(value),
                _ => {}
            }
        }
        Ok(keys)
    }

    fn entry(&self, root: &Arc<str>) -> Result<FileEntry, InfoError> {
        let attributes = Attributes::read(self.attr);
        let Attributes { executable, hidden, .. } = attributes;
        let is_link = attributes.symlink && !attributes.padding;
        // A link has no bytes, whatever its length says.
        let length = if is_link { 0 } else { read_length(self.length, self.index)? };
        let path = match (self.path, self.path_utf8) {
            // Nobody will see it, so it need not have a name (libtorrent).
            (None, None) if attributes.padding => {
                FilePath::new(root, [".pad".into(), length.to_string().into()])
            }
            _ => self.path(root)?,
        };
        let kind = if is_link {
            FileKind::Symlink { target: self.target(root) }
        } else if attributes.padding {
            FileKind::Padding
        } else {
            FileKind::Regular
        };
        Ok(FileEntry { path, length, kind, executable, hidden })
    }

    /// The path of the file: `path.utf-8` where it is usable and UTF-8 indeed, else `path`.
    fn path(&self, root: &Arc<str>) -> Result<FilePath, InfoError> {
        let file = self.index;
        let is_utf8 = |string: &&[u8]| std::str::from_utf8(string).is_ok();
        let utf8 = self.path_utf8.and_then(Value::list).and_then(strings);
        let strings = match utf8.filter(|strings| !strings.is_empty() && strings.iter().all(is_utf8)) {
            Some(strings) => strings,
            None => {
                let list = self.path.and_then(Value::list).ok_or(InfoError::MissingPath { file })?;
                strings(list).ok_or(InfoError::PathComponent { file })?
            }
        };
        if strings.is_empty() {
            return Err(InfoError::EmptyPath { file });
        }
        self.checked_path(root, &strings)
    }

    /// The target of a symbolic link. Unlike a path it is not mended: mended it would point elsewhere.
    fn target(&self, root: &Arc<str>) -> Option<FilePath> {
        let strings = self.symlink_path.and_then(Value::list).and_then(strings)?;
        let is_name = |name: &&[u8]| {
            !matches!(*name, b"" | b"." | b"..") && !name.iter().any(|byte| matches!(byte, b'/' | 0))
        };
        let is_inside = !strings.is_empty() && strings.iter().all(is_name);
        is_inside.then(|| self.checked_path(root, &strings).ok()).flatten()
    }

    fn checked_path(&self, root: &Arc<str>, strings: &[&[u8]]) -> Result<FilePath, InfoError> {
        if strings.len() > MAX_PATH_DEPTH {
            return Err(InfoError::PathTooDeep { file: self.index });
        }
        let path = FilePath::new(root, strings.iter().map(|string| String::from_utf8_lossy(string)));
        if path.length() > MAX_PATH_LENGTH {
            return Err(InfoError::PathTooLong { file: self.index, length: path.length() });
        }
        Ok(path)
    }
}

/// The strings of a list of nothing but strings; of a longer list as many as show that it is too long.
fn strings<'a>(list: impl Iterator<Item = Value<'a>>) -> Option<Vec<&'a [u8]>> {
    list.take(MAX_PATH_DEPTH + 1).map(Value::string).collect()
}

/// Whether a file of `length` bytes has one of the names that padding had before BEP 47, below the torrent's name.
fn is_padding_name(below: &str, length: u64) -> bool {
    let is_length =
        |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse() == Ok(length);
    below.strip_prefix(".pad/").is_some_and(is_length) || below.contains(BITCOMET_PADDING)
}

/// A text of a torrent: `preferred` (a `.utf-8` key) where it is a string in UTF-8 and not empty, else `value` with
/// replacement characters where it is not UTF-8.
pub(super) fn read_text<'a>(preferred: Option<Value<'a>>, value: Option<Value<'a>>) -> Option<Cow<'a, str>> {
    let preferred = preferred.and_then(Value::string).and_then(|bytes| std::str::from_utf8(bytes).ok());
    match preferred.filter(|text| !text.is_empty()) {
        Some(text) => Some(Cow::Borrowed(text)),
        None => value.and_then(Value::string).map(String::from_utf8_lossy),
    }
}
