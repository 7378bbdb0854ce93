//! A torrent of three files in two folders, beside files of others.

use std::fs;
use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

const FILES: [(&str, usize); 3] = [("a", 70_000), ("sub/b", 5), ("sub/deep/c", 9_000_000)];

fn info() -> Info {
    let list: String = FILES
        .iter()
        .map(|(path, length)| {
            let path: String = path.split('/').map(|part| format!("{}:{part}", part.len())).collect();
            format!("d6:lengthi{length}e4:pathl{path}ee")
        })
        .collect();
    let pieces = "x".repeat(FILES.iter().map(|(_, length)| length).sum::<usize>().div_ceil(1 << 20) * 20);
    let raw = format!("d5:filesl{list}e4:name1:t12:piece lengthi1048576e6:pieces{}:{pieces}e", pieces.len());
    Info::parse(raw.into_bytes().into()).unwrap()
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 7 + i / 251).to_le_bytes()[0]).collect()
}

/// A folder with the payload in it, and one to move it to.
fn payload() -> (TempDir, PathBuf, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let (from, to) = (home.path().join("from"), home.path().join("to/below"));
    for (path, length) in FILES {
        let path = from.join("t").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes(length)).unwrap();
    }
    (home, from, to)
}

/// Every file below `folder`, with its bytes; folders with none.
fn tree(folder: &Path) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let entries =
        walkdir::WalkDir::new(folder).min_depth(1).sort_by_file_name().into_iter().map(Result::unwrap);
    entries
        .map(|entry| {
            let bytes = entry.file_type().is_file().then(|| fs::read(entry.path()).unwrap());
            (entry.path().strip_prefix(folder).unwrap().to_owned(), bytes)
        })
        .collect()
}

fn across(_: (&File, &Path), _: (&File, &Path)) -> Result<(), Errno> {
    Err(Errno::EXDEV)
}

/// Renames all but the last file, and that is copied.
fn mixed(from: (&File, &Path), to: (&File, &Path)) -> Result<(), Errno> {
    if from.1 == Path::new("c") { Err(Errno::EXDEV) } else { rename(from, to) }
}

#[test]
fn all_files_move_and_no_empty_folder_is_left() {
    for rename in [&rename as Rename<'_>, &across, &mixed] {
        let (_home, from, to) = payload();
        let before = tree(&from);
        let task = Task::default();
        let moved = relocate_with(&info(), (&from, &to), None, &task, rename).unwrap();
        assert!(tree(&to) == before && tree(&from).is_empty());
        assert_eq!(task.done_bytes(), 9_070_005);
        for (file, moved) in (0..).zip(&moved) {
            let path = to.join("t").join(FILES[file as usize].0);
            assert_eq!((moved.file, moved.after), (file, FileRecord::new(&path.metadata().unwrap())));
            let times = |record: FileRecord| (record.length, record.modified_s, record.modified_ns);
            assert_eq!(times(moved.before), times(moved.after));
        }
        assert_eq!(moved.len(), 3);
    }
}

#[test]
fn to_another_file_system_it_is_copied() {
    use std::os::unix::fs::MetadataExt;
    let (_home, from, _) = payload();
    let Ok(other) = tempfile::tempdir_in("/dev/shm") else { return };
    if other.path().metadata().unwrap().dev() == from.metadata().unwrap().dev() {
        return;
    }
    let before = tree(&from);
    relocate(&info(), &from, other.path(), None, &Task::default()).unwrap();
    assert!(tree(other.path()) == before && tree(&from).is_empty());
}

#[test]
fn holes_are_not_filled() {
    use std::os::unix::fs::MetadataExt;
    let (_home, from, to) = payload();
    let path = from.join("t/sub/deep/c");
    fs::remove_file(&path).unwrap();
    let file = File::create(&path).unwrap();
    file.set_len(9_000_000).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"far", 8_000_000).unwrap();
    let (before, blocks) = (tree(&from), path.metadata().unwrap().blocks());
    let task = Task::default();
    relocate_with(&info(), (&from, &to), None, &task, &across).unwrap();
    assert!(tree(&to) == before);
    assert_eq!(task.done_bytes(), 9_070_005);
    assert!(to.join("t/sub/deep/c").metadata().unwrap().blocks() <= blocks.max(64));
}

