//! Where the files of a torrent lie: as it says, or where the user wants them; and what they are known by.

use std::path::Path;
use std::sync::Arc;

use protocol::control::FilePath;
use protocol::meta::{FileEntry, FileKind, Info, RenameError};

use crate::storage::state::path_hash;

/// What is shared, with its files where the user wants them.
///
/// # Errors
/// When that is not possible.
pub(super) fn placed(info: Arc<Info>, file_paths: &[FilePath]) -> Result<Arc<Info>, RenameError> {
    if file_paths.is_empty() {
        return Ok(info);
    }
    let renames: Vec<(u32, &str)> = file_paths.iter().map(|it| (it.index, &*it.path)).collect();
    info.with_paths(&renames).map(Arc::new)
}

/// What the paths of the files of `info` below each of `folders` are known by.
pub(super) fn path_hashes(info: &Info, folders: &[&Path]) -> Vec<i64> {
    let hash = |folder: &Path, file: &FileEntry| {
        let mut path = folder.to_owned();
        path.extend(file.path.components());
        path_hash(&path)
    };
    let files = || info.files().iter().filter(|file| file.kind == FileKind::Regular);
    folders.iter().flat_map(|folder| files().map(move |file| hash(folder, file))).collect()
}
