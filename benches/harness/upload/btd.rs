//! btd as a service: told of its torrents through its control API, and asked things meanwhile.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::cores::Cores;
use crate::daemon::Daemon;
use crate::places::Places;
use crate::site::{self, Site};
use crate::torrent::Torrent;

/// How long a torrent may take until it is seeding.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL_PERIOD: Duration = Duration::from_millis(20);

/// A running btd. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Btd {
    daemon: Daemon,
    site: Site,
    address: SocketAddr,
}

#[derive(Debug, Deserialize)]
struct Stats {
    listen: Vec<SocketAddr>,
}

#[derive(Debug, Deserialize)]
struct Row {
    state: String,
}

impl Btd {
    /// Starts it with so many workers, and has it check and seed `torrents`, each where its payload lies.
    ///
    /// # Errors
    /// When it does not start, or does not seed them all.
    pub(super) fn start(
        places: &Places,
        name: &str,
        workers: u16,
        cores: Cores,
        torrents: &[Torrent],
    ) -> io::Result<Self> {
        let folder = places.directory.join(format!("btd-{}", name.replace(' ', "-")));
        let _ = fs::remove_dir_all(&folder);
        let roots = format!("control_roots = [{:?}]\n", places.directory.canonicalize()?);
        let site = Site::new(places, &folder, &roots)?;
        let mut command = site.command();
        command.args(["--workers", &workers.to_string()]);
        let (daemon, _) = Daemon::start(command, cores, &places.log("btd-run"))?;
        let stats: Stats = parse(&ask(&site, "GET /v1/stats")?)?;
        let address = stats.listen.first().ok_or_else(|| io::Error::other("btd listens nowhere"))?;
        let btd = Self { daemon, site, address: *address };
        torrents.iter().try_for_each(|torrent| btd.add(torrent))?;
        Ok(btd)
    }

    pub(super) fn pid(&self) -> i32 {
        self.daemon.pid()
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has it hash `torrent` again, and waits for the end.
    ///
    /// # Errors
    /// When it does not seed it afterwards.
    pub(super) fn verify(&self, torrent: &Torrent) -> io::Result<()> {
        self.ask(&format!("POST /v1/torrents/{}/verify", torrent.info_hash))?;
        self.await_seeding(torrent, Duration::MAX)
    }

    /// How long it takes to answer a question: for a page of the list, and for its figures.
    ///
    /// # Errors
    /// When it does not.
    pub(super) fn answer_time(&self) -> io::Result<Duration> {
        let begin = Instant::now();
        self.ask("GET /v1/torrents")?;
        self.ask("GET /v1/stats")?;
        Ok(begin.elapsed() / 2)
    }

    /// Bytes that it has hashed so far.
    ///
    /// # Errors
    /// When it does not say.
    pub(super) fn hashed_bytes(&self) -> io::Result<f64> {
        let hashed = self.metric("btd_hashed_bytes_total")?;
        hashed.first().copied().ok_or_else(|| io::Error::other("it does not count what it hashes"))
    }

    /// How many connections each worker has.
    ///
    /// # Errors
    /// When it does not say.
    pub(super) fn worker_connections(&self) -> io::Result<Vec<f64>> {
        self.metric("btd_worker_connections")
    }

    fn metric(&self, name: &str) -> io::Result<Vec<f64>> {
        let text = self.ask("GET /metrics")?;
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines().filter(|line| line.split([' ', '{']).next() == Some(name));
        Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect())
    }

    fn add(&self, torrent: &Torrent) -> io::Result<()> {
        let folder = torrent.payload.parent().unwrap_or(Path::new("/")).canonicalize()?;
        let folder = folder.to_str().ok_or_else(|| io::Error::other("the folder is not UTF-8"))?;
        site::add(&mut self.site.connect()?, &fs::read(&torrent.file)?, &[("dir", folder.into())])?;
        self.await_seeding(torrent, PATIENCE)
    }

    fn await_seeding(&self, torrent: &Torrent, patience: Duration) -> io::Result<()> {
        let begin = Instant::now();
        loop {
            let row: Row = parse(&self.ask(&format!("GET /v1/torrents/{}", torrent.info_hash))?)?;
            match row.state.as_str() {
                "seeding" => return Ok(()),
                "error" => return Err(io::Error::other("a torrent has an error")),
                state if begin.elapsed() > patience => {
                    return Err(io::Error::other(format!("a torrent is {state} and not seeding")));
                }
                _ => thread::sleep(POLL_PERIOD),
            }
        }
    }

    fn ask(&self, line: &str) -> io::Result<Vec<u8>> {
        ask(&self.site, line)
    }
}

fn ask(site: &Site, line: &str) -> io::Result<Vec<u8>> {
    site.connect()?.ask(line, "", b"")?.accepted()
}

fn parse<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> io::Result<T> {
    serde_json::from_slice(bytes).map_err(io::Error::other)
}