#[test]
fn nothing_is_overwritten() {
    for (taken, rename) in [("a", &rename as Rename<'_>), ("sub/deep/c", &across)] {
        let (_home, from, to) = payload();
        let place = to.join("t").join(taken);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(&place, "foreign").unwrap();
        let before = (tree(&from), tree(&to));
        let error = relocate_with(&info(), (&from, &to), None, &Task::default(), rename).unwrap_err();
        assert!(matches!(&error, RelocateError::Taken(path) if *path == place), "{error}");
        assert!((tree(&from), tree(&to)) == before);
    }
    let (_home, from, _) = payload();
    let before = tree(&from);
    assert!(matches!(relocate(&info(), &from, &from, None, &Task::default()), Err(RelocateError::Taken(_))));
    assert!(tree(&from) == before);
}

#[test]
fn what_fails_half_way_is_brought_back() {
    // A copy that fails once there is a file in its way that was not there when it began.
    let (_home, from, to) = payload();
    let (before, in_the_way) = (tree(&from), to.join("t/sub/deep/c"));
    let meddled = |from: (&File, &Path), to: (&File, &Path)| {
        if from.1 == Path::new("c") {
            fs::write(&in_the_way, "foreign").unwrap();
            return Err(Errno::EXDEV);
        }
        rename(from, to)
    };
    let error = relocate_with(&info(), (&from, &to), None, &Task::default(), &meddled).unwrap_err();
    assert!(matches!(&error, RelocateError::Taken(path) if *path == in_the_way), "{error}");
    assert!(tree(&from) == before);
    assert_eq!(fs::read(&in_the_way).unwrap(), b"foreign");

    for others in [&rename as Rename<'_>, &across] {
        let (_home, from, to) = payload();
        let before = tree(&from);
        let failing = |from: (&File, &Path), to: (&File, &Path)| {
            if from.1 == Path::new("c") { Err(Errno::EIO) } else { others(from, to) }
        };
        let error = relocate_with(&info(), (&from, &to), None, &Task::default(), &failing).unwrap_err();
        assert!(matches!(error, RelocateError::Io { .. }), "{error}");
        assert!(tree(&from) == before && tree(&to).is_empty());
    }
}

#[test]
fn a_move_that_is_cancelled_is_undone() {
    let (_home, from, to) = payload();
    let before = tree(&from);
    let task = Task::default();
    // Cancelled while the last file, which is copied in several chunks, is under way.
    let cancelling = |from: (&File, &Path), to: (&File, &Path)| {
        if from.1 == Path::new("c") {
            task.cancel();
        }
        mixed(from, to)
    };
    let error = relocate_with(&info(), (&from, &to), None, &task, &cancelling).unwrap_err();
    assert!(matches!(error, RelocateError::Cancelled(_)), "{error}");
    assert!(tree(&from) == before && tree(&to).is_empty());
}

#[test]
fn where_nothing_was_fetched_yet_nothing_is_moved() {
    let (home, _, to) = payload();
    let moved = relocate(&info(), &home.path().join("none"), &to, None, &Task::default()).unwrap();
    assert_eq!(moved, []);
    assert!(!to.exists());
}

#[test]
fn files_of_others_stay_and_so_do_their_folders() {
    let (_home, from, to) = payload();
    fs::write(from.join("t/sub/foreign"), "foreign").unwrap();
    fs::write(from.join("t/a.part"), "foreign").unwrap();
    let relocated = relocate(&info(), &from, &to, Some(".part"), &Task::default());
    assert_eq!(relocated.unwrap().len(), 3);
    let left: Vec<PathBuf> = tree(&from).into_iter().map(|(path, _)| path).collect();
    assert_eq!(left, ["t", "t/a.part", "t/sub", "t/sub/foreign"].map(PathBuf::from));
    delete(&info(), &to, Some(".part")).unwrap();
    assert!(tree(&to).is_empty() && to.exists());
    delete(&info(), &from, Some(".part")).unwrap();
    let left: Vec<PathBuf> = tree(&from).into_iter().map(|(path, _)| path).collect();
    assert_eq!(left, ["t", "t/sub", "t/sub/foreign"].map(PathBuf::from), "a.part was an incomplete a");
}

#[test]
fn incomplete_files_move_under_their_names() {
    let (_home, from, to) = payload();
    fs::rename(from.join("t/a"), from.join("t/a.part")).unwrap();
    fs::remove_file(from.join("t/sub/b")).unwrap();
    let before = tree(&from);
    let moved = relocate(&info(), &from, &to, Some(".part"), &Task::default()).unwrap();
    assert_eq!(moved.iter().map(|moved| moved.file).collect::<Vec<_>>(), [0, 2]);
    assert!(tree(&to) == before && tree(&from).is_empty());
    // The name that it will want is taken.
    fs::create_dir_all(from.join("t")).unwrap();
    fs::write(from.join("t/a"), "foreign").unwrap();
    let error = relocate(&info(), &to, &from, Some(".part"), &Task::default()).unwrap_err();
    assert!(matches!(error, RelocateError::Taken(_)), "{error}");
}

#[test]
fn no_link_is_followed_out_of_a_folder() {
    let (home, from, to) = payload();
    let outside = home.path().join("outside");
    fs::rename(from.join("t/sub"), &outside).unwrap();
    symlink(&outside, from.join("t/sub")).unwrap();
    let before = (tree(&from), tree(&outside));
    let error = relocate(&info(), &from, &to, None, &Task::default()).unwrap_err();
    assert!(matches!(error, RelocateError::Outside(_)), "{error}");
    assert!((tree(&from), tree(&outside)) == before);
    let error = delete(&info(), &from, None).unwrap_err();
    assert!(matches!(error, RelocateError::Outside(_)), "{error}");
    assert!(tree(&outside) == before.1 && !from.join("t/a").exists());

    let (home, from, to) = payload();
    let outside = home.path().join("outside");
    fs::create_dir_all(&outside).unwrap();
    fs::create_dir_all(to.join("t")).unwrap();
    symlink(&outside, to.join("t/sub")).unwrap();
    let before = tree(&from);
    let error = relocate(&info(), &from, &to, None, &Task::default()).unwrap_err();
    assert!(matches!(error, RelocateError::Outside(_)), "{error}");
    assert!(tree(&from) == before && tree(&outside).is_empty());

    // A link in place of a file is not the file.
    fs::rename(from.join("t/a"), outside.join("a")).unwrap();
    symlink(outside.join("a"), from.join("t/a")).unwrap();
    assert!(matches!(delete(&info(), &from, None), Err(RelocateError::NotAFile(_))));
    assert!(from.join("t/a").is_symlink() && outside.join("a").exists() && !from.join("t/sub").exists());
}

#[test]
fn what_is_gone_already_is_deleted() {
    let (_home, from, _) = payload();
    delete(&info(), &from.join("none"), None).unwrap();
    fs::remove_dir_all(from.join("t/sub")).unwrap();
    delete(&info(), &from, None).unwrap();
    assert!(tree(&from).is_empty());
}
