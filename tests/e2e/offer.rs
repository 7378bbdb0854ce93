//! What most tests of `btd get` start from: a payload, its .torrent file, and folders to download into.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tests::btd::{Seeder, arguments, btd};
use tests::compare::{EmptyFiles, assert_same};
use tests::daemon::{Daemon, text};
use tests::folders::scratch;
use tests::get::Getter;
use tests::payload::{write_folder, write_single};
use tests::raw_seed::RawSeed;
use tests::torrent::Torrent;
use tests::tracker::Tracker;

/// Files that share pieces, an empty one, names beyond ASCII, nested folders.
pub(crate) const FILES: &[(&str, u64)] = &[
    ("a.bin", 1_000_003),
    ("b.bin", 17),
    ("empty.dat", 0),
    ("größe ☃/日本語 файл.bin", 5_000_001),
    ("nested/deeper/still/big.bin", 14_000_123),
    ("nested/one", 1),
    ("z.txt", 12_345),
];

/// A payload that is offered to whoever downloads.
pub(crate) struct Offer {
    pub(crate) payload: PathBuf,
    /// The .torrent file.
    pub(crate) file: PathBuf,
    pub(crate) torrent: Torrent,
    trackers: Vec<String>,
    scratch: TempDir,
}

impl Offer {
    /// One file of `length` bytes in pieces of 256 KiB.
    pub(crate) fn single(name: &str, length: u64) -> Self {
        Self::single_with(name, length, &["--piece-length", "256KiB"])
    }

    /// One file of `length` bytes, with `options` of `btd create`.
    pub(crate) fn single_with(name: &str, length: u64, options: &[&str]) -> Self {
        let scratch = scratch(name);
        let payload = write_single(scratch.path(), "payload.bin", 1, length);
        Self::of(scratch, payload, options)
    }

    /// A folder of `files`, with `options` of `btd create`.
    pub(crate) fn folder(name: &str, files: &[(&str, u64)], options: &[&str]) -> Self {
        let scratch = scratch(name);
        let payload = write_folder(scratch.path(), "payload", 1, files);
        Self::of(scratch, payload, options)
    }

    /// One file of `length` bytes in pieces of 64 KiB that can be downloaded: its tracker names a seed, which sends
    /// `allowed` blocks until it is let send more.
    pub(crate) fn tracked(name: &str, length: u64, allowed: usize) -> (Self, RawSeed, Tracker) {
        let tracker = Tracker::start();
        let offer = Self::single_with(name, length, &["--piece-length", "64KiB", "--tracker", &tracker.url]);
        let seed = RawSeed::start(&offer.torrent, offer.bytes(), allowed, |_| false);
        tracker.name_peer(seed.address);
        (offer, seed, tracker)
    }

    fn of(scratch: TempDir, payload: PathBuf, options: &[&str]) -> Self {
        let file = scratch.path().join("offered.torrent");
        let mut all = arguments(&[&"create", &payload, &"-o", &file]);
        all.extend(options.iter().map(Into::into));
        let made = btd(&all);
        assert_eq!(made.code(), Some(0), "{}", made.describe());
        let torrent = Torrent::read(&file);
        let pairs = options.iter().zip(options.iter().skip(1));
        let trackers =
            pairs.filter(|(name, _)| **name == "--tracker").map(|(_, url)| (*url).to_owned()).collect();
        Self { payload, file, torrent, trackers, scratch }
    }

    /// Where the payload lies.
    pub(crate) fn home(&self) -> &Path {
        self.scratch.path()
    }

    /// A folder, made now, to download into or to keep things in.
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        let path = self.scratch.path().join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// The bytes of the only file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        fs::read(&self.payload).unwrap()
    }

    /// Its magnet link, with the trackers.
    pub(crate) fn magnet(&self) -> String {
        let trackers = self.trackers.iter().map(|url| format!("&tr={url}"));
        format!("magnet:?xt=urn:btih:{}{}", self.torrent.hex(), trackers.collect::<String>())
    }

    /// Its magnet link, which names `peer`.
    pub(crate) fn magnet_of(&self, peer: SocketAddr) -> String {
        format!("{}&x.pe={peer}", self.magnet())
    }

    /// A btd that seeds it on loopback.
    pub(crate) fn seed(&self, options: &[&str]) -> Seeder {
        let mut all = arguments(&[&"--data", &self.home()]);
        all.extend(options.iter().map(Into::into));
        Seeder::start(&[&self.file], &all)
    }

    /// Has a daemon seed it as it lies here; its info-hash, when it is seeded.
    pub(crate) fn seed_by(&self, daemon: &Daemon<'_>) -> String {
        let info_hash = daemon.add(&["--dir", text(self.home()), text(&self.file)]);
        daemon.wait_state(&info_hash, "seeding");
        info_hash
    }

    /// A btd that downloads it from `peers` by its .torrent file.
    pub(crate) fn get(&self, into: &Path, peers: &[SocketAddr], options: &[&str]) -> Getter {
        Getter::start(&self.file, into, &with_peers(peers, options))
    }

    /// Checks that `folder` holds the payload as it is here.
    pub(crate) fn assert_in(&self, folder: &Path) {
        assert_same(&self.payload, &self.copy_in(folder), EmptyFiles::Wanted);
    }

    /// Where the payload is in `folder`, into which it was downloaded.
    pub(crate) fn copy_in(&self, folder: &Path) -> PathBuf {
        folder.join(self.payload.file_name().expect("a payload has a name"))
    }

    /// How many blocks there are.
    pub(crate) fn block_count(&self) -> usize {
        (0..self.torrent.piece_count()).map(|piece| self.torrent.blocks(piece).count()).sum()
    }
}

/// `options` and `--peer` for each of `peers`.
pub(crate) fn with_peers(peers: &[SocketAddr], options: &[&str]) -> Vec<String> {
    let peers = peers.iter().flat_map(|peer| ["--peer".to_owned(), peer.to_string()]);
    peers.chain(options.iter().map(ToString::to_string)).collect()
}
