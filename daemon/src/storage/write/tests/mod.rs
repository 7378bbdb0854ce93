//! A torrent whose bytes differ everywhere, a folder for it, and a writer that is fed by hand.

mod serving;
mod troubles;
mod writing;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, unbounded};
use protocol::bitfield::HaveBits;
use protocol::geometry::Block;
use protocol::id::InfoHash;
use protocol::meta::{FileKind, Info};
use protocol::swarm::PeerKey;
use sha1::{Digest, Sha1};
use tempfile::TempDir;

use super::disk::Disk;
use super::place::{Placing, place};
use super::{BlockData, Deposit, Report, WRITE_CREDITS_KIB, Writer};
use crate::storage::torrent::{Torrent, in_memory};

pub(super) const PIECE: u32 = 64 * 1024;
pub(super) const BLOCK: u32 = 16 * 1024;
/// Who sends what is right.
pub(super) const HONEST: PeerKey = PeerKey(1);

/// Bytes of which no two blocks are the same.
pub(super) fn noise(length: usize) -> Vec<u8> {
    (0..length as u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40).to_le_bytes()[0]).collect()
}

/// A torrent of `files`, each a path and a length; one named `pad` is padding. And its payload.
pub(super) fn info_of(files: &[(&str, u64)], piece_length: u32) -> (Arc<Info>, Vec<u8>) {
    let mut payload = Vec::new();
    let mut list = String::new();
    for (path, length) in files {
        let bytes = noise(payload.len() + in_memory(*length)).split_off(payload.len());
        payload.extend(if *path == "pad" { vec![0; bytes.len()] } else { bytes });
        let attr = if *path == "pad" { "4:attr1:p" } else { "" };
        let path: String = path.split('/').map(|part| format!("{}:{part}", part.len())).collect();
        list += &format!("d{attr}6:lengthi{length}e4:pathl{path}ee");
    }
    let hashes: Vec<u8> = payload.chunks(piece_length as usize).flat_map(Sha1::digest).collect();
    let head = format!("d5:filesl{list}e4:name1:t12:piece lengthi{piece_length}e6:pieces{}:", hashes.len());
    let raw = [head.as_bytes(), &hashes, b"e"].concat();
    (Arc::new(Info::parse(raw.into()).unwrap()), payload)
}

/// A torrent on its way into a folder.
pub(super) struct Bench {
    pub(super) folder: TempDir,
    pub(super) torrent: Arc<Torrent>,
    pub(super) payload: Vec<u8>,
    pub(super) writer: Writer,
    pub(super) reports: Receiver<(InfoHash, Report)>,
}

impl Bench {
    pub(super) fn new(files: &[(&str, u64)]) -> Self {
        Self::with(files, &Placing::default(), WRITE_CREDITS_KIB, Disk::new())
    }

    pub(super) fn with(files: &[(&str, u64)], placing: &Placing, credits_kib: u32, disk: Disk) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (info, payload) = info_of(files, PIECE);
        let files = place(&info, folder.path(), &vec![true; files.len()], placing).unwrap();
        let have = HaveBits::new(info.geometry().piece_count());
        let torrent = Arc::new(Torrent::new(info, have, files));
        let (sender, reports) = unbounded();
        let report = move |info_hash, report| sender.send((info_hash, report)).unwrap_or_default();
        let writer = Writer::start_with(credits_kib, Arc::new(report), disk).unwrap();
        Self { folder, torrent, payload, writer, reports }
    }

    /// The blocks of `piece`, in order.
    pub(super) fn blocks(&self, piece: u32) -> Vec<Block> {
        let range = self.torrent.info().geometry().piece_range(piece);
        let end = u32::try_from(range.end - range.start).unwrap();
        let begins = (0..end).step_by(BLOCK as usize);
        begins.map(|begin| Block { piece, begin, length: BLOCK.min(end - begin) }).collect()
    }

    /// The bytes that `block` should have.
    pub(super) fn bytes(&self, block: Block) -> &[u8] {
        let range = self.torrent.info().geometry().block_range(block).unwrap();
        &self.payload[in_memory(range.start)..in_memory(range.end)]
    }

    /// Deposits any bytes, waiting for credits as a worker does.
    pub(super) fn deposit(&self, block: Block, source: PeerKey, data: impl Into<BlockData>) {
        let credits = wait(self.writer.credits().acquire(block.length)).unwrap();
        let torrent = Arc::clone(&self.torrent);
        self.writer.deposit(Deposit { torrent, block, source, data: data.into(), credits }).unwrap();
    }

    pub(super) fn deposit_right(&self, block: Block) {
        self.deposit(block, HONEST, self.bytes(block).to_vec());
    }

    pub(super) fn deposit_piece(&self, piece: u32) {
        self.blocks(piece).into_iter().for_each(|block| self.deposit_right(block));
    }

    /// The next report.
    pub(super) fn report(&self) -> Report {
        let (info_hash, report) = self.reports.recv_timeout(Duration::from_secs(30)).unwrap();
        assert_eq!(info_hash, self.torrent.info_hash());
        report
    }

    /// The piece that the next report calls verified.
    pub(super) fn verified(&self) -> u32 {
        match self.report() {
            Report::Verified { piece, digests: None } => piece,
            other => panic!("{other:?}"),
        }
    }

    /// Deposits `pieces` and sets their have bits as the coordinator does.
    pub(super) fn download(&self, pieces: impl IntoIterator<Item = u32>) {
        for piece in pieces {
            self.deposit_piece(piece);
            assert_eq!(self.verified(), piece);
            self.torrent.view().have.set(piece);
        }
    }

    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join("t").join(file)
    }

    /// Compares every file with the payload.
    pub(super) fn assert_on_disk(&self) {
        for (file, entry) in self.torrent.info().files().iter().enumerate() {
            let range = self.torrent.info().layout().file_range(file);
            let expected = &self.payload[in_memory(range.start)..in_memory(range.end)];
            let path = self.folder.path().join(entry.path.to_string());
            match entry.kind {
                FileKind::Regular => assert!(read(&path) == expected, "{}", path.display()),
                _ => assert!(!path.exists()),
            }
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.writer.stop();
    }
}

pub(super) fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

pub(super) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}
