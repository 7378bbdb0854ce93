//! The files that a writer has open, and the one place that writes payload.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, IoSlice};
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use lru::LruCache;
use nix::sys::uio::pwritev;
use protocol::geometry::Extent;
use protocol::id::InfoHash;

use super::WriteError;
use super::piece::Run;
use super::sync::Written;
use crate::storage::file::{FileError, PayloadFile};
use crate::storage::torrent::{Torrent, in_memory};

/// Slices that the kernel takes in one call (UIO_MAXIOV).
const MAX_SLICES: usize = 1_024;
/// Bytes that are written in one call. With more, the page cache takes larger runs of memory: fewer of them, and such as
/// have lain unused the longest. Where memory is at hand a download takes a twelfth less CPU time than with 64 KiB, and a
/// MiB at a time gains nothing more. Where a virtual machine has given unused memory back to its host, each page costs a
/// fault of the host's: 3.1 s of kernel time for a GiB with a MiB at a time, against 1.9 with 64 KiB.
const MAX_WRITE: usize = 256 * 1024;

/// Files held open: more than a download writes to at a time, few beside what a process may have.
const MAX_OPEN: usize = 128;

type Opener = Box<dyn Fn(&PayloadFile) -> Result<File, FileError> + Send>;

/// Growing files, open to be written.
pub(super) struct Disk {
    open: LruCache<u64, File>,
    /// By the id of the file: what was written since it was last brought to the disk.
    written: HashMap<u64, Written>,
    opener: Opener,
}

impl Disk {
    pub(super) fn new() -> Self {
        Self::with_opener(Box::new(PayloadFile::open_to_write))
    }

    /// Opens files another way: a test has them at /dev/full.
    pub(super) fn with_opener(opener: Opener) -> Self {
        let open = LruCache::new(NonZeroUsize::new(MAX_OPEN).unwrap_or(NonZeroUsize::MIN));
        Self { open, written: HashMap::new(), opener }
    }

    /// Writes a run of `piece` to the files that it lies in; padding is not written. Returns how many bytes were.
    pub(super) fn write(
        &mut self,
        torrent: &Arc<Torrent>,
        piece: u32,
        run: Run<'_>,
    ) -> Result<u64, WriteError> {
        let mut rest = run.slices.as_slice();
        let mut used = 0;
        let mut written = 0;
        let length = rest.iter().map(|slice| slice.len() as u64).sum();
        for extent in extents(torrent, piece, run.begin, length) {
            let mut slices = take(&mut rest, &mut used, in_memory(extent.length));
            if torrent.is_padding(extent.file) {
                continue;
            }
            let payload = payload(torrent, extent.file)?;
            let file = self.file(payload)?;
            let result = write_all_at(file, &mut slices, extent.offset);
            if let Err(source) = result {
                // Opened anew for the next try: whatever is wrong may be with this descriptor.
                self.open.pop(&payload.id);
                return Err(WriteError::Write { path: payload.path().into(), source });
            }
            self.written.entry(payload.id).or_insert_with(|| (Arc::clone(torrent), Arc::clone(payload)));
            written += extent.length;
        }
        Ok(written)
    }

    /// Fills `buffer` with what was written early of `piece` from its byte `begin`.
    pub(super) fn read(
        &mut self,
        torrent: &Torrent,
        piece: u32,
        begin: u32,
        mut buffer: &mut [u8],
    ) -> Result<(), WriteError> {
        for extent in extents(torrent, piece, begin, buffer.len() as u64) {
            let (part, rest) = buffer.split_at_mut(in_memory(extent.length));
            if torrent.is_padding(extent.file) {
                part.fill(0);
            } else {
                let payload = payload(torrent, extent.file)?;
                let result = self.file(payload)?.read_exact_at(part, extent.offset);
                result.map_err(|source| WriteError::ReadBack { path: payload.path().into(), source })?;
            }
            buffer = rest;
        }
        Ok(())
    }

    /// The files that were written since this was last asked.
    pub(super) fn take_written(&mut self) -> Vec<Written> {
        self.written.drain().map(|(_, written)| written).collect()
    }

    /// Undoes [`Disk::take_written`].
    pub(super) fn put_back(&mut self, files: Vec<Written>) {
        self.written.extend(files.into_iter().map(|written| (written.1.id, written)));
    }

    /// Has nothing of a torrent brought to the disk.
    pub(super) fn forget_written(&mut self, info_hash: InfoHash) {
        self.written.retain(|_, (torrent, _)| torrent.info_hash() != info_hash);
    }

    /// Closes the files of `torrent`.
    pub(super) fn close(&mut self, torrent: &Torrent) {
        for file in torrent.payload_files() {
            self.open.pop(&file.id);
        }
    }

    fn file(&mut self, payload: &PayloadFile) -> Result<&File, WriteError> {
        let Self { open, opener, .. } = self;
        if !open.contains(&payload.id) {
            let file = match opener(payload) {
                // What the process has run out of may be what is held here.
                Err(error) if error.is_exhaustion() => {
                    open.clear();
                    opener(payload)
                }
                result => result,
            };
            open.put(payload.id, file?);
        }
        Ok(open.try_get_or_insert(payload.id, || opener(payload))?)
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { open, written, .. } = self;
        f.debug_struct("Disk").field("open", &open.len()).field("written", &written.len()).finish()
    }
}

/// The runs of files that `length` bytes of `piece` from its byte `begin` lie in.
fn extents(torrent: &Torrent, piece: u32, begin: u32, length: u64) -> impl Iterator<Item = Extent> + '_ {
    let info = torrent.info();
    let start = info.geometry().piece_range(piece).start + u64::from(begin);
    info.layout().extents(start..start + length)
}

fn payload(torrent: &Torrent, file: usize) -> Result<&Arc<PayloadFile>, WriteError> {
    torrent.payload(file).map_err(|_| WriteError::NoFile(file))
}

/// Takes `length` bytes off `rest`, of whose first slice `used` bytes were taken before.
fn take<'a>(rest: &mut &[&'a [u8]], used: &mut usize, mut length: usize) -> Vec<IoSlice<'a>> {
    let mut taken = Vec::new();
    while length > 0
        && let Some((first, others)) = rest.split_first()
    {
        let part = length.min(first.len() - *used);
        taken.push(IoSlice::new(&first[*used..*used + part]));
        length -= part;
        *used += part;
        if *used == first.len() {
            (*rest, *used) = (others, 0);
        }
    }
    taken
}

/// Writes all of `slices` from `offset` on, in as few calls as the kernel allows.
fn write_all_at(file: &File, mut slices: &mut [IoSlice<'_>], mut offset: u64) -> io::Result<()> {
    // Slices without bytes would look like a write that got nowhere.
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match write_at(file, slices, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                IoSlice::advance_slices(&mut slices, written);
                offset += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// One call of the kernel; it may write less than it was given.
fn write_at(file: &File, slices: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
    let mut length = 0;
    let fits = |slice: &&IoSlice<'_>| {
        length += slice.len();
        length <= MAX_WRITE
    };
    // At least one, however long it is.
    let count = slices.iter().take(MAX_SLICES).take_while(fits).count().max(1).min(slices.len());
    Ok(pwritev(file, &slices[..count], i64::try_from(offset).map_err(io::Error::other)?)?)
}
