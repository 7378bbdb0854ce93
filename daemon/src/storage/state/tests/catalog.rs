//! The queries of the catalog.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread;

use super::super::{Choices, NewTorrent, RawMetainfo, StateError, path_hash};
use super::*;

const FILE: &[u8] = b"d8:announce9:http://a/4:infod6:lengthi1e4:name1:ae3:zzzi1eejunk";
const INFO: &[u8] = b"d6:lengthi1e4:name1:ae";

fn with_info(metainfo: RawMetainfo<'_>) -> NewTorrent<'_> {
    NewTorrent { info_hash: InfoHash::of_info(INFO), metainfo: Some(metainfo), ..bare(1) }
}

/// The only record there is.
fn is_record(state: &mut State, expected: &Record<'_>) {
    let mut count = 0;
    state
        .records(|record| {
            assert_eq!(record, *expected);
            count += 1;
        })
        .unwrap();
    assert_eq!(count, 1);
}

#[test]
fn a_torrent_is_inserted_with_all_that_is_known_of_it() {
    let (_folder, mut state) = state();
    let torrent = NewTorrent { rest: everything(), ..bare(1) };
    let id = state.insert(&torrent).unwrap();
    is_record(&mut state, &after_everything(id, torrent.info_hash, 1));
    let change = everything();
    assert_eq!(state.tracker_sets().unwrap()[&1], change.trackers.unwrap());
    let choices = Choices {
        select: change.select.unwrap(),
        file_paths: change.file_paths.unwrap(),
        peers: change.peers.unwrap(),
    };
    assert_eq!(state.choices(id).unwrap(), choices);
    let saved = state.load(&torrent.info_hash).unwrap().unwrap();
    assert_eq!((saved.uploaded, saved.downloaded, saved.trackers[1].len()), (4, 5, 1));
}

#[test]
fn a_change_writes_what_it_names_and_nothing_else() {
    let (_folder, mut state) = state();
    let torrent = bare(1);
    let id = state.insert(&torrent).unwrap();
    let bare = bare_record(id, torrent.info_hash);
    is_record(&mut state, &bare);
    state.change(id, &Change::default()).unwrap();
    is_record(&mut state, &bare);
    state.change(id, &Change { is_paused: Some(true), ..Change::default() }).unwrap();
    is_record(&mut state, &Record { is_paused: true, ..bare });
    state.change(id, &everything()).unwrap();
    let all = after_everything(id, torrent.info_hash, 1);
    is_record(&mut state, &all);
    let nothing = Change {
        label: Some(None),
        upload_limit: Some(None),
        ratio_limit: Some(None),
        trackers: Some(vec![]),
        select: Some(vec![]),
        ..Change::default()
    };
    state.change(id, &nothing).unwrap();
    is_record(
        &mut state,
        &Record { label: None, upload_limit: None, ratio_limit: None, tracker_set: None, ..all },
    );
    let choices = state.choices(id).unwrap();
    assert_eq!((choices.select.len(), choices.file_paths.len()), (0, 1));
    assert!(state.tracker_sets().unwrap().is_empty());
}

#[test]
fn a_torrent_that_is_not_there_is_not_changed() {
    let (_folder, mut state) = state();
    state.change(7, &everything()).unwrap();
    state.set_info(7, &RawMetainfo::of_info(INFO), &everything()).unwrap();
    state.delete(7).unwrap();
    for table in ["torrent", "info", "choice", "path", "tracker_set"] {
        assert_eq!(count(&state, table), 0, "{table}");
    }
    assert_eq!((state.choices(7).unwrap(), state.metainfo(7).unwrap()), (Choices::default(), None));
}

#[test]
fn a_torrent_is_inserted_once() {
    let (_folder, mut state) = state();
    let id = state.insert(&bare(1)).unwrap();
    let error = state.insert(&NewTorrent { rest: everything(), ..bare(1) }).unwrap_err();
    assert!(matches!(error, StateError::Exists(info_hash) if info_hash == bare(1).info_hash));
    is_record(&mut state, &bare_record(id, bare(1).info_hash));
}

#[test]
fn what_is_deleted_leaves_nothing_and_its_id_is_never_used_again() {
    let (_folder, mut state) = state();
    let first = state.insert(&bare(1)).unwrap();
    let torrent = NewTorrent { rest: everything(), ..with_info(RawMetainfo::of_file(FILE).unwrap()) };
    let last = state.insert(&torrent).unwrap();
    assert!(last > first);
    state.delete(last).unwrap();
    assert_eq!(ids(&mut state), [first]);
    for table in ["info", "choice", "path", "tracker_set", "progress", "file"] {
        assert_eq!(count(&state, table), 0, "{table}");
    }
    let path = state.path().to_owned();
    drop(state);
    let again = State::open(&path).unwrap().insert(&torrent).unwrap();
    assert!(again > last);
}

#[test]
fn torrents_with_the_same_trackers_share_them() {
    let (_folder, mut state) = state();
    let change = Change { trackers: Some(tiers(&[&["http://a/"]])), ..Change::default() };
    let all: Vec<i64> = (0..3)
        .map(|number| state.insert(&NewTorrent { rest: change.clone(), ..bare(number) }).unwrap())
        .collect();
    let mut sets = BTreeSet::new();
    state.records(|record| sets.extend([record.tracker_set])).unwrap();
    assert_eq!((sets.len(), state.tracker_sets().unwrap().len()), (1, 1));
    let other = Change { trackers: Some(tiers(&[&["http://b/"]])), ..Change::default() };
    state.change(all[0], &other).unwrap();
    assert_eq!(state.tracker_sets().unwrap().len(), 2);
    state.delete(all[1]).unwrap();
    assert_eq!(state.tracker_sets().unwrap().len(), 2, "the third still has it");
    state.change(all[2], &other).unwrap();
    assert_eq!(state.tracker_sets().unwrap().into_values().collect::<Vec<_>>(), [tiers(&[&["http://b/"]])]);
}

#[test]
fn a_torrent_file_comes_back_byte_for_byte() {
    let (_folder, mut state) = state();
    let metainfo = RawMetainfo::of_file(FILE).unwrap();
    assert_eq!(&*metainfo.info, INFO);
    let id = state.insert(&with_info(metainfo)).unwrap();
    assert_eq!(state.metainfo(id).unwrap().unwrap().to_file().unwrap(), FILE);
    assert_eq!(state.load(&InfoHash::of_info(INFO)).unwrap().unwrap().info.unwrap(), INFO);
    let mut has_info = false;
    state.records(|record| has_info = record.has_info).unwrap();
    assert!(has_info);
}

#[test]
fn metadata_of_a_magnet_comes_with_what_is_known_by_it() {
    let (_folder, mut state) = state();
    let info_hash = InfoHash::of_info(INFO);
    let id = state.insert(&NewTorrent { info_hash, ..bare(1) }).unwrap();
    let change = Change { name: Some("a".into()), size: Some(1), paths: Some(vec![5]), ..Change::default() };
    state.set_info(id, &RawMetainfo::of_info(INFO), &change).unwrap();
    let expected = Record { name: Some("a"), size: 1, has_info: true, ..bare_record(id, info_hash) };
    is_record(&mut state, &expected);
    let metainfo = state.metainfo(id).unwrap().unwrap();
    assert_eq!((&*metainfo.info, metainfo.to_file()), (INFO, None));
    assert_eq!(state.with_paths(&[5], None).unwrap(), BTreeSet::from([id]));
}

#[test]
fn metadata_that_was_damaged_is_none() {
    let (_folder, mut state) = state();
    let id = state.insert(&with_info(RawMetainfo::of_info(b"de"))).unwrap();
    assert_eq!(state.metainfo(id).unwrap(), None);
}

#[test]
fn others_with_the_same_paths_are_found() {
    let (_folder, mut state) = state();
    let paths = |names: &[&str]| names.iter().map(|name| path_hash(Path::new(name))).collect::<Vec<_>>();
    let mut insert = |number, names| {
        let rest = Change { paths: Some(paths(names)), ..Change::default() };
        state.insert(&NewTorrent { rest, ..bare(number) }).unwrap()
    };
    let (a, b) = (insert(1, &["/d/1", "/d/2", "/d/2"]), insert(2, &["/d/2", "/d/3"]));
    let mut find = |names, except| state.with_paths(&paths(names), except).unwrap();
    assert_eq!(find(&["/d/4", "/d"], None), BTreeSet::new());
    assert_eq!(find(&["/d/4", "/d/2"], None), BTreeSet::from([a, b]));
    assert_eq!(find(&["/d/2", "/d/3"], Some(b)), BTreeSet::from([a]));
    state.change(a, &Change { paths: Some(paths(&["/e/1"])), ..Change::default() }).unwrap();
    assert_eq!(state.with_paths(&paths(&["/d/1", "/d/2"]), None).unwrap(), BTreeSet::from([b]));
    state.delete(b).unwrap();
    assert_eq!(state.with_paths(&paths(&["/d/2", "/e/1"]), None).unwrap(), BTreeSet::from([a]));
}

#[test]
fn the_hash_of_a_path_is_the_same_for_ever() {
    assert_eq!(path_hash(Path::new("/data/abc")).cast_unsigned(), 0x7788_622b_c267_9a93);
}

#[test]
fn changes_of_several_are_written_whole_or_not_at_all() {
    let (_folder, mut state) = state();
    let all: Vec<i64> = (0..2).map(|number| state.insert(&bare(number)).unwrap()).collect();
    let trigger = format!(
        "CREATE TRIGGER full BEFORE UPDATE ON torrent WHEN NEW.id = {}
        BEGIN SELECT RAISE(ABORT, 'full'); END",
        all[1]
    );
    state.connection.execute_batch(&trigger).unwrap();
    let change = Change { is_paused: Some(true), ..Change::default() };
    assert!(state.change_all(all.iter().map(|id| (*id, &change))).is_err());
    let mut paused = 0;
    state.records(|record| paused += usize::from(record.is_paused)).unwrap();
    assert_eq!(paused, 0);
}

#[test]
fn several_connections_write_and_read_in_turn() {
    let (_folder, mut state) = state();
    let path = state.path().to_owned();
    thread::scope(|scope| {
        for writer in 0..3 {
            let path = &path;
            scope.spawn(move || {
                let mut state = State::open(path).unwrap();
                for number in 0..40 {
                    let torrent = NewTorrent { rest: everything(), ..bare(writer * 1_000 + number) };
                    let id = state.insert(&torrent).unwrap();
                    if number % 2 == 0 {
                        state.delete(id).unwrap();
                    }
                    let seen = ids(&mut state);
                    assert!(seen.is_sorted() && seen.contains(&id) == (number % 2 == 1));
                }
            });
        }
    });
    assert_eq!(ids(&mut state).len(), 60);
}
