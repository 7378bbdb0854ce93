//! Adding torrents: what is asked for is fetched and read on other threads, then entered into the state, then begun.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use protocol::control::{AddRequest, ErrorCode, ErrorReply, MAX_METAINFO_LENGTH, Torrent};
use protocol::id::InfoHash;
use protocol::meta::{Info, Magnet, Metainfo};
use tokio::task::spawn_blocking;

use crate::bus::board::now_unix_s;
use crate::bus::{Reply, Row, TorrentId};
use crate::discovery;
use crate::storage::state::{Change, NewTorrent, RawMetainfo, StateError};
use crate::storage::{selection, torrent_file};

use super::acting::check_label;
use super::actor::Actor;
use super::chores::Done;
use super::paths::{path_hashes, placed};
use super::record::{entry, row};
use super::roots::{Roots, resolve};

/// How long a .torrent file may take to come from the web.
const FETCH_TIMEOUT: Duration = Duration::from_secs(60);

/// What was asked for, read; or why it cannot be.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) request: AddRequest,
    pub(super) source: Result<(Source, PathBuf), ErrorReply>,
    pub(super) reply: Reply<Torrent>,
}

/// What is to be added.
#[derive(Debug)]
pub(super) enum Source {
    Magnet(Box<Magnet>),
    /// A .torrent file, and its bytes.
    File(Box<Metainfo>, Vec<u8>),
}

impl Actor {
    /// Has what is asked for fetched and read.
    pub(super) fn add(&mut self, mut request: AddRequest, reply: Reply<Torrent>) {
        let (roots, default_dir) = (self.settings.roots.clone(), self.settings.data_dir.clone());
        self.tasks.spawn(async move {
            let source = read(&mut request, roots, default_dir).await;
            Done::Arrived(Box::new(Arrived { request, source, reply }))
        });
    }

