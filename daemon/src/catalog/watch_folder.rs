//! The watch directory: .torrent files, and .magnet files with a link, that come to lie there are added (inotify).
//!
//! What was added is renamed, with `.added` at its end, and so is not looked at again. What is refused stays as it is,
//! with a word in the log, and is tried again when it is written anew or btd starts.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::BASE64;
use inotify::{EventMask, EventOwned, Inotify, WatchMask};
use protocol::control::{AddRequest, ErrorCode, ErrorReply, MAX_METAINFO_LENGTH};
use tokio::task::spawn_blocking;
use tokio_stream::StreamExt;

use crate::bus::{Fault, Faults, Request, Requests};
use crate::storage::torrent_file::{self, TorrentFileError};

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
        let mut news = News::All;
        loop {
            let paths = match news {
                News::File(name) => vec![folder.join(name)],
                News::All => files_in(&folder).await,
                News::Nothing => Vec::new(),
                News::End(reason) => {
                    faults.count(Fault::WatchedFile);
                    return tracing::error!("{}: is watched no longer: {reason}", folder.display());
                }
            };
            for path in paths.iter().filter(|path| kind(path).is_some()) {
                take(path, &requests, &faults).await;
            }
            news = News::of(events.next().await);
        }
    })
}

/// What has happened in a folder.
#[derive(Debug, PartialEq, Eq)]
enum News {
    /// A file has come.
    File(OsString),
    /// It is not known which files have come: all are to be looked at.
    All,
    Nothing,
    /// Nothing more will be heard of it.
    End(String),
}

impl News {
    fn of(event: Option<io::Result<EventOwned>>) -> Self {
        match event {
            // So many came at once that the kernel has lost count.
            Some(Ok(event)) if event.mask.contains(EventMask::Q_OVERFLOW) => Self::All,
            Some(Ok(event)) if event.mask.contains(EventMask::IGNORED) => Self::End("it is gone".to_owned()),
            Some(Ok(event)) => event.name.map_or(Self::Nothing, Self::File),
            Some(Err(error)) => Self::End(error.to_string()),
            None => Self::End("the kernel says no more".to_owned()),
        }
    }
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
async fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    match tokio::fs::read_dir(folder).await {
        Ok(mut entries) => {
            while let Ok(Some(entry)) = entries.next_entry().await {
                paths.push(entry.path());
            }
        }
        Err(error) => tracing::error!("{}: {error}", folder.display()),
    }
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
    let path = path.to_owned();
    let read =
        spawn_blocking(move || request(&path)).await.unwrap_or_else(|error| Err(io::Error::other(error)));
    let request = Box::new(read.map_err(unusable)?);
    let caller = super::ourselves();
    Ok(requests.ask(|reply| Request::Add { request, caller, reply }).await?.name)
}

/// What a file asks for. Its content is sent along: the folder need not be among those that clients may name.
fn request(path: &Path) -> io::Result<AddRequest> {
    let longest =
        if kind(path) == Some(Kind::Magnet) { MAX_MAGNET_LENGTH } else { MAX_METAINFO_LENGTH as u64 };
    let bytes = torrent_file::read_bytes(path, longest).map_err(|error| match error {
        TorrentFileError::Unreadable { source, .. } => source,
        TorrentFileError::TooLong { length, .. } => io::Error::other(format!("{length} bytes are too many")),
        _ => io::Error::other("not a regular file"),
    })?;
    Ok(match kind(path) {
        Some(Kind::Magnet) => {
            let link = String::from_utf8(bytes).map_err(|_| io::Error::other("a magnet link is text"))?;
            AddRequest { magnet: Some(link.trim().to_owned()), ..AddRequest::default() }
        }
        _ => AddRequest { metainfo: Some(BASE64.encode(&bytes)), ..AddRequest::default() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_lost_count_of_is_looked_for() {
        let event = |mask, name: Option<&str>| {
            let wd = Inotify::init().unwrap().watches().add("/", WatchMask::CLOSE_WRITE).unwrap();
            News::of(Some(Ok(EventOwned { wd, mask, cookie: 0, name: name.map(Into::into) })))
        };
        assert_eq!(event(EventMask::MOVED_TO, Some("a.torrent")), News::File("a.torrent".into()));
        assert_eq!(event(EventMask::Q_OVERFLOW, None), News::All);
        assert_eq!(event(EventMask::CLOSE_WRITE, None), News::Nothing);
        assert!(matches!(event(EventMask::IGNORED, None), News::End(_)));
        assert!(matches!(News::of(Some(Err(io::Error::other("no")))), News::End(_)));
    }

    #[test]
    fn content_is_sent_along_and_too_much_of_it_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            request(&path)
        };
        assert_eq!(file("a.torrent", b"de").unwrap().metainfo.as_deref(), Some("ZGU="));
        assert_eq!(file("a.magnet", b" magnet:?x \n").unwrap().magnet.as_deref(), Some("magnet:?x"));
        assert!(file("b.magnet", &vec![b'a'; 65_537]).is_err());
        assert!(file("c.magnet", &[0xff]).is_err());
    }
}
