//! Renames files apart, where two of a torrent would be one on disk, or one would be a folder of the other.
//!
//! The first keeps its name, unless another file needs that name for a folder. Files are sorted by path, so that
//! those that clash are neighbours: the cost is that of sorting, and the memory a few words for each file, however
//! deep a stranger makes the paths. A name that is tried and found taken is one of the torrent's own, tried once for
//! a base and a number.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use super::files::{FileEntry, FileKind};
use super::info::InfoError;
use super::path::{MAX_COMPONENT_LENGTH, MAX_PATH_LENGTH, shorten, split_extension};

/// Most files that are renamed: a torrent with bad names has some, one with more means harm.
pub(super) const MAX_RENAMED: usize = 10_000;
/// Room kept for `.` and a number when a name is extended: more than the digits of any count of files.
const NUMBER_LENGTH: usize = 12;

/// Gives every file that will exist on disk a path of its own. Padding files never do, and are left alone.
pub(super) fn rename_apart(files: &mut [FileEntry]) -> Result<(), InfoError> {
    let sorted = Sorted::new(files);
    let clashes = sorted.clashes()?;
    let renames = sorted.numbered(&clashes, files)?;
    for (file, below) in renames {
        files[file].path = files[file].path.moved(below);
    }
    Ok(())
}

/// The files that exist on disk, by their paths and then by their places in the torrent.
struct Sorted<'a>(Vec<(&'a str, usize)>);

impl<'a> Sorted<'a> {
    fn new(files: &'a [FileEntry]) -> Self {
        let on_disk = files.iter().enumerate().filter(|(_, file)| file.kind != FileKind::Padding);
        let mut sorted: Vec<_> = on_disk.map(|(index, file)| (file.path.below_root(), index)).collect();
        sorted.sort_unstable_by(|a, b| compare(a.0, b.0).then(a.1.cmp(&b.1)));
        Self(sorted)
    }

    /// Which files need another path, in the order of the torrent.
    fn clashes(&self) -> Result<Vec<usize>, InfoError> {
        let mut clashes = Vec::new();
        let mut rest = self.0.as_slice();
        while let [(path, _), ..] = *rest {
            let (same, behind) = rest.split_at(rest.iter().take_while(|(other, _)| *other == path).count());
            let is_folder = behind.first().is_some_and(|(next, _)| is_below(next, path));
            clashes.extend(same.iter().skip(usize::from(!is_folder)).map(|(_, index)| *index));
            if clashes.len() > MAX_RENAMED {
                return Err(InfoError::TooManyClashes);
            }
            rest = behind;
        }
        clashes.sort_unstable();
        Ok(clashes)
    }

    /// Whether a file or folder has this path.
    fn is_taken(&self, path: &str) -> bool {
        let place = self.0.partition_point(|(other, _)| compare(other, path) == Ordering::Less);
        self.0.get(place).is_some_and(|(next, _)| *next == path || is_below(next, path))
    }

    /// The paths that `clashes` get: with the next number that is free.
    fn numbered(&self, clashes: &[usize], files: &[FileEntry]) -> Result<Vec<(usize, String)>, InfoError> {
        let mut numbers = HashMap::new();
        let mut given = HashSet::new();
        let rename = |&file: &usize| {
            let (base, extension) = numbered_name(&files[file], file)?;
            let number: &mut u64 = numbers.entry((base, extension)).or_default();
            loop {
                *number += 1;
                let path = format!("{base}.{number}{extension}");
                if !self.is_taken(&path) && given.insert(path.clone()) {
                    return Ok((file, path));
                }
            }
        };
        clashes.iter().map(rename).collect()
    }
}

/// Two files that would be one on disk, or one a folder of the other: a file, and the one in its way.
pub(super) fn find_clash(files: &[FileEntry]) -> Option<(usize, usize)> {
    let on_disk = files.iter().enumerate().filter(|(_, file)| file.kind != FileKind::Padding);
    let mut sorted: Vec<_> = on_disk.map(|(index, file)| (file.path.to_string(), index)).collect();
    sorted.sort_unstable_by(|a, b| compare(&a.0, &b.0).then(a.1.cmp(&b.1)));
    let clash = sorted.windows(2).find(|pair| pair[0].0 == pair[1].0 || is_below(&pair[1].0, &pair[0].0))?;
    Some((clash[0].1, clash[1].1))
}

