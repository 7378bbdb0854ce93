//! What most tests of the wire start from: one payload, a btd that seeds it, and the torrent as a raw peer needs it.

use std::net::SocketAddr;
use std::path::PathBuf;

use tempfile::TempDir;
use tests::btd::{Seeder, arguments};
use tests::folders::scratch;
use tests::payload::write_single;
use tests::torrent::Torrent;

/// Bytes of the payload: 65 pieces of 256 KiB, the last of 12,345 bytes.
const LENGTH: u64 = 16 * 1024 * 1024 + 12_345;

/// A btd and its only torrent.
pub(crate) struct Swarm {
    pub(crate) seeder: Seeder,
    pub(crate) torrent: Torrent,
    pub(crate) payload: PathBuf,
    _scratch: TempDir,
}

impl Swarm {
    /// Pieces are 256 KiB.
    pub(crate) fn start(name: &str) -> Self {
        Self::start_with(name, &["--piece-length", "256KiB"])
    }

    /// With `options` of `btd seed`.
    pub(crate) fn start_with(name: &str, options: &[&str]) -> Self {
        let scratch = scratch(name);
        let payload = write_single(scratch.path(), "payload.bin", 1, LENGTH);
        let path = scratch.path().join("made-by-btd.torrent");
        let mut all = arguments(&[&"--torrent", &path]);
        all.extend(options.iter().map(Into::into));
        let seeder = Seeder::start(&[&payload], &all);
        let torrent = Torrent::read(&path);
        assert_eq!((torrent.length, torrent.hex()), (LENGTH, seeder.torrent().info_hash.clone()));
        Self { seeder, torrent, payload, _scratch: scratch }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.seeder.address()
    }
}
