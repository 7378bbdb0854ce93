//! What is tracked and for whom, as the operator changes it. A change is on the disk before the reply says so.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use protocol::control::ErrorCode;
use serde::Serialize;
use service::control::{Json, Refusal};

use super::api::Api;
use super::look::parse;
use crate::access::{Access, AdminError, List};

/// A list and an entry, as they stand in a path.
type Of = Path<(String, String)>;

/// An entry that is on a list.
#[derive(Debug, Serialize)]
pub(super) struct Entry {
    list: String,
    entry: String,
}

/// What is done with an entry; each tells whether it was there, or is new.
#[derive(Debug, Clone, Copy)]
enum Act {
    Find,
    Add,
    Remove,
}

pub(super) async fn show(State(api): State<Arc<Api>>, Path(of): Of) -> Result<Json<Entry>, Refusal> {
    let (list, entry) = of.clone();
    match act(&api, Act::Find, of).await? {
        true => Ok(Json(Entry { list, entry })),
        false => Err(missing()),
    }
}

/// 201 where it is new, 204 where it was there.
pub(super) async fn add(State(api): State<Arc<Api>>, Path(of): Of) -> Result<StatusCode, Refusal> {
    let is_new = act(&api, Act::Add, of).await?;
    Ok(if is_new { StatusCode::CREATED } else { StatusCode::NO_CONTENT })
}

pub(super) async fn remove(State(api): State<Arc<Api>>, Path(of): Of) -> Result<StatusCode, Refusal> {
    match act(&api, Act::Remove, of).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(missing()),
    }
}

fn missing() -> Refusal {
    Refusal::new(ErrorCode::NotFound, "it is not on the list")
}

/// Does it on a thread that may wait for a disk.
async fn act(api: &Arc<Api>, act: Act, (list, entry): (String, String)) -> Result<bool, Refusal> {
    let api = Arc::clone(api);
    let done = tokio::task::spawn_blocking(move || {
        let access = api.desk.access();
        match list.as_str() {
            "allowed" => on_list(access, act, List::Allowed, &entry),
            "denied" => on_list(access, act, List::Denied, &entry),
            "passkeys" => on_passkeys(access, act, entry.as_bytes()).map_err(refusal),
            _ => Err(Refusal::new(ErrorCode::NotFound, "the lists are allowed, denied and passkeys")),
        }
    });
    done.await.map_err(|_| Refusal::new(ErrorCode::Failed, "it was broken off"))?
}

fn on_list(access: &Access, act: Act, list: List, entry: &str) -> Result<bool, Refusal> {
    let hash = parse(entry)?;
    let done = match act {
        Act::Find => access.contains(list, &hash),
        Act::Add => access.add(list, &hash),
        Act::Remove => access.remove(list, &hash),
    };
    done.map_err(refusal)
}

fn on_passkeys(access: &Access, act: Act, passkey: &[u8]) -> Result<bool, AdminError> {
    match act {
        Act::Find => access.contains_passkey(passkey),
        Act::Add => access.add_passkey(passkey),
        Act::Remove => access.remove_passkey(passkey),
    }
}

fn refusal(error: AdminError) -> Refusal {
    let code = match error {
        AdminError::NotConfigured => ErrorCode::Conflict,
        AdminError::Entry(_) => ErrorCode::BadRequest,
        AdminError::Access(_) => ErrorCode::Failed,
    };
    Refusal::new(code, error.to_string())
}
