//! What a lane does for a batch of blocks: files are opened and mapped, what is not in memory is read, all of it at a
//! time, and the blocks are lent. Waits for disks.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use protocol::geometry::{Block, Extent};

use super::buffer::Buffers;
use super::lease::Lease;
use super::open::{OpenFile, OpenFiles};
use super::run::{Run, runs};
use super::task::Meter;
use super::torrent::{Torrent, TorrentError, in_memory};
use super::window;

/// What fetching needs.
#[derive(Debug)]
pub(super) struct Fetching<'a> {
    /// Where mapped files are had.
    pub(super) files: &'a OpenFiles,
    /// Memory for what is not mapped.
    pub(super) buffers: &'a Buffers,
    /// Counts the bytes that are hashed first.
    pub(super) meter: &'a Meter,
    /// Whose blocks are fetched.
    pub(super) torrent: &'a Arc<Torrent>,
}

/// The files of a batch by number, each mapped or to be read.
type Opened = BTreeMap<usize, Option<Arc<OpenFile>>>;

impl Fetching<'_> {
    /// Lends `blocks`, in their order; `goes_on` says that the first begins where whoever asks had stopped before.
    pub(super) fn run(&self, blocks: &[Block], goes_on: bool, lease: &mut Lease) -> Result<(), TorrentError> {
        for block in blocks {
            self.meter.add(self.torrent.prove(block.piece)?);
        }
        let runs = runs(self.torrent, blocks, goes_on);
        let opened = self.open(&runs)?;
        self.warm(&runs, &opened)?;
        for block in blocks {
            if !self.lend_mapped(*block, &opened, lease)? {
                lease.undo_block();
                self.read(*block, lease)?;
            }
            lease.end_block();
        }
        Ok(())
    }

    fn open(&self, runs: &[Run]) -> Result<Opened, TorrentError> {
        let mut opened = Opened::new();
        for run in runs {
            if let Entry::Vacant(vacant) = opened.entry(run.file) {
                vacant.insert(self.files.open(self.torrent, self.torrent.payload(run.file)?)?);
            }
        }
        Ok(opened)
    }

    /// Reads what is not known to be in memory of `runs`: the disk is asked for all of it before any of it is waited for.
    /// Then looks whether the files are still what was hashed: after they were read, and before anybody hears that they
    /// were, so that nothing is lent of a file that changed.
    fn warm(&self, runs: &[Run], opened: &Opened) -> Result<(), TorrentError> {
        let now_s = window::seconds(Instant::now());
        let mut cold: Vec<(usize, &OpenFile, Range<u64>)> = Vec::new();
        for run in runs {
            let Some(Some(file)) = opened.get(&run.file) else { continue };
            let range = run.to_read(self.torrent.payload(run.file)?.length());
            if !file.windows().are_warm(range.clone(), now_s) {
                cold.push((run.file, file, range));
            }
        }
        let memory = |range: &Range<u64>| in_memory(range.start)..in_memory(range.end);
        let read = || -> Result<(), (usize, io::Error)> {
            for (number, file, range) in &cold {
                file.mapping().prefetch(memory(range)).map_err(|error| (*number, error))?;
            }
            for (number, file, range) in &cold {
                file.mapping().populate(memory(range)).map_err(|error| (*number, error))?;
            }
            Ok(())
        };
        let result = read();
        for (number, file) in opened {
            if let Some(file) = file {
                self.torrent.payload(*number)?.check_unchanged(file.file())?;
                file.set_seen(now_s);
            }
        }
        if let Err((number, source)) = result {
            return Err(self.torrent.payload(number)?.unreadable(source).into());
        }
        for (_, file, range) in cold {
            file.windows().set_warm(range, now_s);
        }
        Ok(())
    }

    /// Lends `block` from mappings; false when some of it is to be read instead.
    fn lend_mapped(&self, block: Block, opened: &Opened, lease: &mut Lease) -> Result<bool, TorrentError> {
        for Extent { file, offset, length } in self.torrent.extents(block) {
            if self.torrent.is_padding(file) {
                lease.push_zeros(in_memory(length));
                continue;
            }
            match opened.get(&file) {
                Some(Some(mapped)) => lease.push_mapped(mapped, in_memory(offset), in_memory(length)),
                Some(None) => return Ok(false),
                None => return Err(TorrentError::NoFile(file)),
            }
        }
        Ok(true)
    }

    /// Reads all of `block` into one buffer.
    fn read(&self, block: Block, lease: &mut Lease) -> Result<(), TorrentError> {
        let mut buffer = self.buffers.take(block.length as usize);
        let mut rest = buffer.bytes_mut();
        for extent in self.torrent.extents(block) {
            let (part, after) = rest.split_at_mut(in_memory(extent.length));
            if self.torrent.is_padding(extent.file) {
                part.fill(0);
            } else {
                self.torrent.payload(extent.file)?.read(part, extent.offset)?;
            }
            rest = after;
        }
        lease.push_buffer(buffer);
        Ok(())
    }
}
