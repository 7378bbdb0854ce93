//! Killed processes, full disks, databases that cannot be written; and copies against all that.

use std::os::unix::fs::PermissionsExt;

use super::super::{NewTorrent, Progress, RawMetainfo, StateError};
use super::*;

#[test]
fn what_was_committed_is_there_after_the_process_died() {
    let (_folder, path) = folder();
    let mut state = State::open(&path).unwrap();
    let id = state.insert(&NewTorrent { rest: everything(), ..bare(1) }).unwrap();
    let gone = state.insert(&bare(2)).unwrap();
    state.delete(gone).unwrap();
    // One that never commits.
    state.connection.execute_batch("BEGIN IMMEDIATE; DELETE FROM torrent").unwrap();
    // Neither closed nor checkpointed: what is on disk is what a killed process leaves.
    let copy = tempfile::tempdir().unwrap();
    for entry in path.parent().unwrap().read_dir().unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    let mut after = State::open(&copy.path().join("state.sqlite")).unwrap();
    assert_eq!(ids(&mut after), [id]);
    assert_eq!(after.choices(id).unwrap().select.len(), 2);
}

#[test]
fn a_full_disk_is_named_and_loses_nothing() {
    let (_folder, mut state) = state();
    let id = state.insert(&bare(1)).unwrap();
    let pages: i64 = state.connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    let limit = |state: &State, pages: i64| {
        let limit = format!("PRAGMA max_page_count = {pages}");
        state.connection.query_row(&limit, [], |row| row.get::<_, i64>(0)).unwrap();
    };
    limit(&state, pages + 2);
    let info = vec![0; 100_000];
    let large = NewTorrent { metainfo: Some(RawMetainfo::of_info(&info)), ..bare(2) };
    let error = state.insert(&large).unwrap_err().to_string();
    assert!(error.ends_with("state.sqlite: database or disk is full"), "{error}");
    assert_eq!(ids(&mut state), [id]);
    limit(&state, 1_000_000);
    state.insert(&large).unwrap();
    assert_eq!(ids(&mut state).len(), 2);
}

#[test]
fn a_database_that_cannot_be_written_is_named_and_still_read() {
    let (_folder, mut state) = state();
    let id = state.insert(&bare(1)).unwrap();
    state.connection.pragma_update(None, "query_only", true).unwrap();
    for error in [
        state.insert(&bare(2)).unwrap_err(),
        state.change(id, &everything()).unwrap_err(),
        state.delete(id).unwrap_err(),
    ] {
        let error = error.to_string();
        assert!(error.ends_with("state.sqlite: attempt to write a readonly database"), "{error}");
    }
    assert_eq!(ids(&mut state), [id]);
}

#[test]
fn a_backup_is_taken_while_others_write_and_is_equal() {
    let (folder, mut state) = state();
    let torrent = NewTorrent { rest: everything(), ..bare(1) };
    let id = state.insert(&torrent).unwrap();
    let gone = state.insert(&bare(2)).unwrap();
    state.delete(gone).unwrap();
    let progress = Progress {
        info_hash: torrent.info_hash,
        have: vec![1, 2],
        synced: vec![1],
        files: std::collections::BTreeMap::default(),
        have_bytes: 60,
        uploaded: 70,
        downloaded: 80,
    };
    state.record(&[progress]).unwrap();
    let other = State::open(state.path()).unwrap();
    other.connection.execute_batch("BEGIN IMMEDIATE; DELETE FROM torrent").unwrap();
    let path = folder.path().join("copies of state.sqlite");
    state.backup(&path).unwrap();
    other.connection.execute_batch("ROLLBACK").unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    let mut copy = State::open(&path).unwrap();
    assert_eq!(dump(&mut copy), dump(&mut state));
    assert_eq!(copy.load(&torrent.info_hash).unwrap(), state.load(&torrent.info_hash).unwrap());
    assert_eq!(copy.choices(id).unwrap(), state.choices(id).unwrap());
    assert!(copy.insert(&bare(3)).unwrap() > gone, "ids are not used again there either");
}

#[test]
fn a_backup_overwrites_nothing_and_leaves_nothing_behind() {
    let (folder, mut state) = state();
    let path = folder.path().join("precious");
    std::fs::write(&path, "").unwrap();
    let error = state.backup(&path).unwrap_err().to_string();
    assert!(error.contains("precious: ") && error.contains("exists"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"");
    let nowhere = folder.path().join("none/backup");
    assert!(matches!(state.backup(&nowhere), Err(StateError::Unreachable { path, .. }) if path == nowhere));
    let path = folder.path().join("new");
    state.connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = state.backup(&path).unwrap_err().to_string();
    assert!(error.contains("new: "), "{error}");
    for entry in folder.path().read_dir().unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name == "precious" || name.starts_with("state.sqlite"), "{name}");
    }
}
