//! The board as readers see it.

use std::sync::Arc;

use proptest::prelude::*;
use protocol::control::{ErrorCode, EventKind, ListQuery, ListReply, State, Torrent};
use protocol::id::InfoHash;

use super::super::row::{Live, Row, Trackers};
use super::{Board, MAX_REMOVALS, TorrentId};

fn row(number: u8) -> Row {
    Row {
        info_hash: InfoHash::new([number; 20]),
        name: format!("name {number}").into(),
        state: State::Seeding,
        checked: 0.0,
        size: 100,
        have: 100,
        uploaded: 0,
        downloaded: 0,
        live: None,
        label: None,
        error: None,
        dir: "/srv".into(),
        added_at: i64::from(number),
        trackers: Arc::default(),
    }
}

fn board(count: u8) -> Board {
    let board = Board::default();
    (0..count).for_each(|number| board.insert(TorrentId(i64::from(number)), row(number), true));
    board
}

fn names(reply: &ListReply) -> Vec<u8> {
    reply.torrents.iter().map(|torrent| torrent.info_hash.as_bytes()[0]).collect()
}

fn query(query: serde_json::Value) -> ListQuery {
    serde_json::from_value(query).unwrap()
}

use serde_json::json;

#[test]
fn a_torrent_is_found_by_hash_prefix_and_name() {
    let board = board(3);
    assert_eq!(board.find(&"01".repeat(20)), Ok(TorrentId(1)));
    assert_eq!(board.find(&"02".repeat(4)), Ok(TorrentId(2)));
    assert_eq!(board.find("name 0"), Ok(TorrentId(0)));
    for unknown in ["", "010", "name", "0101f", &"03".repeat(20), "all"] {
        assert_eq!(board.find(unknown).unwrap_err().error, ErrorCode::NotFound, "{unknown}");
    }
    assert_eq!(board.find_all("all").unwrap().len(), 3);
    board.update(TorrentId(1), |row| row.name = "name 0".into());
    assert_eq!(board.find("name 0").unwrap_err().error, ErrorCode::Ambiguous);
    board.insert(TorrentId(9), Row { name: "0202".into(), ..row(9) }, true);
    assert_eq!(board.find("0202").unwrap_err().error, ErrorCode::Ambiguous, "a name and a prefix");
}

#[test]
fn lists_are_filtered_by_state_label_and_tracker() {
    let board = board(4);
    board.update(TorrentId(1), |row| row.state = State::Paused);
    board.update(TorrentId(2), |row| row.label = Some("iso".into()));
    let tiers = vec![vec!["http://Tracker.example:80/announce".to_owned()]];
    board.update(TorrentId(3), |row| row.trackers = Arc::new(Trackers::new(tiers)));
    let listed = |value| names(&board.list(&query(value)).unwrap());
    assert_eq!(listed(json!({})), [0, 1, 2, 3]);
    assert_eq!(listed(json!({"state": "paused"})), [1]);
    assert_eq!(listed(json!({"label": "iso"})), [2]);
    assert_eq!(listed(json!({"label": ""})), [0, 1, 3]);
    assert_eq!(listed(json!({"tracker": "tracker.EXAMPLE"})), [3]);
    assert_eq!((board.counts().seeding, board.counts().paused), (3, 1));
}

#[test]
fn a_page_has_a_bound() {
    let board = board(2);
    for limit in [0, 10_001] {
        assert_eq!(board.list(&query(json!({"limit": limit}))).unwrap_err().error, ErrorCode::BadRequest);
    }
    assert!(board.list(&query(json!({"after": "x"}))).is_err());
    board.update(TorrentId(1), |row| row.label = Some("iso".into()));
    let total = |value| board.list(&query(value)).unwrap().total;
    assert_eq!(total(json!({"limit": 1})), 2, "a page tells of all");
    assert_eq!(total(json!({"limit": 1, "after": "1:"})), 2, "of those before it too");
    assert_eq!(total(json!({"limit": 1, "after": "1:", "label": ""})), 1, "but not of what does not match");
    assert!(board.list(&query(json!({"since": 1, "sort": "name"}))).is_err());
}

