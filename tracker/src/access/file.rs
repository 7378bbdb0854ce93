//! A list as a file: an entry a line, with comments. Read when the tracker starts and when it is told to; changed, for
//! the admin API, by a new file that takes the place of the old one, so that neither a crash nor a full disk leaves half
//! a list. What else stands in the file stays as it is.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::AccessError;
use super::entry::Entry;

/// Longest line: an info-hash, and a comment that somebody may have written.
pub(super) const MAX_LINE_LENGTH: usize = 4_096;
/// Most entries of a list: as info-hashes, three quarters of a gigabyte of memory.
pub(super) const MAX_ENTRIES: usize = 16_000_000;
/// What is read and written at a time.
const BUFFER_LENGTH: usize = 256 << 10;

/// The lines of a list, one at a time.
struct Lines<'a> {
    path: &'a Path,
    reader: BufReader<File>,
    line: Vec<u8>,
    /// Of the present line, from 1.
    number: u64,
}

/// What becomes of a list.
enum Change<'a, E> {
    Append(&'a E),
    Remove(&'a E),
}

/// Reads the list at `path`.
pub(super) fn load<E: Entry>(path: &Path) -> Result<HashSet<E>, AccessError> {
    let mut lines = Lines::open(path)?;
    let mut entries = HashSet::new();
    while let Some(line) = lines.next()? {
        let Some(text) = entry_text(line) else { continue };
        let entry = E::read(text).map_err(|source| lines.fault(source))?;
        entries.insert(entry);
        if entries.len() > MAX_ENTRIES {
            return Err(AccessError::TooMany(path.into()));
        }
    }
    Ok(entries)
}

/// Adds a line with `entry` to the list at `path`, unless it has one. It is on disk when this returns.
pub(super) fn append<E: Entry>(path: &Path, entry: &E) -> Result<(), AccessError> {
    rewrite(path, &Change::Append(entry))
}

/// Takes all lines with `entry` from the list at `path`, if there are any. They are gone from disk when this returns.
pub(super) fn remove<E: Entry>(path: &Path, entry: &E) -> Result<(), AccessError> {
    rewrite(path, &Change::Remove(entry))
}

/// The entry in `line`: what stands before white space or `#`. `None` if nothing does.
fn entry_text(line: &[u8]) -> Option<&[u8]> {
    let text = line.trim_ascii_start();
    let end = text.iter().position(|byte| byte.is_ascii_whitespace() || *byte == b'#').unwrap_or(text.len());
    Some(&text[..end]).filter(|text| !text.is_empty())
}

/// Writes the list at `path` anew, changed, from what it is now: somebody may have edited it since it was read.
fn rewrite<E: Entry>(path: &Path, change: &Change<'_, E>) -> Result<(), AccessError> {
    let unreachable = |source| AccessError::Unreachable { path: path.into(), source };
    // What a symbolic link stands for is replaced, and not the link.
    let path = &path.canonicalize().map_err(unreachable)?;
    let mut lines = Lines::open(path)?;
    let mut new = Replacement::new(path, lines.reader.get_ref()).map_err(unreachable)?;
    let mut has_entry = false;
    let mut is_whole_line = true;
    while let Some(line) = lines.next()? {
        let is_entry = entry_text(line).is_some_and(|text| match change {
            Change::Append(entry) | Change::Remove(entry) => E::read(text).is_ok_and(|read| read == **entry),
        });
        has_entry |= is_entry;
        if is_entry && matches!(change, Change::Remove(_)) {
            continue;
        }
        is_whole_line = line.ends_with(b"\n");
        new.file.write_all(line).map_err(unreachable)?;
    }
    match change {
        Change::Append(entry) if !has_entry => {
            let before = if is_whole_line { "" } else { "\n" };
            writeln!(new.file, "{before}{entry}").and_then(|()| new.finish()).map_err(unreachable)
        }
        Change::Remove(_) if has_entry => new.finish().map_err(unreachable),
        _ => Ok(()),
    }
}

/// A file that will take the place of another, and until then has no name that lasts.
struct Replacement {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
}

impl Replacement {
    /// Beside `path`, with the mode of `old`, and its owner if we may give it away.
    fn new(path: &Path, old: &File) -> io::Result<Self> {
        let file = tempfile::Builder::new().prefix(".bttracker-").tempfile_in(folder(path))?;
        let old = old.metadata()?;
        let new = file.as_file().metadata()?;
        if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
            // Who is not root may not, and whoever may write the folder may do what is done here.
            let _ = fchown(file.as_file(), Some(old.uid()), Some(old.gid()));
        }
        file.as_file().set_permissions(old.permissions())?;
        Ok(Self { path: path.into(), file: BufWriter::with_capacity(BUFFER_LENGTH, file) })
    }

    fn finish(self) -> io::Result<()> {
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        File::open(folder(&self.path))?.sync_all()
    }
}

/// The folder that `path` is in.
fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

impl<'a> Lines<'a> {
    fn open(path: &'a Path) -> Result<Self, AccessError> {
        let file =
            File::open(path).map_err(|source| AccessError::Unreachable { path: path.into(), source })?;
        Ok(Self { path, reader: BufReader::with_capacity(BUFFER_LENGTH, file), line: Vec::new(), number: 0 })
    }

