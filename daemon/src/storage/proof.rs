//! Proof of pieces that are served unverified (`--skip-check`): each is hashed before the first byte of it is lent.
//!
//! Asked by ring threads, who only look at a bit; done by the lanes.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use protocol::bitfield::HaveBits;
use sha1::{Digest, Sha1};

use super::torrent::{Torrent, TorrentError, in_memory};

/// Pieces of a torrent that may be proven at a time: as many as its lane has threads.
const MAX_AT_A_TIME: usize = 4;
/// Bytes that are read, and hashed, at a time.
const CHUNK_LENGTH: usize = 256 * 1024;

/// Which pieces have been hashed since the torrent began.
#[derive(Debug)]
pub(super) struct Proof {
    proven: HaveBits,
    /// Held while a piece is hashed, so that no two threads do the same. A piece has the lock of its number.
    under_way: [Mutex<()>; MAX_AT_A_TIME],
}

impl Proof {
    /// With pieces that were `proven` before.
    pub(super) fn new(proven: HaveBits) -> Self {
        Self { proven, under_way: Default::default() }
    }

    /// The pieces that were hashed.
    pub(super) fn proven(&self) -> &HaveBits {
        &self.proven
    }

    /// Hashes `piece` of `torrent`, unless that was done; how many bytes were hashed.
    ///
    /// # Errors
    /// When it cannot be read, or is not what it should be.
    pub(super) fn prove(&self, torrent: &Torrent, piece: u32) -> Result<u64, TorrentError> {
        if self.proven.get(piece) {
            return Ok(0);
        }
        let lock = &self.under_way[piece as usize % MAX_AT_A_TIME];
        let _guard = lock.lock().unwrap_or_else(PoisonError::into_inner);
        if self.proven.get(piece) {
            return Ok(0);
        }
        if hash(torrent, piece)? != *torrent.info().piece_hash(piece) {
            let path = torrent.files_of(piece).find_map(|file| torrent.path_of(file));
            return Err(TorrentError::Disproven {
                piece,
                path: path.unwrap_or(Path::new(torrent.info().name())).into(),
            });
        }
        self.proven.set(piece);
        Ok(torrent.info().geometry().length_of(piece).into())
    }
}

