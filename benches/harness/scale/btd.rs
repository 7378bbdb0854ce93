//! btd as a contender: ten files, a thousand pieces and two trackers for each torrent, added through its control API.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::torrents::Kind;
use super::trackers::Trackers;
use super::{Contender, DAEMON_CORE};
use crate::daemon::Daemon;
use crate::places::Places;
use crate::process;
use crate::site::{self, Site};

/// Connections over which torrents are added.
const CONNECTIONS: usize = 4;
/// How long all may take until they are seeding, and until trackers have heard of all: after a start it is 200 a second.
const PATIENCE: Duration = Duration::from_secs(900);
const POLL_PERIOD: Duration = Duration::from_millis(100);

/// btd, and where all that it knows lies.
#[derive(Debug)]
pub(super) struct Btd {
    site: Site,
    btctl: PathBuf,
    /// Where a list is written that is looked at.
    list: PathBuf,
    log: PathBuf,
    kind: Kind,
    trackers: Trackers,
    count: usize,
    /// Whether it has its torrents.
    is_loaded: bool,
    daemon: Option<Daemon>,
}

/// What is read of a list.
#[derive(Debug, Deserialize)]
struct List {
    torrents: Vec<IgnoredAny>,
    total: u64,
    revision: u64,
    #[serde(default)]
    is_full: bool,
}

impl Btd {
    /// Lays out the payload of `count` torrents below `folder`.
    ///
    /// # Errors
    /// When that cannot be done.
    pub(super) fn prepare(places: &Places, folder: &Path, count: usize) -> io::Result<Self> {
        let trackers = Trackers::start()?;
        let kind = Kind { files: 10, pieces: 1_000, trackers: trackers.urls.clone() };
        kind.lay_out(&folder.join("payload"), count)?;
        Ok(Self {
            site: Site::new(places, folder, "")?,
            btctl: places.binaries.join("btctl"),
            list: folder.join("list.json"),
            log: places.log("scale-btd"),
            kind,
            trackers,
            count,
            is_loaded: false,
            daemon: None,
        })
    }

    fn get(&self, query: &str) -> io::Result<List> {
        let answer = self.site.connect()?.ask(&format!("GET /v1/torrents?{query}"), "", b"")?.accepted()?;
        serde_json::from_slice(&answer).map_err(io::Error::other)
    }

    fn expect_all(&self, found: u64, what: &str) -> io::Result<()> {
        if found != self.count as u64 {
            return Err(io::Error::other(format!("{found} of {} torrents {what}", self.count)));
        }
        Ok(())
    }

    /// Adds every one of [`CONNECTIONS`] torrents, from `first` on.
    fn add(&self, first: usize) -> io::Result<()> {
        let mut http = self.site.connect()?;
        for number in (first..self.count).step_by(CONNECTIONS) {
            site::add(&mut http, &self.kind.metainfo(number), &[("skip_check", true.into())])?;
        }
        Ok(())
    }
}

impl Contender for Btd {
    fn count(&self) -> usize {
        self.count
    }

    fn start(&mut self) -> io::Result<Duration> {
        let (daemon, ready) = Daemon::start(self.site.command(), DAEMON_CORE, &self.log)?;
        self.daemon = Some(daemon);
        if self.is_loaded {
            self.expect_all(self.get("state=seeding&limit=1")?.total, "are seeding when it is ready")?;
        }
        Ok(ready)
    }

    fn stop(&mut self) -> io::Result<Duration> {
        self.daemon.take().map_or(Ok(Duration::ZERO), Daemon::stop)
    }

    fn pid(&self) -> io::Result<i32> {
        self.daemon.as_ref().map(Daemon::pid).ok_or_else(|| io::Error::other("it does not run"))
    }

    fn load(&mut self) -> io::Result<Duration> {
        let begin = Instant::now();
        let bench = &*self;
        thread::scope(|scope| {
            let threads: Vec<_> =
                (0..CONNECTIONS).map(|first| scope.spawn(move || bench.add(first))).collect();
            let panicked = |_| Err(io::Error::other("a thread that adds torrents panicked"));
            threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(panicked))
        })?;
        let loading = begin.elapsed();
        while self.get("state=seeding&limit=1")?.total < self.count as u64 {
            if begin.elapsed() > PATIENCE {
                return Err(io::Error::other("not all torrents are seeding"));
            }
            thread::sleep(POLL_PERIOD);
        }
        self.is_loaded = true;
        Ok(loading)
    }

    fn settle(&mut self) -> io::Result<()> {
        self.trackers.await_quiet(PATIENCE)?;
        let announces = self.trackers.announces();
        if self.is_loaded && announces < self.count as u64 {
            return Err(io::Error::other(format!("only {announces} announces")));
        }
        Ok(())
    }

    fn list(&mut self) -> io::Result<(Duration, Duration)> {
        let mut command = Command::new(&self.btctl);
        command.arg("--socket").arg(self.site.socket()).args(["list", "--json"]);
        let status = command.stdout(File::create(&self.list)?).status()?;
        let rows: Vec<IgnoredAny> =
            serde_json::from_slice(&fs::read(&self.list)?).map_err(io::Error::other)?;
        self.expect_all(rows.len() as u64, "are in the list")?;
        let cpu_before = process::children_cpu_time()?;
        let begin = Instant::now();
        let again = command.stdout(Stdio::null()).status()?;
        let wall = begin.elapsed();
        if !(status.success() && again.success()) {
            return Err(io::Error::other("btctl list failed"));
        }
        Ok((wall, process::children_cpu_time()?.saturating_sub(cpu_before)))
    }

    fn ask_for_changes(&mut self) -> io::Result<Option<Duration>> {
        let revision = self.get("limit=1")?.revision;
        let mut http = self.site.connect()?;
        let begin = Instant::now();
        let answer = http.ask(&format!("GET /v1/torrents?since={revision}"), "", b"")?;
        let delta = begin.elapsed();
        let list: List = serde_json::from_slice(&answer.accepted()?).map_err(io::Error::other)?;
        if list.is_full || !list.torrents.is_empty() {
            return Err(io::Error::other("something has changed while nothing was to"));
        }
        Ok(Some(delta))
    }
}
