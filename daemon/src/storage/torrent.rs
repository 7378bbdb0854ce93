//! A torrent as all threads share it: what it is, where its payload lies, what of it may be served.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use protocol::bitfield::HaveBits;
use protocol::geometry::{Block, Extent};
use protocol::id::InfoHash;
use protocol::meta::{FileKind, Info};
use protocol::peer::TorrentView;

use super::file::{FileError, PayloadFile};
use super::lane::LaneId;
use super::lease::Lease;

/// A torrent that is being seeded.
#[derive(Debug)]
pub struct Torrent {
    info: Arc<Info>,
    have: Arc<HaveBits>,
    /// One for each file of the torrent; `None` for what is not on disk: padding, symlinks, files that are missing.
    files: Box<[Option<Arc<PayloadFile>>]>,
    error: OnceLock<TorrentError>,
}

/// Why a torrent is no longer served.
#[derive(Debug, thiserror::Error)]
pub enum TorrentError {
    /// Its payload is not what was hashed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The kernel could not read the payload while it was being sent.
    #[error("the payload could not be read while it was being sent: a file shrank, or the disk failed")]
    Unsendable,
    /// A block was asked for that lies in a file that is not there: our own mistake.
    #[error("file {0} of the torrent is not on disk")]
    NoFile(usize),
}

/// Whether a block could be lent at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lent {
    /// It was.
    Warm,
    /// Something of it is not known to be in memory: the lanes must fetch it.
    Cold,
}

impl Torrent {
    /// A torrent whose pieces in `have` were found in `files`, one entry for each file of `info`.
    pub fn new(info: Arc<Info>, have: HaveBits, files: Vec<Option<Arc<PayloadFile>>>) -> Self {
        assert_eq!(files.len(), info.files().len(), "one entry for each file");
        Self { info, have: Arc::new(have), files: files.into(), error: OnceLock::new() }
    }

    /// The name of the torrent among peers.
    pub fn info_hash(&self) -> InfoHash {
        self.info.info_hash()
    }

    /// What the torrent says of itself.
    pub fn info(&self) -> &Arc<Info> {
        &self.info
    }

    /// What a connection looks at.
    pub fn view(&self) -> TorrentView {
        TorrentView { info: Arc::clone(&self.info), have: Arc::clone(&self.have) }
    }

    /// Why the torrent is no longer served, if it is not.
    pub fn error(&self) -> Option<&TorrentError> {
        self.error.get()
    }

    /// Stops serving. The first reason stays.
    pub(super) fn fail(&self, error: TorrentError) {
        if self.error.set(error).is_ok()
            && let Some(error) = self.error.get()
        {
            tracing::error!("stopped serving {} ({}): {error}", self.info.name(), self.info_hash());
        }
    }

    /// Stops serving because the kernel found bytes missing that were lent, twice, and no file shows why.
    pub fn fail_sending(&self) {
        self.fail(TorrentError::Unsendable);
    }

    /// The files that are on disk.
    pub(super) fn payload_files(&self) -> impl Iterator<Item = &Arc<PayloadFile>> {
        self.files.iter().flatten()
    }

    /// The lane that reads `block`: that of the device on which it begins.
    pub fn lane_of(&self, block: Block) -> Option<LaneId> {
        let file = self.extents(block).find_map(|extent| self.files[extent.file].as_ref());
        file.map(|file| LaneId(file.stamp.device))
    }

    /// Adds `block` to `lease` if all of it is known to be in memory; otherwise leaves the lease as it was. Called on
    /// ring threads: takes no lock and makes no system call.
    pub fn lend(&self, block: Block, now_s: u32, lease: &mut Lease) -> Lent {
        for extent in self.extents(block) {
            if self.lend_extent(extent, now_s, lease) == Lent::Cold {
                lease.undo_block();
                return Lent::Cold;
            }
        }
        lease.end_block();
        Lent::Warm
    }

    fn lend_extent(&self, extent: Extent, now_s: u32, lease: &mut Lease) -> Lent {
        let Extent { file, offset, length } = extent;
        if self.is_padding(file) {
            lease.push_zeros(in_memory(length));
            return Lent::Warm;
        }
        let Some(payload) = &self.files[file] else { return Lent::Cold };
        match &*payload.opened.load() {
            Some(opened) if opened.windows().are_warm(offset..offset + length, now_s) => {
                lease.push_mapped(opened, in_memory(offset), in_memory(length));
                Lent::Warm
            }
            _ => Lent::Cold,
        }
    }

    /// The runs of files that make up `block`, which a connection has checked to lie in the torrent.
    pub(super) fn extents(&self, block: Block) -> impl Iterator<Item = Extent> + '_ {
        let range: Range<u64> = self.info.geometry().block_range(block).unwrap_or(0..0);
        self.info.layout().extents(range)
    }

    /// Whether file number `file` is zeros that are not on disk.
    pub(super) fn is_padding(&self, file: usize) -> bool {
        self.info.files()[file].kind == FileKind::Padding
    }

    /// File number `file`.
    ///
    /// # Errors
    /// When it is not on disk.
    pub(super) fn payload(&self, file: usize) -> Result<&Arc<PayloadFile>, TorrentError> {
        self.files[file].as_ref().ok_or(TorrentError::NoFile(file))
    }
}

/// A position in a mapped file as memory counts it: a file that does not fit the address space was never mapped.
pub(super) fn in_memory(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;
    use std::sync::atomic::AtomicU64;

    use super::super::create::{Options, create};
    use super::super::scan::scan;
    use super::*;

    /// A torrent of what lies in `folder`.
    pub(in super::super) fn torrent_of(folder: &Path) -> Arc<Torrent> {
        let created = create(scan(folder).unwrap(), Options::default(), &AtomicU64::new(0)).unwrap();
        Arc::new(created.into_torrent())
    }

    #[test]
    fn the_first_reason_to_stop_stays() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "payload").unwrap();
        let torrent = torrent_of(folder.path());
        assert!(torrent.error().is_none());
        torrent.fail(TorrentError::NoFile(3));
        torrent.fail_sending();
        assert!(matches!(torrent.error(), Some(TorrentError::NoFile(3))));
    }
}
