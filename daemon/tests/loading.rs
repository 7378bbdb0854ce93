//! Torrents that come, change and go while the server runs: real sockets, real files, a real ring.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod peer;

use std::net::SocketAddr;
use std::sync::Arc;

use btd::bus::RateLimits;
use btd::config::ServeConfig;
use btd::coordinator::Notice;
use btd::engine::{Company, Server, Unloaded};
use btd::storage::{Leave, Torrent};
use protocol::id::InfoHash;
use protocol::swarm::candidates::Source;
use tempfile::TempDir;
use tokio::sync::mpsc;

use peer::{Peer, config, noise, torrent_of, wait, wait_until};

const LENGTH: usize = 3 << 20;

/// A server, and a torrent that it does not have.
struct Bench {
    server: Server,
    notices: mpsc::Receiver<Notice>,
    torrent: Arc<Torrent>,
    payload: Vec<u8>,
    folder: TempDir,
}

impl Bench {
    fn new(config: &ServeConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let payload = noise(1, LENGTH);
        std::fs::write(folder.path().join("payload"), &payload).unwrap();
        let torrent = torrent_of(&folder.path().join("payload"), 1 << 18);
        let (server, notices) = Server::start(config).unwrap();
        Self { server, notices, torrent, payload, folder }
    }

    fn address(&self) -> SocketAddr {
        self.server.addresses()[0]
    }

    fn info_hash(&self) -> InfoHash {
        self.torrent.info_hash()
    }

    fn load(&self) {
        let torrent = Arc::clone(&self.torrent);
        drop(wait(self.server.engine().add(torrent, Vec::new(), Company::default())).unwrap());
    }

    fn remove(&self, leave: Leave, only_if_idle: bool) -> Unloaded {
        wait(self.server.engine().remove(self.info_hash(), leave, only_if_idle)).unwrap()
    }

    fn notice(&mut self) -> Notice {
        wait(self.notices.recv()).unwrap()
    }
}

#[test]
fn peers_of_a_torrent_that_is_known_wait_until_it_is_loaded_and_are_served() {
    let mut bench = Bench::new(&ServeConfig { workers: 2, ..config() });
    bench.server.engine().know([bench.info_hash()]);
    let (address, torrent) = (bench.address(), Arc::clone(&bench.torrent));
    std::thread::scope(|scope| {
        let peers: Vec<_> = (0..8).map(|_| scope.spawn(|| Peer::connect(address, &torrent))).collect();
        assert!(matches!(bench.notice(), Notice::Wanted(wanted) if wanted == torrent.info_hash()));
        wait_until("all to wait", || bench.server.totals().connections == 8);
        assert!(bench.notices.try_recv().is_err(), "it is said once");
        bench.load();
        for peer in peers {
            assert!(peer.join().unwrap().unwrap().download(64).unwrap() == bench.payload);
        }
    });
    bench.server.stop();
}

#[test]
fn peers_of_a_torrent_that_cannot_be_loaded_are_turned_away() {
    let mut bench = Bench::new(&config());
    for leave in [Leave::Known, Leave::Nothing] {
        bench.server.engine().know([bench.info_hash()]);
        let mut peer = Peer::knock(bench.address(), &bench.torrent).unwrap();
        assert!(matches!(bench.notice(), Notice::Wanted(_)));
        assert_eq!(bench.remove(leave, false), Unloaded::Absent);
        assert!(peer.is_ended());
    }
    let mut late = Peer::knock(bench.address(), &bench.torrent).unwrap();
    assert!(late.is_ended(), "nothing is left of it");
    assert!(bench.notices.try_recv().is_err());
    bench.server.stop();
}

