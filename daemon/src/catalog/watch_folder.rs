//! The watch directory: .torrent files, and .magnet files with a link, that come to lie there are added (inotify).
//!
//! What was added is renamed, with `.added` at its end, and so is not looked at again. What is refused stays as it is,
//! with a word in the log, and is tried again when it is written anew or btd starts.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use inotify::{Inotify, WatchMask};
use protocol::control::{AddRequest, ErrorCode, ErrorReply};
use tokio_stream::StreamExt;

use crate::bus::{Fault, Faults, Request, Requests};

/// What is put at the end of the name of a file that was added.
const ADDED: &str = "added";
/// Longest .magnet file that is read: a link, and room for all trackers of the world.
const MAX_MAGNET_LENGTH: u64 = 64 * 1024;

/// Bytes of events that are read at a time.
const EVENTS_LENGTH: usize = 4_096;

/// Watches `folder` until the task is dropped.
///
/// # Errors
/// When it cannot be made or watched.
pub(super) fn watch(
    folder: PathBuf,
    requests: Requests,
    faults: Arc<Faults>,
) -> io::Result<impl Future<Output = ()>> {
    std::fs::create_dir_all(&folder)?;
    let inotify = Inotify::init()?;
    inotify.watches().add(&folder, WatchMask::CLOSE_WRITE | WatchMask::MOVED_TO)?;
    let mut events = inotify.into_event_stream([0; EVENTS_LENGTH])?;
    Ok(async move {
        // After the watch began, so that nothing is missed in between.
        for path in torrents_in(&folder).await {
            take(&path, &requests, &faults).await;
        }
        while let Some(event) = events.next().await {
            let path = event.ok().and_then(|event| event.name).map(|name| folder.join(name));
            if let Some(path) = path.filter(|path| kind(path).is_some()) {
                take(&path, &requests, &faults).await;
            }
        }
    })
}

/// What a file is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Torrent,
    Magnet,
}

fn kind(path: &Path) -> Option<Kind> {
    match path.extension()?.to_str()? {
        "torrent" => Some(Kind::Torrent),
        "magnet" => Some(Kind::Magnet),
        _ => None,
    }
}

/// What lies in `folder`, in the order of names.
async fn torrents_in(folder: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    match tokio::fs::read_dir(folder).await {
        Ok(mut entries) => {
            while let Ok(Some(entry)) = entries.next_entry().await {
                paths.push(entry.path());
            }
        }
        Err(error) => tracing::error!("{}: {error}", folder.display()),
    }
    paths.retain(|path| kind(path).is_some());
    paths.sort_unstable();
    paths
}

/// Adds what is in one file, and renames it.
async fn take(path: &Path, requests: &Requests, faults: &Faults) {
    let shown = path.display();
    match add(path, requests).await {
        Ok(name) => tracing::info!("{shown}: added {name}"),
        Err(error) if error.error == ErrorCode::Exists => tracing::info!("{shown}: {error}"),
        Err(error) => {
            faults.count(Fault::WatchedFile);
            return tracing::error!("{shown}: {error}");
        }
    }
    let mut added = path.as_os_str().to_owned();
    added.push(".");
    added.push(ADDED);
    if let Err(error) = tokio::fs::rename(path, &added).await {
        tracing::warn!("{shown}: cannot be renamed: {error}");
    }
}

/// Adds what is in one file; what it is called.
async fn add(path: &Path, requests: &Requests) -> Result<String, ErrorReply> {
    let unusable = |error: io::Error| ErrorReply::new(ErrorCode::Unusable, error.to_string());
    let request = Box::new(request(path).await.map_err(unusable)?);
    let caller = super::ourselves();
    Ok(requests.ask(|reply| Request::Add { request, caller, reply }).await?.name)
}

async fn request(path: &Path) -> io::Result<AddRequest> {
    if kind(path) == Some(Kind::Torrent) {
        let path = path.to_str().ok_or_else(|| io::Error::other("its name is not UTF-8"))?;
        return Ok(AddRequest { path: Some(path.to_owned()), ..AddRequest::default() });
    }
    if tokio::fs::metadata(path).await?.len() > MAX_MAGNET_LENGTH {
        return Err(io::Error::other("too long for a magnet link"));
    }
    let magnet = tokio::fs::read_to_string(path).await?.trim().to_owned();
    Ok(AddRequest { magnet: Some(magnet), ..AddRequest::default() })
}
