//! Disks without room, and files that are not what was made.

use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::storage::file::{FileError, PayloadFile};
use crate::storage::write::WriteError;

/// A disk on which nothing has room while `is_full`: the kernel's own ENOSPC.
fn disk_that_is(is_full: &Arc<AtomicBool>) -> Disk {
    let is_full = Arc::clone(is_full);
    Disk::with_opener(Box::new(move |payload: &PayloadFile| {
        if is_full.load(Ordering::SeqCst) {
            let full = File::options().read(true).write(true).open("/dev/full");
            full.map_err(|source| FileError::Unreadable { path: "/dev/full".into(), source })
        } else {
            payload.open_to_write()
        }
    }))
}

#[test]
fn a_full_disk_is_reported_once_and_what_waits_is_written_when_there_is_room() {
    let is_full = Arc::new(AtomicBool::new(true));
    let bench = Bench::with(&[("a", 300_000)], &Placing::default(), 512, disk_that_is(&is_full));
    bench.deposit_piece(2);
    let Report::DiskFull { needed } = bench.report() else { panic!("it is full") };
    assert_eq!(needed, u64::from(PIECE));
    bench.writer.retry().unwrap();
    bench.deposit_piece(4);
    bench.deposit_piece(1);
    is_full.store(false, Ordering::SeqCst);
    bench.writer.retry().unwrap();
    let mut reports: Vec<String> = (0..4).map(|_| format!("{:?}", bench.report())).collect();
    assert!(reports[0].starts_with("Verified { piece: 2"), "{reports:?}");
    reports.sort();
    assert!(reports[0].starts_with("Room") && reports[1].starts_with("Verified"), "{reports:?}");
    bench.download([0, 3]);
    bench.assert_on_disk();
    assert!(bench.torrent.error().is_none());
}

#[test]
fn a_disk_that_fills_up_while_pieces_are_written_early_is_reported_too() {
    let is_full = Arc::new(AtomicBool::new(true));
    let bench = Bench::with(&[("a", 300_000)], &Placing::default(), 64, disk_that_is(&is_full));
    bench.blocks(0)[..3].iter().for_each(|block| bench.deposit_right(*block));
    let Report::DiskFull { needed } = bench.report() else { panic!("it is full") };
    assert_eq!(needed, 3 * u64::from(BLOCK));
    is_full.store(false, Ordering::SeqCst);
    bench.writer.retry().unwrap();
    assert!(matches!(bench.report(), Report::Room));
    bench.deposit_right(bench.blocks(0)[3]);
    assert_eq!(bench.verified(), 0);
    bench.download(1..5);
    bench.assert_on_disk();
}

#[test]
fn a_file_that_was_replaced_is_not_written() {
    let bench = Bench::new(&[("a", 100_000)]);
    std::fs::rename(bench.path("a"), bench.path("b")).unwrap();
    std::fs::write(bench.path("a"), vec![7; 100_000]).unwrap();
    bench.deposit_piece(0);
    let Report::Error(error) = bench.report() else { panic!("it is another file") };
    assert!(matches!(*error, WriteError::File(FileError::Replaced(_))), "{error}");
    assert!(bench.torrent.error().is_some());
    assert_eq!(read(&bench.path("a")), vec![7; 100_000]);
    // Later blocks of a torrent that has failed are dropped at once.
    bench.deposit_piece(1);
    bench.writer.stop();
    assert!(bench.reports.is_empty());
}

#[test]
fn a_file_is_not_written_through_a_link() {
    let bench = Bench::new(&[("a", 100_000)]);
    std::fs::rename(bench.path("a"), bench.path("b")).unwrap();
    std::os::unix::fs::symlink("b", bench.path("a")).unwrap();
    bench.deposit_piece(0);
    let Report::Error(error) = bench.report() else { panic!("it is a link") };
    assert!(matches!(*error, WriteError::File(FileError::Unreadable { .. })), "{error}");
}

#[test]
#[should_panic(expected = "lies in its torrent")]
fn a_block_outside_of_its_torrent_is_our_mistake() {
    let bench = Bench::new(&[("a", 100_000)]);
    bench.deposit(Block { piece: 2, begin: 0, length: 5 }, HONEST, vec![0; 5]);
}