    /// What was asked for is here.
    pub(super) fn arrived(&mut self, arrived: Arrived) {
        let Arrived { request, source, reply } = arrived;
        let result = source.and_then(|(source, dir)| self.enter(&request, &source, &dir));
        match result {
            Ok(id) => {
                let row = self.board.with(id, Row::to_torrent);
                let _ = reply.send(row.ok_or_else(super::acting::gone));
                self.advance(id);
            }
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    /// Enters a torrent into the state, and puts it on the board.
    pub(super) fn enter(
        &mut self,
        request: &AddRequest,
        source: &Source,
        dir: &Path,
    ) -> Result<TorrentId, ErrorReply> {
        let info_hash = source.info_hash();
        self.refuse_known(&info_hash)?;
        let info = source.info(request)?;
        let lies_in = self.incomplete_dir(request);
        let elsewhere = lies_in.as_ref().and_then(|it| it.as_deref()).map(Path::new);
        let folders: Vec<&Path> = std::iter::once(dir).chain(elsewhere).collect();
        if let Some(info) = &info {
            check_selection(info, request)?;
            self.refuse_taken_paths(None, info, &folders, request.seed_only)?;
        }
        let select = request.select.clone();
        let select = if select.is_empty() { source.selected() } else { select };
        let name = source.name();
        let dir_text = dir.to_str().ok_or_else(|| bad("the path of its folder is not UTF-8"))?;
        let rest = Change {
            name: Some(name.clone()),
            dir: Some(dir_text.to_owned()),
            size: info.as_ref().map(|info| info.geometry().length()),
            trackers: Some(source.tiers()),
            peers: Some(source.peers()),
            select: Some(select),
            file_paths: Some(request.file_paths.clone()),
            paths: info.as_ref().map(|info| path_hashes(info, &folders)),
            lies_in,
            ..change_of(request)
        };
        let metainfo = source.raw()?;
        let new = NewTorrent { info_hash, added_at_s: now_unix_s(), metainfo, rest };
        let id = self.state.insert(&new).map(TorrentId).map_err(|error| match error {
            StateError::Exists(_) => exists(info_hash, &name),
            error => ErrorReply::new(ErrorCode::Failed, error.to_string()),
        })?;
        self.take_up_new(id, source.tiers())?;
        Ok(id)
    }

    /// Puts a torrent on the board that was entered into the state.
    fn take_up_new(&mut self, id: TorrentId, tiers: Vec<Vec<String>>) -> Result<(), ErrorReply> {
        let (board, entries, interned) = (&self.board, &mut self.entries, &mut self.interned);
        let trackers = interned.trackers(tiers);
        let taken_up = self.state.record_of(id.0, |record| {
            board.insert(id, row(&record, interned, Arc::clone(&trackers)), true);
            entries.insert(id, entry(&record));
        });
        taken_up.map_err(|error| ErrorReply::new(ErrorCode::Failed, error.to_string()))
    }

    fn refuse_known(&self, info_hash: &InfoHash) -> Result<(), ErrorReply> {
        match self.board.id_of(info_hash).and_then(|id| self.board.with(id, |row| row.name.to_string())) {
            Some(name) => Err(exists(*info_hash, &name)),
            None => Ok(()),
        }
    }

    fn incomplete_dir(&self, request: &AddRequest) -> Option<Option<String>> {
        let dir =
            self.settings.incomplete_dir.as_ref().filter(|_| !request.seed_only && !request.skip_check)?;
        Some(dir.to_str().map(str::to_owned))
    }
}

/// Fetches and reads what is asked for, and looks where it is to lie. What says where it comes from, which may be the
/// whole of it, is taken out of the request.
async fn read(
    request: &mut AddRequest,
    roots: Roots,
    default_dir: PathBuf,
) -> Result<(Source, PathBuf), ErrorReply> {
    check_request(request)?;
    let AddRequest { magnet, metainfo, url, path, .. } = request;
    let (magnet, metainfo, url, path) = (magnet.take(), metainfo.take(), url.take(), path.take());
    let bytes = match (&magnet, &metainfo, &url, &path) {
        (Some(_), None, None, None) | (None, Some(_), None, None) | (None, None, None, Some(_)) => None,
        (None, None, Some(url), None) => Some(fetch(url).await?),
        _ => return Err(bad("exactly one of magnet, metainfo, url and path says what to add")),
    };
    let dir = request.dir.clone();
    let work = move || {
        let dir = match dir {
            Some(dir) => roots.admit(&dir)?,
            None => resolve(&default_dir).unwrap_or(default_dir),
        };
        let source = match (magnet, metainfo, path, bytes) {
            (Some(magnet), ..) => {
                Source::Magnet(Box::new(magnet.parse().map_err(|error| bad(&format!("{error}")))?))
            }
            (_, Some(text), ..) => parse("not a torrent", decode(&text)?)?,
            (_, _, Some(path), _) => {
                let bytes = torrent_file::read_bytes(&roots.admit(&path)?, MAX_METAINFO_LENGTH as u64);
                parse(&path, bytes.map_err(|error| unusable(&error.to_string()))?)?
            }
            (.., Some(bytes)) => parse(url.as_deref().unwrap_or_default(), bytes)?,
            _ => return Err(bad("nothing says what to add")),
        };
        Ok((source, dir))
    };
    spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(ErrorReply::new(ErrorCode::Failed, "a mistake of ours")))
}

/// Refuses what makes no sense, whatever the torrent is.
fn check_request(request: &AddRequest) -> Result<(), ErrorReply> {
    request.label.as_deref().map_or(Ok(()), check_label)?;
    selection::check(&request.select).map_err(|error| bad(&error.to_string()))?;
    if request.ratio_limit.is_some_and(|ratio| !ratio.is_finite() || ratio < 0.0) {
        return Err(bad("a ratio is 0 or more"));
    }
    Ok(())
}

async fn fetch(url: &str) -> Result<Vec<u8>, ErrorReply> {
    let fetched = tokio::time::timeout(FETCH_TIMEOUT, discovery::fetch(url, MAX_METAINFO_LENGTH)).await;
    let fetched = fetched.map_err(|_| unusable(&format!("{url}: no answer in time")))?;
    fetched.map_err(|error| unusable(&error.to_string()))
}

fn decode(text: &str) -> Result<Vec<u8>, ErrorReply> {
    let bytes =
        BASE64.decode(text.as_bytes()).map_err(|error| bad(&format!("metainfo is no base64: {error}")))?;
    if bytes.len() > MAX_METAINFO_LENGTH {
        let message = format!("a .torrent file of {} bytes is more than {MAX_METAINFO_LENGTH}", bytes.len());
        return Err(ErrorReply::new(ErrorCode::TooLarge, message));
    }
    Ok(bytes)
}

fn parse(what: &str, bytes: Vec<u8>) -> Result<Source, ErrorReply> {
    let metainfo = Metainfo::parse(&bytes).map_err(|error| unusable(&format!("{what}: {error}")))?;
    Ok(Source::File(Box::new(metainfo), bytes))
}

fn check_selection(info: &Info, request: &AddRequest) -> Result<(), ErrorReply> {
    selection::wanted_files(info, &request.select, None).map(drop).map_err(|error| bad(&error.to_string()))
}

impl Source {
    fn info_hash(&self) -> InfoHash {
        match self {
            Self::Magnet(magnet) => magnet.info_hash,
            Self::File(metainfo, _) => metainfo.info.info_hash(),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Magnet(magnet) => {
                magnet.display_name.clone().unwrap_or_else(|| magnet.info_hash.to_string())
            }
            Self::File(metainfo, _) => metainfo.info.name().to_owned(),
        }
    }

