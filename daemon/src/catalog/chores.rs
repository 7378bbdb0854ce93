//! What takes as long as a disk does: done on threads that may wait, a few at a time for each folder, so that a disk
//! that does not answer holds up only what lies on it.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
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

/// Chores of one folder that are done at a time.
const MAX_OF_FOLDER: usize = 4;
/// Torrents of one folder that are held in memory for chores; the others are rows meanwhile.
const MAX_JOBS: usize = 64;
/// Desks that nobody waits at and that are kept all the same.
const MAX_IDLE_DESKS: usize = 4_096;
/// Torrents that are hashed at a time: each is hashed by all cores.
const MAX_HASHING: usize = 2;

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
    Relocate(#[from] RelocateError),
    #[error("a chore has ended by a mistake of ours")]
    Panicked,
}

impl From<ChoreError> for ErrorReply {
    fn from(error: ChoreError) -> Self {
        Self::new(ErrorCode::Conflict, error.to_string())
    }
}

/// Where chores wait for their turn.
#[derive(Debug)]
pub(super) struct Desks {
    by_folder: HashMap<PathBuf, Desk>,
    hashing: Arc<Semaphore>,
}

/// The desk of a folder.
#[derive(Debug)]
struct Desk {
    places: Arc<Semaphore>,
    /// Torrents that are held in memory for what is being done to them here.
    jobs: usize,
    /// Torrents that come later: rows still.
    waiting: VecDeque<TorrentId>,
}

impl Default for Desks {
    fn default() -> Self {
        Self { by_folder: HashMap::new(), hashing: Arc::new(Semaphore::new(MAX_HASHING)) }
    }
}

impl Desks {
    fn desk(&mut self, folder: &Path) -> &mut Desk {
        // Those that nobody waits at are forgotten, now and then.
        if self.by_folder.len() > MAX_IDLE_DESKS {
            self.by_folder.retain(|_, desk| desk.jobs > 0 || Arc::strong_count(&desk.places) > 1);
        }
        self.by_folder.entry(folder.to_owned()).or_insert_with(|| Desk {
            places: Arc::new(Semaphore::new(MAX_OF_FOLDER)),
            jobs: 0,
            waiting: VecDeque::new(),
        })
    }

    /// Where chores of `folder` wait.
    pub(super) fn of_folder(&mut self, folder: &Path) -> Arc<Semaphore> {
        Arc::clone(&self.desk(folder).places)
    }

    /// Where those wait that have much to read.
    pub(super) fn of_hashing(&self) -> Arc<Semaphore> {
        Arc::clone(&self.hashing)
    }

    /// Whether `id` may be held in memory for what is to be done to it in `folder`; if not, it comes later.
    pub(super) fn enter(&mut self, folder: &Path, id: TorrentId) -> bool {
        let desk = self.desk(folder);
        let has_room = desk.jobs < MAX_JOBS;
        match has_room {
            true => desk.jobs += 1,
            false => desk.waiting.push_back(id),
        }
        has_room
    }

    /// What was done in `folder` is done; those for whom there is room now, who are to [`enter`](Self::enter).
    pub(super) fn leave(&mut self, folder: &Path) -> Vec<TorrentId> {
        let desk = self.desk(folder);
        desk.jobs = desk.jobs.saturating_sub(1);
        let room = MAX_JOBS.saturating_sub(desk.jobs).min(desk.waiting.len());
        desk.waiting.drain(..room).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_held_in_memory_and_the_others_come_in_order() {
        let (mut desks, folder) = (Desks::default(), Path::new("/srv"));
        let id = |number: usize| TorrentId(i64::try_from(number).unwrap());
        assert!((0..MAX_JOBS).all(|number| desks.enter(folder, id(number))));
        assert!(!desks.enter(folder, id(100)) && !desks.enter(folder, id(101)));
        assert!(desks.enter(Path::new("/other"), id(102)), "another folder is another desk");
        assert_eq!(desks.leave(folder), [id(100)]);
        // It has gone meanwhile: its place is not lost.
        assert_eq!(desks.leave(folder), [id(101)]);
        assert_eq!(desks.leave(folder), []);
    }
}
