//! Snapshots: what is written is read again, and what was damaged is not.

use proptest::prelude::*;

use super::super::tests::{RULES, announce, hash, peer, v4};
use super::super::{Asked, Capacity, Event};
use super::*;

const TIMEOUT_S: u32 = 4_000;

fn moment(now_s: u32, unix_s: u64) -> Moment {
    Moment { now_s, unix_s }
}

fn empty() -> Swarms {
    Swarms::new(RULES, 10_000, Capacity::default())
}

fn written(swarms: &Swarms, at: Moment) -> Vec<u8> {
    let mut bytes = Vec::new();
    swarms.write_snapshot(&mut bytes, at, || {}).unwrap();
    bytes
}

/// Some torrents of every sort, one of them large.
fn some() -> Swarms {
    let swarms = empty();
    for torrent in 0..100 {
        for port in 1..=3 {
            announce(&swarms, &peer(torrent, v4(torrent, port)), 9_000 + torrent);
        }
        let v6 = format!("[2001:db8::{torrent}]:1").parse().unwrap();
        announce(&swarms, &Asked { state: State::Seed, ..peer(torrent, v6) }, 9_050);
        announce(
            &swarms,
            &Asked { state: State::Paused, key: Some(torrent), ..peer(torrent, v4(1, 99)) },
            9_060,
        );
        let done = Asked { state: State::Seed, event: Event::Completed, ..peer(torrent, v4(torrent, 1)) };
        announce(&swarms, &done, 9_070);
    }
    for port in 1..=9_000 {
        announce(&swarms, &peer(500, v4(7, port)), 9_000);
        announce(&swarms, &peer(500, format!("[2001:db8::7]:{port}").parse().unwrap()), 9_000);
    }
    swarms
}

/// All that is known of all torrents.
fn all(swarms: &Swarms, now_s: u32) -> Vec<impl PartialEq + std::fmt::Debug + use<>> {
    (0..=500)
        .map(|torrent| {
            let mut found = swarms.look_up(&hash(torrent), now_s, usize::MAX);
            if let Some((_, rows)) = &mut found {
                rows.sort_by_key(|row| row.address);
            }
            found
        })
        .collect()
}

#[test]
fn what_is_written_is_read_again() {
    let swarms = some();
    let bytes = written(&swarms, moment(9_100, 1_700_000_000));
    let again = empty();
    // Another clock, and 20 seconds later.
    again.read_snapshot(&mut &bytes[..], moment(50_000, 1_700_000_020), TIMEOUT_S).unwrap();
    assert_eq!(all(&again, 50_000), all(&swarms, 9_120));
    let (totals, before) = (again.totals(), swarms.totals());
    assert_eq!(
        (totals.torrents, totals.peers_v4, totals.seeds),
        (before.torrents, before.peers_v4, before.seeds)
    );
    assert_eq!(again.homes.len(), swarms.homes.len());
    let done = Asked { state: State::Seed, event: Event::Completed, ..peer(3, v4(3, 1)) };
    assert_eq!(announce(&again, &done, 50_001).downloaded, 1, "who was counted is not counted again");
}

#[test]
fn who_has_been_silent_for_too_long_meanwhile_is_left_out() {
    let bytes = written(&some(), moment(9_100, 1_000));
    let again = empty();
    again.read_snapshot(&mut &bytes[..], moment(50_000, 1_000 + 3_960), TIMEOUT_S).unwrap();
    let totals = again.totals();
    // Those of 9,060 and later stay: of each torrent the paused one and the one that completed, and who came late.
    assert_eq!((totals.peers_v4, totals.peers_v6), (100 + 100 + 2 * 40, 0));
    assert_eq!(again.scrape(&hash(1)).downloaded, 1);
}

#[test]
fn a_clock_that_was_set_back_is_borne() {
    let swarms = some();
    let bytes = written(&swarms, moment(9_100, 1_000_000));
    let again = empty();
    again.read_snapshot(&mut &bytes[..], moment(50_000, 3), TIMEOUT_S).unwrap();
    assert_eq!(again.totals().peers_v4, swarms.totals().peers_v4);
}

#[test]
fn another_file_is_told_from_a_damaged_one() {
    let read = |mut bytes: &[u8]| empty().read_snapshot(&mut bytes, moment(1, 1), TIMEOUT_S);
    assert!(matches!(read(b""), Err(SnapshotError::Magic)));
    assert!(matches!(read(b"SQLite format 3\0"), Err(SnapshotError::Magic)));
    let bytes = written(&some(), moment(9_100, 1));
    for length in [8, 15, 16, 20, 24, 1_000, bytes.len() / 2, bytes.len() - 1] {
        assert!(matches!(read(&bytes[..length]), Err(SnapshotError::Damaged(_))), "{length}");
    }
    let mut long = bytes.clone();
    long[16..20].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(read(&long), Err(SnapshotError::Damaged(16))), "and no memory is taken for it");
    assert!(matches!(read(&[&bytes[..], &[0]].concat()), Err(SnapshotError::Damaged(_))), "one byte more");
    read(&bytes).unwrap();
}

proptest! {
    #[test]
    fn a_bit_that_fell_over_is_found(at: prop::sample::Index, bit in 0..8_u8) {
        let swarms = empty();
        for torrent in 0..20 {
            announce(&swarms, &peer(torrent, v4(torrent, 1)), 9_000);
        }
        let mut bytes = written(&swarms, moment(9_100, 1));
        // The time of writing is not guarded: it makes peers older.
        let at = 16 + at.index(bytes.len() - 16);
        bytes[at] ^= 1 << bit;
        prop_assert!(empty().read_snapshot(&mut &bytes[..], moment(9_100, 1), TIMEOUT_S).is_err());
    }

    #[test]
    fn arbitrary_blocks_never_panic(block: Vec<u8>) {
        let mut bytes = [&MAGIC[..], &[0; 8]].concat();
        write_block(&mut bytes, &block).unwrap();
        write_block(&mut bytes, &[]).unwrap();
        let _ = empty().read_snapshot(&mut &bytes[..], moment(9_100, 1), TIMEOUT_S);
    }
}
