//! Renames files apart, where two of a torrent would be one on disk, or one would be a folder of the other.
//!
//! The first keeps its name, unless another file needs that name for a folder. The cost is linear in the bytes of
//! the paths, whatever a stranger makes of them: each component is looked up once, and a name that is tried and
//! found taken is one of the torrent's own, tried once for a base and a number.

use std::collections::{HashMap, HashSet};

use super::files::{FileEntry, FileKind};
use super::info::InfoError;
use super::path::{MAX_COMPONENT_LENGTH, shorten, split_extension};

/// Most files that are renamed: a torrent with bad names has some, one with more means harm.
pub(super) const MAX_RENAMED: usize = 10_000;
/// Room kept for `.` and a number when a name is extended: more than the digits of any count of files.
const NUMBER_LENGTH: usize = 12;

/// Gives every file that will exist on disk a path of its own. Padding files never do, and are left alone.
pub(super) fn rename_apart(files: &mut [FileEntry]) -> Result<(), InfoError> {
    for (file, below) in renames(files)? {
        files[file].path = files[file].path.moved(below);
    }
    Ok(())
}

/// A file or folder: the number of the folder it is in, and its own name there.
type Place<'a> = (usize, &'a str);

/// Which files need another path, and which.
fn renames(files: &[FileEntry]) -> Result<Vec<(usize, String)>, InfoError> {
    let mut tree = Tree::default();
    let exists = |(_, file): &(usize, &FileEntry)| file.kind != FileKind::Padding;
    let on_disk =
        files.iter().enumerate().filter(exists).map(|(index, file)| (index, file.path.below_root()));
    // All folders first: a file makes way for them, wherever it stands in the list.
    let places: Vec<(usize, Place<'_>)> = on_disk.map(|(index, path)| (index, tree.place(path))).collect();
    let mut clashes = Vec::new();
    for (index, place) in places {
        if tree.folders.contains_key(&place) || !tree.files.insert(place) {
            clashes.push((index, place));
        }
        if clashes.len() > MAX_RENAMED {
            return Err(InfoError::TooManyClashes);
        }
    }
    Ok(tree.numbered(&clashes, files))
}

/// The folders and files of a torrent, by where they are.
#[derive(Default)]
struct Tree<'a> {
    /// Folders with their numbers; 0 is the torrent's own.
    folders: HashMap<Place<'a>, usize>,
    files: HashSet<Place<'a>>,
}

impl<'a> Tree<'a> {
    /// Where the file of `path` is; its folders become known.
    fn place(&mut self, path: &'a str) -> Place<'a> {
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut parent = 0;
        for folder in folders.split('/').filter(|folder| !folder.is_empty()) {
            let next = self.folders.len() + 1;
            parent = *self.folders.entry((parent, folder)).or_insert(next);
        }
        (parent, name)
    }

    /// The paths that `clashes` get: with the next number that is free.
    fn numbered(&self, clashes: &[(usize, Place<'a>)], files: &[FileEntry]) -> Vec<(usize, String)> {
        let mut numbers = HashMap::new();
        let mut given = HashSet::new();
        let rename = |&(file, (parent, name)): &(usize, Place<'a>)| {
            let (stem, extension) = split_extension(name);
            let stem = shorten(stem, MAX_COMPONENT_LENGTH - extension.len() - NUMBER_LENGTH);
            let number: &mut u64 = numbers.entry((parent, stem, extension)).or_default();
            let path = files[file].path.below_root();
            let folders = &path[..path.len() - name.len()];
            loop {
                *number += 1;
                let name = format!("{stem}.{number}{extension}");
                let place = (parent, name.as_str());
                let is_taken = self.folders.contains_key(&place) || self.files.contains(&place);
                if !is_taken && given.insert((parent, name.clone())) {
                    return (file, format!("{folders}{name}"));
                }
            }
        };
        clashes.iter().map(rename).collect()
    }
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
        let paths: Vec<&str> = long.iter().chain(&long).map(String::as_str).collect();
        let renamed = renamed(&paths);
        assert_eq!(renamed.iter().collect::<BTreeSet<_>>().len(), 2 * MAX_RENAMED);
        assert!(renamed.last().unwrap().ends_with("x.10000"));
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
            for path in &renamed {
                prop_assert!(!renamed.iter().any(|other| other.starts_with(&format!("{path}/"))), "{}", path);
            }
        }
    }
}
