//! Waiting for torrents: `btctl wait`, and `--wait` of other commands.
//!
//! Events are asked for first and rows are looked at then, so that nothing is missed between. From there events tell,
//! and rows are looked at again for progress, and when events were missed.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::Method;
use protocol::control::{ALL, API_PREFIX, Event, EventKind, ListQuery, State, Torrent};
use protocol::id::InfoHash;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::args::WaitArgs;
use crate::client::{Client, ClientError, Lines, NOTHING, Page, of_torrent};
use crate::failure::Failure;
use crate::render::Bar;
use crate::render::units::{count, percent};

use super::Session;
use super::verdict::{Goal, Verdict};

/// How often rows are looked at, for progress.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How often, when there are so many that a look is a list of all.
const LONG_LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// Up to as many torrents are looked at one by one.
const FEW: usize = 8;

/// `btctl wait`: prints each torrent as it completes.
pub(super) async fn run(session: &mut Session<'_>, args: &WaitArgs) -> Result<(), Failure> {
    let waiting = Waiting::begin(&session.client).await?;
    let mut ids = Vec::new();
    for id in &args.ids {
        match id.as_str() {
            ALL => ids.extend(all_of(&mut session.client).await?),
            id => ids.push(id.to_owned()),
        }
    }
    waiting.finish(session, &ids, Goal::Complete, args.timeout, true).await.map(drop)
}

/// The info-hashes of all torrents.
pub(super) async fn all_of(client: &mut Client) -> Result<Vec<String>, Failure> {
    let mut all = Vec::new();
    let take = |page: Page<Vec<Torrent>>| {
        all.extend(page.torrents.iter().map(|torrent| torrent.info_hash.to_string()));
        Ok::<(), ClientError>(())
    };
    client.list(&ListQuery::default(), take).await?;
    Ok(all)
}

/// Events of torrents that are waited for: whatever happens from now on will be heard.
#[derive(Debug)]
pub(super) struct Waiting {
    events: Lines,
    /// A connection to look at rows.
    client: Client,
    pending: BTreeMap<InfoHash, Torrent>,
    done: Vec<Torrent>,
}

impl Waiting {
    /// Begins to listen.
    pub(super) async fn begin(client: &Client) -> Result<Self, Failure> {
        let listener = client.another().await?;
        let mut events = listener.lines(Method::GET, &format!("{API_PREFIX}/events"), NOTHING).await?;
        events.next::<Event>().await?.ok_or_else(|| ended(client))?;
        let client = client.another().await?;
        Ok(Self { events, client, pending: BTreeMap::new(), done: Vec::new() })
    }

    /// Waits until all torrents that `ids` name have reached the goal, and returns their rows; prints each if it is to.
    pub(super) async fn finish(
        mut self,
        session: &mut Session<'_>,
        ids: &[String],
        goal: Goal,
        limit: Option<Duration>,
        is_printing: bool,
    ) -> Result<Vec<Torrent>, Failure> {
        let bar = Bar::new();
        let print = |torrent: &Torrent| match is_printing {
            true => bar.suspend(|| session.output.torrent("complete", torrent)),
            false => Ok(()),
        };
        let going = self.go(ids, goal, &bar, print);
        let result = match limit {
            Some(limit) => timeout(limit, going).await.ok(),
            None => Some(going.await),
        };
        match (result, limit) {
            (Some(result), _) => result?,
            (None, limit) => {
                let left = format!("{} still to be waited for", count(self.pending.len().max(1), "torrent"));
                return Err(Failure::TimedOut { after: limit.unwrap_or_default(), left });
            }
        }
        Ok(self.done)
    }

    async fn go(
        &mut self,
        ids: &[String],
        goal: Goal,
        bar: &Bar,
        mut print: impl FnMut(&Torrent) -> std::io::Result<()>,
    ) -> Result<(), Failure> {
        for torrent in look(&mut self.client, ids).await? {
            self.pending.insert(torrent.info_hash, torrent);
        }
        self.judge_rows(goal, &mut print)?;
        let mut ticks = interval(if ids.len() > FEW { LONG_LOOK_INTERVAL } else { LOOK_INTERVAL });
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.reset();
        while !self.pending.is_empty() {
            self.show(goal, bar);
            tokio::select! {
                event = self.events.next::<Event>() => {
                    let event = event?.ok_or_else(|| ended(&self.client))?;
                    self.hear(goal, &event, &mut print).await?;
                }
                _ = ticks.tick(), if bar.is_seen() => self.look_again(goal, &mut print).await?,
            }
        }
        Ok(())
    }

