//! Real clients download what btd seeds, byte for byte: one payload of more than two gigabytes, made once, and
//! downloaded by one client after the other.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;
use tests::btd::{Announcement, Seeder};
use tests::client;
use tests::compare::{EmptyFiles, assert_same};
use tests::folders::scratch;
use tests::needs::Need;
use tests::netns::{Namespace, Pair};
use tests::payload::write_folder;
use tests::tracker::Tracker;

use crate::Case;

pub(crate) const CASES: &[Case] = &[
    Case::new("aria2_downloads_from_a_torrent", aria2_downloads_from_a_torrent).needs(ARIA2),
    Case::new("aria2_downloads_from_a_magnet", aria2_downloads_from_a_magnet).needs(ARIA2),
    Case::new("libtorrent_downloads_from_a_torrent", libtorrent_downloads_from_a_torrent).needs(LIBTORRENT),
    Case::new("libtorrent_downloads_from_a_magnet", libtorrent_downloads_from_a_magnet).needs(LIBTORRENT),
    Case::new("transmission_downloads_from_a_torrent", transmission_downloads_from_a_torrent)
        .needs(TRANSMISSION),
    Case::new("transmission_downloads_from_a_magnet", transmission_downloads_from_a_magnet)
        .needs(TRANSMISSION),
];

const ARIA2: &[Need] = &[Need::Program("aria2c")];
const LIBTORRENT: &[Need] = &[Need::Libtorrent];
const TRANSMISSION: &[Need] = &[Need::Program("transmission-cli"), Need::Namespaces];

/// Files that share pieces, an empty one, names beyond ASCII, nested folders; more than 2 GiB in all.
const FILES: &[(&str, u64)] = &[
    ("a.bin", 1_000_003),
    ("b.bin", 17),
    ("empty.dat", 0),
    ("größe ☃/日本語 файл.bin", 5_000_001),
    ("nested/deeper/still/big.bin", 2_200_000_123),
    ("nested/one", 1),
    ("nested/two", 16_384),
    ("z.txt", 12_345),
];
/// The same shapes where the size does not matter.
const SMALL_FILES: &[(&str, u64)] =
    &[("a.bin", 1_000_003), ("empty.dat", 0), ("größe ☃/日本語 файл.bin", 5_000_001), ("z.txt", 12_345)];

/// The payload on disk.
struct Payload {
    scratch: TempDir,
    root: PathBuf,
}

/// The payload, once a test has needed it. Whoever holds the lock is the only one who downloads.
static PAYLOAD: Mutex<Option<Payload>> = Mutex::new(None);

/// Runs `test` with the payload and an empty folder to download into, and no other such test beside it.
fn with_payload(test: impl FnOnce(&Path, &Path)) {
    let mut shared = PAYLOAD.lock().unwrap_or_else(PoisonError::into_inner);
    let payload = shared.get_or_insert_with(|| {
        let scratch = scratch("clients");
        let root = write_folder(scratch.path(), "payload", 1, FILES);
        Payload { scratch, root }
    });
    let downloads = tempfile::tempdir_in(payload.scratch.path()).expect("a folder can be made");
    test(&payload.root, downloads.path());
}

/// Removes the payload.
pub(crate) fn clean() {
    PAYLOAD.lock().unwrap_or_else(PoisonError::into_inner).take();
}

/// A btd that seeds `payload` with a tracker that names it, on loopback.
struct Swarm {
    seeder: Seeder,
    torrent: PathBuf,
    _tracker: Tracker,
}

impl Swarm {
    fn start(payload: &Path, folder: &Path) -> Self {
        let tracker = Tracker::start();
        let torrent = folder.join("made-by-btd.torrent");
        let options = [torrent.as_os_str(), "--tracker".as_ref(), tracker.url.as_ref()];
        let seeder = Seeder::start(&[payload], &[&["--torrent".as_ref()], options.as_slice()].concat());
        tracker.name_peer(seeder.address());
        Self { seeder, torrent, _tracker: tracker }
    }

