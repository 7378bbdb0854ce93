//! Peers that misbehave: each loses its connection, and a good peer that downloads beside it notices nothing.

use std::fs;
use std::io::{ErrorKind, Write};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use tests::download::Download;
use tests::torrent::Block;
use tests::wire::{ANSWER_LIMIT, Peer, Speaks, frame, handshake, id, request};

use crate::Case;
use crate::swarm::Swarm;

pub(crate) const CASES: &[Case] = &[
    // The slow ones first: they wait until btd loses patience.
    Case::new("half_a_frame_is_not_waited_for_forever", half_a_frame_is_not_waited_for_forever),
    Case::new("a_silent_peer_is_not_kept_forever", a_silent_peer_is_not_kept_forever),
    Case::new("a_handshake_that_never_ends_is_dropped", a_handshake_that_never_ends_is_dropped),
    Case::new("a_handshake_that_never_starts_is_dropped", a_handshake_that_never_starts_is_dropped),
    Case::new("garbage_instead_of_a_handshake_is_dropped", garbage_instead_of_a_handshake_is_dropped),
    Case::new("an_unknown_info_hash_is_dropped", an_unknown_info_hash_is_dropped),
    Case::new("an_oversized_frame_is_dropped", an_oversized_frame_is_dropped),
    Case::new("a_frame_of_the_wrong_length_is_dropped", a_frame_of_the_wrong_length_is_dropped),
    Case::new("a_request_out_of_bounds_is_dropped", a_request_out_of_bounds_is_dropped),
    Case::new("a_request_for_too_much_is_dropped", a_request_for_too_much_is_dropped),
    Case::new("a_request_before_unchoke_is_dropped", a_request_before_unchoke_is_dropped),
    Case::new("a_bitfield_of_the_wrong_size_is_dropped", a_bitfield_of_the_wrong_size_is_dropped),
    Case::new("a_piece_that_nobody_asked_for_is_dropped", a_piece_that_nobody_asked_for_is_dropped),
    Case::new("a_flood_of_requests_is_answered_or_dropped", a_flood_of_requests_is_answered_or_dropped),
    Case::new("a_peer_that_never_reads_costs_little", a_peer_that_never_reads_costs_little),
    Case::new("connections_are_limited", connections_are_limited),
];

/// Longest that btd may take to drop a peer that has made a mistake, on a machine busy with other tests.
const MISTAKE_LIMIT: Duration = Duration::from_secs(30);
/// The same for a handshake that never comes.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(60);
/// The same for a peer that is silent: btd promises two minutes.
const IDLE_LIMIT: Duration = Duration::from_secs(180);
/// How long the good peer rests between two downloads while a bad one is waited out.
const REST: Duration = Duration::from_millis(500);

/// Runs `misbehave` while a good peer downloads the whole payload over and over on one connection: at least
/// once before, and once after.
fn beside_a_good_peer(name: &str, rest: Duration, misbehave: impl FnOnce(&Swarm)) {
    let swarm = Swarm::start(name);
    thread::scope(|scope| {
        // Dropped by either side, also when it panics, so that neither waits for the other forever.
        let (started, is_started) = mpsc::channel();
        let (misbehaving, is_over) = mpsc::channel::<()>();
        let shared = &swarm;
        let good = scope.spawn(move || {
            let mut download = Download::start(shared.address(), &shared.torrent, Speaks::Fast);
            download.whole();
            started.send(()).ok();
            while is_over.recv_timeout(rest) == Err(RecvTimeoutError::Timeout) {
                download.whole();
            }
            download.whole();
        });
        if is_started.recv_timeout(ANSWER_LIMIT).is_ok() {
            misbehave(&swarm);
        }
        drop(misbehaving);
        good.join().expect("the good peer is undisturbed");
    });
    swarm.seeder.end_well();
}

/// A bad peer that greets, and is unchoked if it is to be, before it sends `bytes`; it must be dropped.
fn assert_dropped(swarm: &Swarm, speaks: Speaks, is_unchoked: bool, bytes: &[u8]) {
    let greet = if is_unchoked { Peer::unchoked } else { Peer::greet };
    let mut peer = greet(swarm.address(), swarm.torrent.info_hash, speaks);
    // btd may hang up before it has read everything.
    peer.try_send(bytes).ok();
    peer.assert_closed(MISTAKE_LIMIT);
}

fn half_a_frame_is_not_waited_for_forever() {
    beside_a_good_peer("half-frame", REST, |swarm| {
        let whole = request(Block { piece: 0, begin: 0, length: 16_384 });
        let mut peer = Peer::unchoked(swarm.address(), swarm.torrent.info_hash, Speaks::Fast);
        peer.send(&whole[..7]);
        peer.assert_closed(IDLE_LIMIT);
    });
}

