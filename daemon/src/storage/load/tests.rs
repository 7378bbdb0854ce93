//! Payload of three files in pieces of 16 KiB: found, remembered, damaged, missing.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::super::create::{Options, create};
use super::super::scan::scan;
use super::*;

const PIECE: usize = 16 * 1024;

/// A folder with the payload of a torrent in it, in a folder `t`.
pub(in super::super) fn payload() -> (TempDir, Arc<Info>) {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("t");
    fs::create_dir(&folder).unwrap();
    for (name, length) in [("a", 40_000), ("b", 50_000), ("c", 8_304)] {
        let bytes: Vec<u8> = (0_u32..length).map(|i| (i * 31 + i / 253 + length).to_le_bytes()[0]).collect();
        fs::write(folder.join(name), bytes).unwrap();
    }
    let options = Options { piece_length: Some(u32::try_from(PIECE).unwrap()), ..Options::default() };
    let created = create(scan(&folder).unwrap(), options, &Task::default()).unwrap();
    (dir, created.metainfo.info)
}

fn numbers(have: &HaveBits) -> Vec<u32> {
    (0..have.piece_count()).filter(|piece| have.get(*piece)).collect()
}

/// What would be remembered of `loaded`.
fn remember(loaded: &Loaded) -> Saved {
    let files = (0..).zip(loaded.on_disk()).filter_map(|(file, found)| match found {
        OnDisk::File(record) => Some((file, *record)),
        _ => None,
    });
    let files: BTreeMap<u32, FileRecord> = files.collect();
    Saved { have: loaded.have().to_wire(), synced: loaded.synced().to_wire(), files, ..Saved::default() }
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// Flips a bit as rot does: nothing of the file tells.
pub(in super::super) fn flip_unseen(path: &Path, at: usize) {
    let modified = path.metadata().unwrap().modified().unwrap();
    flip(path, at);
    fs::File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
}

#[test]
fn a_seed_is_hashed_once_and_known_again_after_the_next_boot() {
    let (dir, info) = payload();
    let mut loaded = seed(Arc::clone(&info), dir.path(), &Saved::default(), None);
    assert_eq!((loaded.to_check().len(), loaded.bytes_to_check()), (6, 98_304));
    let task = Task::default();
    loaded.check(&task).unwrap();
    assert_eq!(task.done_bytes(), 98_304);
    let loaded = loaded.require_complete().unwrap();
    let saved = remember(&loaded);
    assert!(!saved.is_same_boot, "so that only what was synced counts");
    let again = seed(Arc::clone(&info), dir.path(), &saved, None).require_complete().unwrap();
    assert!(again.have().is_complete() && again.to_check().is_empty());
    let torrent = again.into_torrent();
    assert!(torrent.payload_files().all(|file| file.is_settled()));
}

#[test]
fn only_what_a_changed_file_has_part_in_is_hashed_again() {
    let (dir, info) = payload();
    let mut loaded = seed(Arc::clone(&info), dir.path(), &Saved::default(), None);
    loaded.check(&Task::default()).unwrap();
    let saved = remember(&loaded);
    flip(&dir.path().join("t/c"), 100);
    let mut again = seed(Arc::clone(&info), dir.path(), &saved, None);
    assert_eq!(again.to_check().iter().collect::<Vec<_>>(), [5]);
    again.check(&Task::default()).unwrap();
    assert_eq!(numbers(again.have()), [0, 1, 2, 3, 4]);
    assert!(!again.synced().contains(5));
    let error = again.require_complete().unwrap_err();
    assert!(matches!(error, LoadError::Damaged { piece: 5, .. }), "{error}");
}

#[test]
fn loading_a_seed_changes_nothing_on_disk() {
    let (dir, info) = payload();
    fs::remove_file(dir.path().join("t/a")).unwrap();
    fs::write(dir.path().join("t/c"), "short").unwrap();
    for path in ["t/b", "t/c", "t"] {
        let path = dir.path().join(path);
        let mut permissions = path.metadata().unwrap().permissions();
        permissions.set_mode(permissions.mode() & !0o222);
        fs::set_permissions(&path, permissions).unwrap();
    }
    let listed = |folder: &str| {
        let entries = fs::read_dir(dir.path().join(folder)).unwrap().map(|entry| entry.unwrap());
        let mut entries: Vec<_> = entries
            .map(|entry| {
                let metadata = entry.metadata().unwrap();
                (entry.file_name(), metadata.len(), metadata.modified().unwrap())
            })
            .collect();
        entries.sort();
        entries
    };
    let before = (listed("."), listed("t"));
    let mut loaded = seed(info, dir.path(), &Saved::default(), None);
    assert_eq!(loaded.to_check().iter().collect::<Vec<_>>(), [3, 4], "whole in b");
    loaded.check(&Task::default()).unwrap();
    assert_eq!(numbers(loaded.have()), [3, 4]);
    assert_eq!((listed("."), listed("t")), before);
    let mut permissions = dir.path().join("t").metadata().unwrap().permissions();
    permissions.set_mode(0o755);
    fs::set_permissions(dir.path().join("t"), permissions).unwrap();
}

#[test]
fn what_is_wrong_with_an_incomplete_seed_is_known_before_it_is_hashed() {
    let (dir, info) = payload();
    let load = || seed(Arc::clone(&info), dir.path(), &Saved::default(), None).require_complete();
    load().unwrap();
    fs::write(dir.path().join("t/c"), "short").unwrap();
    let error = load().unwrap_err();
    assert!(matches!(error, LoadError::Truncated { expected: 8_304, found: 5, .. }), "{error}");
    assert!(error.to_string().contains("t/c: has 5 bytes"), "{error}");
    fs::remove_file(dir.path().join("t/a")).unwrap();
    let error = load().unwrap_err();
    assert!(error.to_string().contains("t/a: No such file"), "{error}");
    fs::create_dir(dir.path().join("t/a")).unwrap();
    assert!(matches!(load(), Err(LoadError::File(FileError::NotAFile(_)))));
}

#[test]
fn an_error_that_a_drop_in_cures_says_so() {
    let path = PathBuf::from("/srv/t/a");
    let source = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
    let error = LoadError::File(FileError::Unreadable { path: path.clone(), source });
    assert!(error.to_string().contains("ReadWritePaths=/srv/t "), "{error}");
    let source = nix::errno::Errno::EROFS.into();
    let error = LoadError::Place(PlaceError::Io { path, source });
    assert!(error.to_string().contains("ReadWritePaths=/srv/t "), "{error}");
}

#[test]
fn all_of_it_is_hashed_again_when_it_is_distrusted() {
    let (dir, info) = payload();
    let mut loaded = seed(Arc::clone(&info), dir.path(), &Saved::default(), None);
    loaded.check(&Task::default()).unwrap();
    let saved = remember(&loaded);
    flip_unseen(&dir.path().join("t/b"), 20_000);
    let mut again = seed(info, dir.path(), &saved, None);
    assert!(again.to_check().is_empty());
    again.distrust();
    assert_eq!(again.bytes_to_check(), 98_304);
    again.check(&Task::default()).unwrap();
    assert_eq!(numbers(again.have()), [0, 1, 2, 4, 5]);
    assert_eq!(again.synced().iter().collect::<Vec<_>>(), [0, 1, 2, 4, 5]);
}

#[test]
fn a_check_that_is_cancelled_can_go_on_later() {
    let (dir, info) = payload();
    let mut loaded = seed(info, dir.path(), &Saved::default(), None);
    let task = Task::default();
    task.cancel();
    assert_eq!(loaded.check(&task), Err(Cancelled));
    assert_eq!((loaded.have().have_count(), loaded.to_check().len()), (0, 6));
    loaded.check(&Task::default()).unwrap();
    assert!(loaded.have().is_complete());
}

#[test]
fn a_download_takes_what_is_there_and_makes_the_rest() {
    let (dir, info) = payload();
    flip(&dir.path().join("t/a"), 0);
    fs::remove_file(dir.path().join("t/c")).unwrap();
    let placing = Placing { suffix: Some(".part".to_owned()), ..Placing::default() };
    let wanted = [false, false, true];
    let mut loaded = download(Arc::clone(&info), dir.path(), &Saved::default(), &wanted, &placing).unwrap();
    loaded.check(&Task::default()).unwrap();
    assert_eq!(numbers(loaded.have()), [1, 2, 3, 4]);
    assert!(loaded.synced().is_empty(), "its writer brings it to disk");
    assert_eq!(dir.path().join("t/c.part").metadata().unwrap().len(), 8_304);
    let torrent = loaded.into_torrent();
    assert!(torrent.payload_files().all(|file| !file.is_settled()));
}

#[test]
fn names_and_files_that_are_one_are_refused() {
    let (dir, info) = payload();
    let renamed = info.with_paths(&[(0, "t/b.part")]).unwrap();
    let placing = Placing { suffix: Some(".part".to_owned()), ..Placing::default() };
    let error = download(Arc::new(renamed), dir.path(), &Saved::default(), &[true; 3], &placing).unwrap_err();
    assert!(matches!(error, LoadError::SuffixClash { .. }), "{error}");
    let (a, b) = (dir.path().join("t/a"), dir.path().join("t/b"));
    fs::write(&b, "begun").unwrap();
    fs::remove_file(&a).unwrap();
    fs::hard_link(&b, &a).unwrap();
    let error = download(info, dir.path(), &Saved::default(), &[true; 3], &Placing::default()).unwrap_err();
    assert!(matches!(error, LoadError::Shared(_)), "{error}");
}
