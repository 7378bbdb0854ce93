//! Making torrents of what lies on disk, for clients.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use data_encoding::BASE64;
use protocol::control::{AddRequest, CreateEvent, CreateRequest, ErrorCode, ErrorReply};
use protocol::meta::{Magnet, Metainfo};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use crate::bus::Requests;
use crate::bus::board::now_unix_s;
use crate::storage::create::{self, Created, Options};
use crate::storage::scan;

use super::actor::Actor;
use super::chores::Done;
use super::entry::Watch;
use super::roots::Roots;

/// How often progress is told.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

impl Actor {
    /// Makes a torrent, and tells how far it is.
    pub(super) fn create(&mut self, request: CreateRequest, events: mpsc::Sender<CreateEvent>) {
        let (roots, desk) = (self.settings.roots.clone(), self.desks.of_hashing());
        let requests = self.requests.clone();
        let watch = Arc::new(Watch::hashing(self.engine().lanes().meter()));
        self.tasks.spawn(async move {
            let _turn = desk.acquire_owned().await;
            let event = match make(&request, roots, watch, &events, &requests).await {
                Ok(done) => done,
                Err(error) => CreateEvent::Failed(error),
            };
            // Whoever asked may have gone.
            let _ = events.send(event).await;
            Done::Nothing
        });
    }
}

async fn make(
    request: &CreateRequest,
    roots: Roots,
    watch: Arc<Watch>,
    events: &mpsc::Sender<CreateEvent>,
    requests: &Requests,
) -> Result<CreateEvent, ErrorReply> {
    let work = {
        let (request, watch) = (request.clone(), Arc::clone(&watch));
        spawn_blocking(move || hash(&request, &roots, &watch))
    };
    let mut work = std::pin::pin!(work);
    let mut ticks = tokio::time::interval(PROGRESS_INTERVAL);
    let (created, folder) = loop {
        tokio::select! {
            result = &mut work => break result.unwrap_or_else(|_| Err(failed("a mistake of ours")))?,
            _ = ticks.tick() => {
                let (done, total) = (watch.task.done_bytes(), watch.total.load(Ordering::Relaxed));
                // A reader that is slow misses some.
                let _ = events.try_send(CreateEvent::Progress { done, total });
            }
            // Nobody waits for it any more.
            () = events.closed(), if !watch.task.is_cancelled() => watch.task.cancel(),
        }
    };
    if request.seed {
        seed(request, &created, &folder, requests).await?;
    }
    Ok(done_event(&created.metainfo, &created.bytes))
}

/// Hashes what is to be shared; what comes of it, and the folder that it lies in.
fn hash(request: &CreateRequest, roots: &Roots, watch: &Watch) -> Result<(Created, PathBuf), ErrorReply> {
    let path = roots.admit(&request.path)?;
    let unusable = |error: &dyn ToString| ErrorReply::new(ErrorCode::Unusable, error.to_string());
    let scan = scan::scan(&path).map_err(|error| unusable(&error))?;
    watch.total.store(create::length(&scan), Ordering::Relaxed);
    let options = Options {
        trackers: request.trackers.clone(),
        piece_length: request.piece_length,
        is_private: request.private,
        comment: request.comment.clone(),
        creation_date: Some(now_unix_s()),
    };
    let created = create::create(scan, options, &watch.task).map_err(|error| unusable(&error))?;
    let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
    Ok((created, folder))
}

/// Adds what was made. Its files were just hashed: what they look like now is looked at again when a piece is asked for.
async fn seed(
    request: &CreateRequest,
    created: &Created,
    folder: &Path,
    requests: &Requests,
) -> Result<(), ErrorReply> {
    let dir = folder.to_str().ok_or_else(|| failed("the path of the folder is not UTF-8"))?.to_owned();
    let add = AddRequest {
        metainfo: Some(BASE64.encode(&created.bytes)),
        dir: Some(dir),
        label: request.label.clone(),
        seed_only: true,
        skip_check: true,
        ..AddRequest::default()
    };
    let caller = super::ourselves();
    requests.ask(|reply| crate::bus::Request::Add { request: Box::new(add), caller, reply }).await.map(drop)
}

fn done_event(metainfo: &Metainfo, bytes: &[u8]) -> CreateEvent {
    let info = &metainfo.info;
    let magnet = Magnet {
        display_name: Some(info.name().to_owned()),
        trackers: metainfo.trackers.concat(),
        length: Some(info.geometry().length()),
        ..Magnet::new(info.info_hash())
    };
    CreateEvent::Done {
        info_hash: info.info_hash(),
        name: info.name().to_owned(),
        length: info.geometry().length(),
        piece_length: info.geometry().piece_length(),
        piece_count: info.geometry().piece_count(),
        magnet: magnet.to_string(),
        metainfo: BASE64.encode(bytes),
    }
}

fn failed(message: &str) -> ErrorReply {
    ErrorReply::new(ErrorCode::Failed, message)
}
