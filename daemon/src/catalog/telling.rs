//! What clients ask about one torrent: answered from memory and from the state, never from its files.

use std::sync::Arc;
use std::time::Instant;

use data_encoding::BASE64;
use protocol::announce::{Family, TrackerState, TrackerStatus};
use protocol::control::{Detail, ErrorCode, ErrorReply, FileRow, PeerRow, Pieces, TrackerRow};
use protocol::meta::{FileKind, Info, Magnet, wrap_info};
use protocol::piece_set::PieceSet;

use crate::bus::board::now_unix_s;
use crate::bus::{Reply, TorrentId};
use crate::storage::selection;
use crate::storage::state::StateError;

use super::acting::gone;
use super::actor::Actor;
use super::chores::Done;
use super::entry::{Loaded, Stage};
use super::paths::placed;

impl Actor {
    fn of_loaded(&self, id: TorrentId) -> Option<&Loaded> {
        match &self.entries.get(&id)?.stage {
            Stage::Loaded(loaded) | Stage::Leaving(loaded) => Some(loaded),
            Stage::Row | Stage::Busy(_) => None,
        }
    }

    /// What a torrent shares, with its files where the user wants them; nothing while that is not known.
    pub(super) fn info(&mut self, id: TorrentId) -> Result<Option<Arc<Info>>, ErrorReply> {
        if let Some(torrent) = self.of_loaded(id).and_then(|loaded| loaded.torrent.as_ref()) {
            return Ok(Some(Arc::clone(torrent.info())));
        }
        let metainfo = self.state.metainfo(id.0).map_err(|error| failed(&error))?;
        let Some(metainfo) = metainfo else { return Ok(None) };
        let choices = self.state.choices(id.0).map_err(|error| failed(&error))?;
        let info = Info::parse(metainfo.info.to_vec().into()).map_err(|error| mistaken(&error))?;
        placed(Arc::new(info), &choices.file_paths).map(Some).map_err(|error| mistaken(&error))
    }

    /// Which pieces are verified.
    fn have(&mut self, id: TorrentId, piece_count: u32) -> Result<PieceSet, ErrorReply> {
        if let Some(torrent) = self.of_loaded(id).and_then(|loaded| loaded.torrent.as_ref()) {
            return Ok(PieceSet::of(&torrent.view().have));
        }
        let Some(entry) = self.entries.get(&id) else { return Err(gone()) };
        if entry.marks.is_check_skipped && entry.marks.is_complete {
            return Ok(PieceSet::full(piece_count));
        }
        let info_hash = entry.info_hash;
        let saved = self.state.load(&info_hash).map_err(|error| failed(&error))?.unwrap_or_default();
        Ok(PieceSet::from_wire(&saved.have, piece_count).unwrap_or(PieceSet::new(piece_count)))
    }

    /// Everything about a torrent.
    pub(super) fn detail(&mut self, id: TorrentId) -> Result<Detail, ErrorReply> {
        let info = self.info(id)?;
        let have = info.as_ref().map(|info| self.have(id, info.geometry().piece_count())).transpose()?;
        let (torrent, trackers) =
            self.board.with(id, |row| (row.to_torrent(), Arc::clone(&row.trackers))).ok_or_else(gone)?;
        let entry = self.entries.get(&id).ok_or_else(gone)?;
        let limits = entry.limits.as_deref().copied().unwrap_or_default();
        let goals = entry.goals.as_deref().copied().unwrap_or_default();
        let geometry = info.as_ref().map(|info| *info.geometry());
        let magnet = Magnet {
            display_name: Some(torrent.name.clone()),
            trackers: trackers.tiers.concat(),
            length: geometry.map(|geometry| geometry.length()),
            ..Magnet::new(torrent.info_hash)
        };
        Ok(Detail {
            length: geometry.map_or(0, |geometry| geometry.length()),
            piece_length: geometry.map_or(0, |geometry| geometry.piece_length()),
            piece_count: geometry.map_or(0, |geometry| geometry.piece_count()),
            pieces_have: have.map_or(0, |have| have.len()),
            file_count: info.as_ref().map_or(0, |info| u32::try_from(info.files().len()).unwrap_or(u32::MAX)),
            is_private: info.is_some_and(|info| info.is_private()),
            seed_only: entry.marks.is_seed_only,
            sequential: entry.marks.is_sequential,
            wasted: entry.wasted
                + self.of_loaded(id).map_or(0, |loaded| loaded.standing.borrow().tally.wasted),
            completed_at: entry.completed_at_s,
            seeded_s: entry.seeded_s(now_unix_s()),
            upload_limit: limits.upload_bytes_per_s,
            download_limit: limits.download_bytes_per_s,
            ratio_limit: goals.ratio,
            seed_time_limit_s: goals.seed_time_s,
            queue_position: self.queue.position(id).map(|it| u32::try_from(it).unwrap_or(u32::MAX)),
            magnet: magnet.to_string(),
            torrent,
        })
    }

    /// The files of a torrent; none while they are not known.
    pub(super) fn files(&mut self, id: TorrentId) -> Result<Vec<FileRow>, ErrorReply> {
        let Some(info) = self.info(id)? else { return Ok(Vec::new()) };
        let have = self.have(id, info.geometry().piece_count())?;
        let choices = self.state.choices(id.0).map_err(|error| failed(&error))?;
        let wanted =
            selection::wanted_files(&info, &choices.select, None).map_err(|error| mistaken(&error))?;
        let on_disk = |file: usize| {
            let torrent = self.of_loaded(id)?.torrent.as_ref()?;
            let path = torrent.path_of(file)?.strip_prefix(self.lies_in(id)).ok()?.to_str()?.to_owned();
            Some(path).filter(|path| *path != info.files()[file].path.to_string())
        };
        let regular = info.files().iter().enumerate().filter(|(_, file)| file.kind == FileKind::Regular);
        Ok(regular
            .map(|(number, file)| {
                let have = have_of(&info, &have, number);
                FileRow {
                    index: u32::try_from(number).unwrap_or(u32::MAX),
                    path: file.path.to_string(),
                    on_disk: on_disk(number),
                    size: file.length,
                    have,
                    progress: if file.length == 0 { 1.0 } else { ratio(have, file.length) },
                    wanted: wanted[number],
                }
            })
            .collect())
    }

