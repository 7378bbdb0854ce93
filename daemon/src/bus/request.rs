//! What the control API asks of the catalog, and how it is answered.

use std::path::PathBuf;

use protocol::control::{
    AddRequest, CreateEvent, CreateRequest, Detail, ErrorCode, ErrorReply, FileRow, MoveRequest, Patch,
    PeerRow, Pieces, Torrent, TrackerRow,
};
use service::control::Caller;
use tokio::sync::{mpsc, oneshot};

use super::board::TorrentId;

/// Requests on their way to the catalog; who finds more waiting is told that it is busy.
pub const MAX_REQUESTS: usize = 1_024;
/// Lines of progress on their way to whoever has a torrent made: he who reads slowly misses some.
pub const MAX_PROGRESS: usize = 16;

/// Where an answer goes. Whoever asked may have gone.
pub type Reply<T> = oneshot::Sender<Result<T, ErrorReply>>;

/// Something to do to a torrent.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Stop it.
    Pause,
    /// Go on with it, also after an error.
    Resume,
    /// Hash all of its payload.
    Verify,
    /// Ask its trackers for peers, as soon as they allow it.
    Reannounce,
    /// Let it lie elsewhere.
    Move(MoveRequest),
    /// Change what the user chose.
    Change(Patch),
    /// Forget it.
    Remove {
        /// And delete its payload.
        with_data: bool,
    },
}

/// A request.
#[derive(Debug)]
pub enum Request {
    /// Add a torrent. Answered when it is in the state.
    Add {
        /// What, and how.
        request: Box<AddRequest>,
        /// Who wants it.
        caller: Caller,
        /// The answer: its row.
        reply: Reply<Torrent>,
    },
    /// Do something to a torrent. Answered when what is wanted is in the state; a move and a removal when they are done; a
    /// check and an announce, which the state does not have, at once.
    Act {
        /// To which.
        id: TorrentId,
        /// What.
        action: Action,
        /// Who wants it.
        caller: Caller,
        /// The answer.
        reply: Reply<()>,
    },
    /// Tell all about a torrent.
    Detail(TorrentId, Reply<Detail>),
    /// Tell its files.
    Files(TorrentId, Reply<Vec<FileRow>>),
    /// Tell its connected peers.
    Peers(TorrentId, Reply<Vec<PeerRow>>),
    /// Tell its trackers.
    Trackers(TorrentId, Reply<Vec<TrackerRow>>),
    /// Tell which pieces are here.
    Pieces(TorrentId, Reply<Pieces>),
    /// Give the .torrent file back.
    Metainfo(TorrentId, Reply<Vec<u8>>),
    /// Make a torrent. The last event is how it ended.
    Create {
        /// What of.
        request: CreateRequest,
        /// Who wants it.
        caller: Caller,
        /// Where progress goes, and how it ended.
        events: mpsc::Sender<CreateEvent>,
    },
    /// Write a copy of the state.
    Backup {
        /// To where.
        path: PathBuf,
        /// Who wants it.
        caller: Caller,
        /// The answer, when it is written.
        reply: Reply<()>,
    },
    /// End the daemon, in order.
    Shutdown(Reply<()>),
}

/// The way to the catalog.
#[derive(Debug, Clone)]
pub struct Requests(mpsc::Sender<Request>);

impl Requests {
    /// The way, and its end.
    pub fn channel() -> (Self, mpsc::Receiver<Request>) {
        let (sender, receiver) = mpsc::channel(MAX_REQUESTS);
        (Self(sender), receiver)
    }

    /// Asks for something, and waits for the answer.
    ///
    /// # Errors
    /// What the catalog refuses with; that it is behind; or that it has ended.
    pub async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, ErrorReply> {
        let (reply, answer) = oneshot::channel();
        self.send(request(reply))?;
        answer.await.unwrap_or_else(|_| Err(stopping()))
    }

    /// Sends a request whose answer comes another way.
    ///
    /// # Errors
    /// When the catalog is behind, or has ended.
    pub fn send(&self, request: Request) -> Result<(), ErrorReply> {
        self.0.try_send(request).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                ErrorReply::new(ErrorCode::Busy, "there are too many requests at once: try again")
            }
            mpsc::error::TrySendError::Closed(_) => stopping(),
        })
    }
}

fn stopping() -> ErrorReply {
    ErrorReply::new(ErrorCode::Stopping, "btd is stopping")
}
