//! Each figure of the daemon moves when what it counts happens: real servers, a real catalog, real sockets and files.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod peer;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use btd::bus::{Action, Board, Figures, Request, Requests, WorkerFigures};
use btd::catalog::{Catalog, Goals, Hooks, Parts, Roots, Settings};
use btd::config::ServeConfig;
use btd::engine::{Company, Engine, Gauge, Server};
use btd::storage::load;
use btd::storage::state::{FileRecord, Recorder, Saved, State};
use btd::storage::write::place::Placing;
use btd::storage::{Task, Torrent, create, scan};
use data_encoding::BASE64;
use protocol::control::{AddRequest, CreateEvent, CreateRequest};
use protocol::meta::Info;
use protocol::piece_set::PieceSet;
use protocol::swarm::candidates::Source;
use service::control::Caller;
use service::heartbeats::Pulse;
use tempfile::TempDir;
use tokio::sync::mpsc;

use peer::{DEADLINE, Peer, config, noise, start, torrent_of, wait, wait_until};

const BYTES: usize = 3 << 20;
const LENGTH: u64 = BYTES as u64;
const PIECE_LENGTH: u32 = 1 << 18;
const PIECES: u64 = LENGTH / PIECE_LENGTH as u64;

/// Writes payload into `folder`.
fn write_payload(folder: &Path) -> PathBuf {
    let path = folder.join("payload");
    std::fs::write(&path, noise(1, BYTES)).unwrap();
    path
}

/// Writes payload into `folder`, and makes a torrent of it.
fn payload_in(folder: &Path) -> Arc<Torrent> {
    torrent_of(&write_payload(folder), PIECE_LENGTH)
}

fn fetching() -> ServeConfig {
    ServeConfig { is_fetching: true, ..config() }
}

fn errors(figures: &Figures, kind: &str) -> u64 {
    figures.errors.iter().find(|(name, _)| *name == kind).unwrap().1
}

/// A URL that nobody answers at.
fn dead_tracker() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    format!("http://{}/announce", listener.local_addr().unwrap())
}

#[test]
fn a_download_moves_the_figures_of_both_ends() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let torrent = payload_in(from.path());
    let seeder = start(&config(), &[Arc::clone(&torrent)]);
    let (fetcher, _notices) = Server::start(&fetching()).unwrap();
    let info = Arc::clone(torrent.info());
    let loaded = load::download(info, to.path(), &Saved::default(), &[true], &Placing::default()).unwrap();
    let company = Company {
        peers: vec![seeder.addresses()[0]],
        tiers: vec![vec![dead_tracker()]],
        ..Company::default()
    };
    let added = wait(fetcher.engine().add(Arc::new(loaded.into_torrent()), Vec::new(), company)).unwrap();
    let (gave, took) = (seeder.gauge(), fetcher.gauge());
    wait_until("the download", || took.read().disk.bytes_written == LENGTH);
    wait_until("the tracker", || took.read().trackers.first().is_some_and(|host| host.failures > 0));

    let took = took.read();
    assert_eq!((took.downloaded, took.wasted), (LENGTH, 0));
    assert_eq!(
        (took.disk.bytes_hashed, took.disk.pieces_verified, took.disk.pieces_failed),
        (LENGTH, PIECES, 0)
    );
    let WorkerFigures { bytes_received, dialled, accepted, .. } = took.workers[0];
    assert!(bytes_received > LENGTH && dialled == 1 && accepted == 0, "{took:?}");
    let [host] = &took.trackers[..] else { panic!("{took:?}") };
    assert!(host.host == "127.0.0.1" && host.announces == host.failures && !host.is_working, "{host:?}");
    assert_eq!(errors(&took, "tracker"), host.failures);

    wait_until("the counters", || gave.read().workers[0].payload_bytes_sent == LENGTH);
    let gave = gave.read();
    let WorkerFigures { bytes_sent, blocks_sent, sends, bytes_received, accepted, .. } = gave.workers[0];
    assert!(bytes_sent > LENGTH && blocks_sent == LENGTH >> 14 && (1..=blocks_sent + 99).contains(&sends));
    assert!(bytes_received > 0 && accepted == 1, "{gave:?}");
    assert!(gave.disk.lane_jobs > 0 && gave.disk.open_files == 1, "{gave:?}");
    assert_eq!((gave.uploaded(), gave.downloaded), (LENGTH, 0));
    drop(added);
    seeder.stop();
    fetcher.stop();
}