#[test]
fn a_delta_has_what_changed_and_no_more() {
    let board = board(3);
    let revision = board.list(&ListQuery::default()).unwrap().revision;
    let since = |since: u64| board.list(&query(json!({"since": since}))).unwrap();
    let nothing = since(revision);
    assert!(nothing.torrents.is_empty() && nothing.removed.is_empty() && !nothing.is_full);
    assert_eq!(nothing.revision, revision);
    board.update(TorrentId(2), |row| row.uploaded = 1);
    board.remove(TorrentId(0));
    board.update(TorrentId(2), |row| row.uploaded = 2);
    let delta = since(revision);
    assert_eq!((names(&delta), delta.removed.len(), delta.revision), (vec![2], 1, revision + 3));
    assert_eq!(delta.torrents[0].uploaded, 2);
    assert!(since(revision + 3).torrents.is_empty());
    assert!(since(revision + 99).is_full, "a revision of an earlier run");
    // One that was removed and added again is there.
    board.remove(TorrentId(1));
    board.insert(TorrentId(7), row(1), true);
    let delta = since(revision + 3);
    assert_eq!((names(&delta), delta.removed.len()), (vec![1], 0));
}

#[test]
fn one_that_no_longer_matches_is_gone_from_a_filtered_delta() {
    let board = board(2);
    let revision = board.revision();
    board.update(TorrentId(1), |row| row.state = State::Paused);
    let delta = board.list(&query(json!({"since": revision, "state": "seeding"}))).unwrap();
    assert_eq!((names(&delta), delta.removed), (vec![], vec![row(1).info_hash]));
}

#[test]
fn who_has_missed_too_many_removals_is_told_everything() {
    let board = board(1);
    let revision = board.revision();
    for number in 0..=MAX_REMOVALS {
        let id = TorrentId(1_000 + i64::try_from(number).unwrap());
        board.insert(id, row(200), false);
        board.remove(id);
    }
    let reply = board.list(&query(json!({"since": revision}))).unwrap();
    assert!(reply.is_full && names(&reply) == [0]);
}

#[test]
fn readers_hear_what_happens() {
    let board = board(1);
    let mut events = board.subscribe();
    board.insert(TorrentId(1), row(1), true);
    board.update(TorrentId(1), |row| (row.state, row.error) = (State::Error, Some("gone".into())));
    board.update(TorrentId(1), |row| row.uploaded = 5);
    board.remove(TorrentId(1));
    let kinds: Vec<EventKind> =
        std::iter::from_fn(|| events.try_recv().ok()).map(|event| event.kind).collect();
    let (from, to) = (State::Seeding, State::Error);
    let error = EventKind::Error { message: "gone".to_owned() };
    assert_eq!(kinds, [EventKind::Added, error, EventKind::State { from, to }, EventKind::Removed]);
}

/// All pages of a list, as a reader gets them who asks for `limit` rows at a time.
fn all_pages(board: &Board, sort: Option<&str>, limit: u32) -> Vec<Torrent> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let sort = sort.map(|sort| sort.parse().unwrap());
        let reply =
            board.list(&ListQuery { sort, limit: Some(limit), after, ..ListQuery::default() }).unwrap();
        assert!(reply.torrents.len() <= limit as usize);
        all.extend(reply.torrents);
        match reply.next {
            Some(next) => after = Some(next),
            None => return all,
        }
    }
}

proptest! {
    #[test]
    fn pages_make_up_the_list_in_order(
        rows in prop::collection::vec((0_u64..5, 0_u64..3, 0_u64..200), 0..40),
        key in prop::sample::select(protocol::control::SortKey::ALL.to_vec()),
        is_descending in any::<bool>(),
        limit in 1_u32..9,
    ) {
        let board = Board::default();
        for (number, (uploaded, rate, have)) in (0_u8..).zip(&rows) {
            let live = (*rate > 0).then(|| Box::new(Live { upload_rate: *rate, ..Live::default() }));
            let name = format!("N{uploaded}").into();
            let row = Row { uploaded: *uploaded, live, have: (*have).min(100), name, ..row(number) };
            board.insert(TorrentId(number.into()), row, false);
        }
        let added: Vec<_> = (0_u8..).zip(&rows).map(|(number, _)| row(number).info_hash).collect();
        let unsorted: Vec<_> = all_pages(&board, None, limit).iter().map(|torrent| torrent.info_hash).collect();
        prop_assert_eq!(unsorted, added);
        let sort = protocol::control::Sort { key, is_descending }.to_string();
        let listed = all_pages(&board, Some(&sort), limit);
        let mut hashes: Vec<_> = listed.iter().map(|torrent| torrent.info_hash).collect();
        let whole = all_pages(&board, Some(&sort), 10_000);
        prop_assert_eq!(&listed, &whole);
        hashes.sort_unstable();
        hashes.dedup();
        prop_assert_eq!(hashes.len(), rows.len());
        if key == protocol::control::SortKey::Uploaded {
            let sorted = listed.is_sorted_by(|one, two| {
                if is_descending { one.uploaded >= two.uploaded } else { one.uploaded <= two.uploaded }
            });
            prop_assert!(sorted);
        }
    }
}
