//! A torrent as all threads share it: what it is, where its payload lies, what of it may be served.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use protocol::bitfield::HaveBits;
use protocol::geometry::{Block, Extent};
use protocol::id::InfoHash;
use protocol::meta::{FileKind, Info};
use protocol::peer::TorrentView;
use protocol::piece_set::PieceSet;

use super::file::{FileError, PayloadFile};
use super::lane::LaneId;
use super::lease::Lease;
use super::proof::Proof;
use super::write::WriteError;

/// A torrent whose payload is on disk, or is being downloaded to it.
#[derive(Debug)]
pub struct Torrent {
    info: Arc<Info>,
    have: Arc<HaveBits>,
    /// One for each file of the torrent; `None` for what is not on disk: padding, symlinks, files that are missing.
    files: Box<[Option<Arc<PayloadFile>>]>,
    /// Which pieces were hashed, where some are claimed that were not.
    proof: Option<Proof>,
    error: OnceLock<TorrentError>,
    /// Payload bytes that peers got.
    uploaded: AtomicU64,
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
    /// What was downloaded cannot be stored.
    #[error(transparent)]
    Unwritable(Arc<WriteError>),
    /// It was taken away.
    #[error("the torrent was taken away")]
    Withdrawn,
    /// A piece that was taken to be there is not.
    #[error(
        "{}: piece {piece} does not match its hash: the torrent was added with --skip-check; run btctl verify",
        .path.display()
    )]
    Disproven {
        /// Which piece.
        piece: u32,
        /// The first file that it lies in.
        path: PathBuf,
    },
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
    /// A torrent whose pieces in `have` were found in `files`, one entry for each file of `info`. Files that are still
    /// being downloaded are [growing](PayloadFile::growing).
    pub fn new(info: Arc<Info>, have: HaveBits, files: Vec<Option<Arc<PayloadFile>>>) -> Self {
        assert_eq!(files.len(), info.files().len(), "one entry for each file");
        Self {
            info,
            have: Arc::new(have),
            files: files.into(),
            proof: None,
            error: OnceLock::new(),
            uploaded: AtomicU64::new(0),
        }
    }

    /// As [`Torrent::new`], and has the pieces `claimed` as well, of which only the sizes of files are known to be
    /// right: each is hashed before the first byte of it is lent.
    pub fn unproven(
        info: Arc<Info>,
        proven: HaveBits,
        claimed: &PieceSet,
        files: Vec<Option<Arc<PayloadFile>>>,
    ) -> Self {
        let have = HaveBits::new(info.geometry().piece_count());
        (0..have.piece_count()).filter(|piece| proven.get(*piece) || claimed.contains(*piece)).for_each(
            |piece| {
                have.set(piece);
            },
        );
        Self { proof: Some(Proof::new(proven)), ..Self::new(info, have, files) }
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

    /// The pieces that were hashed and match: all that it has, unless it is [unproven](Torrent::unproven).
    pub fn proven(&self) -> &HaveBits {
        self.proof.as_ref().map_or(&self.have, Proof::proven)
    }

    /// Has `piece` hashed, if it never was; how many bytes were. Reads from disk: not for ring threads.
    pub(super) fn prove(&self, piece: u32) -> Result<u64, TorrentError> {
        self.proof.as_ref().map_or(Ok(0), |proof| proof.prove(self, piece))
    }

    /// Counts payload that a peer got.
    pub fn add_uploaded(&self, bytes: u64) {
        self.uploaded.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Payload bytes that peers got so far.
    pub fn uploaded(&self) -> u64 {
        self.uploaded.load(Ordering::Relaxed)
    }

    /// Bytes of those pieces that `is_counted` names and that are not verified.
    pub fn missing_bytes(&self, is_counted: impl Fn(u32) -> bool) -> u64 {
        let geometry = self.info.geometry();
        if self.have.is_complete() {
            return 0;
        }
        let missing =
            (0..geometry.piece_count()).filter(|piece| !self.have.get(*piece) && is_counted(*piece));
        missing.map(|piece| u64::from(geometry.length_of(piece))).sum()
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

    /// Stops serving because the torrent goes: whoever still has it sends, fetches and writes nothing more of it.
    pub fn withdraw(&self) {
        let _ = self.error.set(TorrentError::Withdrawn);
    }

    /// The files that are on disk.
    pub(super) fn payload_files(&self) -> impl Iterator<Item = &Arc<PayloadFile>> {
        self.files.iter().flatten()
    }

    /// The files on disk that `piece` has bytes in, by number.
    pub fn files_of(&self, piece: u32) -> impl Iterator<Item = usize> + '_ {
        let extents = self.info.layout().extents(self.info.geometry().piece_range(piece));
        extents.map(|extent| extent.file).filter(|file| self.files[*file].is_some())
    }

    /// Where file number `file` is now, if it is on disk.
    pub fn path_of(&self, file: usize) -> Option<&Path> {
        self.files.get(file)?.as_deref().map(PayloadFile::path)
    }

    /// Whether `piece` was verified and may be served.
    pub(super) fn has(&self, piece: u32) -> bool {
        self.have.get(piece)
    }

    /// The growing files that have bytes in `pieces`, and of which all pieces were verified.
    pub(super) fn completed_files(&self, pieces: Range<u32>) -> impl Iterator<Item = &Arc<PayloadFile>> {
        let (geometry, layout) = (self.info.geometry(), self.info.layout());
        layout.extents(geometry.bytes_of(pieces)).filter_map(move |extent| {
            let file = self.files[extent.file].as_ref().filter(|file| !file.is_settled())?;
            // From the end, where one that is fetched in order has its gap.
            let mut pieces = geometry.pieces_of(layout.file_range(extent.file)).rev();
            pieces.all(|piece| self.have.get(piece)).then_some(file)
        })
    }

    /// The lane that reads `block`: that of the device on which it begins.
    pub fn lane_of(&self, block: Block) -> Option<LaneId> {
        let file = self.extents(block).find_map(|extent| self.files[extent.file].as_ref());
        file.map(|file| LaneId(file.device()))
    }

    /// Adds `block` to `lease` if all of it is known to be in memory, and right; otherwise leaves the lease as it was. Called on
    /// ring threads: takes no lock and makes no system call.
    pub fn lend(&self, block: Block, now_s: u32, lease: &mut Lease) -> Lent {
        let is_proven = self.proof.as_ref().is_none_or(|proof| proof.proven().get(block.piece));
        for extent in self.extents(block) {
            let is_lent = is_proven || self.is_padding(extent.file);
            if !is_lent || self.lend_extent(extent, now_s, lease) == Lent::Cold {
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
            Some(opened) if opened.may_be_sent(offset..offset + length, now_s) => {
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

    use super::super::create::{Options, create};
    use super::super::scan::scan;
    use super::*;

    /// A torrent of what lies in `folder`.
    pub(in super::super) fn torrent_of(folder: &Path) -> Arc<Torrent> {
        torrent_with(folder, Options::default())
    }

    /// As [`torrent_of`], cut into pieces of `piece_length` bytes.
    pub(in super::super) fn torrent_of_pieces(folder: &Path, piece_length: u32) -> Arc<Torrent> {
        torrent_with(folder, Options { piece_length: Some(piece_length), ..Options::default() })
    }

    fn torrent_with(folder: &Path, options: Options) -> Arc<Torrent> {
        let created = create(scan(folder).unwrap(), options, &super::super::Task::default()).unwrap();
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