    /// The same inside `namespace`, with btd's own default of where to listen.
    fn start_in(namespace: &Namespace, payload: &Path, folder: &Path) -> Self {
        let tracker = Tracker::start_in(namespace);
        let torrent = folder.join("made-by-btd.torrent");
        let options = [torrent.as_os_str(), "--tracker".as_ref(), tracker.url.as_ref()];
        let options = [&["--torrent".as_ref()], options.as_slice()].concat();
        let seeder = Seeder::start_in(namespace, &[payload], &options);
        tracker.name_peer((namespace.address(), seeder.address().port()).into());
        Self { seeder, torrent, _tracker: tracker }
    }

    fn torrent_path(&self) -> &str {
        self.torrent.to_str().expect("the tests' folders have plain names")
    }

    /// The magnet link without what starts with `key`.
    fn magnet_without(&self, key: &str) -> String {
        let announcement: &Announcement = self.seeder.torrent();
        let kept = announcement.magnet.split('&').filter(|part| !part.starts_with(key));
        kept.collect::<Vec<_>>().join("&")
    }
}

fn aria2_downloads_from_a_torrent() {
    with_payload(|payload, folder| {
        let swarm = Swarm::start(payload, folder);
        client::aria2(swarm.torrent_path(), &folder.join("got"));
        assert_same(payload, &folder.join("got/payload"), EmptyFiles::Wanted);
        swarm.seeder.end_well();
    });
}

fn aria2_downloads_from_a_magnet() {
    with_payload(|payload, folder| {
        let swarm = Swarm::start(payload, folder);
        // aria2 passes over x.pe and asks the tracker.
        client::aria2(&swarm.magnet_without("x.pe="), &folder.join("got"));
        assert_same(payload, &folder.join("got/payload"), EmptyFiles::Wanted);
        swarm.seeder.end_well();
    });
}

fn libtorrent_downloads_from_a_torrent() {
    with_payload(|payload, folder| {
        let swarm = Swarm::start(payload, folder);
        let peer = swarm.seeder.address().to_string();
        client::libtorrent(swarm.torrent_path(), &folder.join("got"), Some(&peer));
        assert_same(payload, &folder.join("got/payload"), EmptyFiles::Wanted);
        swarm.seeder.end_well();
    });
}

fn libtorrent_downloads_from_a_magnet() {
    with_payload(|payload, folder| {
        let swarm = Swarm::start(payload, folder);
        // Without a tracker only x.pe says where btd is.
        let magnet = swarm.magnet_without("tr=");
        assert!(magnet.contains("x.pe="), "{magnet}");
        client::libtorrent(&magnet, &folder.join("got"), None);
        assert_same(payload, &folder.join("got/payload"), EmptyFiles::Wanted);
        swarm.seeder.end_well();
    });
}

fn transmission_downloads_from_a_torrent() {
    with_payload(|payload, folder| {
        let network = Pair::create();
        let swarm = Swarm::start_in(&network.seeder, payload, folder);
        client::transmission(
            swarm.torrent_path(),
            &folder.join("got"),
            &folder.join("settings"),
            &network.client,
        );
        assert_same(payload, &folder.join("got/payload"), EmptyFiles::MayBeMissing);
        swarm.seeder.end_well();
    });
}

fn transmission_downloads_from_a_magnet() {
    let scratch = scratch("transmission-magnet");
    let folder = scratch.path();
    let payload = write_folder(folder, "payload", 2, SMALL_FILES);
    let network = Pair::create();
    let swarm = Swarm::start_in(&network.seeder, &payload, folder);
    let magnet = swarm.magnet_without("x.pe=");
    client::transmission(&magnet, &folder.join("got"), &folder.join("settings"), &network.client);
    assert_same(&payload, &folder.join("got/payload"), EmptyFiles::MayBeMissing);
    swarm.seeder.end_well();
}
