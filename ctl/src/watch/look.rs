//! One look at the daemon's list: all of it, or what has changed since the last.

use std::time::Duration;

use protocol::control::{ListQuery, ListReply, Torrent};
use protocol::id::InfoHash;

use crate::client::{Client, ClientError, Page};

/// What a look has found.
#[derive(Debug, Default)]
pub(super) struct Update {
    /// Whether it is all there is, and what is known is to be forgotten.
    pub(super) is_full: bool,
    /// Rows that are new or different.
    pub(super) torrents: Vec<Torrent>,
    /// Those that are not in the list any more.
    pub(super) removed: Vec<InfoHash>,
    /// What to ask for changes since.
    pub(super) revision: u64,
    /// Whether there are more changes already.
    pub(super) has_more: bool,
}

/// Looks after `pause`: for what has changed since `revision`, for all without one. The client comes back for the next
/// look; nobody else uses it, so that a key never cuts a reply short.
pub(super) async fn look(
    mut client: Client,
    query: ListQuery,
    revision: Option<u64>,
    pause: Duration,
) -> Result<(Client, Update), ClientError> {
    tokio::time::sleep(pause).await;
    if let Some(revision) = revision {
        let reply = client.changes(&query, revision).await?;
        if !reply.is_full {
            let ListReply { torrents, removed, revision, has_more, .. } = reply;
            return Ok((client, Update { is_full: false, torrents, removed, revision, has_more }));
        }
    }
    let mut all = Update { is_full: true, ..Update::default() };
    let mut is_first = true;
    let take = |page: Page<Vec<Torrent>>| {
        // What has changed while later pages came is asked for again.
        if std::mem::take(&mut is_first) {
            all.revision = page.revision;
        }
        all.torrents.extend(page.torrents);
        Ok::<(), ClientError>(())
    };
    // It is sorted here: changes come in their own order.
    client.list(&ListQuery { sort: None, ..query }, take).await?;
    Ok((client, all))
}
