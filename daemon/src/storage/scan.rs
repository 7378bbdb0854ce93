//! The files below a path, in the order in which a torrent made of it lists them.

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use nix::libc;
use walkdir::WalkDir;

use super::file::{self, FileError, Stamp};

/// A path that is to become a torrent.
#[derive(Debug)]
pub struct Scan {
    /// The torrent's name: that of the file or folder, as it was given. A link lends its own.
    pub name: String,
    /// The file or folder itself, whatever links led there.
    pub root: PathBuf,
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
    /// Something below a folder is out of reach.
    #[error("{}: {source}; make it readable, or share a folder without it", .path.display())]
    Walk {
        /// What is.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Links go round in a circle.
    #[error(
        "{}: a link back to {}, which it lies in; remove it, or share a folder without it",
        .path.display(), .to.display()
    )]
    Circle {
        /// The link.
        path: PathBuf,
        /// A folder above it.
        to: PathBuf,
    },
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

/// Lists the regular files at or below `path`, each of which can be opened. Links are followed; what is neither file
/// nor folder is left out, and so are links that lead nowhere.
///
/// # Errors
/// When something cannot be read or named, or there is nothing to share.
pub fn scan(path: &Path) -> Result<Scan, ScanError> {
    let unreadable = |source| FileError::Unreadable { path: path.into(), source };
    let root = path.canonicalize().map_err(unreadable)?;
    // `.` and `..` are no names: there the folder's own is taken.
    let name = path.file_name().or(root.file_name()).map(OsString::from);
    let name = name.ok_or_else(|| ScanError::NoName(path.into()))?;
    let name = name.into_string().map_err(|_| ScanError::NotUtf8(path.into()))?;
    let is_single = !root.is_dir();
    let files = if is_single { vec![look(root.clone(), Vec::new())?] } else { walk(&root)? };
    if files.iter().all(|file| file.stamp.length == 0) {
        return Err(ScanError::Empty(path.into()));
    }
    Ok(Scan { name, root, is_single, files })
}

/// Looks at the file at `path`, and whether it can be opened: hashing would find out too, but late.
fn look(path: PathBuf, components: Vec<String>) -> Result<ScannedFile, ScanError> {
    let stamp = Stamp::of_path(&path)?;
    file::open(&path)?;
    Ok(ScannedFile { path, components, stamp })
}

fn walk(root: &Path) -> Result<Vec<ScannedFile>, ScanError> {
    let mut files = Vec::new();
    for entry in WalkDir::new(root).follow_links(true).sort_by_file_name() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) if leads_nowhere(&error) => {
                let path = error.path().unwrap_or(root);
                tracing::warn!("{}: a link that leads nowhere, left out", path.display());
                continue;
            }
            Err(error) => return Err(explain(error, root)),
        };
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
        let components = components.ok_or_else(|| ScanError::NotUtf8(entry.path().into()))?;
        files.push(look(entry.into_path(), components)?);
    }
    Ok(files)
}

/// Whether `error` is that of a link to nothing, or to itself.
fn leads_nowhere(error: &walkdir::Error) -> bool {
    let is_nothing = |source: &io::Error| {
        source.kind() == ErrorKind::NotFound || source.raw_os_error() == Some(libc::ELOOP)
    };
    error.path().is_some_and(Path::is_symlink) && error.io_error().is_some_and(is_nothing)
}

fn explain(error: walkdir::Error, root: &Path) -> ScanError {
    let path = error.path().unwrap_or(root).to_owned();
    match error.loop_ancestor() {
        Some(to) => ScanError::Circle { path, to: to.to_owned() },
        None => ScanError::Walk {
            path,
            source: error.into_io_error().unwrap_or_else(|| io::Error::other("it cannot be listed")),
        },
    }
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
        let error = scan(folder.path()).unwrap_err();
        assert!(matches!(error, ScanError::Circle { .. }), "{error}");
        let text = error.to_string();
        assert!(text.matches("loop").count() == 1 && text.contains("remove it"), "{text}");
    }

    #[test]
    fn a_link_lends_its_name_and_a_dot_takes_that_of_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("real");
        std::fs::create_dir(&real).unwrap();
        std::fs::write(real.join("a"), "a").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("real", &link).unwrap();
        for (path, name) in [
            (real.clone(), "real"),
            (link.clone(), "link"),
            (real.join("."), "real"),
            (real.join("../link/"), "link"),
            (link.join("a"), "a"),
        ] {
            assert_eq!(scan(&path).unwrap().name, name, "{}", path.display());
        }
        std::fs::create_dir(real.join("sub")).unwrap();
        assert_eq!(scan(&real.join("sub/..")).unwrap().name, "real");
        assert_eq!(scan(&link).unwrap().root, scan(&real).unwrap().root);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), "a").unwrap();
        std::os::unix::fs::symlink("none", folder.path().join("dangling")).unwrap();
        std::os::unix::fs::symlink("itself", folder.path().join("itself")).unwrap();
        let files = scan(folder.path()).unwrap().files;
        let names: Vec<String> = files.iter().map(|file| file.components.join("/")).collect();
        assert_eq!(names, ["a"]);
        assert!(matches!(scan(&folder.path().join("dangling")), Err(ScanError::File(_))));
    }
}
