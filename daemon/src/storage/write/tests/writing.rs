//! Blocks come in, pieces land on disk.

use sha1::{Digest, Sha1};

use super::*;
use crate::storage::write::{BlockDigest, Chunks, Slice};

const FILES: &[(&str, u64)] =
    &[("a", 100_000), ("folder/b", 5), ("empty", 0), ("c", 50_000), ("pad", 46_603), ("d", 70_000)];

fn digests_of(bench: &Bench, piece: u32, source: impl Fn(Block) -> PeerKey) -> Vec<BlockDigest> {
    let digest = |block: &Block| BlockDigest {
        begin: block.begin,
        digest: Sha1::digest(bench.bytes(*block)).into(),
        source: source(*block),
    };
    bench.blocks(piece).iter().map(digest).collect()
}

#[test]
fn pieces_that_cross_files_and_padding_land_where_they_belong() {
    let bench = Bench::new(FILES);
    let geometry = *bench.torrent.info().geometry();
    let mut blocks: Vec<Block> = (0..geometry.piece_count()).flat_map(|piece| bench.blocks(piece)).collect();
    // Out of order, pieces interleaved.
    blocks.sort_by_key(|block| (block.begin.wrapping_mul(7_919) ^ block.piece.wrapping_mul(31)) % 101);
    blocks.iter().for_each(|block| bench.deposit_right(*block));
    let mut verified: Vec<u32> = (0..geometry.piece_count()).map(|_| bench.verified()).collect();
    verified.sort_unstable();
    assert_eq!(verified, (0..geometry.piece_count()).collect::<Vec<_>>());
    bench.assert_on_disk();
    let totals = bench.writer.totals();
    assert_eq!(totals.written_bytes, 220_005, "padding is not written");
    let length = geometry.length();
    assert_eq!((totals.received_bytes, totals.hashed_bytes, totals.wasted_bytes), (length, length, 0));
    assert_eq!((totals.verified_pieces, totals.failed_pieces), (geometry.piece_count().into(), 0));
}

#[test]
fn a_block_of_several_chunks_is_written_whole() {
    let bench = Bench::new(&[("a", 40_000)]);
    let pool = Chunks::new();
    for block in bench.blocks(0) {
        let parts = bench.bytes(block).chunks(5_000).map(|part| {
            let mut chunk = pool.take(part.len() + 3);
            chunk.bytes_mut()[3..].copy_from_slice(part);
            Slice::new(chunk.share(), 3..part.len() + 3)
        });
        bench.deposit(block, HONEST, parts.collect::<BlockData>());
    }
    assert_eq!(bench.verified(), 0);
    bench.assert_on_disk();
}

#[test]
fn more_slices_than_one_call_takes_are_written() {
    let bench = Bench::new(&[("a", 20_000)]);
    let mut chunk = Chunks::new().take(20_000);
    chunk.bytes_mut().copy_from_slice(&bench.payload);
    let chunk = chunk.share();
    let slices = |range: std::ops::Range<usize>| {
        range.step_by(4).map(|start| Slice::new(Arc::clone(&chunk), start..start + 4)).collect::<BlockData>()
    };
    bench.deposit(Block { piece: 0, begin: 0, length: BLOCK }, HONEST, slices(0..16_384));
    bench.deposit(Block { piece: 0, begin: BLOCK, length: 3_616 }, HONEST, slices(16_384..20_000));
    assert_eq!(bench.verified(), 0);
    bench.assert_on_disk();
}

#[test]
fn a_bad_piece_is_named_block_by_block_and_not_written() {
    let bench = Bench::new(&[("a", 100_000)]);
    let liar = PeerKey(7);
    let source = |block: Block| if block.begin == BLOCK { liar } else { HONEST };
    for block in bench.blocks(0) {
        let mut bytes = bench.bytes(block).to_vec();
        bytes[9] ^= u8::from(source(block) == liar);
        bench.deposit(block, source(block), bytes);
    }
    let Report::Failed { piece: 0, digests: failed } = bench.report() else { panic!("it is bad") };
    assert!(read(&bench.path("a")).iter().all(|byte| *byte == 0));
    let totals = bench.writer.totals();
    assert_eq!((totals.failed_pieces, totals.verified_pieces), (1, 0));
    // As a whole, and block by block.
    assert_eq!((totals.wasted_bytes, totals.hashed_bytes), (PIECE.into(), 2 * u64::from(PIECE)));

    bench.deposit_piece(0);
    let Report::Verified { piece: 0, digests: Some(passed) } = bench.report() else { panic!("it is good") };
    assert_eq!(passed, digests_of(&bench, 0, |_| HONEST));
    let differing: Vec<_> =
        failed.iter().zip(&passed).filter(|(failed, passed)| failed.digest != passed.digest).collect();
    assert_eq!(differing.len(), 1);
    assert_eq!((differing[0].0.begin, differing[0].0.source), (BLOCK, liar));
    bench.download([1]);
    bench.assert_on_disk();
}

