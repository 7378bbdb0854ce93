//! A copy of the database while it is used: as it is at one moment, on disk before it gets its name.

use std::fs::File;
use std::io;
use std::path::Path;

use super::open::folder;
use super::{State, StateError};

impl State {
    /// Writes a copy to `path`, where nothing may be yet. Only its owner may read it. Others read and write meanwhile;
    /// whoever must not wait for it opens a [`State`] of its own for it.
    ///
    /// # Errors
    /// When there is something at `path`, or it cannot be written; then nothing is left there.
    pub fn backup(&mut self, path: &Path) -> Result<(), StateError> {
        let unreachable = |source| StateError::Unreachable { path: path.into(), source };
        if path.symlink_metadata().is_ok() {
            let exists =
                io::Error::new(io::ErrorKind::AlreadyExists, "exists already, and is not written over");
            return Err(unreachable(exists));
        }
        let folder = folder(path);
        // Made with mode 0600, and without a name that anybody would take for a backup until it is whole.
        let copy =
            tempfile::Builder::new().prefix(".btd-backup-").tempfile_in(folder).map_err(unreachable)?;
        let Some(name) = copy.path().to_str() else {
            return Err(unreachable(io::Error::new(io::ErrorKind::InvalidInput, "the path is not UTF-8")));
        };
        // To SQLite the copy is another database, whose disk may be full while ours is not.
        let failed = |source| StateError::Sqlite { path: path.into(), source };
        self.connection.execute("VACUUM INTO ?1", [name]).map_err(failed)?;
        copy.as_file().sync_all().map_err(unreachable)?;
        copy.persist_noclobber(path).map_err(|error| unreachable(error.error))?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(unreachable)
    }
}
