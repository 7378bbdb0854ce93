//! Commands that do something to torrents, and are answered with which: `pause`, `resume`, `reannounce`, `remove`,
//! `move`, `limit`, `label`, `select`.

use hyper::Method;
use protocol::control::{ActionReply, MoveRequest, Patch};
use serde::Serialize;
use serde_json::Value;

use crate::args::{LabelArgs, LimitArgs, MoveArgs, SelectArgs, Setting};
use crate::client::{Client, ClientError, of_torrent};
use crate::failure::Failure;
use crate::render::units::count;

use super::Session;
use super::several::Refusals;

/// What to do, as the daemon hears it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Action {
    /// What has been done, when it has.
    done: &'static str,
    method: Method,
    /// What follows the torrent in the path.
    tail: &'static str,
    body: Option<Value>,
}

impl Action {
    fn post(done: &'static str, tail: &'static str) -> Self {
        Self { done, method: Method::POST, tail, body: None }
    }

    fn patch(done: &'static str, patch: &Patch) -> Result<Self, Failure> {
        Ok(Self { done, method: Method::PATCH, tail: "", body: Some(value(patch)?) })
    }

    pub(super) fn pause() -> Self {
        Self::post("paused", "/pause")
    }

    pub(super) fn resume() -> Self {
        Self::post("resumed", "/resume")
    }

    pub(super) fn reannounce() -> Self {
        Self::post("asking the trackers of", "/reannounce")
    }

    pub(super) fn verify() -> Self {
        Self::post("checking", "/verify")
    }

    pub(super) fn remove(with_data: bool) -> Self {
        let tail = if with_data { "?with_data=true" } else { "" };
        Self { done: "removed", method: Method::DELETE, tail, body: None }
    }

    pub(super) fn relocate(args: &MoveArgs) -> Result<Self, Failure> {
        let body = MoveRequest { dir: args.dir.clone(), is_there: args.already_there };
        Ok(Self { body: Some(value(&body)?), ..Self::post("moved", "/move") })
    }

    pub(super) fn limit(args: &LimitArgs) -> Result<Self, Failure> {
        let patch = Patch {
            upload_limit: args.up.map(|Setting(rate)| rate),
            download_limit: args.down.map(|Setting(rate)| rate),
            ratio_limit: args.ratio.map(|Setting(ratio)| ratio),
            seed_time_limit_s: args.seed_time.map(|Setting(time_s)| time_s),
            ..Patch::default()
        };
        Self::patch("limited", &patch)
    }

    pub(super) fn label(args: &LabelArgs) -> Result<Self, Failure> {
        let done = if args.label.is_some() { "labelled" } else { "took the label off" };
        Self::patch(done, &Patch { label: Some(args.label.clone()), ..Patch::default() })
    }

    pub(super) fn select(args: &SelectArgs) -> Result<Self, Failure> {
        let is_chosen = args.all || !args.files.is_empty();
        let patch = Patch {
            select: is_chosen.then(|| args.files.clone()),
            sequential: (args.sequential || args.rarest_first).then_some(args.sequential),
            ..Patch::default()
        };
        Self::patch("changed what is fetched of", &patch)
    }

    /// Does it to what `id` names.
    async fn of(&self, client: &mut Client, id: &str) -> Result<ActionReply, ClientError> {
        client.call(self.method.clone(), &of_torrent(id, self.tail), self.body.as_ref()).await
    }
}

fn value(body: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(body).map_err(|error| ClientError::Request(error.to_string()).into())
}

/// Does it to each that `ids` name, and tells to which it was done.
pub(super) async fn run(session: &mut Session<'_>, ids: &[String], action: Action) -> Result<(), Failure> {
    let (done, refusals) = perform(&mut session.client, ids, &action).await?;
    if session.output.is_json {
        session.output.json(&done)?;
    } else if let [info_hash] = done.torrents[..] {
        session.output.line(&format!("{} {info_hash}", action.done))?;
    } else if !done.torrents.is_empty() || refusals.is_none() {
        session.output.line(&format!("{} {}", action.done, count(done.torrents.len(), "torrent")))?;
    }
    refusals.map_or(Ok(()), Err)
}

/// Does it to each that `ids` name: to which it was done, and how it went if not with all.
pub(super) async fn perform(
    client: &mut Client,
    ids: &[String],
    action: &Action,
) -> Result<(ActionReply, Option<Failure>), Failure> {
    let mut refusals = Refusals::default();
    let mut done = ActionReply::default();
    for id in ids {
        let result = action.of(client, id).await.map_err(Failure::from);
        let ActionReply { torrents, refused } = refusals.note(result)?.unwrap_or_default();
        for reply in &refused {
            refusals.note::<()>(Err(ClientError::Refused(reply.clone()).into()))?;
        }
        done.torrents.extend(torrents);
        done.refused.extend(refused);
    }
    Ok((done, refusals.end().err()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn limits() -> LimitArgs {
        LimitArgs { ids: vec![], up: None, down: None, ratio: None, seed_time: None }
    }

    #[test]
    fn what_is_not_named_is_left_as_it_is() {
        let up = LimitArgs { up: Some(Setting(Some(5_000))), ..limits() };
        assert_eq!(Action::limit(&up).unwrap().body, Some(json!({"upload_limit": 5_000})));
        let down = LimitArgs { down: Some(Setting(None)), ..limits() };
        assert_eq!(Action::limit(&down).unwrap().body, Some(json!({"download_limit": null})));
        let seeding =
            LimitArgs { ratio: Some(Setting(Some(0.0))), seed_time: Some(Setting(Some(60))), ..limits() };
        assert_eq!(
            Action::limit(&seeding).unwrap().body,
            Some(json!({"ratio_limit": 0.0, "seed_time_limit_s": 60}))
        );
        assert_eq!(
            Action::label(&LabelArgs { id: String::new(), label: None }).unwrap().body,
            Some(json!({"label": null}))
        );
    }

    #[test]
    fn files_are_chosen_and_order_is_another_thing() {
        let args = |files: &[&str], all, sequential, rarest_first| SelectArgs {
            id: String::new(),
            files: files.iter().map(ToString::to_string).collect(),
            all,
            sequential,
            rarest_first,
        };
        let body = |args| Action::select(&args).unwrap().body.unwrap();
        assert_eq!(body(args(&["1"], false, false, false)), json!({"select": ["1"]}));
        assert_eq!(body(args(&[], true, true, false)), json!({"select": [], "sequential": true}));
        assert_eq!(body(args(&[], false, false, true)), json!({"sequential": false}));
    }

    #[test]
    fn payload_is_deleted_only_when_that_is_said() {
        assert_eq!((Action::remove(false).tail, Action::remove(true).tail), ("", "?with_data=true"));
    }
}
