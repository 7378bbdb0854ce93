//! Notes on their way through the recorder.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;

use super::super::{NewTorrent, Progress, Recorder, StateError};
use super::*;

fn progress(info_hash: InfoHash, byte: u8) -> Progress {
    Progress {
        info_hash,
        have: vec![byte],
        synced: vec![],
        files: BTreeMap::new(),
        have_bytes: u64::from(byte),
        uploaded: 1,
        downloaded: 2,
    }
}

fn seeded(seeded_s: u64) -> Change {
    Change { seeded_s: Some(seeded_s), ..Change::default() }
}

/// A state with a torrent, and a recorder that does not wait for others who are writing.
fn recorder() -> (TempDir, State, i64, Recorder) {
    let (folder, mut state) = state();
    let id = state.insert(&bare(1)).unwrap();
    let theirs = State::open(state.path()).unwrap();
    theirs.connection.busy_timeout(Duration::ZERO).unwrap();
    (folder, state, id, Recorder::start(theirs).unwrap())
}

/// Somebody else who is writing, until this is dropped.
fn occupy(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    connection
}

#[test]
fn a_flush_writes_the_latest_of_all_notes() {
    let (_folder, mut state, id, recorder) = recorder();
    recorder.flush(LONG).unwrap();
    recorder.change(bare(1).info_hash, Change { uploaded: Some(7), wasted: Some(3), ..seeded(1) });
    recorder.record(progress(bare(1).info_hash, 9));
    recorder.change(bare(1).info_hash, seeded(2));
    recorder.flush(LONG).unwrap();
    let expected = Record {
        have_bytes: 9,
        uploaded: 7,
        downloaded: 2,
        wasted: 3,
        seeded_s: 2,
        ..bare_record(id, bare(1).info_hash)
    };
    assert_eq!(dump(&mut state), [format!("{expected:?}")]);
    assert_eq!(state.load(&bare(1).info_hash).unwrap().unwrap().have, [9]);
    recorder.finish(LONG).unwrap();
}

#[test]
fn a_change_is_laid_over_an_earlier_one() {
    let later = Change { label: Some(None), ..seeded(2) };
    let merged = later.over(everything());
    assert_eq!(merged, Change { label: Some(None), seeded_s: Some(2), ..everything() });
    assert_eq!(Change::default().over(everything()), everything());
    assert_eq!(everything().over(Change::default()), everything());
}

#[test]
fn notes_of_a_torrent_that_was_removed_are_dropped() {
    let (_folder, mut state, id, recorder) = recorder();
    state.delete(id).unwrap();
    recorder.record(progress(bare(1).info_hash, 9));
    recorder.save_info(bare(1).info_hash, b"de".as_slice().into());
    recorder.change(bare(1).info_hash, everything());
    recorder.finish(LONG).unwrap();
    for table in ["torrent", "info", "progress", "choice", "path", "tracker_set"] {
        assert_eq!(count(&state, table), 0, "{table}");
    }
}

#[test]
fn what_is_forgotten_is_not_taken_for_what_is_added_again() {
    let (_folder, mut state, id, recorder) = recorder();
    let other = state.insert(&bare(2)).unwrap();
    let path = state.path().to_owned();
    let busy = occupy(&path);
    recorder.change(bare(1).info_hash, seeded(5));
    recorder.change(bare(2).info_hash, seeded(6));
    // It fails, and is put back.
    assert!(matches!(recorder.flush(LONG), Err(StateError::Unwritten(_))));
    recorder.forget(&bare(1).info_hash);
    drop(busy);
    state.delete(id).unwrap();
    let again = state.insert(&NewTorrent { rest: Change::default(), ..bare(1) }).unwrap();
    recorder.finish(LONG).unwrap();
    let mut seen = Vec::new();
    state.records(|record| seen.push((record.id, record.seeded_s))).unwrap();
    assert_eq!(seen, [(other, 6), (again, 0)]);
}

#[test]
fn a_flush_that_fails_says_why_and_what_failed_is_written_later() {
    let (_folder, mut state, _, recorder) = recorder();
    let path = state.path().to_owned();
    let busy = occupy(&path);
    recorder.change(bare(1).info_hash, seeded(5));
    let error = recorder.flush(LONG).unwrap_err().to_string();
    assert!(error.contains("state.sqlite: ") && error.contains("locked"), "{error}");
    drop(busy);
    recorder.flush(LONG).unwrap();
    let mut seeded_s = 0;
    state.records(|record| seeded_s = record.seeded_s).unwrap();
    assert_eq!(seeded_s, 5);
}

#[test]
fn a_flush_waits_no_longer_than_it_is_told() {
    let (_folder, state) = state();
    let path = state.path().to_owned();
    state.connection.busy_timeout(LONG).unwrap();
    let recorder = Recorder::start(state).unwrap();
    let _busy = occupy(&path);
    recorder.change(bare(1).info_hash, seeded(5));
    assert!(matches!(recorder.flush(Duration::from_millis(1)), Err(StateError::Late(_))));
}

#[test]
fn more_notes_than_a_transaction_takes_are_all_written() {
    let (_folder, mut state, _, recorder) = recorder();
    for number in 2..2_502 {
        state.insert(&bare(number)).unwrap();
        recorder.change(bare(number).info_hash, seeded(number));
    }
    recorder.flush(LONG).unwrap();
    let mut sum = 0;
    state.records(|record| sum += record.seeded_s).unwrap();
    assert_eq!(sum, (2..2_502).sum::<u64>());
}
