//! Commands that ask for one thing and show it: `show`, `files`, `peers`, `trackers`, `pieces`, `magnet`.

use std::io;

use protocol::control::{ALL, Detail, FileRow, PeerRow, Pieces, TrackerRow};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::client::{Raw, of_torrent};
use crate::failure::Failure;
use crate::render::{self, Output};

use super::Session;
use super::several::Refusals;
use super::wait::all_of;

/// Asks for what is at `path`, and shows it: as it came where programs read, else as `show` has it.
pub(super) async fn ask<T: DeserializeOwned>(
    session: &mut Session<'_>,
    path: &str,
    show: impl FnOnce(&mut Output, T) -> io::Result<()>,
) -> Result<(), Failure> {
    if session.output.is_json {
        let raw: Raw = session.client.get(path).await?;
        return Ok(session.output.json(&raw)?);
    }
    let value = session.client.get(path).await?;
    Ok(show(session.output, value)?)
}

/// `btctl show`: a page for each torrent.
pub(super) async fn torrents(session: &mut Session<'_>, ids: &[String]) -> Result<(), Failure> {
    let mut is_first = true;
    each(session, ids, async |session, id| {
        let is_next = !std::mem::take(&mut is_first);
        let page = |output: &mut Output, detail: Detail| {
            let gap = is_next.then(String::new);
            gap.into_iter().chain(render::detail(&detail)).try_for_each(|line| output.line(&line))
        };
        ask(session, &of_torrent(id, ""), page).await
    })
    .await
}

/// `btctl magnet`: a line for each torrent.
pub(super) async fn magnets(session: &mut Session<'_>, ids: &[String]) -> Result<(), Failure> {
    each(session, ids, async |session, id| {
        let Detail { torrent, magnet, .. } = session.client.get(&of_torrent(id, "")).await?;
        if session.output.is_json {
            return Ok(session.output.json(&json!({"info_hash": torrent.info_hash, "magnet": magnet}))?);
        }
        Ok(session.output.line(&magnet)?)
    })
    .await
}

/// Does something for each torrent that `ids` name.
async fn each(
    session: &mut Session<'_>,
    ids: &[String],
    mut show: impl AsyncFnMut(&mut Session<'_>, &str) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut refusals = Refusals::default();
    for id in ids {
        let ids = if id == ALL { all_of(&mut session.client).await? } else { vec![id.clone()] };
        for id in ids {
            let result = show(session, &id).await;
            refusals.note(result)?;
        }
    }
    refusals.end()
}

/// `btctl files`.
pub(super) async fn files(session: &mut Session<'_>, id: &str) -> Result<(), Failure> {
    let table = |output: &mut Output, rows: Vec<FileRow>| output.table(render::files(&rows));
    ask(session, &of_torrent(id, "/files"), table).await
}

/// `btctl peers`.
pub(super) async fn peers(session: &mut Session<'_>, id: &str) -> Result<(), Failure> {
    let table = |output: &mut Output, rows: Vec<PeerRow>| output.table(render::peers(&rows));
    ask(session, &of_torrent(id, "/peers"), table).await
}

/// `btctl trackers`.
pub(super) async fn trackers(session: &mut Session<'_>, id: &str) -> Result<(), Failure> {
    let table = |output: &mut Output, rows: Vec<TrackerRow>| output.table(render::trackers(&rows));
    ask(session, &of_torrent(id, "/trackers"), table).await
}

/// `btctl pieces`.
pub(super) async fn pieces(session: &mut Session<'_>, id: &str) -> Result<(), Failure> {
    let picture = |output: &mut Output, pieces: Pieces| {
        render::pieces(&pieces, output.width()).iter().try_for_each(|line| output.line(line))
    };
    ask(session, &of_torrent(id, "/pieces"), picture).await
}
