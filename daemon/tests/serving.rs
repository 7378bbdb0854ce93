//! The serving side as a whole, in this process: real sockets, real files, a real ring.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod peer;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use btd::config::ServeConfig;
use btd::storage::Task;
use btd::storage::Torrent;
use btd::storage::lane::Lanes;
use btd::storage::verify::verify;
use protocol::geometry::{BLOCK_LENGTH, Block};
use protocol::meta::Info;
use protocol::wire::Message;

use peer::{DEADLINE, Peer, config, download, noise, start, torrent_of, wait_until};

#[test]
fn hot_blocks_leave_in_batches() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("payload");
    let payload = noise(1, 64 << 20);
    std::fs::write(&path, &payload).unwrap();
    let torrent = torrent_of(&path, 1 << 20);
    let server = start(&config(), &[Arc::clone(&torrent)]);
    let mut peer = Peer::connect(server.addresses()[0], &torrent).unwrap();
    assert!(peer.download(64).unwrap() == payload, "the first time, from cold");
    wait_until("the counters", || server.totals().payload_bytes_sent == 64 << 20);
    let before = server.totals();
    assert!(peer.download(64).unwrap() == payload, "the second time, hot");
    wait_until("the counters", || server.totals().payload_bytes_sent == 128 << 20);
    let after = server.totals();
    let blocks = after.blocks_sent - before.blocks_sent;
    let sends = after.sends - before.sends;
    assert_eq!(blocks, (64 << 20) / u64::from(BLOCK_LENGTH));
    assert!(blocks >= 16 * sends, "{blocks} blocks in {sends} sends");
    server.stop();
}

#[test]
fn files_of_all_sizes_are_served_through_one_open_file_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("tree");
    std::fs::create_dir_all(root.join("sub")).unwrap();
    let mut payload = Vec::new();
    // Short ones are read, long ones are mapped, and blocks cross them.
    for (number, length) in [0, 1, 100, 16_383, 16_384, 300_000, 5, 1 << 20, 70_001].into_iter().enumerate() {
        let bytes = noise(number as u64 + 1, length);
        std::fs::write(root.join(format!("{number}")), &bytes).unwrap();
        payload.extend(bytes);
    }
    let torrent = torrent_of(&root, 32_768);
    let server = start(&ServeConfig { max_open_files: 1, ..config() }, &[Arc::clone(&torrent)]);
    for _ in 0..2 {
        assert!(download(&server, &torrent).unwrap() == payload);
    }
    server.stop();
}

/// A torrent of two files with padding between, each of them shorter than a piece.
fn padded(folder: &Path, a: &[u8], b: &[u8]) -> (Arc<Torrent>, Vec<u8>) {
    const PIECE_LENGTH: usize = 32_768;
    let padding = PIECE_LENGTH - a.len();
    let payload = [a, &vec![0; padding], b].concat();
    let hashes: Vec<u8> = payload.chunks(PIECE_LENGTH).flat_map(sha1_of).collect();
    let files = format!(
        "d6:lengthi{}e4:pathl1:aeed4:attr1:p6:lengthi{padding}e4:pathl4:.pad1:xeed6:lengthi{}e4:pathl1:bee",
        a.len(),
        b.len()
    );
    let front =
        format!("d5:filesl{files}e4:name4:tree12:piece lengthi{PIECE_LENGTH}e6:pieces{}:", hashes.len());
    let raw = [front.as_bytes(), &hashes, b"e"].concat();
    let info = Arc::new(Info::parse(raw.into()).unwrap());
    std::fs::create_dir(folder.join("tree")).unwrap();
    std::fs::write(folder.join("tree/a"), a).unwrap();
    std::fs::write(folder.join("tree/b"), b).unwrap();
    let verification = verify(&info, folder, &Task::default());
    assert!(verification.is_complete());
    (Arc::new(verification.into_torrent(info)), payload)
}

#[test]
fn padding_is_served_as_zeros_that_are_not_on_disk() {
    // Long enough to be mapped, and short enough to be read into a buffer that has been used before.
    for (a, b) in [(20_000, 30_000), (5_000, 7_000)] {
        let folder = tempfile::tempdir().unwrap();
        let (torrent, payload) = padded(folder.path(), &noise(1, a), &noise(2, b));
        let server = start(&config(), &[Arc::clone(&torrent)]);
        for time in ["cold", "warm", "warm again"] {
            assert!(download(&server, &torrent).unwrap() == payload, "{time}");
        }
        server.stop();
    }
}

