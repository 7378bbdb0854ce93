//! Where the files of a torrent lie: as it says, or where the user wants them; what they are known by, and that no two
//! torrents have the same.

use std::path::Path;
use std::sync::Arc;

use protocol::control::{ErrorCode, ErrorReply, FilePath};
use protocol::meta::{FileEntry, FileKind, Info, RenameError};

use crate::bus::TorrentId;
use crate::storage::state::{Change, path_hash};

use super::actor::Actor;
use super::entry::Entry;

impl Actor {
    /// Refuses a torrent with files that lie where another has some: what is written to the one would be read, or
    /// written, as the other. Those that are only read may be shared.
    pub(super) fn refuse_taken_paths(
        &mut self,
        id: Option<TorrentId>,
        info: &Info,
        folders: &[&Path],
        only_reads: bool,
    ) -> Result<(), ErrorReply> {
        let hashes = path_hashes(info, folders);
        let in_the_way = self.holder_of(&hashes, id, only_reads)?;
        let Some((other, name)) =
            in_the_way.and_then(|id| self.board.with(id, |row| (row.info_hash, row.name.to_string())))
        else {
            return Ok(());
        };
        let message = format!(
            "files of {} in {} are those of {name} ({other}) too: choose another folder, or --seed-only",
            info.name(),
            folders.first().unwrap_or(&Path::new("")).display()
        );
        Err(ErrorReply::new(ErrorCode::Conflict, message).about(other))
    }

    /// Whether a torrent is, or will be, written to its files.
    pub(super) fn may_write(&self, id: TorrentId) -> bool {
        self.entries.get(&id).is_some_and(|entry| !entry.marks.is_seed_only && !entry.marks.is_complete)
    }

    /// Who has files at one of the paths that `hashes` stand for, beside `id`, and is in the way of one that is written,
    /// or `only_reads`.
    fn holder_of(
        &mut self,
        hashes: &[i64],
        id: Option<TorrentId>,
        only_reads: bool,
    ) -> Result<Option<TorrentId>, ErrorReply> {
        let in_the_way = self.in_the_way(hashes, id, only_reads)?;
        let is_moving = |it: &Entry| it.wish.as_ref().is_some_and(|wish| wish.relocation.is_some());
        // A move that failed, or was cut short, has left paths behind where nothing came.
        for other in &in_the_way {
            if !self.entries.get(other).is_some_and(is_moving) {
                self.release_paths(*other);
            }
        }
        match in_the_way.is_empty() {
            true => Ok(None),
            false => Ok(self.in_the_way(hashes, id, only_reads)?.first().copied()),
        }
    }

    fn in_the_way(
        &mut self,
        hashes: &[i64],
        id: Option<TorrentId>,
        only_reads: bool,
    ) -> Result<Vec<TorrentId>, ErrorReply> {
        let holders = self.state.with_paths(hashes, id.map(|id| id.0));
        let holders = holders.map_err(|error| ErrorReply::new(ErrorCode::Failed, error.to_string()))?;
        Ok(holders.into_iter().map(TorrentId).filter(|other| !only_reads || self.may_write(*other)).collect())
    }

    /// Has a torrent hold the paths where it is, and those where it is to be moved.
    pub(super) fn hold_paths(
        &mut self,
        id: TorrentId,
        info: &Info,
        to: Option<&Path>,
    ) -> Result<(), ErrorReply> {
        let (dir, lies_in) = (self.dir(id), self.lies_in(id));
        let folders: Vec<&Path> = to.into_iter().chain([&*dir, &*lies_in]).collect();
        let paths = path_hashes(info, &folders);
        self.commit(id, &Change { paths: Some(paths), ..Change::default() })
    }

    /// Has a torrent that is not being moved hold the paths where it is, and no others.
    fn release_paths(&mut self, id: TorrentId) {
        let released = match self.info(id) {
            Ok(Some(info)) => self.hold_paths(id, &info, None),
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = released {
            tracing::warn!("paths are held that are not used any more: {error}");
        }
    }
}

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