fn a_silent_peer_is_not_kept_forever() {
    beside_a_good_peer("silent", REST, |swarm| {
        Peer::greet(swarm.address(), swarm.torrent.info_hash, Speaks::Plain).assert_closed(IDLE_LIMIT);
    });
}

fn a_handshake_that_never_ends_is_dropped() {
    beside_a_good_peer("slow-handshake", REST, |swarm| {
        let mut peer = Peer::connect(swarm.address());
        peer.send(&handshake(swarm.torrent.info_hash, Speaks::Fast)[..40]);
        peer.assert_closed(HANDSHAKE_LIMIT);
    });
}

fn a_handshake_that_never_starts_is_dropped() {
    beside_a_good_peer("no-handshake", REST, |swarm| {
        Peer::connect(swarm.address()).assert_closed(HANDSHAKE_LIMIT);
    });
}

fn garbage_instead_of_a_handshake_is_dropped() {
    beside_a_good_peer("garbage", Duration::ZERO, |swarm| {
        let page =
            b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: a browser that took a wrong turn\r\n\r\n"
                .to_vec();
        let mut almost = handshake(swarm.torrent.info_hash, Speaks::Fast);
        almost[5] ^= 1;
        for garbage in [vec![0; 68], vec![0xff; 4_096], page, almost] {
            let mut peer = Peer::connect(swarm.address());
            peer.try_send(&garbage).ok();
            peer.assert_closed(MISTAKE_LIMIT);
        }
    });
}

fn an_unknown_info_hash_is_dropped() {
    beside_a_good_peer("unknown", Duration::ZERO, |swarm| {
        let mut peer = Peer::connect(swarm.address());
        peer.send(&handshake([9; 20], Speaks::Fast));
        peer.assert_closed(MISTAKE_LIMIT);
    });
}

fn an_oversized_frame_is_dropped() {
    beside_a_good_peer("oversized", Duration::ZERO, |swarm| {
        for length in [u32::MAX, 1 << 31, 64 << 20] {
            let prefix = length.to_be_bytes();
            for id in [id::REQUEST, id::BITFIELD, id::PIECE, id::EXTENDED, 99] {
                assert_dropped(
                    swarm,
                    Speaks::FastAndExtended,
                    false,
                    &[&prefix, [id].as_slice(), &[0; 64]].concat(),
                );
            }
        }
    });
}

fn a_frame_of_the_wrong_length_is_dropped() {
    beside_a_good_peer("wrong-length", Duration::ZERO, |swarm| {
        for (id, length) in [
            (id::REQUEST, 11),
            (id::REQUEST, 13),
            (id::CANCEL, 0),
            (id::HAVE, 3),
            (id::HAVE, 5),
            (id::INTERESTED, 1),
            (id::CHOKE, 4),
            (id::PIECE, 7),
            (id::HAVE_ALL, 1),
            (id::REJECT, 4),
        ] {
            assert_dropped(swarm, Speaks::Fast, true, &frame(id, &vec![0; length]));
        }
    });
}

fn a_request_out_of_bounds_is_dropped() {
    beside_a_good_peer("out-of-bounds", Duration::ZERO, |swarm| {
        let pieces = swarm.torrent.piece_count();
        let last = swarm.torrent.piece_bytes(pieces - 1);
        for (piece, begin, length) in [
            (pieces, 0, 16_384),
            (u32::MAX, 0, 16_384),
            (u32::MAX, u32::MAX, u32::MAX),
            (0, 256 * 1024 - 16_384 + 1, 16_384),
            (0, 256 * 1024, 1),
            (0, u32::MAX, 16_384),
            (pieces - 1, 0, last + 1),
            (pieces - 1, last, 1),
            (0, 0, 0),
        ] {
            for speaks in [Speaks::Plain, Speaks::Fast] {
                assert_dropped(swarm, speaks, true, &request(Block { piece, begin, length }));
            }
        }
    });
}

fn a_request_for_too_much_is_dropped() {
    beside_a_good_peer("too-much", Duration::ZERO, |swarm| {
        for length in [128 * 1024 + 1, 256 * 1024] {
            for speaks in [Speaks::Plain, Speaks::Fast] {
                assert_dropped(swarm, speaks, true, &request(Block { piece: 0, begin: 0, length }));
            }
        }
    });
}