/// Hashes `piece` from disk: read, not mapped, so that a file that shrinks is an error and no signal.
fn hash(torrent: &Torrent, piece: u32) -> Result<[u8; 20], TorrentError> {
    let mut sha = Sha1::new();
    let mut buffer = vec![0; CHUNK_LENGTH];
    for extent in torrent.info().layout().extents(torrent.info().geometry().piece_range(piece)) {
        let (mut offset, mut left) = (extent.offset, in_memory(extent.length));
        let payload = (!torrent.is_padding(extent.file)).then(|| torrent.payload(extent.file)).transpose()?;
        let file = payload.map(|payload| payload.open()).transpose()?;
        while left > 0 {
            let part = &mut buffer[..left.min(CHUNK_LENGTH)];
            match (payload, &file) {
                (Some(payload), Some(file)) => {
                    let read = file.read_exact_at(part, offset);
                    // What became of the file says more than the end that was met.
                    payload.check_unchanged(file)?;
                    read.map_err(|source| payload.unreadable(source))?;
                }
                _ => part.fill(0),
            }
            sha.update(&*part);
            offset += part.len() as u64;
            left -= part.len();
        }
    }
    Ok(sha.finalize().into())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Instant;

    use protocol::geometry::Block;

    use super::super::lane::{LaneError, Lanes};
    use super::super::load::seed;
    use super::super::load::tests::{flip_unseen, payload};
    use super::super::state::Saved;
    use super::super::{Lease, Lent, guard, window};
    use super::*;

    const BLOCK: u32 = 16 * 1024;

    fn unproven(dir: &Path, info: &Arc<protocol::meta::Info>) -> (Arc<Torrent>, Lanes) {
        let loaded = seed(Arc::clone(info), dir, &Saved::default(), None).require_complete().unwrap();
        let torrent = Arc::new(loaded.into_unproven_torrent());
        let lanes = Lanes::start(std::slice::from_ref(&torrent), 8).unwrap();
        (torrent, lanes)
    }

    fn block(piece: u32) -> Block {
        Block { piece, begin: 0, length: BLOCK }
    }

    fn fetch(lanes: &Lanes, torrent: &Arc<Torrent>, piece: u32) -> Result<Lease, LaneError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(lanes.fetch(torrent, &[block(piece)], false))
    }

    fn lend(torrent: &Torrent, piece: u32) -> (Lent, usize) {
        let mut lease = Lease::default();
        let lent = torrent.lend(block(piece), window::seconds(Instant::now()), &mut lease);
        (lent, lease.slice_count())
    }

    #[test]
    fn an_honest_payload_is_offered_whole_and_proven_as_it_is_asked_for() {
        let (dir, info) = payload();
        let (torrent, lanes) = unproven(dir.path(), &info);
        assert!(torrent.view().have.is_complete() && torrent.proven().have_count() == 0);
        std::thread::scope(|scope| {
            for piece in [0, 1, 1, 1, 0] {
                let (lanes, torrent) = (&lanes, &torrent);
                scope.spawn(move || assert_eq!(fetch(lanes, torrent, piece).unwrap().block_count(), 1));
            }
        });
        assert!(torrent.proven().get(0) && torrent.proven().get(1) && torrent.proven().have_count() == 2);
        assert_eq!(lend(&torrent, 1), (Lent::Warm, 1));
        let whole = std::fs::read(dir.path().join("t/a")).unwrap();
        let opened = torrent.payload(0).unwrap().opened.load_full().unwrap();
        assert!(guard::with_bytes(opened.mapping(), 0..whole.len(), |bytes| bytes == whole).unwrap());
        // It lies in all three files.
        fetch(&lanes, &torrent, 5).unwrap();
        (2..5).for_each(|piece| drop(fetch(&lanes, &torrent, piece).unwrap()));
        assert!(torrent.proven().is_complete() && torrent.error().is_none());
        assert_eq!(lanes.meter().hashed_bytes(), info.geometry().length(), "each piece once");
        assert_eq!((lanes.totals().jobs, lanes.totals().open_files), (9, 2));
    }

    #[test]
    fn what_is_not_proven_is_not_lent_although_it_is_in_memory() {
        let (dir, info) = payload();
        let (torrent, lanes) = unproven(dir.path(), &info);
        fetch(&lanes, &torrent, 0).unwrap();
        assert_eq!(lend(&torrent, 0), (Lent::Warm, 1));
        assert_eq!(lend(&torrent, 1), (Lent::Cold, 0), "in the window that was read for piece 0");
    }

    #[test]
    fn a_flipped_byte_is_never_lent() {
        let (dir, info) = payload();
        flip_unseen(&dir.path().join("t/a"), 20_000);
        let (torrent, lanes) = unproven(dir.path(), &info);
        fetch(&lanes, &torrent, 0).unwrap();
        assert!(fetch(&lanes, &torrent, 1).is_err());
        assert_eq!(lend(&torrent, 1), (Lent::Cold, 0));
        assert!(!torrent.proven().get(1));
        let error = torrent.error().unwrap();
        assert!(matches!(error, TorrentError::Disproven { piece: 1, .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("t/a: piece 1 ") && text.contains("btctl verify"), "{text}");
    }

    #[test]
    fn a_piece_is_hashed_once() {
        let (dir, info) = payload();
        let (torrent, lanes) = unproven(dir.path(), &info);
        fetch(&lanes, &torrent, 1).unwrap();
        // Would be found out, were it hashed again: nothing else tells.
        flip_unseen(&dir.path().join("t/a"), 20_000);
        assert_eq!(torrent.prove(1).unwrap(), 0);
        assert!(torrent.prove(2).unwrap() > 0);
    }

    #[test]
    fn a_file_that_changed_since_it_was_looked_at_proves_nothing() {
        let (dir, info) = payload();
        let (torrent, _lanes) = unproven(dir.path(), &info);
        std::fs::File::options().write(true).open(dir.path().join("t/a")).unwrap().set_len(39_999).unwrap();
        assert!(matches!(torrent.prove(0), Err(TorrentError::File(_))));
    }
}