#[test]
fn the_first_copy_of_a_block_wins_and_late_ones_take_no_memory() {
    let bench = Bench::new(&[("a", 100_000)]);
    let blocks = bench.blocks(0);
    bench.deposit_right(blocks[0]);
    bench.deposit(blocks[0], PeerKey(7), vec![0; BLOCK as usize]);
    blocks[1..].iter().for_each(|block| bench.deposit_right(*block));
    assert_eq!(bench.verified(), 0);
    // The have bit is not set yet: the writer knows by itself.
    bench.deposit_right(blocks[2]);
    bench.download([1]);
    let totals = bench.writer.totals();
    assert_eq!((totals.duplicate_blocks, totals.wasted_bytes), (2, 2 * u64::from(BLOCK)));
    assert_eq!(totals.received_bytes, 100_000);
    bench.assert_on_disk();
    bench.writer.stop();
    assert_eq!(bench.writer.credits().free_kib(), WRITE_CREDITS_KIB as usize);
}

#[test]
fn pieces_beyond_the_memory_are_written_early_and_read_back() {
    // Memory for four blocks, and twelve pieces of four under way at once.
    let files = [("a", 300_000), ("pad", 30_000), ("b", 450_000)];
    let bench = Bench::with(&files, &Placing::default(), 64, Disk::new());
    let count = bench.torrent.info().geometry().piece_count();
    let mut blocks: Vec<Block> = (0..count).flat_map(|piece| bench.blocks(piece)).collect();
    blocks.sort_by_key(|block| (block.begin, block.piece));
    for block in blocks {
        let mut bytes = bench.bytes(block).to_vec();
        bytes[0] ^= u8::from(block.piece == 3 && block.begin == 0);
        bench.deposit(block, PeerKey(u64::from(block.begin)), bytes);
    }
    let mut failed = None;
    for _ in 0..count {
        match bench.report() {
            Report::Verified { .. } => {}
            Report::Failed { piece: 3, digests } => failed = Some(digests),
            other => panic!("{other:?}"),
        }
    }
    let expected = digests_of(&bench, 3, |block| PeerKey(u64::from(block.begin)));
    let failed = failed.unwrap();
    assert_eq!(failed[1..], expected[1..]);
    assert_ne!(failed[0], expected[0]);
    assert!(bench.writer.totals().early_bytes > 0);

    bench.deposit_piece(3);
    let Report::Verified { piece: 3, digests: Some(_) } = bench.report() else { panic!("it is good") };
    bench.assert_on_disk();
}

#[test]
fn a_sync_names_the_pieces_that_were_reported_before_it() {
    let bench = Bench::new(FILES);
    bench.download([0, 2]);
    let sync = || {
        let (sender, durable) = unbounded();
        bench.writer.sync(move |pieces| sender.send(pieces).unwrap()).unwrap();
        durable.recv_timeout(Duration::from_secs(30)).unwrap().pieces
    };
    let info_hash = bench.torrent.info_hash();
    assert_eq!(sync(), [(info_hash, 0), (info_hash, 2)]);
    assert_eq!(sync(), []);
    bench.download([1]);
    assert_eq!(sync(), [(info_hash, 1)]);
}

#[test]
fn what_is_whole_is_written_before_the_end_and_the_rest_is_dropped() {
    let bench = Bench::new(FILES);
    bench.deposit_piece(1);
    bench.deposit_right(bench.blocks(2)[0]);
    bench.writer.stop();
    assert_eq!(bench.verified(), 1);
    assert!(bench.reports.is_empty());
    let block = bench.blocks(2)[1];
    assert!(wait(bench.writer.credits().acquire(block.length)).is_none(), "it has ended");
}

#[test]
fn a_torrent_that_is_forgotten_gives_its_memory_back() {
    let bench = Bench::with(FILES, &Placing::default(), 128, Disk::new());
    bench.blocks(0)[..3].iter().for_each(|block| bench.deposit_right(*block));
    let (done, is_done) = crossbeam_channel::bounded(1);
    bench.writer.forget(bench.torrent.info_hash(), move || done.send(()).unwrap()).unwrap();
    is_done.recv_timeout(Duration::from_secs(30)).unwrap();
    // Comes only once all of the memory is free.
    drop(wait(bench.writer.credits().acquire(128 * 1024)).unwrap());
    bench.download(0..3);
    assert_eq!(bench.writer.totals().duplicate_blocks, 0);
}
