//! One download from its start to its end: what is known of it, what is running for it, and what it waits for.

use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use protocol::meta::Info;
use protocol::swarm::picker::Priority;

use crate::config::GetConfig;
use crate::coordinator::{Notice, Standing};
use crate::engine::{Company, Member, Notices, Server};
use crate::storage::Torrent;
use crate::storage::keeper::Keeper;
use crate::storage::lane::Lanes;
use crate::storage::selection;
use crate::storage::state::{Claim, Recorder, Saved, State};

use super::super::Failure;
use super::STATE_TIMEOUT;
use super::books::Books;
use super::events::{Done, Event, Events, Progress};
use super::prepare::{Plan, Prepared, STATE_FOLDER};
use super::source::Wanted;

/// How often the memory is brought up to date, and failures are looked for.
const TICK: Duration = Duration::from_millis(500);

/// How a download ended, where nothing went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Complete,
    TimedOut,
    Interrupted,
}

/// A download.
#[derive(Debug)]
pub(super) struct Session {
    wanted: Wanted,
    folder: PathBuf,
    saved: Saved,
    /// The state, and the right to work on the torrent, until the books of the download have them.
    state: Option<(Recorder, Claim)>,
    prepared: Option<Prepared>,
    running: Option<Running>,
    /// Whether all that is wanted is here; others look at it too.
    is_done: Rc<Cell<bool>>,
}

/// What runs for a download.
#[derive(Debug)]
struct Running {
    server: Server,
    member: Member,
    /// The torrent, once its metadata is here.
    fetching: Option<Fetching>,
    /// Whether a piece was fetched: what was complete when it began does not become so.
    has_fetched: bool,
}

/// A torrent that is being fetched.
#[derive(Debug)]
struct Fetching {
    torrent: Arc<Torrent>,
    priorities: Vec<Priority>,
    books: Books,
    /// Bytes of all wanted pieces, and of those that were not told to be verified.
    wanted_length: u64,
    left: u64,
}

impl Fetching {
    /// A piece was verified and written.
    fn verified(&mut self, piece: u32) {
        self.books.verified(piece);
        if is_wanted(&self.priorities, piece) {
            self.left = self.left.saturating_sub(piece_length(&self.torrent, piece));
        }
    }
}

impl Session {
    /// Opens the state in the download folder, and looks what is remembered of the torrent.
    pub(super) fn new(
        config: &GetConfig,
        mut wanted: Wanted,
        is_done: Rc<Cell<bool>>,
    ) -> Result<Self, Failure> {
        let mut state = State::open(&config.folder.join(STATE_FOLDER).join("state.sqlite"))?;
        let claim = state.claim(&wanted.info_hash)?;
        let saved = state.load(&wanted.info_hash)?.unwrap_or_default();
        state.add(&wanted.info_hash, Some(&wanted.name), &wanted.tiers)?;
        if wanted.info.is_none() {
            let remembered = saved.info.clone().and_then(|raw| Info::parse(raw.into()).ok());
            wanted.info = remembered.map(Arc::new);
        } else if let (None, Some(info)) = (&saved.info, &wanted.info) {
            state.save_info(&wanted.info_hash, info.raw())?;
        }
        let state = Some((Recorder::start(state)?, claim));
        let folder = config.folder.clone();
        Ok(Self { wanted, folder, saved, state, prepared: None, running: None, is_done })
    }

    /// Gets the files ready, if it is known what they are.
    pub(super) async fn prepare_known(&mut self, config: &GetConfig, events: &Events) -> Result<(), Failure> {
        if let Some(info) = self.wanted.info.clone() {
            self.prepared = Some(self.prepare(info, config, events).await?);
        }
        Ok(())
    }

    async fn prepare(
        &self,
        info: Arc<Info>,
        config: &GetConfig,
        events: &Events,
    ) -> Result<Prepared, Failure> {
        events.metadata(&info);
        let wanted = selection::wanted_files(&info, &config.select, self.wanted.select.as_deref())?;
        let plan = Plan {
            info,
            folder: config.folder.clone(),
            placing: config.placing.clone(),
            wanted,
            saved: self.saved.clone(),
            is_quiet: events.is_quiet(),
        };
        let prepared = tokio::task::spawn_blocking(|| plan.carry_out()).await??;
        let have = prepared.torrent.view().have;
        events.tell(&Event::Checked { have: have.have_count(), pieces: have.piece_count() });
        Ok(prepared)
    }