#[test]
fn a_torrent_that_is_removed_parts_from_its_peers_and_lets_its_files_go() {
    let bench = Bench::new(&config());
    bench.load();
    let mut peer = Peer::connect(bench.address(), &bench.torrent).unwrap();
    assert!(peer.download(64).unwrap() == bench.payload);
    assert_eq!(bench.remove(Leave::Known, true), Unloaded::Busy);
    assert!(peer.download(64).unwrap() == bench.payload, "it stays");
    assert!(matches!(bench.remove(Leave::Nothing, false), Unloaded::Done));
    assert!(peer.is_ended());
    let path = bench.folder.path().join("payload");
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    assert!(!maps.contains(path.to_str().unwrap()), "its payload is not mapped any more");
    assert!(Peer::connect(bench.address(), &bench.torrent).is_none());
    assert_eq!(bench.remove(Leave::Nothing, false), Unloaded::Absent);
    bench.server.stop();
}

#[test]
fn a_torrent_that_was_unloaded_is_loaded_anew_for_the_next_peer() {
    let mut bench = Bench::new(&config());
    bench.load();
    drop(Peer::connect(bench.address(), &bench.torrent).unwrap());
    let left = || matches!(bench.remove(Leave::Known, true), Unloaded::Done);
    wait_until("the peer to have left", left);
    bench.torrent = torrent_of(&bench.folder.path().join("payload"), 1 << 18);
    let (address, torrent) = (bench.address(), Arc::clone(&bench.torrent));
    let peer = std::thread::spawn(move || Peer::connect(address, &torrent));
    assert!(matches!(bench.notice(), Notice::Wanted(_)));
    bench.load();
    assert!(peer.join().unwrap().unwrap().download(64).unwrap() == bench.payload);
    bench.server.stop();
}

#[test]
fn a_limit_that_is_lifted_lets_a_download_go_on() {
    let limits = RateLimits { upload_bytes_per_s: Some(1), download_bytes_per_s: None };
    for of_all in [true, false] {
        let bench = Bench::new(&config());
        bench.load();
        let info_hash = (!of_all).then(|| bench.info_hash());
        let engine = bench.server.engine();
        let mut peer = Peer::connect(bench.address(), &bench.torrent).unwrap();
        wait(engine.limit(info_hash, limits)).unwrap();
        // The coordinator has done what came before.
        assert_eq!(wait(engine.peers(bench.info_hash())).unwrap().len(), 1);
        std::thread::scope(|scope| {
            let download = scope.spawn(|| peer.download(64));
            // Three megabytes at a byte a second take longer than any test.
            wait_until("the requests to come", || bench.server.totals().bytes_received > 68 + 17);
            wait(engine.limit(info_hash, RateLimits::default())).unwrap();
            assert!(download.join().unwrap().unwrap() == bench.payload);
        });
        bench.server.stop();
    }
}

#[test]
fn peers_are_told_as_they_are() {
    let bench = Bench::new(&config());
    bench.load();
    assert!(wait(bench.server.engine().peers(bench.info_hash())).unwrap().is_empty());
    let peer = Peer::connect(bench.address(), &bench.torrent).unwrap();
    let rows = wait(bench.server.engine().peers(bench.info_hash())).unwrap();
    let [row] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!(row.address, peer.stream.local_addr().unwrap().to_string());
    assert!(row.is_incoming && row.is_interested && !row.is_choked && row.is_choking_us);
    assert!(row.peer_id.starts_with("-BD") && row.progress == 0.0);
    bench.server.stop();
}

#[test]
fn addresses_of_a_torrent_that_is_not_loaded_come_back_to_whoever_can_load_it() {
    let mut bench = Bench::new(&config());
    let addresses = vec![bench.address()];
    let found = |bench: &Bench, info_hash| {
        let engine = bench.server.engine();
        wait(engine.found(info_hash, addresses.clone(), Source::Tracker)).unwrap();
    };
    found(&bench, InfoHash::of_info(b"unheard of"));
    bench.server.engine().know([bench.info_hash()]);
    found(&bench, bench.info_hash());
    let Notice::Found { info_hash, addresses: named, source } = bench.notice() else { panic!("found") };
    assert_eq!((info_hash, &named, source), (bench.info_hash(), &addresses, Source::Tracker));
    bench.server.stop();
}