/// What stands before and behind the number in the new path of a file; short enough for any number.
fn numbered_name(file: &FileEntry, index: usize) -> Result<(&str, &str), InfoError> {
    let path = file.path.below_root();
    let folders = path.rfind('/').map_or(0, |slash| slash + 1);
    let (stem, extension) = split_extension(&path[folders..]);
    let around = file.path.length() - path.len() + folders;
    let room = MAX_COMPONENT_LENGTH.min(MAX_PATH_LENGTH - around);
    let stem_room = room.checked_sub(extension.len() + NUMBER_LENGTH);
    let length = file.path.length() + NUMBER_LENGTH;
    let stem_room = stem_room.ok_or(InfoError::PathTooLong { file: index, length })?;
    Ok((&path[..folders + shorten(stem, stem_room).len()], extension))
}

/// Orders paths byte by byte with `/` before all others, so that a path stands right before those below it.
fn compare(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    // Paths of a torrent share long beginnings: word by word they cost little.
    let is_same = |(a, b): &(&[u8; 16], &[u8; 16])| a == b;
    let start = 16 * a.as_chunks().0.iter().zip(b.as_chunks().0).take_while(is_same).count();
    // No path has a NUL.
    let rank = |byte: &u8| if *byte == b'/' { 0 } else { *byte };
    a[start..].iter().map(rank).cmp(b[start..].iter().map(rank))
}