    /// Whether all that is wanted was found on disk.
    pub(super) fn is_complete(&self) -> bool {
        self.prepared.as_ref().is_some_and(|it| missing(&it.torrent, &it.priorities) == 0)
    }

    /// Ends a download that was complete when it began: what was found out about it is remembered.
    pub(super) fn close(mut self) -> Result<(), Failure> {
        if let Some(prepared) = self.prepared.take() {
            let lanes = Lanes::start(&[], 1)?;
            self.fetching(prepared)?.books.finish(&lanes, 0, STATE_TIMEOUT)?;
        }
        Ok(())
    }

    /// Refuses to wait for what cannot come.
    pub(super) fn check_reachable(&self) -> Result<(), Failure> {
        let is_alone = self.wanted.tiers.is_empty() && self.wanted.peers.is_empty();
        if !is_alone || self.is_complete() {
            return Ok(());
        }
        let web_seeds = if self.wanted.has_web_seeds { " (its web seeds are not supported yet)" } else { "" };
        if self.wanted.info.is_none() {
            return Err(format!(
                "the magnet link names no tracker and no peer{web_seeds}: nobody can be asked; name one with --peer"
            )
            .into());
        }
        tracing::warn!(
            "the torrent names no tracker{web_seeds}: waiting for peers to connect; name one with --peer"
        );
        Ok(())
    }

    /// Begins to fetch.
    pub(super) async fn start(&mut self, server: Server, config: &GetConfig) -> Result<(), Failure> {
        let company = Company {
            tiers: self.wanted.tiers.clone(),
            peers: self.wanted.peers.clone(),
            settings: config.settings,
            ..Company::default()
        };
        let (member, fetching) = match self.prepared.take() {
            Some(prepared) => {
                let (torrent, priorities) = (Arc::clone(&prepared.torrent), prepared.priorities.clone());
                let member = server.engine().add(torrent, priorities, company).await?;
                (member, Some(self.fetching(prepared)?))
            }
            None => (server.engine().add_awaited(self.wanted.info_hash, company).await?, None),
        };
        let mut running = Running { server, member, fetching, has_fetched: false };
        running.look_after(0);
        self.running = Some(running);
        Ok(())
    }

    fn fetching(&mut self, prepared: Prepared) -> Result<Fetching, Failure> {
        let Prepared { torrent, priorities, synced } = prepared;
        let (recorder, claim) = self.state.take().ok_or("a torrent begins once")?;
        let moved_before = (self.saved.uploaded, self.saved.downloaded);
        let keeper = Keeper::new(Arc::clone(&torrent), synced, moved_before);
        let books = Books::new(keeper, recorder, claim);
        let (wanted_length, left) = (length(&torrent, &priorities), missing(&torrent, &priorities));
        Ok(Fetching { torrent, priorities, books, wanted_length, left })
    }

    /// The metadata of the torrent is here.
    async fn begin(&mut self, raw: Vec<u8>, config: &GetConfig, events: &Events) -> Result<(), Failure> {
        let info = Arc::new(Info::parse(raw.into()).map_err(|error| format!("the torrent: {error}"))?);
        if let Some((recorder, _)) = &self.state {
            recorder.save_info(info.info_hash(), Arc::clone(info.raw()));
        }
        info.name().clone_into(&mut self.wanted.name);
        self.wanted.info = Some(Arc::clone(&info));
        let prepared = self.prepare(info, config, events).await?;
        let (torrent, priorities) = (Arc::clone(&prepared.torrent), prepared.priorities.clone());
        let fetching = self.fetching(prepared)?;
        if let Some(running) = &mut self.running {
            running.fetching = Some(fetching);
            running.look_after(0);
            running.server.engine().begin(torrent, priorities).await?;
        }
        Ok(())
    }

