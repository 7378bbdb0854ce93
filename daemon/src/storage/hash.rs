//! Hashes the pieces of a payload in parallel, from mapped files.
//!
//! The payload is cut into spans of whole pieces. A rayon thread takes a span, maps what it covers of each file, one
//! mapping at a time, and hashes it: pieces that lie in the file several at a time, what is left of others in order.
//! So memory, mappings and open files are bounded by the threads.

mod piece_hasher;
mod whole;

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use protocol::geometry::{Extent, FileLayout, Geometry};
use protocol::meta::Info;
use protocol::piece_set::PieceSet;
use rayon::prelude::*;

use super::file::{self, FileError, Stamp, compare, may_be_mapped};
use super::guard;
use super::mapping::Mapping;
use super::sha1::lanes;
use super::task::Task;
use super::torrent::in_memory;
use piece_hasher::PieceHasher;
use whole::WholePieces;

/// Bytes that one task hashes, unless pieces are long: enough to read in order, few enough to keep all threads busy at the
/// end.
const SPAN_LENGTH: u64 = 32 * 1024 * 1024;
/// Bytes that are entered into the page table, and hashed, at a time.
const CHUNK_LENGTH: usize = 1024 * 1024;

/// Has all hashing of this process give way to what it serves. To be called once, before anything is hashed.
///
/// # Errors
/// When its threads cannot be started.
pub fn give_way() -> Result<(), rayon::ThreadPoolBuildError> {
    let give_way = |_| {
        if let Err(error) = service::priority::give_way() {
            tracing::warn!("hashing does not give way: {error}");
        }
    };
    rayon::ThreadPoolBuilder::new()
        .thread_name(|number| format!("btd-hash-{number}"))
        .start_handler(give_way)
        .build_global()
}

/// SHA-1 of a piece.
pub type PieceHash = [u8; 20];

/// Where the bytes of a file of the torrent are.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// On disk, as it was when it was looked at.
    File(&'a Path, Stamp),
    /// Nowhere: padding is zeros.
    Zeros,
    /// Nowhere: the file is missing.
    Missing,
}

/// What hashing found.
#[derive(Debug)]
pub struct Hashes {
    /// The hash of each piece; `None` where bytes were missing or could not be read, or nobody asked for it.
    pub pieces: Vec<Option<PieceHash>>,
    /// What went wrong with files that should have been there.
    pub errors: Vec<(usize, FileError)>,
}

/// A payload to be hashed.
#[derive(Debug, Clone, Copy)]
pub struct Hashing<'a> {
    /// Its pieces.
    pub geometry: &'a Geometry,
    /// Its files.
    pub layout: &'a FileLayout,
    /// Where they are, one for each file of `layout`.
    pub sources: &'a [Source<'a>],
    /// Counts bytes as they are done, and may end it.
    pub task: &'a Task,
}

impl Hashes {
    /// The pieces that are as `info` says.
    pub fn matching<'a>(&'a self, info: &'a Info) -> impl Iterator<Item = u32> + 'a {
        let hashes = (0..).zip(&self.pieces);
        hashes.filter_map(|(piece, hash)| (hash.as_ref() == Some(info.piece_hash(piece))).then_some(piece))
    }
}

impl Hashing<'_> {
    /// Hashes every piece whose bytes are there, whatever else is wrong. A task that is cancelled leaves out the rest.
    pub fn what_is_there(&self) -> Hashes {
        let mut pieces = self.no_hashes();
        let errors = self.spans(&mut pieces).flat_map_iter(|mut span| span.run(self.layout)).collect();
        Hashes { pieces, errors }
    }

    /// As [`Hashing::what_is_there`], of the pieces `asked` alone. Only their bytes are read, and counted.
    pub fn what_is_there_of(&self, asked: &PieceSet) -> Hashes {
        let mut pieces = self.no_hashes();
        let spans = self.spans(&mut pieces);
        let errors = spans.flat_map_iter(|mut span| span.run_pieces(self.layout, asked)).collect();
        Hashes { pieces, errors }
    }

    /// Hashes every piece. Stops soon after something goes wrong, or when the task is cancelled: then some are `None`.
    ///
    /// # Errors
    /// One of the things that went wrong.
    pub fn all(&self) -> Result<Vec<Option<PieceHash>>, FileError> {
        let mut pieces = self.no_hashes();
        self.spans(&mut pieces).try_for_each(|mut span| match span.run(self.layout).pop() {
            Some((_, error)) => Err(error),
            None => Ok(()),
        })?;
        Ok(pieces)
    }

    fn no_hashes(&self) -> Vec<Option<PieceHash>> {
        vec![None; self.geometry.piece_count() as usize]
    }

    /// Pieces that a thread hashes at a time: as many as there are lanes, where that leaves no thread without.
    fn pieces_at_a_time(&self) -> usize {
        (self.geometry.piece_count() as usize / rayon::current_num_threads()).clamp(1, lanes())
    }

    fn spans<'a>(
        &'a self,
        pieces: &'a mut [Option<PieceHash>],
    ) -> impl ParallelIterator<Item = SpanTask<'a>> {
        let length =
            in_memory(SPAN_LENGTH / u64::from(self.geometry.piece_length())).max(self.pieces_at_a_time());
        let firsts = (0..self.geometry.piece_count()).into_par_iter().step_by(length);
        pieces.par_chunks_mut(length).zip(firsts).map(|(pieces, first)| SpanTask {
            hasher: PieceHasher::new(self.geometry, first, pieces),
            sources: self.sources,
            task: self.task,
        })
    }
}

