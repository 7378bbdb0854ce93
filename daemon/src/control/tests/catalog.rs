//! The catalog of these tests: notes what it is asked, and answers at once.

use protocol::control::{CreateEvent, Detail, ErrorCode, FileRow, PeerRow, Pieces, TrackerRow};
use tokio::sync::mpsc::Receiver;

use super::*;
use crate::bus::{Action, Reply};

/// What was asked, and what is to be refused.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    /// Refusals of actions on torrents.
    pub(super) refusals: Mutex<HashMap<TorrentId, ErrorReply>>,
    /// Actions that were asked for.
    pub(super) acted: Mutex<Vec<(TorrentId, Action)>>,
    /// Who asked.
    pub(super) callers: Mutex<Vec<Caller>>,
}

impl Catalog {
    pub(super) async fn answer(self: Arc<Self>, board: Arc<Board>, mut requests: Receiver<Asked>) {
        while let Some(request) = requests.recv().await {
            self.answer_one(&board, request).await;
        }
    }

    async fn answer_one(&self, board: &Board, request: Asked) {
        match request {
            Asked::Add { request, caller, reply } => {
                self.callers.lock().unwrap().push(caller);
                let row = Row { label: request.label.as_deref().map(Into::into), ..row(200) };
                let torrent = row.to_torrent();
                board.insert(TorrentId(200), row, true);
                tell(reply, Ok(torrent));
            }
            Asked::Act { id, action, caller, reply } => {
                self.callers.lock().unwrap().push(caller);
                self.acted.lock().unwrap().push((id, action));
                let refusal = self.refusals.lock().unwrap().get(&id).cloned();
                tell(reply, refusal.map_or(Ok(()), Err));
            }
            Asked::Detail(id, reply) => tell(reply, Ok(detail(board, id))),
            Asked::Files(_, reply) => tell(reply, Ok(vec![file()])),
            Asked::Peers(_, reply) => tell(reply, Ok(vec![peer()])),
            Asked::Trackers(_, reply) => tell(reply, Ok(vec![tracker()])),
            Asked::Pieces(_, reply) => {
                tell(reply, Ok(Pieces { piece_count: 9, have: "/4A=".to_owned(), ..Pieces::default() }));
            }
            Asked::Metainfo(_, reply) => tell(reply, Ok(b"d4:infode".to_vec())),
            Asked::Create { request, events, .. } => {
                let refusal = ErrorReply::new(ErrorCode::Forbidden, "not there");
                let lines = match request.path.as_str() {
                    "/refused" => vec![CreateEvent::Failed(refusal)],
                    "/broken" => vec![CreateEvent::Progress { done: 1, total: 2 }],
                    "/failing" => {
                        vec![CreateEvent::Progress { done: 1, total: 2 }, CreateEvent::Failed(refusal)]
                    }
                    _ => vec![CreateEvent::Progress { done: 1, total: 2 }, made()],
                };
                for line in lines {
                    events.send(line).await.unwrap();
                }
            }
            Asked::Backup { path, reply, .. } => {
                let refusal = || Err(ErrorReply::new(ErrorCode::Exists, path.display().to_string()));
                tell(reply, if path.starts_with("/there") { refusal() } else { Ok(()) });
            }
            Asked::Shutdown(reply) => tell(reply, Ok(())),
        }
    }
}

fn tell<T>(reply: Reply<T>, answer: Result<T, ErrorReply>) {
    // The client may have gone.
    drop(reply.send(answer));
}

fn made() -> CreateEvent {
    CreateEvent::Done {
        info_hash: InfoHash::new([9; 20]),
        name: "made".to_owned(),
        length: 2,
        piece_length: 1,
        piece_count: 2,
        magnet: "magnet:?".to_owned(),
        metainfo: "ZGU=".to_owned(),
    }
}

fn detail(board: &Board, id: TorrentId) -> Detail {
    Detail {
        torrent: board.with(id, Row::to_torrent).unwrap(),
        length: 100,
        piece_length: 16,
        piece_count: 7,
        pieces_have: 7,
        file_count: 1,
        is_private: false,
        seed_only: true,
        sequential: false,
        wasted: 0,
        completed_at: None,
        seeded_s: 60,
        upload_limit: None,
        download_limit: None,
        ratio_limit: None,
        seed_time_limit_s: None,
        queue_position: None,
        magnet: "magnet:?".to_owned(),
    }
}

fn file() -> FileRow {
    let path = "a/b".to_owned();
    FileRow { index: 0, path, on_disk: None, size: 100, have: 100, progress: 1.0, wanted: true }
}

fn peer() -> PeerRow {
    PeerRow {
        address: "127.0.0.1:1".to_owned(),
        client: None,
        peer_id: "-XX0000-".to_owned(),
        is_incoming: true,
        progress: 0.5,
        is_interested: true,
        is_choked: false,
        are_we_interested: false,
        is_choking_us: true,
        is_snubbing: false,
        connected_s: 1,
    }
}

fn tracker() -> TrackerRow {
    TrackerRow {
        url: "http://tracker.test/announce".to_owned(),
        tier: 0,
        family: "ipv4".to_owned(),
        state: "working".to_owned(),
        failures: 0,
        error: None,
        warning: None,
        seeds: Some(1),
        leechers: None,
        peers: 2,
        answered_s: Some(3),
        next_s: None,
    }
}