    /// Goes on until all is here, and seeds after that if it is to.
    pub(super) async fn run(
        &mut self,
        mut notices: Notices,
        config: &GetConfig,
        events: &Events,
    ) -> Result<End, Failure> {
        let mut ticks = tokio::time::interval(TICK);
        let mut pulse = Pulse::new();
        loop {
            // It may have been complete when it began.
            if !self.is_done.get() && self.has_all() {
                self.is_done.set(true);
                self.look_after(&mut pulse, events)?;
                events.done(&self.summary());
                if let Some(running) = self.running.as_ref().filter(|running| running.has_fetched) {
                    running.server.engine().trackers().completed(self.wanted.info_hash);
                }
            }
            if self.is_done.get() && !config.is_seeding {
                return Ok(End::Complete);
            }
            tokio::select! {
                biased;
                notice = notices.recv() => match notice {
                    Some(Notice::Metadata(_, raw)) => self.begin(raw, config, events).await?,
                    Some(notice) => self.note(&notice, events),
                    None => return Err("the coordinator has ended on its own".into()),
                },
                _ = ticks.tick() => self.look_after(&mut pulse, events)?,
            }
        }
    }

    /// Passes on what the coordinator has to say.
    fn note(&mut self, notice: &Notice, events: &Events) {
        let Some(running) = &mut self.running else { return };
        match notice {
            Notice::Verified(_, piece) => {
                running.has_fetched = true;
                if let Some(fetching) = &mut running.fetching {
                    fetching.verified(*piece);
                }
                events.tell(&Event::Verified { piece: *piece });
            }
            Notice::Failed(_, piece) => {
                tracing::warn!("piece {piece} failed its hash: it is fetched again");
                events.tell(&Event::FailedPiece { piece: *piece });
            }
            Notice::Banned { address, reason, .. } => {
                tracing::warn!("peer {address} is banned: it {reason}");
                events.tell(&Event::Banned { peer: address.to_string(), reason: reason.to_string() });
            }
            Notice::NeedPeers(info_hash) => running.server.engine().trackers().want_peers(*info_hash),
            // Known by then: all pieces were told to be verified before.
            Notice::Complete(_) | Notice::Metadata(..) => {}
            // Of torrents that are not loaded, and for those who have many.
            Notice::Wanted(_) | Notice::Found { .. } | Notice::Announced { .. } => {}
        }
    }

    /// Whether all that is wanted is verified.
    fn has_all(&self) -> bool {
        let fetching = self.running.as_ref().and_then(|running| running.fetching.as_ref());
        fetching.is_some_and(|it| it.left == 0)
    }

    /// Keeps the memory, the trackers' numbers and the screen up to date.
    fn look_after(&mut self, pulse: &mut Pulse, events: &Events) -> Result<(), Failure> {
        let Some(running) = &mut self.running else { return Ok(()) };
        let standing = *running.member.standing.borrow();
        running.look_after(standing.tally.downloaded);
        if let Some(error) = running.fetching.as_ref().and_then(|fetching| fetching.torrent.error()) {
            return Err(error.to_string().into());
        }
        if running.server.has_lost_a_thread() {
            return Err("a thread has ended on its own".into());
        }
        if let Some(progress) = pulse.measure(running, &standing) {
            events.progress(&self.wanted.name, progress);
        }
        Ok(())
    }

    /// What there is in the end.
    pub(super) fn summary(&self) -> Done {
        let running = self.running.as_ref();
        let tally = running.map(|running| running.member.standing.borrow().tally).unwrap_or_default();
        let torrent = match (running.and_then(|running| running.fetching.as_ref()), &self.prepared) {
            (Some(fetching), _) => Some(&fetching.torrent),
            (None, prepared) => prepared.as_ref().map(|prepared| &prepared.torrent),
        };
        Done {
            info_hash: self.wanted.info_hash.to_string(),
            name: self.wanted.name.clone(),
            path: torrent
                .map_or_else(|| self.folder.clone(), |torrent| self.folder.join(root(torrent.info()))),
            length: torrent.map_or(0, |torrent| torrent.info().geometry().length()),
            downloaded: tally.downloaded,
            uploaded: torrent.map_or(0, |torrent| torrent.uploaded()),
            wasted: tally.wasted,
        }
    }