/// One span on its way.
struct SpanTask<'a> {
    hasher: PieceHasher<'a>,
    sources: &'a [Source<'a>],
    task: &'a Task,
}

impl SpanTask<'_> {
    fn run(&mut self, layout: &FileLayout) -> Vec<(usize, FileError)> {
        self.run_range(layout, self.hasher.range())
    }

    /// Goes from run to run of the pieces `asked`.
    fn run_pieces(&mut self, layout: &FileLayout, asked: &PieceSet) -> Vec<(usize, FileError)> {
        let geometry = self.hasher.geometry;
        let mut rest = geometry.pieces_of(self.hasher.range());
        let mut errors = Vec::new();
        while let Some(first) = rest.find(|piece| asked.contains(*piece)) {
            let end = rest.find(|piece| !asked.contains(*piece)).unwrap_or(rest.end);
            let range = geometry.bytes_of(first..end);
            self.hasher.skip(range.start - self.hasher.position);
            errors.extend(self.run_range(layout, range));
        }
        errors
    }

    fn run_range(&mut self, layout: &FileLayout, range: Range<u64>) -> Vec<(usize, FileError)> {
        let mut errors = Vec::new();
        for extent in layout.extents(range) {
            if self.task.is_cancelled() {
                break;
            }
            let end = self.hasher.position + extent.length;
            match self.sources[extent.file] {
                Source::File(path, stamp) => {
                    if let Err(error) = self.read(path, &stamp, extent) {
                        errors.push((extent.file, error));
                    }
                }
                Source::Zeros => self.zeros(extent.length),
                Source::Missing => {}
            }
            let missing = end - self.hasher.position;
            self.hasher.skip(missing);
            self.task.add(missing);
        }
        errors
    }

    fn read(&mut self, path: &Path, stamp: &Stamp, extent: Extent) -> Result<(), FileError> {
        let unreadable = |source| FileError::Unreadable { path: path.into(), source };
        let file = file::open(path)?;
        compare(path, stamp, &Stamp::new(&file.metadata().map_err(unreadable)?))?;
        // A file that is shorter than the torrent says is hashed as far as it goes.
        let length = extent.length.min(stamp.length.saturating_sub(extent.offset));
        if may_be_mapped(&file, length) {
            self.read_mapped(&file, extent.offset, in_memory(length)).map_err(unreadable)
        } else {
            self.read_plain(&file, extent.offset, length).map_err(unreadable)
        }
    }

    fn read_mapped(&mut self, file: &File, offset: u64, length: usize) -> std::io::Result<()> {
        let mapping = Mapping::new(file, offset, length)?;
        let start = self.hasher.position;
        let whole = self.hasher.geometry.bytes_within(start..start + length as u64);
        let run = in_memory(whole.start - start)..in_memory(whole.end - start);
        self.read_chunks(&mapping, 0..run.start)?;
        if !run.is_empty() && !self.task.is_cancelled() {
            let piece_length = self.hasher.geometry.piece_length() as usize;
            let whole = WholePieces { mapping: &mapping, run: run.clone(), piece_length, task: self.task };
            let outcome = whole.hash();
            self.hasher.take(outcome.hashes);
            outcome.failure.map_or(Ok(()), Err)?;
        }
        self.read_chunks(&mapping, run.end..length)
    }

    /// Reads what belongs to pieces that reach beyond the file.
    fn read_chunks(&mut self, mapping: &Mapping, range: Range<usize>) -> std::io::Result<()> {
        let mut start = range.start;
        while start < range.end && !self.task.is_cancelled() {
            let end = (start + CHUNK_LENGTH).min(range.end);
            let next = end..(end + CHUNK_LENGTH).min(range.end);
            if !next.is_empty() {
                mapping.prefetch(next)?;
            }
            mapping.populate(start..end)?;
            guard::with_bytes(mapping, start..end, |bytes| self.hasher.update(bytes))
                .map_err(std::io::Error::other)?;
            self.task.add_hashed((end - start) as u64);
            start = end;
        }
        Ok(())
    }

    fn read_plain(&mut self, file: &File, mut offset: u64, mut length: u64) -> std::io::Result<()> {
        let mut buffer = vec![0; CHUNK_LENGTH.min(in_memory(length))];
        while length > 0 && !self.task.is_cancelled() {
            let part = buffer.len().min(in_memory(length));
            file.read_exact_at(&mut buffer[..part], offset)?;
            self.hasher.update(&buffer[..part]);
            self.task.add_hashed(part as u64);
            offset += part as u64;
            length -= part as u64;
        }
        Ok(())
    }

    fn zeros(&mut self, mut length: u64) {
        static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
        while length > 0 && !self.task.is_cancelled() {
            let part = ZEROS.len().min(in_memory(length));
            self.hasher.update(&ZEROS[..part]);
            self.task.add_hashed(part as u64);
            length -= part as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use sha1::{Digest, Sha1};

    use super::*;

    /// Files whose bytes differ everywhere, so that a piece out of place would show.
    fn payload(folder: &Path, lengths: &[usize]) -> (Vec<std::path::PathBuf>, Vec<u8>) {
        let mut whole = Vec::new();
        let mut paths = Vec::new();
        for (file, length) in lengths.iter().enumerate() {
            let bytes: Vec<u8> =
                (0..*length).map(|i| (i * 7 + i / 251 + file * 13).to_le_bytes()[0]).collect();
            let path = folder.join(file.to_string());
            std::fs::write(&path, &bytes).unwrap();
            whole.extend(bytes);
            paths.push(path);
        }
        (paths, whole)
    }

    fn sources(paths: &[std::path::PathBuf]) -> Vec<Source<'_>> {
        paths.iter().map(|path| Source::File(path, Stamp::of_path(path).unwrap())).collect()
    }

    #[test]
    fn pieces_that_cross_files_and_padding_hash_as_the_bytes_do() {
        let folder = tempfile::tempdir().unwrap();
        let lengths = [100_000, 0, 5, 1 << 20, 70_000];
        let (paths, mut whole) = payload(folder.path(), &lengths);
        let mut sources = sources(&paths);
        sources.push(Source::Zeros);
        whole.extend([0; 200_000]);
        let layout = FileLayout::new(lengths.iter().map(|n| *n as u64).chain([200_000])).unwrap();
        for piece_length in [1_000, 16_384, 1 << 20, 64 << 20] {
            let geometry = Geometry::new(layout.length(), piece_length).unwrap();
            let task = Task::default();
            let hashing = Hashing { geometry: &geometry, layout: &layout, sources: &sources, task: &task };
            let hashes = hashing.what_is_there();
            let expected: Vec<Option<PieceHash>> =
                whole.chunks(in_memory(piece_length)).map(|piece| Some(Sha1::digest(piece).into())).collect();
            assert!(hashes.pieces == expected, "pieces of {piece_length} bytes");
            assert!(hashes.errors.is_empty());
            assert_eq!(task.done_bytes(), whole.len() as u64);
            assert!(hashing.all().unwrap() == expected);
        }
    }

    #[test]
    fn a_missing_file_costs_only_the_pieces_it_is_part_of() {
        let folder = tempfile::tempdir().unwrap();
        let (paths, _) = payload(folder.path(), &[1_000, 1_000, 1_000]);
        let mut sources = sources(&paths);
        sources[1] = Source::Missing;
        let layout = FileLayout::new([1_000; 3]).unwrap();
        let geometry = Geometry::new(3_000, 400).unwrap();
        let task = Task::default();
        let hashing = Hashing { geometry: &geometry, layout: &layout, sources: &sources, task: &task };
        let hashes = hashing.what_is_there();
        let found: Vec<bool> = hashes.pieces.iter().map(Option::is_some).collect();
        assert_eq!(found, [true, true, false, false, false, true, true, true]);
    }

    #[test]
    fn a_file_that_changed_since_it_was_looked_at_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let (paths, _) = payload(folder.path(), &[100_000]);
        let sources = sources(&paths);
        File::options().write(true).open(&paths[0]).unwrap().set_len(50_000).unwrap();
        let layout = FileLayout::new([100_000]).unwrap();
        let geometry = Geometry::new(100_000, 16_384).unwrap();
        let task = Task::default();
        let hashing = Hashing { geometry: &geometry, layout: &layout, sources: &sources, task: &task };
        let hashes = hashing.what_is_there();
        assert!(hashes.pieces.iter().all(Option::is_none));
        assert!(matches!(hashes.errors[..], [(0, FileError::Resized { now: 50_000, .. })]));
    }

    #[test]
    fn only_the_pieces_that_are_asked_for_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let lengths = [100_000, 5, 70_000];
        let (paths, whole) = payload(folder.path(), &lengths);
        let mut sources = sources(&paths);
        let layout = FileLayout::new(lengths.map(|length| length as u64)).unwrap();
        let geometry = Geometry::new(layout.length(), 1_000).unwrap();
        let mut asked = PieceSet::new(geometry.piece_count());
        // The last one is short, and 100 reaches over all files.
        for piece in [0, 2, 3, 50, 100, 170] {
            asked.insert(piece);
        }
        // Would be an error, were it read.
        let beyond =
            [sources[0], sources[1], Source::File(Path::new("/none"), Stamp::of_path(&paths[2]).unwrap())];
        for asked in [&asked, &PieceSet::new(171)] {
            let task = Task::default();
            let hashing = Hashing { geometry: &geometry, layout: &layout, sources: &sources, task: &task };
            let hashes = hashing.what_is_there_of(asked);
            for (piece, bytes) in (0..).zip(whole.chunks(1_000)) {
                let expected = asked.contains(piece).then(|| Sha1::digest(bytes).into());
                assert_eq!(hashes.pieces[piece as usize], expected, "{piece}");
            }
            let length: u64 = asked.iter().map(|piece| u64::from(geometry.length_of(piece))).sum();
            assert_eq!((task.done_bytes(), hashes.errors.len()), (length, 0));
        }
        sources.clone_from_slice(&beyond);
        let task = Task::default();
        let hashing = Hashing { geometry: &geometry, layout: &layout, sources: &sources, task: &task };
        asked.remove(100);
        asked.remove(170);
        assert!(hashing.what_is_there_of(&asked).errors.is_empty());
        asked.insert(100);
        assert_eq!(hashing.what_is_there_of(&asked).errors.len(), 1);
    }

    #[test]
    fn a_task_that_is_cancelled_reads_nothing_more() {
        let folder = tempfile::tempdir().unwrap();
        let (paths, _) = payload(folder.path(), &[100_000]);
        let sources = sources(&paths);
        let layout = FileLayout::new([100_000]).unwrap();
        let geometry = Geometry::new(100_000, 1_000).unwrap();
        let task = Task::default();
        task.cancel();
        let hashing = Hashing { geometry: &geometry, layout: &layout, sources: &sources, task: &task };
        for hashes in [hashing.what_is_there(), hashing.what_is_there_of(&PieceSet::full(100))] {
            assert!(hashes.pieces.iter().all(Option::is_none) && hashes.errors.is_empty());
        }
        assert!(hashing.all().unwrap().iter().all(Option::is_none));
        assert_eq!(task.done_bytes(), 0);
    }

    #[test]
    fn an_error_ends_hashing_where_all_is_needed() {
        let folder = tempfile::tempdir().unwrap();
        let (paths, _) = payload(folder.path(), &[1_000]);
        let stamp = Stamp::of_path(&paths[0]).unwrap();
        let sources = [Source::File(Path::new("/none"), stamp), Source::Zeros];
        let length = 4_096 * SPAN_LENGTH;
        let layout = FileLayout::new([1_000, length]).unwrap();
        let geometry = Geometry::new(length + 1_000, 64 << 20).unwrap();
        let task = Task::default();
        let hashing = Hashing { geometry: &geometry, layout: &layout, sources: &sources, task: &task };
        assert!(matches!(hashing.all(), Err(FileError::Unreadable { .. })));
        assert!(task.done_bytes() < length / 2);
    }
}
