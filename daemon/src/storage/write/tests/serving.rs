//! Files that are served while they are written, and watched once they are not.

use protocol::geometry::Block;

use super::*;
use crate::storage::file::FileError;
use crate::storage::guard;
use crate::storage::lane::Lanes;
use crate::storage::lease::Lease;
use crate::storage::{Lent, TorrentError, window};

fn now_s() -> u32 {
    window::seconds(std::time::Instant::now())
}

/// Has `block` fetched, and compares what a sender would read.
fn assert_served(bench: &Bench, lanes: &Lanes, block: Block) {
    let lease = wait(lanes.fetch(&bench.torrent, &[block], false)).unwrap();
    assert_eq!(lease.block_count(), 1);
    let start = block.piece as usize * PIECE as usize + block.begin as usize;
    let file = bench.torrent.payload(0).unwrap();
    let opened = file.opened.load_full().unwrap();
    let range = start..start + block.length as usize;
    assert!(guard::with_bytes(opened.mapping(), range, |bytes| bytes == bench.bytes(block)).unwrap());
}

#[test]
fn a_growing_file_is_served_from_its_mapping_while_it_is_written() {
    let bench = Bench::new(&[("a", 1_000_000)]);
    let lanes = Lanes::start(&[], 8).unwrap();
    lanes.add(&bench.torrent).unwrap();
    let count = bench.torrent.info().geometry().piece_count();
    for piece in (0..count).rev() {
        bench.download([piece]);
        assert_served(&bench, &lanes, bench.blocks(piece)[0]);
        // What was written before is still lent at once, and no write of ours counts as a change.
        let lent = bench.torrent.lend(bench.blocks(count - 1)[0], now_s(), &mut Lease::default());
        assert_eq!(lent, Lent::Warm);
        assert!(lanes.is_quiet() && bench.torrent.error().is_none());
        lanes.settle(&bench.torrent, piece..piece + 1);
    }
    let file = bench.torrent.payload(0).unwrap();
    assert!(file.is_settled() && file.opened.load().is_none(), "to be opened anew");
}

#[test]
fn a_change_from_outside_stops_a_torrent_once_it_is_settled() {
    let bench = Bench::new(&[("a", 200_000)]);
    let lanes = Lanes::start(std::slice::from_ref(&bench.torrent), 8).unwrap();
    bench.download(0..4);
    assert_served(&bench, &lanes, bench.blocks(0)[0]);
    lanes.settle(&bench.torrent, 0..4);
    let cold = bench.torrent.lend(bench.blocks(0)[0], now_s(), &mut Lease::default());
    assert_eq!(cold, Lent::Cold, "what was mapped unwatched is not lent any more");
    assert_served(&bench, &lanes, bench.blocks(0)[0]);
    let file = std::fs::File::options().write(true).open(bench.path("a")).unwrap();
    file.set_len(100_000).unwrap();
    assert!(!lanes.is_quiet() || bench.torrent.error().is_some());
    assert!(wait(lanes.fetch(&bench.torrent, &[bench.blocks(0)[0]], false)).is_err());
    assert!(matches!(bench.torrent.error(), Some(TorrentError::File(FileError::Resized { .. }))));
}

#[test]
fn a_growing_file_that_is_cut_stops_its_torrent() {
    let bench = Bench::new(&[("a", 200_000)]);
    let lanes = Lanes::start(std::slice::from_ref(&bench.torrent), 8).unwrap();
    bench.download([3]);
    std::fs::File::options().write(true).open(bench.path("a")).unwrap().set_len(199_999).unwrap();
    assert!(wait(lanes.fetch(&bench.torrent, &[bench.blocks(3)[0]], false)).is_err());
    assert!(matches!(bench.torrent.error(), Some(TorrentError::File(FileError::Resized { .. }))));
}

#[test]
fn a_file_gets_its_name_when_it_is_complete() {
    let placing = Placing { suffix: Some(".part".into()), ..Placing::default() };
    let bench = Bench::with(&[("a", 100_000), ("b", 100_000), ("c", 0)], &placing, 1_024, Disk::new());
    let lanes = Lanes::start(std::slice::from_ref(&bench.torrent), 8).unwrap();
    assert!(bench.path("a.part").exists() && !bench.path("a").exists());
    assert!(bench.path("c").exists(), "an empty file is complete");
    for piece in 0..2 {
        bench.download([piece]);
        lanes.settle(&bench.torrent, piece..piece + 1);
    }
    assert!(bench.path("a").exists() && !bench.path("a.part").exists());
    assert!(bench.path("b.part").exists() && !bench.path("b").exists());
    assert_served(&bench, &lanes, bench.blocks(0)[1]);
    // The writer still has b open under its old name.
    bench.download(2..4);
    lanes.settle(&bench.torrent, 0..4);
    assert!(bench.torrent.error().is_none());
    bench.assert_on_disk();
}

#[test]
fn a_file_does_not_take_the_name_of_another() {
    let placing = Placing { suffix: Some(".part".into()), ..Placing::default() };
    let bench = Bench::with(&[("a", 60_000)], &placing, 1_024, Disk::new());
    std::fs::write(bench.path("a"), "precious").unwrap();
    bench.download([0]);
    Lanes::start(&[], 8).unwrap().settle(&bench.torrent, 0..1);
    assert!(matches!(bench.torrent.error(), Some(TorrentError::File(FileError::Rename { .. }))));
    assert_eq!(read(&bench.path("a")), b"precious");
}
