//! Commands about the daemon as a whole: `version`, `stats`, `events`, `backup`, `shutdown`.

use hyper::Method;
use protocol::control::{API_PREFIX, BackupRequest, Event, EventKind, Stats, Version};
use serde_json::json;

use crate::client::{Client, ClientError, NOTHING, Raw};
use crate::failure::Failure;
use crate::render::{self, Output};

use super::{Session, show};

/// `btctl version`: of btctl in any case, and of the daemon.
pub(super) async fn version(client: Result<Client, ClientError>, output: &mut Output) -> Result<(), Failure> {
    const OURS: &str = env!("CARGO_PKG_VERSION");
    let daemon = match client {
        Ok(mut client) => client.get::<Version>(&format!("{API_PREFIX}/version")).await,
        Err(error) => Err(error),
    };
    if output.is_json {
        output.json(&json!({"btctl": OURS, "btd": daemon.as_ref().ok()}))?;
        return Ok(daemon.map(drop)?);
    }
    output.line(&format!("btctl {OURS}"))?;
    let Version { version, api, pid } = daemon?;
    Ok(output.line(&format!("btd {version} (API {api}, process {pid})"))?)
}

/// `btctl stats`.
pub(super) async fn stats(session: &mut Session<'_>) -> Result<(), Failure> {
    let page = |output: &mut Output, stats: Stats| {
        render::stats(&stats).iter().try_for_each(|line| output.line(line))
    };
    show::ask(session, &format!("{API_PREFIX}/stats"), page).await
}

/// `btctl events`: until the daemon goes.
pub(super) async fn events(session: &mut Session<'_>) -> Result<(), Failure> {
    let client = session.client.another().await?;
    let mut events = client.lines(Method::GET, &format!("{API_PREFIX}/events"), NOTHING).await?;
    let mut is_announced = false;
    while let Some(raw) = events.next::<Raw>().await? {
        // One of a kind that is not known here is passed on where programs read.
        let event = serde_json::from_str::<Event>(raw.get()).ok();
        if session.output.is_json {
            session.output.json(&raw)?;
        } else if let Some(event) = &event {
            session.output.line(&render::event(event))?;
        }
        session.output.flush()?;
        is_announced = event.is_some_and(|event| event.kind == EventKind::Shutdown);
    }
    let reason = "the events have ended".to_owned();
    let hung_up = || ClientError::HungUp { socket: session.client.socket().into(), reason };
    if is_announced { Ok(()) } else { Err(hung_up().into()) }
}

/// `btctl backup`.
pub(super) async fn backup(session: &mut Session<'_>, path: String) -> Result<(), Failure> {
    let request = BackupRequest { path };
    session.client.post(&format!("{API_PREFIX}/backup"), Some(&request)).await?;
    if session.output.is_json { Ok(session.output.json(&request)?) } else { Ok(()) }
}

/// `btctl shutdown`.
pub(super) async fn shutdown(session: &mut Session<'_>) -> Result<(), Failure> {
    session.client.post(&format!("{API_PREFIX}/shutdown"), NOTHING).await?;
    if session.output.is_json { Ok(session.output.json(&json!({}))?) } else { Ok(()) }
}