    /// The next line with its end, which the last one may lack; `None` behind it.
    fn next(&mut self) -> Result<Option<&[u8]>, AccessError> {
        self.line.clear();
        self.number += 1;
        let limit = u64::try_from(MAX_LINE_LENGTH + 1).unwrap_or(u64::MAX);
        let read = self.reader.by_ref().take(limit).read_until(b'\n', &mut self.line);
        match read {
            Ok(0) => Ok(None),
            Ok(length) if length > MAX_LINE_LENGTH => {
                Err(AccessError::LongLine { path: self.path.into(), line: self.number })
            }
            Ok(_) => Ok(Some(&self.line)),
            Err(source) => Err(AccessError::Unreachable { path: self.path.into(), source }),
        }
    }

    fn fault(&self, source: super::EntryError) -> AccessError {
        AccessError::Line { path: self.path.into(), line: self.number, source }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use protocol::id::InfoHash;

    use super::super::entry::Passkey;
    use super::*;

    const A: InfoHash = InfoHash::new([0xaa; 20]);
    const B: InfoHash = InfoHash::new([0xbb; 20]);

    /// A folder with a list in it that holds `text`.
    fn list(text: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn comments_and_empty_lines_are_no_entries() {
        let text = format!("# mine\r\n\r\n  \t\n{A}\r\n  {B}\tlinux # iso \u{e4}\n{A}#again\n #\n");
        let (_folder, path) = list(text.as_bytes());
        assert_eq!(load(&path).unwrap(), HashSet::from([A, B]));
        let (_folder, path) = list(b"x\n\xff");
        assert!(load::<Passkey>(&path).is_err(), "the last line lacks an end, and is read all the same");
        let (_folder, path) = list(b"");
        assert_eq!(load::<InfoHash>(&path).unwrap().len(), 0);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let (_folder, path) = list(format!("{A}\n# two\nabc\n").as_bytes());
        let error = load::<InfoHash>(&path).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}:3: an info-hash is", path.display())), "{error}");
        let longest = format!("{A} {}", "x".repeat(MAX_LINE_LENGTH - 42));
        let (_folder, path) = list(format!("{longest}\n{longest}x\n").as_bytes());
        let error = load::<InfoHash>(&path).unwrap_err().to_string();
        assert!(error.ends_with("list:2: longer than 4096 bytes"), "{error}");
        let error = load::<InfoHash>(&path.with_file_name("none")).unwrap_err().to_string();
        assert!(error.contains("none: No such file"), "{error}");
    }

    #[test]
    fn an_entry_is_appended_behind_what_is_there() {
        let text = |path| std::fs::read_to_string(path).unwrap();
        let (folder, path) = list(b"# mine\r\n\nbroken line");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        append(&path, &A).unwrap();
        assert_eq!(text(&path), format!("# mine\r\n\nbroken line\n{A}\n"));
        append(&path, &B).unwrap();
        append(&path, &A).unwrap();
        assert_eq!(text(&path), format!("# mine\r\n\nbroken line\n{A}\n{B}\n"), "{A} is there already");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(folder.path().read_dir().unwrap().count(), 1, "nothing else is left there");
    }

    #[test]
    fn an_entry_is_removed_however_it_is_spelled_and_nothing_else() {
        let upper = A.to_string().to_uppercase();
        let (_folder, path) = list(format!("{A} one\n#{A}\n{B}\n{upper}\r\nbroken\n{B} {A}").as_bytes());
        remove(&path, &A).unwrap();
        let left = format!("#{A}\n{B}\nbroken\n{B} {A}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), left);
        let before = path.metadata().unwrap().ino();
        remove(&path, &A).unwrap();
        assert_eq!(path.metadata().unwrap().ino(), before, "nothing to do");
    }

    #[test]
    fn a_link_stays_one() {
        let (folder, path) = list(b"");
        let link = folder.path().join("link");
        symlink("list", &link).unwrap();
        append(&link, &A).unwrap();
        assert!(link.is_symlink());
        assert_eq!(load(&path).unwrap(), HashSet::from([A]));
    }

    #[test]
    fn a_list_that_cannot_be_written_is_as_it_was() {
        let (folder, path) = list(b"x\n");
        std::fs::write(&path, vec![b'x'; MAX_LINE_LENGTH + 1]).unwrap();
        assert!(append(&path, &A).is_err());
        assert_eq!(path.metadata().unwrap().len(), 4_097);
        assert_eq!(folder.path().read_dir().unwrap().count(), 1, "nothing else is left there");
    }

    #[test]
    fn a_million_entries_take_little_memory() {
        let mut text = String::new();
        for number in 0..1_000_000 {
            writeln!(text, "{number:040x}").unwrap();
        }
        let (_folder, path) = list(text.as_bytes());
        let entries = load::<InfoHash>(&path).unwrap();
        assert_eq!(entries.len(), 1_000_000);
        // A byte beside each place, and at most an eighth of the places are kept empty.
        let bytes = entries.capacity() * 8 / 7 * (size_of::<InfoHash>() + 1);
        assert!(bytes < 45_000_000, "{bytes}");
    }
}
