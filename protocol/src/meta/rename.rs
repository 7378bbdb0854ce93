//! Other paths for files of a torrent, as a user chose them. The torrent stays what it is: its bytes and its info-hash.
//!
//! What a stranger wrote into a torrent is mended; what a user asks for is done as it was asked, or refused.

use std::collections::HashSet;
use std::sync::Arc;

use super::distinct::find_clash;
use super::files::FileKind;
use super::info::Info;
use super::path::{FilePath, MAX_COMPONENT_LENGTH, MAX_PATH_DEPTH, MAX_PATH_LENGTH};

/// Why a file cannot have another path. Files are counted from 0, in the order of the torrent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenameError {
    /// There is no such file.
    #[error("there is no file {file}: the torrent has {count}")]
    NoSuchFile {
        /// Which file.
        file: u32,
        /// Files of the torrent.
        count: usize,
    },
    /// Padding and symbolic links have no bytes on disk.
    #[error("file {0} is padding or a symbolic link, and never on disk")]
    NotOnDisk(u32),
    /// A file is to have two paths.
    #[error("file {0} is given a path twice")]
    Twice(u32),
    /// The path names no file below a folder.
    #[error(
        "{path:?} is no path of a file: it must be relative, and made of names of at most {MAX_COMPONENT_LENGTH} \
         bytes, none of them `.` or `..`"
    )]
    Path {
        /// The path.
        path: String,
    },
    /// The path is too long or too deep.
    #[error(
        "a path of {length} bytes in {depth} parts: at most {MAX_PATH_LENGTH} and {MAX_PATH_DEPTH} are possible"
    )]
    TooLong {
        /// Its bytes.
        length: usize,
        /// Its components.
        depth: usize,
    },
    /// Two files would be one on disk, or one a folder of the other.
    #[error("file {file} cannot be at {path:?}: file {other} is in its way")]
    Clash {
        /// A file.
        file: usize,
        /// Where it was to be.
        path: String,
        /// The other.
        other: usize,
    },
}

impl Info {
    /// The same torrent with other paths for some of its files, each given by its number and its path from the folder
    /// on that the torrent lies in (so it begins with what stands for the torrent's name, as [`FilePath`] does).
    ///
    /// # Errors
    /// When a path is not safe or meets that of another file, or a file is not there to be renamed.
    pub fn with_paths(&self, renames: &[(u32, &str)]) -> Result<Self, RenameError> {
        let mut files = self.files().to_vec();
        let mut renamed = HashSet::new();
        for &(file, path) in renames {
            let count = files.len();
            let entry = usize::try_from(file).ok().and_then(|file| files.get_mut(file));
            let entry = entry.ok_or(RenameError::NoSuchFile { file, count })?;
            if entry.kind != FileKind::Regular {
                return Err(RenameError::NotOnDisk(file));
            }
            if !renamed.insert(file) {
                return Err(RenameError::Twice(file));
            }
            entry.path = read_path(path)?;
        }
        match find_clash(&files) {
            Some((file, other)) => {
                // The one that was renamed is named first.
                let is_renamed = u32::try_from(file).is_ok_and(|file| renamed.contains(&file));
                let (file, other) = if is_renamed { (file, other) } else { (other, file) };
                Err(RenameError::Clash { file, path: files[file].path.to_string(), other })
            }
            None => Ok(self.with_files(files.into())),
        }
    }
}

