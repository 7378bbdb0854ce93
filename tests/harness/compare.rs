//! Byte-for-byte comparison of two folders or files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

/// Bytes that are compared at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// What to make of empty files that the copy lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmptyFiles {
    /// They must be there.
    Wanted,
    /// The client does not make them.
    MayBeMissing,
}

/// Checks that `copy` holds the same files as `original`, no more and no fewer, with the same bytes.
pub fn assert_same(original: &Path, copy: &Path, empty_files: EmptyFiles) {
    if let Err(difference) = compare(original, copy, empty_files) {
        panic!("{} is not a copy of {}: {difference}", copy.display(), original.display());
    }
}

fn compare(original: &Path, copy: &Path, empty_files: EmptyFiles) -> Result<(), String> {
    let wanted = files(original)?;
    let mut found = files(copy)?;
    for (path, length) in wanted {
        match found.remove(&path) {
            Some(other) if other == length => same_bytes(&original.join(&path), &copy.join(&path))?,
            Some(other) => return Err(format!("{} has {other} bytes instead of {length}", path.display())),
            None if length == 0 && empty_files == EmptyFiles::MayBeMissing => {}
            None => return Err(format!("{} is missing", path.display())),
        }
    }
    match found.keys().next() {
        Some(extra) => Err(format!("{} is too many", extra.display())),
        None => Ok(()),
    }
}

/// The regular files under `root` with their lengths; a file is its own only one, with an empty path.
fn files(root: &Path) -> Result<BTreeMap<PathBuf, u64>, String> {
    let mut files = BTreeMap::new();
    for entry in WalkDir::new(root) {
        let entry = entry.map_err(|error| error.to_string())?;
        if entry.file_type().is_file() {
            let length = fs::metadata(entry.path()).map_err(|error| error.to_string())?.len();
            let path = entry.path().strip_prefix(root).map_err(|error| error.to_string())?;
            files.insert(path.to_owned(), length);
        }
    }
    Ok(files)
}

fn same_bytes(left: &Path, right: &Path) -> Result<(), String> {
    let open =
        |path: &Path| File::open(trimmed(path)).map_err(|error| format!("{}: {error}", path.display()));
    let (mut left_file, mut right_file) = (open(left)?, open(right)?);
    let (mut left_bytes, mut right_bytes) = (vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]);
    let mut offset = 0;
    loop {
        let count = left_file.read(&mut left_bytes).map_err(|error| error.to_string())?;
        if count == 0 {
            return Ok(());
        }
        right_file.read_exact(&mut right_bytes[..count]).map_err(|error| error.to_string())?;
        if left_bytes[..count] != right_bytes[..count] {
            let pairs = left_bytes[..count].iter().zip(&right_bytes[..count]);
            let differing = offset + pairs.take_while(|(left, right)| left == right).count();
            return Err(format!("{} differs at byte {differing}", right.display()));
        }
        offset += count;
    }
}

/// `path` without the slash that joining an empty path leaves at its end.
fn trimmed(path: &Path) -> PathBuf {
    path.components().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::{write_folder, write_single};

    const FILES: &[(&str, u64)] = &[("a", 100), ("b/c", 3_000_000), ("empty", 0)];

    fn pair() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let left = write_folder(folder.path(), "left", 1, FILES);
        let right = write_folder(folder.path(), "right", 1, FILES);
        (folder, left, right)
    }

    #[test]
    fn a_copy_is_a_copy() {
        let (folder, left, right) = pair();
        assert_eq!(compare(&left, &right, EmptyFiles::Wanted), Ok(()));
        let left = write_single(folder.path(), "x", 1, 100);
        let right = write_single(folder.path(), "y", 1, 100);
        assert_eq!(compare(&left, &right, EmptyFiles::Wanted), Ok(()));
    }

    #[test]
    fn every_difference_is_found() {
        let (_folder, left, right) = pair();
        let difference = |change: &dyn Fn(), undo: &dyn Fn()| {
            change();
            let found = compare(&left, &right, EmptyFiles::MayBeMissing).unwrap_err();
            undo();
            assert_eq!(compare(&left, &right, EmptyFiles::Wanted), Ok(()));
            found
        };
        let bytes = fs::read(right.join("b/c")).unwrap();
        let mut flipped = bytes.clone();
        flipped[2_000_000] ^= 1;
        let restore = || fs::write(right.join("b/c"), &bytes).unwrap();
        let found = difference(&|| fs::write(right.join("b/c"), &flipped).unwrap(), &restore);
        assert!(found.ends_with("differs at byte 2000000"), "{found}");
        let found = difference(&|| fs::write(right.join("b/c"), &bytes[1..]).unwrap(), &restore);
        assert_eq!(found, "b/c has 2999999 bytes instead of 3000000");
        let found = difference(&|| fs::remove_file(right.join("b/c")).unwrap(), &restore);
        assert_eq!(found, "b/c is missing");
        let extra = right.join("extra");
        let found = difference(&|| fs::write(&extra, "").unwrap(), &|| fs::remove_file(&extra).unwrap());
        assert_eq!(found, "extra is too many");
    }

    #[test]
    fn an_empty_file_may_be_missing_only_where_that_is_said() {
        let (_folder, left, right) = pair();
        fs::remove_file(right.join("empty")).unwrap();
        assert_eq!(compare(&left, &right, EmptyFiles::MayBeMissing), Ok(()));
        assert_eq!(compare(&left, &right, EmptyFiles::Wanted), Err("empty is missing".to_owned()));
    }
}