    /// Which pieces of a torrent are here.
    pub(super) fn pieces(&mut self, id: TorrentId) -> Result<Pieces, ErrorReply> {
        let Some(info) = self.info(id)? else { return Ok(Pieces::default()) };
        let geometry = info.geometry();
        let have = self.have(id, geometry.piece_count())?;
        Ok(Pieces {
            piece_count: geometry.piece_count(),
            piece_length: geometry.piece_length(),
            have_count: have.len(),
            have: BASE64.encode(&have.to_wire()),
        })
    }

    /// The .torrent file of a torrent: byte for byte the one that was added, or one made of what peers gave.
    pub(super) fn metainfo(&mut self, id: TorrentId) -> Result<Vec<u8>, ErrorReply> {
        let metainfo = self.state.metainfo(id.0).map_err(|error| failed(&error))?;
        let unknown = || ErrorReply::new(ErrorCode::Conflict, "its metadata is not here yet");
        let metainfo = metainfo.ok_or_else(unknown)?;
        if let Some(file) = metainfo.to_file() {
            return Ok(file);
        }
        let trackers = self.board.with(id, |row| row.trackers.tiers.clone()).ok_or_else(gone)?;
        Ok(wrap_info(&metainfo.info, &trackers))
    }

    /// The peers that a torrent is connected to.
    pub(super) fn peers(&mut self, id: TorrentId, reply: Reply<Vec<PeerRow>>) {
        let Some(entry) = self.entries.get(&id) else { return drop(reply.send(Err(gone()))) };
        if !matches!(entry.stage, Stage::Loaded(_)) {
            return drop(reply.send(Ok(Vec::new())));
        }
        let (engine, info_hash) = (self.engine().clone(), entry.info_hash);
        self.tasks.spawn(async move {
            let peers = engine.peers(info_hash).await;
            let _ = reply.send(peers.map_err(|error| mistaken(&error)));
            Done::Nothing
        });
    }

    /// The trackers of a torrent.
    pub(super) fn trackers(&mut self, id: TorrentId, reply: Reply<Vec<TrackerRow>>) {
        let Some(entry) = self.entries.get(&id) else { return drop(reply.send(Err(gone()))) };
        if !entry.marks.is_offered {
            let tiers = self.board.with(id, |row| row.trackers.tiers.clone()).unwrap_or_default();
            return drop(reply.send(Ok(silent_rows(&tiers))));
        }
        let status = self.engine().trackers().ask_status(entry.info_hash);
        self.tasks.spawn(async move {
            let now = Instant::now();
            let status = status.await.unwrap_or_default();
            let _ = reply.send(Ok(status.iter().map(|status| tracker_row(status, now)).collect()));
            Done::Nothing
        });
    }
}

/// Bytes of a file in pieces that are here.
fn have_of(info: &Info, have: &PieceSet, file: usize) -> u64 {
    let range = info.layout().file_range(file);
    let pieces = info.geometry().pieces_of(range.clone()).filter(|piece| have.contains(*piece));
    pieces
        .map(|piece| {
            let piece = info.geometry().piece_range(piece);
            piece.end.min(range.end).saturating_sub(piece.start.max(range.start))
        })
        .sum()
}

#[allow(clippy::cast_precision_loss, reason = "bytes beyond 2^53 are as good as those below")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// Trackers that are not asked while the torrent does not run.
fn silent_rows(tiers: &[Vec<String>]) -> Vec<TrackerRow> {
    let urls = (0..).zip(tiers).flat_map(|(tier, urls)| urls.iter().map(move |url| (tier, url)));
    urls.map(|(tier, url)| TrackerRow {
        url: url.clone(),
        tier,
        family: String::new(),
        state: "untried".to_owned(),
        failures: 0,
        error: None,
        warning: None,
        seeds: None,
        leechers: None,
        peers: 0,
        answered_s: None,
        next_s: None,
    })
    .collect()
}

fn tracker_row(status: &TrackerStatus, now: Instant) -> TrackerRow {
    let family = match status.family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    };
    let state = match status.state {
        TrackerState::Untried => "untried",
        TrackerState::Asking => "asking",
        TrackerState::Working => "working",
        TrackerState::Failing => "failing",
        TrackerState::NoAddress => "no_address",
        TrackerState::Silenced => "silenced",
    };
    TrackerRow {
        url: status.url.to_string(),
        tier: u32::try_from(status.tier).unwrap_or(u32::MAX),
        family: family.to_owned(),
        state: state.to_owned(),
        failures: status.failures,
        error: status.last_error.clone(),
        warning: status.warning.clone(),
        seeds: status.seeds,
        leechers: status.leechers,
        peers: u32::try_from(status.peers).unwrap_or(u32::MAX),
        answered_s: status.last_answer.map(|at| now.saturating_duration_since(at).as_secs()),
        next_s: status.next.map(|at| at.saturating_duration_since(now).as_secs()),
    }
}

fn failed(error: &StateError) -> ErrorReply {
    ErrorReply::new(ErrorCode::Failed, error.to_string())
}

fn mistaken(error: &dyn ToString) -> ErrorReply {
    ErrorReply::new(ErrorCode::Failed, error.to_string())
}
