//! `btctl verify`.

use protocol::control::Torrent;

use crate::args::VerifyArgs;
use crate::failure::Failure;
use crate::render::units::percent;

use super::Session;
use super::act::{self, Action};
use super::verdict::{Goal, is_whole};
use super::wait::Waiting;

/// Has the payload of torrents hashed; with `--wait`, says what was found.
pub(super) async fn run(session: &mut Session<'_>, args: &VerifyArgs) -> Result<(), Failure> {
    if !args.wait {
        return act::run(session, &args.ids, Action::verify()).await;
    }
    let waiting = Waiting::begin(&session.client).await?;
    let (checking, refusals) = act::perform(&mut session.client, &args.ids, &Action::verify()).await?;
    let ids: Vec<String> = checking.torrents.iter().map(ToString::to_string).collect();
    let rows = waiting.finish(session, &ids, Goal::Checked, args.timeout, false).await?;
    rows.iter().try_for_each(|torrent| session.output.torrent(&verdict(torrent), torrent))?;
    match refusals {
        Some(refusals) => Err(refusals),
        None if rows.iter().all(is_whole) => Ok(()),
        None => Err(Failure::Told(1)),
    }
}

/// What was found.
fn verdict(torrent: &Torrent) -> String {
    match &torrent.error {
        Some(error) => format!("failed ({error})"),
        None if is_whole(torrent) => "complete".to_owned(),
        None => format!("incomplete, {},", percent(torrent.progress)),
    }
}