    fn tiers(&self) -> Vec<Vec<String>> {
        match self {
            Self::Magnet(magnet) => magnet.trackers.iter().map(|tracker| vec![tracker.clone()]).collect(),
            Self::File(metainfo, _) => metainfo.trackers.clone(),
        }
    }

    /// Where peers are, as a magnet link says.
    fn peers(&self) -> Vec<String> {
        match self {
            Self::Magnet(magnet) => {
                magnet.peers.iter().map(|peer| format!("{}:{}", peer.host(), peer.port())).collect()
            }
            Self::File(..) => Vec::new(),
        }
    }

    /// What a magnet link selects (BEP 53).
    fn selected(&self) -> Vec<String> {
        match self {
            Self::Magnet(magnet) => {
                let ranges = magnet.select.iter().flatten();
                ranges.map(|range| format!("{}-{}", range.start(), range.end())).collect()
            }
            Self::File(..) => Vec::new(),
        }
    }

    /// What is shared, with its files where the user wants them.
    fn info(&self, request: &AddRequest) -> Result<Option<Arc<Info>>, ErrorReply> {
        let Self::File(metainfo, _) = self else { return Ok(None) };
        let info = placed(Arc::clone(&metainfo.info), &request.file_paths);
        info.map(Some).map_err(|error| bad(&error.to_string()))
    }

    fn raw(&self) -> Result<Option<RawMetainfo<'_>>, ErrorReply> {
        let Self::File(_, bytes) = self else { return Ok(None) };
        RawMetainfo::of_file(bytes).map(Some).map_err(|error| unusable(&error.to_string()))
    }
}

/// What of a request is to be remembered.
fn change_of(request: &AddRequest) -> Change {
    let label = request.label.clone().filter(|label| !label.is_empty());
    let limit = |limit: Option<u64>| Some(limit.filter(|limit| *limit > 0));
    Change {
        label: Some(label),
        is_paused: Some(request.paused),
        is_seed_only: Some(request.seed_only),
        is_check_skipped: Some(request.skip_check),
        is_sequential: Some(request.sequential),
        upload_limit: limit(request.upload_limit),
        download_limit: limit(request.download_limit),
        ratio_limit: Some(request.ratio_limit),
        seed_time_limit_s: Some(request.seed_time_limit_s),
        ..Change::default()
    }
}

fn bad(message: &str) -> ErrorReply {
    ErrorReply::new(ErrorCode::BadRequest, message)
}

fn unusable(message: &str) -> ErrorReply {
    ErrorReply::new(ErrorCode::Unusable, message)
}

fn exists(info_hash: InfoHash, name: &str) -> ErrorReply {
    ErrorReply::new(ErrorCode::Exists, format!("{name} is here already: torrent {info_hash}"))
        .about(info_hash)
}