fn a_request_before_unchoke_is_dropped() {
    beside_a_good_peer("choked", Duration::ZERO, |swarm| {
        let bytes = request(Block { piece: 0, begin: 0, length: 16_384 });
        assert_dropped(swarm, Speaks::Plain, false, &bytes);
    });
}

fn a_bitfield_of_the_wrong_size_is_dropped() {
    beside_a_good_peer("bitfield-size", Duration::ZERO, |swarm| {
        let right = usize::try_from(swarm.torrent.piece_count().div_ceil(8)).unwrap();
        for length in [0, right - 1, right + 1, 10_000] {
            assert_dropped(swarm, Speaks::Plain, false, &frame(id::BITFIELD, &vec![0; length]));
        }
    });
}

fn a_piece_that_nobody_asked_for_is_dropped() {
    beside_a_good_peer("unasked", Duration::ZERO, |swarm| {
        for length in [1, 16_384] {
            assert_dropped(swarm, Speaks::Fast, true, &frame(id::PIECE, &vec![0; 8 + length]));
        }
    });
}

fn a_flood_of_requests_is_answered_or_dropped() {
    /// Far more than any client queues.
    const REQUESTS: u32 = 20_000;
    beside_a_good_peer("flood", Duration::ZERO, |swarm| {
        let mut peer = Peer::unchoked(swarm.address(), swarm.torrent.info_hash, Speaks::Fast);
        let block = |number: u32| Block { piece: number % 64, begin: number / 64 * 512, length: 512 };
        let flood: Vec<u8> = (0..REQUESTS).flat_map(|number| request(block(number))).collect();
        let mut writer = peer.writer();
        thread::scope(|scope| {
            scope.spawn(move || writer.write_all(&flood).ok());
            let mut answered = vec![false; usize::try_from(REQUESTS).unwrap()];
            let mut answers = 0;
            while answers < REQUESTS {
                let message = peer
                    .receive(ANSWER_LIMIT)
                    .unwrap_or_else(|error| panic!("{error} after {answers} answers"));
                let Some(message) = message else { return };
                let Some(answer) = message.block() else { continue };
                let number = answer.begin / 512 * 64 + answer.piece;
                assert_eq!(answer, block(number), "an answer is for a request");
                let seen = &mut answered[usize::try_from(number).unwrap()];
                assert!(!std::mem::replace(seen, true), "{answer:?} is answered twice");
                answers += 1;
            }
        });
    });
}

/// Kilobytes of memory that process `id` has for itself.
pub(crate) fn anonymous_kib(id: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).expect("the process runs");
    let line =
        status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("the kernel says RssAnon");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn a_peer_that_never_reads_costs_little() {
    /// 500 times 1,000 requests for the largest block: 64 GB are asked for.
    const ROUNDS: u32 = 500;
    const LIMIT_KIB: u64 = 96 * 1024;
    beside_a_good_peer("never-reads", Duration::ZERO, |swarm| {
        let requests = request(Block { piece: 1, begin: 0, length: 131_072 }).repeat(1_000);
        let peer = Peer::unchoked(swarm.address(), swarm.torrent.info_hash, Speaks::Fast);
        let mut writer = peer.writer();
        writer.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
        for _ in 0..ROUNDS {
            match writer.write_all(&requests) {
                Ok(()) => {}
                // btd reads no further, or has hung up: both are well.
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                    break;
                }
                Err(error) => panic!("{error}"),
            }
        }
        let used = anonymous_kib(swarm.seeder.id());
        assert!(used < LIMIT_KIB, "btd holds {used} KiB for a peer that does not read");
    });
}

fn connections_are_limited() {
    let swarm = Swarm::start_with("limit", &["--max-connections", "4"]);
    let greet = || Peer::greet(swarm.address(), swarm.torrent.info_hash, Speaks::Fast);
    let mut peers: Vec<Peer> = (0..4).map(|_| greet()).collect();
    let mut fifth = Peer::connect(swarm.address());
    fifth.try_send(&handshake(swarm.torrent.info_hash, Speaks::Fast)).ok();
    fifth.assert_closed(MISTAKE_LIMIT);
    // One who leaves makes room; btd notices soon, but nothing tells when.
    peers.pop();
    let deadline = Instant::now() + MISTAKE_LIMIT;
    loop {
        let mut next = Peer::connect(swarm.address());
        next.try_send(&handshake(swarm.torrent.info_hash, Speaks::Fast)).ok();
        if next.receive_handshake().is_some() {
            break;
        }
        assert!(Instant::now() < deadline, "no room after a peer has left");
    }
    swarm.seeder.end_well();
}