/// Reads a path that is to be taken as it stands.
fn read_path(path: &str) -> Result<FilePath, RenameError> {
    let is_name = |name: &str| {
        !matches!(name, "" | "." | "..") && !name.contains('\0') && name.len() <= MAX_COMPONENT_LENGTH
    };
    let depth = path.split('/').count();
    // The first component stands for the torrent's name, which does not count.
    if path.len() > MAX_PATH_LENGTH || depth > MAX_PATH_DEPTH + 1 {
        return Err(RenameError::TooLong { length: path.len(), depth });
    }
    if !path.split('/').all(is_name) {
        return Err(RenameError::Path { path: path.to_owned() });
    }
    Ok(match path.split_once('/') {
        Some((root, below)) => FilePath::new(&Arc::from(root), below.split('/').map(Into::into)),
        None => FilePath::single(Arc::from(path)),
    })
}

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use proptest::prelude::*;

    use super::*;

    /// A torrent of `files` in a folder `t`, five bytes each; one named `pad` is padding.
    fn info_of(files: &[&str]) -> Info {
        let list: String = files
            .iter()
            .map(|path| {
                let attr = if *path == "pad" { "4:attr1:p" } else { "" };
                let parts: String = path.split('/').map(|part| format!("{}:{part}", part.len())).collect();
                format!("d{attr}6:lengthi5e4:pathl{parts}ee")
            })
            .collect();
        let pieces = "x".repeat((files.len() * 5).div_ceil(16) * 20);
        let raw = format!("d5:filesl{list}e4:name1:t12:piece lengthi16e6:pieces{}:{pieces}e", pieces.len());
        Info::parse(raw.into_bytes().into()).unwrap()
    }

    fn paths(info: &Info) -> Vec<String> {
        info.files().iter().map(|file| file.path.to_string()).collect()
    }

    #[test]
    fn files_get_the_paths_that_were_asked_for_and_the_torrent_stays_itself() {
        let info = info_of(&["a", "b/c", "d"]);
        let renamed = info.with_paths(&[(1, "films/x/C.mkv"), (2, "d")]).unwrap();
        assert_eq!(paths(&renamed), ["t/a", "films/x/C.mkv", "d"]);
        assert_eq!((renamed.raw(), renamed.info_hash(), renamed.name()), (info.raw(), info.info_hash(), "t"));
        assert_eq!((renamed.layout(), renamed.geometry()), (info.layout(), info.geometry()));
        assert_eq!(renamed.with_paths(&[]).unwrap(), renamed);
    }

    #[test]
    fn two_files_may_trade_places() {
        let renamed = info_of(&["a", "b"]).with_paths(&[(0, "t/b"), (1, "t/a")]).unwrap();
        assert_eq!(paths(&renamed), ["t/b", "t/a"]);
    }

    #[test]
    fn no_path_leaves_the_folder() {
        let info = info_of(&["a", "b"]);
        for path in ["", "/", "/etc/passwd", "..", "t/../../x", "./a", "a/", "a//b", "a\0b", &"x".repeat(256)]
        {
            let error = info.with_paths(&[(0, path)]).unwrap_err();
            assert_eq!(error, RenameError::Path { path: path.to_owned() });
        }
        for path in ["x/".repeat(MAX_PATH_DEPTH + 1) + "x", "xxx/".repeat(2_000)] {
            assert!(matches!(info.with_paths(&[(0, &path)]), Err(RenameError::TooLong { .. })));
        }
        info.with_paths(&[(0, &("x/".repeat(MAX_PATH_DEPTH) + "x"))]).unwrap();
    }

    #[test]
    fn files_that_would_meet_are_refused() {
        let info = info_of(&["a", "b/c", "pad", "d"]);
        for (file, path, other) in
            [(0, "t/b/c", 1), (0, "t/b", 1), (1, "t/a", 0), (1, "t/a/x", 0), (3, "t", 0)]
        {
            let error = info.with_paths(&[(file, path)]).unwrap_err();
            let file = file as usize;
            assert_eq!(error, RenameError::Clash { file, path: path.to_owned(), other }, "{path}");
        }
        assert_eq!(info.with_paths(&[(2, "x")]), Err(RenameError::NotOnDisk(2)));
        assert_eq!(info.with_paths(&[(4, "x")]), Err(RenameError::NoSuchFile { file: 4, count: 4 }));
        assert_eq!(info.with_paths(&[(0, "x"), (0, "y")]), Err(RenameError::Twice(0)));
        // Padding is in nobody's way.
        info.with_paths(&[(0, "t/pad")]).unwrap();
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_safe_and_apart(
            renames in prop::collection::vec((0_u32..5, "(a|b|t|\\.|\\.\\.|)(/(a|b|\\.\\.|)){0,3}"), 0..5),
        ) {
            let info = info_of(&["a", "b/a", "c", "d"]);
            let renames: Vec<(u32, &str)> = renames.iter().map(|(file, path)| (*file, path.as_str())).collect();
            let Ok(renamed) = info.with_paths(&renames) else { return Ok(()) };
            let paths = paths(&renamed);
            for (file, path) in &renames {
                prop_assert_eq!(&paths[*file as usize], path);
            }
            for (index, path) in paths.iter().enumerate() {
                prop_assert!(Path::new(path).components().all(|part| matches!(part, Component::Normal(_))));
                for other in paths.iter().skip(index + 1) {
                    prop_assert!(!Path::new(other).starts_with(path) && !Path::new(path).starts_with(other));
                }
            }
        }
    }
}