    /// Takes note of an event.
    async fn hear(
        &mut self,
        goal: Goal,
        event: &Event,
        print: &mut impl FnMut(&Torrent) -> std::io::Result<()>,
    ) -> Result<(), Failure> {
        match (&event.kind, event.info_hash) {
            (EventKind::Shutdown, _) => Err(ended(&self.client).into()),
            (EventKind::Lagged { .. }, _) => self.look_again(goal, print).await,
            (kind, Some(info_hash)) if self.pending.contains_key(&info_hash) => {
                let verdict = match goal.of_event(kind) {
                    Verdict::Look => goal.of_row(&self.look_at(info_hash).await?),
                    // Whoever waits may want to see its last row.
                    Verdict::Done => self.look_at(info_hash).await.map(|_| Verdict::Done)?,
                    verdict => verdict,
                };
                self.judge(info_hash, verdict, print)
            }
            _ => Ok(()),
        }
    }

    /// The row of a torrent that is waited for, as it is now.
    async fn look_at(&mut self, info_hash: InfoHash) -> Result<Torrent, Failure> {
        let row: Torrent = self.client.get(&of_torrent(&info_hash.to_string(), "")).await?;
        self.pending.insert(info_hash, row.clone());
        Ok(row)
    }

    /// Looks at the rows again.
    async fn look_again(
        &mut self,
        goal: Goal,
        print: &mut impl FnMut(&Torrent) -> std::io::Result<()>,
    ) -> Result<(), Failure> {
        let ids: Vec<String> = self.pending.keys().map(ToString::to_string).collect();
        for torrent in look(&mut self.client, &ids).await? {
            self.pending.insert(torrent.info_hash, torrent);
        }
        self.judge_rows(goal, print)
    }

    fn judge_rows(
        &mut self,
        goal: Goal,
        print: &mut impl FnMut(&Torrent) -> std::io::Result<()>,
    ) -> Result<(), Failure> {
        let verdicts: Vec<(InfoHash, Verdict)> =
            self.pending.iter().map(|(info_hash, torrent)| (*info_hash, goal.of_row(torrent))).collect();
        verdicts.into_iter().try_for_each(|(info_hash, verdict)| self.judge(info_hash, verdict, print))
    }

    /// Does with a torrent what the verdict says.
    fn judge(
        &mut self,
        info_hash: InfoHash,
        verdict: Verdict,
        print: &mut impl FnMut(&Torrent) -> std::io::Result<()>,
    ) -> Result<(), Failure> {
        let name =
            |it: &Self| it.pending.get(&info_hash).map_or_else(String::new, |torrent| torrent.name.clone());
        match verdict {
            Verdict::Waiting | Verdict::Look => Ok(()),
            Verdict::Failed(message) => Err(Failure::Torrent { name: name(self), message }),
            Verdict::Gone => Err(Failure::Gone(name(self))),
            Verdict::Done => {
                let torrent = self.pending.remove(&info_hash);
                torrent.iter().try_for_each(print)?;
                self.done.extend(torrent);
                Ok(())
            }
        }
    }

    /// Shows how far they are.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a bar has a hundred steps"
    )]
    fn show(&self, goal: Goal, bar: &Bar) {
        let all = || self.pending.values().chain(&self.done);
        let total = all().map(|torrent| torrent.size).sum();
        let done = |torrent: &Torrent| match goal {
            Goal::Complete => torrent.have,
            Goal::Checked if torrent.state != State::Checking => torrent.size,
            Goal::Checked => (torrent.progress * torrent.size as f64) as u64,
        };
        let what = match self.pending.values().collect::<Vec<_>>()[..] {
            [torrent] => format!("{} {} {}", torrent.name, torrent.state, percent(torrent.progress)),
            _ => count(self.pending.len(), "torrent"),
        };
        bar.show(&what, all().map(done).sum(), total);
    }
}

/// The rows of torrents.
async fn look(client: &mut Client, ids: &[String]) -> Result<Vec<Torrent>, Failure> {
    let mut rows = Vec::new();
    if ids.len() <= FEW {
        for id in ids {
            rows.push(client.get(&of_torrent(id, "")).await?);
        }
        return Ok(rows);
    }
    let mut all = BTreeMap::new();
    let take = |page: Page<Vec<Torrent>>| {
        all.extend(page.torrents.into_iter().map(|torrent| (torrent.info_hash.to_string(), torrent)));
        Ok::<(), ClientError>(())
    };
    client.list(&ListQuery::default(), take).await?;
    for id in ids {
        // What is no whole info-hash the daemon knows how to find; so it does to say that one has gone.
        match all.remove(id) {
            Some(torrent) => rows.push(torrent),
            None => rows.push(client.get(&of_torrent(id, "")).await?),
        }
    }
    Ok(rows)
}

fn ended(client: &Client) -> ClientError {
    ClientError::HungUp { socket: client.socket().into(), reason: "it is stopping".to_owned() }
}