#[test]
fn connections_that_are_turned_away_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let torrent = payload_in(folder.path());
    let server = start(&ServeConfig { max_connections: 1, ..config() }, &[Arc::clone(&torrent)]);
    let gauge = server.gauge();
    let _in = Peer::connect(server.addresses()[0], &torrent).unwrap();
    let worker = gauge.read().workers[0];
    assert_eq!((worker.connections, worker.accepted, worker.refused), (1, 1, 0));
    assert!(Peer::knock(server.addresses()[0], &torrent).is_none_or(|mut peer| peer.is_ended()));
    wait_until("the counter", || gauge.read().workers[0].refused == 1);
    server.stop();
}

/// A catalog on its own: what a daemon is but for its door.
struct Daemon {
    catalog: Catalog,
    requests: Requests,
    engine: Engine,
    gauge: Gauge,
    folder: TempDir,
}

impl Daemon {
    /// One whose commands all fail.
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        ["data", "watched"].iter().for_each(|name| std::fs::create_dir(path(name)).unwrap());
        let (server, notices) = Server::start(&fetching()).unwrap();
        let (engine, gauge) = (server.engine().clone(), server.gauge());
        let (requests, inbox) = Requests::channel();
        let settings = Settings {
            data_dir: path("data"),
            incomplete_dir: None,
            placing: Placing::default(),
            roots: Roots(None),
            goals: Goals::default(),
            hooks: Hooks { on_complete: Vec::new(), on_error: vec!["/bin/false".to_owned()] },
            max_active: None,
            swarm: protocol::swarm::Settings::default(),
            limits: btd::bus::RateLimits::default(),
            watch_dir: Some(path("watched")),
        };
        let state = State::open(&path("state")).unwrap();
        let catalog = Catalog::start(Parts {
            server,
            notices,
            board: Arc::<Board>::default(),
            requests: requests.clone(),
            inbox,
            state,
            recorder: Recorder::start(State::open(&path("state")).unwrap()).unwrap(),
            settings,
            on_shutdown: mpsc::channel(1).0,
            pulse: Pulse::default(),
        });
        Self { catalog: catalog.unwrap(), requests, engine, gauge, folder }
    }

    fn add(&self, metainfo: &[u8], dir: &Path) {
        let (metainfo, dir) = (Some(BASE64.encode(metainfo)), Some(dir.to_str().unwrap().to_owned()));
        let request = Box::new(AddRequest { metainfo, dir, ..AddRequest::default() });
        wait(self.requests.ask(|reply| Request::Add { request, caller: CALLER, reply })).unwrap();
    }

    fn wait_for(&self, what: &str, condition: impl Fn(&Figures) -> bool) {
        wait_until(what, || condition(&self.gauge.read()));
    }

    fn stop(self) {
        self.catalog.stop(Duration::from_secs(10));
    }
}

const CALLER: Caller = Caller { uid: 0, gid: 0 };

/// The .torrent file of what lies at `path`.
fn metainfo_of(path: &Path) -> Vec<u8> {
    let options = create::Options { piece_length: Some(PIECE_LENGTH), ..create::Options::default() };
    create::create(scan::scan(path).unwrap(), options, &Task::default()).unwrap().bytes
}

