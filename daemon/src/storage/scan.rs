//! The files below a path, in the order in which a torrent made of it lists them.

use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::file::{FileError, Stamp};

/// A path that is to become a torrent.
#[derive(Debug)]
pub struct Scan {
    /// The torrent's name: that of the file or folder.
    pub name: String,
    /// Whether the path is a file itself.
    pub is_single: bool,
    /// The files, sorted by path.
    pub files: Vec<ScannedFile>,
}

/// One file of a scan.
#[derive(Debug)]
pub struct ScannedFile {
    /// Where it is.
    pub path: PathBuf,
    /// The parts of its path below the torrent's name; none for a single file.
    pub components: Vec<String>,
    /// How it was when it was found.
    pub stamp: Stamp,
}

/// A path that cannot become a torrent.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// A file is out of reach.
    #[error(transparent)]
    File(#[from] FileError),
    /// A folder cannot be listed, or links go round in a circle.
    #[error("{0}")]
    Walk(#[from] walkdir::Error),
    /// Names in a torrent are UTF-8.
    #[error("{}: the name is not UTF-8", .0.display())]
    NotUtf8(PathBuf),
    /// There is no name to give the torrent.
    #[error("{}: a torrent cannot be named after this path", .0.display())]
    NoName(PathBuf),
    /// Nothing to share.
    #[error("{}: there is not a single byte to share", .0.display())]
    Empty(PathBuf),
}

/// Lists the regular files at or below `path`; links are followed, and what is neither file nor folder is left out.
///
/// # Errors
/// When something cannot be read or named, or there is nothing to share.
pub fn scan(path: &Path) -> Result<Scan, ScanError> {
    let unreadable = |source| FileError::Unreadable { path: path.into(), source };
    let path = path.canonicalize().map_err(unreadable)?;
    let name = path.file_name().ok_or_else(|| ScanError::NoName(path.clone()))?;
    let name = name.to_str().ok_or_else(|| ScanError::NotUtf8(path.clone()))?.to_owned();
    let is_single = !path.is_dir();
    let files = if is_single {
        let stamp = Stamp::of_path(&path)?;
        vec![ScannedFile { path: path.clone(), components: Vec::new(), stamp }]
    } else {
        walk(&path)?
    };
    if files.iter().all(|file| file.stamp.length == 0) {
        return Err(ScanError::Empty(path));
    }
    Ok(Scan { name, is_single, files })
}

fn walk(root: &Path) -> Result<Vec<ScannedFile>, ScanError> {
    let mut files = Vec::new();
    for entry in WalkDir::new(root).follow_links(true).sort_by_file_name() {
        let entry = entry?;
        if entry.file_type().is_dir() {
            continue;
        }
        if !entry.file_type().is_file() {
            tracing::warn!("{}: neither a file nor a folder, left out", entry.path().display());
            continue;
        }
        let below = entry.path().strip_prefix(root).unwrap_or(entry.path());
        let components: Option<Vec<String>> =
            below.iter().map(|part| part.to_str().map(str::to_owned)).collect();
        files.push(ScannedFile {
            components: components.ok_or_else(|| ScanError::NotUtf8(entry.path().into()))?,
            stamp: Stamp::of_path(entry.path())?,
            path: entry.into_path(),
        });
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_listed_in_order_and_a_file_is_itself() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("b")).unwrap();
        for name in ["c", "b/x", "a"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        let scanned = scan(folder.path()).unwrap();
        let names: Vec<String> = scanned.files.iter().map(|file| file.components.join("/")).collect();
        assert_eq!(names, ["a", "b/x", "c"]);
        assert!(!scanned.is_single);

        let single = scan(&folder.path().join("b/x")).unwrap();
        assert!(single.is_single && single.name == "x" && single.files[0].components.is_empty());
    }

    #[test]
    fn what_has_nothing_to_share_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(scan(folder.path()), Err(ScanError::Empty(_))));
        std::fs::write(folder.path().join("empty"), "").unwrap();
        assert!(matches!(scan(folder.path()), Err(ScanError::Empty(_))));
        assert!(matches!(scan(&folder.path().join("none")), Err(ScanError::File(_))));
        assert!(matches!(scan(Path::new("/")), Err(ScanError::NoName(_))));
        assert!(matches!(scan(Path::new("/dev/null")), Err(ScanError::File(FileError::NotAFile(_)))));
    }

    #[test]
    fn a_circle_of_links_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("loop")).unwrap();
        assert!(matches!(scan(folder.path()), Err(ScanError::Walk(_))));
    }
}