#[test]
fn a_lane_lends_blocks_that_lie_on_no_device() {
    let folder = tempfile::tempdir().unwrap();
    let (torrent, _) = padded(folder.path(), &noise(1, 5_000), &noise(2, 7_000));
    let lanes = Lanes::start(&[Arc::clone(&torrent)], 1).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let only_padding = Block { piece: 0, begin: BLOCK_LENGTH, length: BLOCK_LENGTH };
    let with_file = Block { piece: 1, begin: 0, length: 7_000 };
    for blocks in [&[only_padding][..], &[only_padding, with_file], &[with_file, only_padding]] {
        let lease = runtime.block_on(lanes.fetch(&torrent, blocks, false)).unwrap();
        assert_eq!(lease.block_count(), blocks.len());
    }
}

fn sha1_of(bytes: &[u8]) -> [u8; 20] {
    // The same digest names a torrent and a piece.
    *protocol::id::InfoHash::of_info(bytes).as_bytes()
}

#[test]
fn a_file_that_changes_stops_its_torrent_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["changes", "stays"].map(|name| folder.path().join(name));
    let payloads = [noise(1, 3 << 20), noise(2, 3 << 20)];
    for (path, payload) in paths.iter().zip(&payloads) {
        std::fs::write(path, payload).unwrap();
    }
    let torrents: Vec<Arc<Torrent>> = paths.iter().map(|path| torrent_of(path, 1 << 18)).collect();
    let server = start(&config(), &torrents);
    let mut idle = Peer::connect(server.addresses()[0], &torrents[0]).unwrap();
    assert!(idle.download(64).unwrap() == payloads[0]);
    let file = std::fs::File::options().write(true).open(&paths[0]).unwrap();
    file.set_len(1_000_000).unwrap();
    assert!(idle.is_ended(), "a peer that was idle is let go");
    let error = torrents[0].error().unwrap().to_string();
    assert!(error.contains("changes"), "{error}");
    assert!(download(&server, &torrents[0]).is_none(), "nobody new is let in");
    assert!(download(&server, &torrents[1]).unwrap() == payloads[1]);
    server.stop();
}

#[test]
fn a_file_that_vanishes_before_it_is_first_asked_for_stops_its_torrent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("payload");
    std::fs::write(&path, noise(1, 1 << 20)).unwrap();
    let torrent = torrent_of(&path, 1 << 18);
    let server = start(&config(), &[Arc::clone(&torrent)]);
    std::fs::remove_file(&path).unwrap();
    assert!(download(&server, &torrent).is_none());
    assert!(torrent.error().unwrap().to_string().contains("payload"));
    server.stop();
}

#[test]
fn connections_beyond_the_limit_are_turned_away_and_places_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("payload");
    std::fs::write(&path, noise(1, 100_000)).unwrap();
    let torrent = torrent_of(&path, 16_384);
    let server = start(&ServeConfig { max_connections: 2, ..config() }, &[Arc::clone(&torrent)]);
    let connect = || Peer::connect(server.addresses()[0], &torrent);
    let (first, second) = (connect().unwrap(), connect().unwrap());
    assert!(connect().is_none());
    drop(first);
    wait_until("the place to come back", || server.totals().connections == 1);
    assert!(connect().is_some());
    drop(second);
    server.stop();
}

#[test]
fn stopping_ends_every_connection_whatever_it_is_doing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("payload");
    std::fs::write(&path, noise(1, 8 << 20)).unwrap();
    let torrent = torrent_of(&path, 1 << 18);
    let server = start(&ServeConfig { workers: 2, ..config() }, &[Arc::clone(&torrent)]);
    let address = server.addresses()[0];
    let mut silent = TcpStream::connect(address).unwrap();
    let mut idle = Peer::connect(address, &torrent).unwrap();
    // Asks for far more than the sockets hold, and reads nothing.
    let mut greedy = Peer::connect(address, &torrent).unwrap();
    let mut bytes = Vec::new();
    (0..512).for_each(|i| {
        Message::Request(Block { piece: i % 32, begin: 0, length: BLOCK_LENGTH }).encode(&mut bytes);
    });
    greedy.stream.write_all(&bytes).unwrap();
    wait_until("the socket to be full", || server.totals().bytes_sent > 100_000);
    server.stop();
    assert!(idle.is_ended() && greedy.is_ended());
    silent.set_read_timeout(Some(DEADLINE)).unwrap();
    assert!(matches!(silent.read(&mut [0]), Ok(0) | Err(_)));
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
}