#[test]
fn what_is_hashed_to_be_checked_or_made_is_counted() {
    let daemon = Daemon::start();
    let path = write_payload(daemon.folder.path());
    daemon.add(&metainfo_of(&path), daemon.folder.path());
    daemon.wait_for("the check", |figures| figures.disk.bytes_hashed == LENGTH);
    let (events, mut made) = mpsc::channel(99);
    let request = CreateRequest { path: path.to_str().unwrap().to_owned(), ..CreateRequest::default() };
    daemon.requests.send(Request::Create { request, caller: CALLER, events }).unwrap();
    let last = wait(async {
        let mut last = None;
        while let Some(event) = made.recv().await {
            last = Some(event);
        }
        last.unwrap()
    });
    assert!(matches!(last, CreateEvent::Done { .. }), "{last:?}");
    assert_eq!(daemon.gauge.read().disk.bytes_hashed, 2 * LENGTH);
    daemon.stop();
}

#[test]
fn a_torrent_that_fails_a_command_that_does_and_a_file_that_cannot_be_added_are_counted() {
    let daemon = Daemon::start();
    let folder = daemon.folder.path();
    let path = write_payload(folder);
    let metainfo = metainfo_of(&path);
    assert!(daemon.gauge.read().errors.iter().all(|(_, count)| *count == 0));
    // A folder is where its file should be.
    std::fs::create_dir(folder.join("data/payload")).unwrap();
    daemon.add(&metainfo, &folder.join("data"));
    daemon.wait_for("the torrent", |figures| errors(figures, "torrent") == 1);
    daemon.wait_for("its command", |figures| errors(figures, "command") == 1);
    std::fs::write(folder.join("watched/a.torrent"), "none").unwrap();
    daemon.wait_for("the file", |figures| errors(figures, "watched_file") == 1);
    daemon.stop();
}

#[test]
fn a_state_that_cannot_be_written_is_counted() {
    let daemon = Daemon::start();
    let path = write_payload(daemon.folder.path());
    daemon.add(&metainfo_of(&path), daemon.folder.path());
    let state = rusqlite::Connection::open(daemon.folder.path().join("state")).unwrap();
    state.busy_timeout(DEADLINE).unwrap();
    state.execute_batch("ALTER TABLE torrent RENAME TO gone").unwrap();
    let pause =
        |reply| Request::Act { id: btd::bus::TorrentId(1), action: Action::Pause, caller: CALLER, reply };
    wait(daemon.requests.ask(pause)).unwrap_err();
    assert!(errors(&daemon.gauge.read(), "state") > 0);
    daemon.stop();
}

/// A server that takes all it has for verified, and has something else.
fn liar(info: &Arc<Info>, folder: &Path) -> Server {
    std::fs::write(folder.join("payload"), noise(2, BYTES)).unwrap();
    let record = FileRecord::new(&folder.join("payload").metadata().unwrap());
    let all = PieceSet::full(info.geometry().piece_count()).to_wire();
    let saved = Saved {
        have: all.clone(),
        synced: all,
        is_same_boot: true,
        files: [(0, record)].into(),
        ..Saved::default()
    };
    start(&config(), &[Arc::new(load::seed(Arc::clone(info), folder, &saved, None).into_torrent())])
}

#[test]
fn a_peer_that_lies_is_counted_with_what_it_wasted() {
    let daemon = Daemon::start();
    let (honest, lying) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let torrent = payload_in(honest.path());
    let liar = liar(torrent.info(), lying.path());
    daemon.add(&metainfo_of(&honest.path().join("payload")), &daemon.folder.path().join("data"));
    let addresses: Vec<SocketAddr> = liar.addresses().to_vec();
    wait_until("the peer", || {
        // It is not known before the torrent is loaded.
        wait(daemon.engine.found(torrent.info_hash(), addresses.clone(), Source::User)).unwrap();
        errors(&daemon.gauge.read(), "peer") > 0
    });
    let figures = daemon.gauge.read();
    let failed = figures.disk.pieces_failed;
    assert!(failed > 0 && errors(&figures, "piece") == failed, "{figures:?}");
    assert!(figures.wasted >= failed * u64::from(PIECE_LENGTH) && figures.downloaded >= figures.wasted);
    assert_eq!(figures.disk.pieces_verified, 0);
    daemon.stop();
    liar.stop();
}