    /// Ends everything, in bounded time, and remembers how far it came.
    pub(super) fn finish(self, events: &Events) {
        let Some(Running { server, member, fetching, .. }) = self.running else { return };
        let downloaded = member.standing.borrow().tally.downloaded;
        member.stats.downloaded.store(downloaded, Ordering::Relaxed);
        if let Some(fetching) = &fetching {
            member.stats.uploaded.store(fetching.torrent.uploaded(), Ordering::Relaxed);
            member.stats.left.store(missing(&fetching.torrent, &fetching.priorities), Ordering::Relaxed);
        }
        let lanes = Arc::clone(server.engine().lanes());
        // What is whole is written, hashed and counted by this.
        server.stop();
        if let Some(fetching) = fetching
            && let Err(error) = fetching.books.finish(&lanes, downloaded, STATE_TIMEOUT)
        {
            events.error(&error.to_string());
            tracing::error!("{error}");
        }
    }
}

impl Running {
    /// Keeps the memory and what trackers are told true.
    fn look_after(&mut self, downloaded: u64) {
        let Some(fetching) = &mut self.fetching else { return };
        let writer = self.server.engine().writer().map(Arc::as_ref);
        fetching.books.look_after(downloaded, self.server.engine().lanes(), writer);
        let stats = &self.member.stats;
        stats.downloaded.store(downloaded, Ordering::Relaxed);
        stats.uploaded.store(fetching.torrent.uploaded(), Ordering::Relaxed);
        stats.left.store(fetching.left, Ordering::Relaxed);
    }
}

/// Measures rates from second to second.
#[derive(Debug)]
struct Pulse {
    at: Instant,
    downloaded: u64,
    uploaded: u64,
}

impl Pulse {
    fn new() -> Self {
        Self { at: Instant::now(), downloaded: 0, uploaded: 0 }
    }

    /// How far it is, once a second.
    fn measure(&mut self, running: &Running, standing: &Standing) -> Option<Progress> {
        let elapsed = self.at.elapsed();
        if elapsed < Duration::from_secs(1) {
            return None;
        }
        let torrent = running.fetching.as_ref().map(|fetching| &fetching.torrent);
        let (downloaded, uploaded) =
            (standing.tally.downloaded, torrent.map_or(0, |torrent| torrent.uploaded()));
        let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let rate = |now: u64, before: u64| now.saturating_sub(before).saturating_mul(1_000) / millis;
        let (download_rate, upload_rate) = (rate(downloaded, self.downloaded), rate(uploaded, self.uploaded));
        *self = Self { at: Instant::now(), downloaded, uploaded };
        let have = torrent.map(|torrent| torrent.view().have);
        Some(Progress {
            have: have.as_ref().map_or(0, |have| have.have_count()),
            pieces: have.as_ref().map_or(0, |have| have.piece_count()),
            left: running.fetching.as_ref().map_or(0, |it| it.left),
            wanted: running.fetching.as_ref().map_or(0, |it| it.wanted_length),
            downloaded,
            uploaded,
            download_rate,
            upload_rate,
            peers: standing.peers,
            seeds: standing.seeds,
            is_disk_full: standing.is_disk_full,
        })
    }
}

/// The file or folder that all of `info` lies in, as it is called on disk.
fn root(info: &Info) -> &str {
    info.files().first().and_then(|file| file.path.components().next()).unwrap_or(info.name())
}

/// Bytes of the pieces of `torrent` that are wanted.
fn length(torrent: &Torrent, priorities: &[Priority]) -> u64 {
    wanted_pieces(torrent, priorities).map(|piece| piece_length(torrent, piece)).sum()
}

/// Bytes of those that are not verified.
fn missing(torrent: &Torrent, priorities: &[Priority]) -> u64 {
    let have = torrent.view().have;
    if have.is_complete() {
        return 0;
    }
    let missing = wanted_pieces(torrent, priorities).filter(|piece| !have.get(*piece));
    missing.map(|piece| piece_length(torrent, piece)).sum()
}

fn wanted_pieces(torrent: &Torrent, priorities: &[Priority]) -> impl Iterator<Item = u32> {
    (0..torrent.info().geometry().piece_count()).filter(|piece| is_wanted(priorities, *piece))
}

fn is_wanted(priorities: &[Priority], piece: u32) -> bool {
    priorities.get(piece as usize).is_none_or(|priority| *priority != Priority::Skip)
}

fn piece_length(torrent: &Torrent, piece: u32) -> u64 {
    let range = torrent.info().geometry().piece_range(piece);
    range.end - range.start
}
