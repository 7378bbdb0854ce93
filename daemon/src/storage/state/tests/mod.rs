//! The state of a service: what is put in comes out, whatever happens in between.

mod catalog;
mod faults;
mod migration;
mod notes;

use std::path::PathBuf;
use std::time::Duration;

use protocol::control::FilePath;
use protocol::id::InfoHash;
use tempfile::TempDir;

use super::trackers::Tiers;
use super::{Change, NewTorrent, Record, State};

/// Longer than any test takes that does not fail.
const LONG: Duration = Duration::from_secs(60);

/// A folder, and the path of a database in it that is not there yet.
fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.sqlite");
    (folder, path)
}

fn state() -> (TempDir, State) {
    let (folder, path) = folder();
    (folder, State::open(&path).unwrap())
}

fn tiers(tiers: &[&[&str]]) -> Tiers {
    tiers.iter().map(|urls| urls.iter().map(|url| (*url).to_owned()).collect()).collect()
}

/// A torrent of which nothing is known but its hash.
fn bare(number: u64) -> NewTorrent<'static> {
    let mut hash = [0; 20];
    hash[..8].copy_from_slice(&number.to_be_bytes());
    NewTorrent { info_hash: InfoHash::new(hash), added_at_s: 1_000, metainfo: None, rest: Change::default() }
}

/// A change of everything.
fn everything() -> Change {
    Change {
        name: Some("name".into()),
        dir: Some("/data".into()),
        label: Some(Some("label".into())),
        error: Some(Some("no room".into())),
        is_paused: Some(true),
        is_seed_only: Some(true),
        is_check_skipped: Some(true),
        is_sequential: Some(true),
        upload_limit: Some(Some(u64::MAX)),
        download_limit: Some(Some(2)),
        ratio_limit: Some(Some(1.5)),
        seed_time_limit_s: Some(Some(3)),
        size: Some(100),
        have_bytes: Some(50),
        uploaded: Some(4),
        downloaded: Some(5),
        wasted: Some(6),
        completed_at_s: Some(Some(7)),
        seeded_s: Some(8),
        is_looked_at: Some(true),
        lies_in: Some(Some("/incomplete".into())),
        peers: Some(vec!["[::1]:6881".into()]),
        next_announce_s: Some(Some(10)),
        trackers: Some(tiers(&[&["http://b/", "http://a/"], &["udp://c:1/"]])),
        select: Some(vec!["*.iso".into(), "1-3".into()]),
        file_paths: Some(vec![FilePath { index: 2, path: "other/\"name\"".into() }]),
        paths: Some(vec![i64::MIN, i64::MAX]),
    }
}

/// What a record is to be after that change.
fn after_everything(id: i64, info_hash: InfoHash, tracker_set: i64) -> Record<'static> {
    Record {
        id,
        info_hash,
        name: Some("name"),
        dir: "/data",
        label: Some("label"),
        error: Some("no room"),
        tracker_set: Some(tracker_set),
        added_at_s: 1_000,
        completed_at_s: Some(7),
        seeded_s: 8,
        size: 100,
        have_bytes: 50,
        uploaded: 4,
        downloaded: 5,
        wasted: 6,
        is_paused: true,
        is_seed_only: true,
        is_check_skipped: true,
        is_sequential: true,
        upload_limit: Some(i64::MAX.cast_unsigned()),
        download_limit: Some(2),
        ratio_limit: Some(1.5),
        seed_time_limit_s: Some(3),
        is_looked_at: true,
        lies_in: Some("/incomplete"),
        next_announce_s: Some(10),
        has_info: false,
    }
}

/// What a record of [`bare`] is.
fn bare_record(id: i64, info_hash: InfoHash) -> Record<'static> {
    Record {
        id,
        info_hash,
        name: None,
        dir: "",
        label: None,
        error: None,
        tracker_set: None,
        added_at_s: 1_000,
        completed_at_s: None,
        seeded_s: 0,
        size: 0,
        have_bytes: 0,
        uploaded: 0,
        downloaded: 0,
        wasted: 0,
        is_paused: false,
        is_seed_only: false,
        is_check_skipped: false,
        is_sequential: false,
        upload_limit: None,
        download_limit: None,
        ratio_limit: None,
        seed_time_limit_s: None,
        is_looked_at: false,
        lies_in: None,
        next_announce_s: None,
        has_info: false,
    }
}

fn ids(state: &mut State) -> Vec<i64> {
    let mut ids = Vec::new();
    state.records(|record| ids.push(record.id)).unwrap();
    ids
}

/// All records, as text.
fn dump(state: &mut State) -> Vec<String> {
    let mut records = Vec::new();
    state.records(|record| records.push(format!("{record:?}"))).unwrap();
    records
}

fn count(state: &State, table: &str) -> i64 {
    let query = format!("SELECT count(*) FROM {table}");
    state.connection.query_row(&query, [], |row| row.get(0)).unwrap()
}
