//! The .torrent file of a large payload: scanned, and read.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use protocol::bencode::{scan, scan_torrent};
use protocol::id::InfoHash;
use protocol::meta::{Metainfo, NewFile, NewTorrent, Payload};

use crate::torrent::{MANY_PIECES, PIECE_LENGTH};

/// Files of the torrent.
const FILE_COUNT: u32 = 10_000;
/// Bytes of each: ten pieces.
const FILE_LENGTH: u64 = 10 * PIECE_LENGTH as u64;

/// Measures the scan of such a file and what is made of it. Its bytes are hashes for the most part, which a scan passes
/// over in one step, so that it is its files that count.
pub(crate) fn measure(criterion: &mut Criterion) {
    let (metainfo, bytes) = torrent().build().unwrap();
    let mut group = criterion.benchmark_group("bencode");
    group.throughput(Throughput::Elements(FILE_COUNT.into()));

    assert_eq!(scan(&bytes), Ok(bytes.len()));
    group.bench_function("scan", |bencher| {
        bencher.iter(|| assert_eq!(scan(black_box(&bytes)), Ok(bytes.len())));
    });

    let info = scan_torrent(&bytes).unwrap();
    assert_eq!(InfoHash::of_info(&bytes[info.clone()]), metainfo.info.info_hash());
    group.bench_function("scan_torrent, no key twice", |bencher| {
        bencher.iter(|| assert_eq!(scan_torrent(black_box(&bytes)).as_ref(), Ok(&info)));
    });

    assert_eq!(metainfo.info.geometry().piece_count(), MANY_PIECES);
    assert_eq!(metainfo.info.files()[9_999].path.to_string(), "payload/season 99/episode 09999.mkv");
    assert_eq!(Metainfo::parse(&bytes).as_ref(), Ok(&metainfo));
    group.bench_function("Metainfo, with its SHA-1", |bencher| {
        let parse = || Metainfo::parse(black_box(&bytes)).unwrap();
        bencher.iter(|| assert_eq!(parse().info.files().len(), FILE_COUNT as usize));
    });
    group.finish();
}

/// A folder of a hundred folders of a hundred files each.
fn torrent() -> NewTorrent {
    let file = |number: u32| NewFile {
        path: vec![format!("season {:02}", number / 100), format!("episode {number:05}.mkv")],
        length: FILE_LENGTH,
    };
    let payload = Payload::Folder { files: (0..FILE_COUNT).map(file).collect() };
    let hashes = (0..=u8::MAX).cycle().take(MANY_PIECES as usize * 20).collect();
    let mut torrent = NewTorrent::new("payload", payload, PIECE_LENGTH, hashes);
    torrent.trackers = vec!["http://tracker.example/announce".to_owned()];
    torrent
}
