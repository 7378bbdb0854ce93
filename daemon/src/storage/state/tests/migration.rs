//! A database of the first version is brought up to date, and keeps its data.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::super::{FileRecord, RawMetainfo, Saved};
use super::*;

const INFO: &[u8] = b"d4:name1:ae";
const TRACKED: InfoHash = InfoHash::new([2; 20]);
const PLAIN: InfoHash = InfoHash::new([3; 20]);

/// Writes a database as the first version did.
fn write_first_version(path: &std::path::Path) -> InfoHash {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch(include_str!("../schema_1.sql")).unwrap();
    connection.pragma_update(None, "application_id", 0x6274_6400).unwrap();
    connection.pragma_update(None, "user_version", 1).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    let info_hash = InfoHash::of_info(INFO);
    for (id, hash, name) in [(3, info_hash, Some("a")), (5, TRACKED, None), (9, PLAIN, Some("plain"))] {
        let insert = "INSERT INTO torrent VALUES (?1, ?2, ?3, ?4)";
        connection.execute(insert, params![id, hash.as_bytes(), name, id * 100]).unwrap();
    }
    connection.execute("INSERT INTO info VALUES (3, ?1)", [INFO]).unwrap();
    for (id, tier, rank, url) in [
        (3, 1, 0, "udp://c:1/"),
        (3, 0, 1, "http://a/"),
        (3, 0, 0, "http://b/?\"q\\"),
        (5, 0, 0, "http://b/?\"q\\"),
        (5, 0, 1, "http://a/"),
        (5, 1, 0, "udp://c:1/"),
    ] {
        connection
            .execute("INSERT INTO tracker VALUES (?1, ?2, ?3, ?4)", params![id, tier, rank, url])
            .unwrap();
    }
    connection.execute("INSERT INTO progress VALUES (3, x'f0', x'80', 'earlier', 11, 12)", []).unwrap();
    connection.execute("INSERT INTO file VALUES (3, 0, 20, -2, 30, 40)", []).unwrap();
    info_hash
}

#[test]
fn the_first_version_is_brought_up_to_date() {
    let (_folder, path) = folder();
    let info_hash = write_first_version(&path);
    let mut state = State::open(&path).unwrap();
    let trackers = tiers(&[&["http://b/?\"q\\", "http://a/"], &["udp://c:1/"]]);
    let file = FileRecord { length: 20, inode: u64::MAX - 1, modified_s: 30, modified_ns: 40 };
    let saved = Saved {
        name: Some("a".into()),
        added_at_s: 300,
        trackers: trackers.clone(),
        info: Some(INFO.to_vec()),
        have: vec![0xf0],
        synced: vec![0x80],
        is_same_boot: false,
        files: BTreeMap::from([(0, file)]),
        uploaded: 11,
        downloaded: 12,
    };
    assert_eq!(state.load(&info_hash).unwrap().unwrap(), saved);
    let plain = Saved { name: Some("plain".into()), added_at_s: 900, ..Saved::default() };
    assert_eq!(state.load(&PLAIN).unwrap().unwrap(), plain);
    assert_eq!(state.load(&TRACKED).unwrap().unwrap().trackers, trackers);
    assert_eq!(
        state.tracker_sets().unwrap().into_values().collect::<Vec<_>>(),
        std::slice::from_ref(&trackers)
    );
    assert_eq!(ids(&mut state), [3, 5, 9]);
    // A set that is asked for again is the one that was migrated.
    state.add(&PLAIN, None, &trackers).unwrap();
    assert_eq!(state.tracker_sets().unwrap().len(), 1);
}

#[test]
fn what_was_brought_up_to_date_is_as_what_is_made_new() {
    let (_folder, path) = folder();
    write_first_version(&path);
    let mut state = State::open(&path).unwrap();
    let broken = state.connection.prepare("PRAGMA foreign_key_check").unwrap().exists([]).unwrap();
    assert!(!broken);
    state.delete(9).unwrap();
    assert_eq!(state.insert(&bare(1)).unwrap(), 10, "the highest id was counted");
    state.delete(3).unwrap();
    assert_eq!(
        [count(&state, "info"), count(&state, "progress"), count(&state, "file")],
        [0; 3],
        "cascades work"
    );
    state.set_info(10, &RawMetainfo::of_info(INFO), &everything()).unwrap();
    // And it is not migrated again.
    drop(state);
    assert_eq!(ids(&mut State::open(&path).unwrap()), [5, 10]);
}

#[test]
fn a_migration_that_fails_leaves_what_was_there() {
    let (_folder, path) = folder();
    let info_hash = write_first_version(&path);
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("CREATE TABLE choice (mine)").unwrap();
    assert!(State::open(&path).is_err());
    let tracker_count: i64 =
        connection.query_row("SELECT count(*) FROM tracker", [], |row| row.get(0)).unwrap();
    assert_eq!(tracker_count, 6);
    connection.execute_batch("DROP TABLE choice").unwrap();
    assert!(State::open(&path).unwrap().load(&info_hash).unwrap().is_some());
}