/// Whether `path` is inside the folder `folder`.
fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::path::{FilePath, sanitise_name};
    use super::*;

    fn entries(paths: &[&str]) -> Vec<FileEntry> {
        let root = sanitise_name("root");
        let path = |path: &str| FilePath::new(&root, path.split('/').map(|c| c.to_owned().into()));
        let entry = |text: &&str| FileEntry {
            path: path(text),
            length: 1,
            kind: if text.starts_with(".pad/") { FileKind::Padding } else { FileKind::Regular },
            executable: false,
            hidden: false,
        };
        paths.iter().map(entry).collect()
    }

    fn renamed(paths: &[&str]) -> Vec<String> {
        let mut files = entries(paths);
        rename_apart(&mut files).unwrap();
        files.iter().map(|file| file.path.below_root().to_owned()).collect()
    }

    #[test]
    fn files_that_do_not_meet_keep_their_names() {
        let paths = ["a", "A", "b/a", "b/c/a", "a.1", "ab/x"];
        assert_eq!(renamed(&paths), paths);
    }

    #[test]
    fn files_of_the_same_name_are_numbered_before_the_extension() {
        assert_eq!(renamed(&["x/a.mkv", "x/a.mkv", "x/a.mkv"]), ["x/a.mkv", "x/a.1.mkv", "x/a.2.mkv"]);
        assert_eq!(renamed(&["v1.0/a", "v1.0/a"]), ["v1.0/a", "v1.0/a.1"]);
        assert_eq!(renamed(&["a", "a.1", "a", "a.2"]), ["a", "a.1", "a.3", "a.2"]);
    }

    #[test]
    fn a_file_that_is_a_folder_of_another_makes_way() {
        assert_eq!(renamed(&["a", "a/b"]), ["a.1", "a/b"]);
        assert_eq!(renamed(&["a/b", "a", "a.1/c/d"]), ["a/b", "a.2", "a.1/c/d"]);
        assert_eq!(renamed(&["x/a.b/c/d", "x/a.b"]), ["x/a.b/c/d", "x/a.1.b"]);
    }

    #[test]
    fn padding_files_are_in_nobodys_way() {
        let paths = [".pad/1", ".pad/1", ".pad", ".pad/1/2"];
        assert_eq!(renamed(&paths), paths);
    }

    #[test]
    fn a_name_stays_within_its_limit() {
        let long = format!("{}.mkv", "é".repeat(125));
        let names = renamed(&[&long, &long]);
        assert!(names[1].ends_with("é.1.mkv") && names[1].len() <= MAX_COMPONENT_LENGTH);
    }

    #[test]
    fn names_that_shorten_to_one_are_numbered_in_a_row() {
        let long: Vec<String> = (0..MAX_RENAMED).map(|n| format!("{}{n:05}", "x".repeat(250))).collect();
        let paths: Vec<&str> = long.iter().chain(long.iter().rev()).map(String::as_str).collect();
        let renamed = renamed(&paths);
        assert_eq!(renamed.iter().collect::<BTreeSet<_>>().len(), 2 * MAX_RENAMED);
        assert!(renamed.last().unwrap().ends_with("x.10000"));
    }

    #[test]
    fn a_path_stays_within_its_limit() {
        let folders = "x/".repeat(50) + &format!("{}/", "y".repeat(255)).repeat(15);
        let at_limit =
            format!("{folders}{}.mkv", "z".repeat(MAX_PATH_LENGTH - "root/.mkv".len() - folders.len()));
        let mut files = entries(&[&at_limit, &at_limit]);
        assert_eq!(files[0].path.length(), MAX_PATH_LENGTH);
        rename_apart(&mut files).unwrap();
        assert!(files[1].path.length() <= MAX_PATH_LENGTH && files[1].path.to_string().ends_with("z.1.mkv"));
    }

    #[test]
    fn a_path_without_room_for_a_number_is_refused() {
        let folders = format!("{}/", "y".repeat(254)).repeat(16);
        let at_limit = format!("{folders}{}", "z".repeat(MAX_PATH_LENGTH - "root/".len() - folders.len()));
        let mut files = entries(&[&at_limit, &at_limit]);
        assert_eq!(files[0].path.length(), MAX_PATH_LENGTH);
        let refused = InfoError::PathTooLong { file: 1, length: MAX_PATH_LENGTH + NUMBER_LENGTH };
        assert_eq!(rename_apart(&mut files), Err(refused));
        assert_eq!(rename_apart(&mut files[1..]), Ok(()));
    }

    #[test]
    fn a_folder_stands_right_before_what_is_in_it() {
        let sorted = ["a", "a/", "a/b", "a/b/c", "a/b.c", "a\u{1}", "a.b", "a0", "b"];
        let long = |path: &str| format!("{}{path}", "x".repeat(37));
        for (index, path) in sorted.iter().enumerate() {
            for (other_index, other) in sorted.iter().enumerate() {
                assert_eq!(compare(path, other), index.cmp(&other_index), "{path} {other}");
                assert_eq!(compare(&long(path), &long(other)), index.cmp(&other_index), "{path} {other}");
            }
        }
    }

    #[test]
    fn deep_paths_take_a_few_words_for_each_file() {
        let folders = "x/".repeat(97);
        let deep: Vec<String> = (0..1_000).map(|n| format!("{n}/{folders}y")).collect();
        let paths: Vec<&str> = deep.iter().map(String::as_str).chain([deep[7].as_str(), "8"]).collect();
        let files = entries(&paths);
        assert!(Sorted::new(&files).0.capacity() <= 2 * files.len());
        let renamed = renamed(&paths);
        assert_eq!(renamed[..1_000], deep);
        assert_eq!(renamed[1_000..], [format!("7/{folders}y.1"), "8.1".to_owned()]);
    }

    #[test]
    fn more_clashes_than_an_honest_torrent_has_are_refused() {
        let mut files = entries(&vec!["a"; MAX_RENAMED + 2]);
        assert_eq!(rename_apart(&mut files), Err(InfoError::TooManyClashes));
        assert_eq!(rename_apart(&mut files[1..]), Ok(()));
    }

    proptest! {
        #[test]
        fn no_two_files_share_a_path_or_nest(
            paths in prop::collection::vec("(a|b|a\\.1|a\\.2|\\.a)(/(a|b|a\\.1)){0,3}", 0..40),
        ) {
            let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
            let renamed = renamed(&paths);
            let distinct: BTreeSet<&String> = renamed.iter().collect();
            prop_assert_eq!(distinct.len(), paths.len());
            let is_folder = |path: &str| paths.iter().any(|other| is_below(other, path));
            for (index, (given, path)) in paths.iter().zip(&renamed).enumerate() {
                let keeps = !is_folder(given) && !paths[..index].contains(given);
                prop_assert_eq!(keeps, given == path);
                prop_assert!(!renamed.iter().any(|other| other.starts_with(&format!("{path}/"))), "{}", path);
            }
        }
    }
}
