//! What takes as long as a disk does, done on threads that may wait; and what becomes of it.

use std::path::PathBuf;
use std::sync::Arc;

use protocol::control::{ErrorCode, ErrorReply, MoveRequest};
use protocol::piece_set::PieceSet;
use protocol::swarm::picker::Priority;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, spawn_blocking};

use crate::bus::{Reply, TorrentId};
use crate::engine::{Member, ServerError, Unloaded};
use crate::storage::Torrent;
use crate::storage::keeper::Keeper;
use crate::storage::load::LoadError;
use crate::storage::relocate::{RelocateError, Relocated};
use crate::storage::state::FileRecord;
use crate::storage::write::Durable;

use super::adding::Arrived;
use super::entry::Chore;

/// What has become of a task.
#[derive(Debug)]
pub(super) enum Done {
    /// A torrent was looked at, or got ready.
    Ready(TorrentId, Chore, Result<Ready, ChoreError>),
    /// The files of a torrent whose metadata came from peers are ready.
    Begun(TorrentId, Result<Ready, ChoreError>),
    /// The swarm of a torrent runs.
    Enrolled(TorrentId, Box<NewSwarm>, Result<Member, ServerError>),
    /// The swarm of a torrent has ended, or has a peer again.
    Left(TorrentId, Result<Unloaded, ServerError>),
    /// A note was taken.
    Noted(TorrentId),
    /// The files of a torrent were moved.
    Relocated(TorrentId, Result<(PathBuf, Vec<Relocated>), ChoreError>),
    /// The files of a torrent were deleted.
    Deleted(TorrentId, Result<(), ChoreError>),
    /// It was looked whether a torrent may be moved where a client wants it.
    Admitted(TorrentId, Result<MoveRequest, ErrorReply>, Reply<()>),
    /// A torrent that was asked for is here.
    Arrived(Box<Arrived>),
    /// What was written was brought to the disk.
    Synced(Durable),
    /// Nothing more is to be done.
    Nothing,
}

/// A torrent whose files were looked at.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) torrent: Arc<Torrent>,
    pub(super) synced: PieceSet,
    /// How its files look, by number: what is remembered of them is true for these.
    pub(super) files: Vec<(u32, FileRecord)>,
    /// Whether its pieces were hashed, and not only taken for whole.
    pub(super) is_proven: bool,
    /// Whether it lies where it belongs, although it was not meant to be there yet.
    pub(super) is_home: bool,
}

/// What is kept of a torrent whose swarm begins.
#[derive(Debug)]
pub(super) struct NewSwarm {
    /// The torrent, if its metadata is here.
    pub(super) torrent: Option<Arc<Torrent>>,
    pub(super) keeper: Option<Keeper>,
    pub(super) priorities: Vec<Priority>,
    /// Bytes that are wanted and not verified.
    pub(super) left: u64,
    /// Whether it is a download.
    pub(super) is_fetching: bool,
}

/// Why a chore was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChoreError {
    #[error("it was given up")]
    Cancelled,
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Relocate(RelocateError),
    #[error("a chore has ended by a mistake of ours")]
    Panicked,
}

impl From<RelocateError> for ChoreError {
    fn from(error: RelocateError) -> Self {
        match error {
            RelocateError::Cancelled(_) => Self::Cancelled,
            error => Self::Relocate(error),
        }
    }
}

impl From<ChoreError> for ErrorReply {
    fn from(error: ChoreError) -> Self {
        Self::new(ErrorCode::Conflict, error.to_string())
    }
}

/// Does `work` on a thread that may wait.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ChoreError> + Send + 'static,
) -> Result<T, ChoreError> {
    spawn_blocking(work).await.unwrap_or(Err(ChoreError::Panicked))
}

/// Does `work` on a thread that may wait, when `desk` has room.
pub(super) fn spawn<T: Send + 'static>(
    tasks: &mut JoinSet<Done>,
    desk: Arc<Semaphore>,
    work: impl FnOnce() -> Result<T, ChoreError> + Send + 'static,
    done: impl FnOnce(Result<T, ChoreError>) -> Done + Send + 'static,
) {
    tasks.spawn(async move {
        let _turn = desk.acquire_owned().await;
        done(blocking(work).await)
    });
}
