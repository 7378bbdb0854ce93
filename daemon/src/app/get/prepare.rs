//! Gets the files of a torrent ready: made, and what is there already found again without reading it, or by reading it.

use std::sync::Arc;

use protocol::meta::Info;
use protocol::piece_set::PieceSet;
use protocol::swarm::picker::Priority;

use crate::storage::Torrent;
use crate::storage::load;
use crate::storage::selection;
use crate::storage::state::Saved;
use crate::storage::write::place::Placing;

use super::super::Failure;
use super::super::terminal::with_progress;

/// The folder where `btd get` remembers what it does; no torrent may put files there.
pub(super) const STATE_FOLDER: &str = ".btd";

/// What the files of a torrent are made from.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) info: Arc<Info>,
    pub(super) folder: std::path::PathBuf,
    pub(super) placing: Placing,
    /// Whether each file is wanted.
    pub(super) wanted: Vec<bool>,
    pub(super) saved: Saved,
    pub(super) is_quiet: bool,
}

/// A torrent whose files are ready.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) torrent: Arc<Torrent>,
    /// How much each piece is wanted; empty where all are wanted alike.
    pub(super) priorities: Vec<Priority>,
    /// Pieces that are on disk for certain, whatever happens to the machine.
    pub(super) synced: PieceSet,
}

impl Plan {
    /// Makes the files and finds out which pieces are there. Takes as long as the disk does.
    pub(super) fn carry_out(self) -> Result<Prepared, Failure> {
        let Self { info, folder, placing, wanted, saved, is_quiet } = self;
        if info.files().iter().any(|file| file.path.components().next() == Some(STATE_FOLDER)) {
            return Err(format!(
                "a file of {} lies under {STATE_FOLDER}, where btd keeps its state",
                info.name()
            )
            .into());
        }
        let mut loaded = load::download(Arc::clone(&info), &folder, &saved, &wanted, &placing)?;
        if !loaded.to_check().is_empty() {
            let what = format!("checking {}", info.name());
            with_progress(&what, loaded.bytes_to_check(), is_quiet, |task| loaded.check(task))?;
        }
        for (file, error) in loaded.errors() {
            tracing::warn!("{}: {error}", info.files()[*file].path);
        }
        let priorities = selection::priorities(&info, &wanted);
        let synced = loaded.synced().clone();
        Ok(Prepared { torrent: Arc::new(loaded.into_torrent()), priorities, synced })
    }
}
