//! A payload that shrinks while sixteen peers download it: its torrent stops with an error, no piece of it
//! arrives wrong, and another torrent is served on.

use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use tests::btd::{Seeder, arguments, btd};
use tests::download::{Download, Event};
use tests::folders::scratch;
use tests::payload::{write_folder, write_single};
use tests::torrent::Torrent;
use tests::wire::{ANSWER_LIMIT, Peer, Speaks, handshake};

use crate::Case;

pub(crate) const CASES: &[Case] = &[
    Case::new("a_payload_that_shrinks_stops_its_torrent_alone", || shrinks(Wanted::Everything)),
    Case::new("a_payload_that_shrinks_is_noticed_before_it_is_missed", || shrinks(Wanted::WhatIsLeft)),
];

/// What the peers ask for over and over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// All pieces: some no longer exist after the payload shrank, and sending them fails.
    Everything,
    /// Pieces that still exist afterwards: nothing fails, so that the change itself must be noticed before the
    /// zeros behind the new end are taken for payload.
    WhatIsLeft,
}

/// Connections that download the payload when it shrinks.
const PEERS: usize = 16;
/// 256 pieces of 256 KiB and a bit.
const LENGTH: u64 = 64 * 1024 * 1024 + 4_321;
/// Where the payload ends after it shrank: inside the last page of piece 155, so that a btd that looks away can send
/// the piece whole, with zeros at its end. Further ahead the kernel would keep it from sending the rest.
const SHRUNK_LENGTH: u64 = 156 * 256 * 1024 - 1_001;
/// The piece that `SHRUNK_LENGTH` lies in.
const TAIL_PIECE: u32 = 155;
/// Longest that btd may take to notice, on a machine busy with other tests.
const NOTICE_LIMIT: Duration = Duration::from_secs(30);

fn shrinks(wanted: Wanted) {
    let scratch = scratch("truncate");
    let shrinking = write_single(scratch.path(), "shrinking.bin", 1, LENGTH);
    let steady = write_folder(scratch.path(), "steady", 2, &[("a", 5_000_003), ("b", 3_000_000)]);
    let [torrent, other] = [&shrinking, &steady].map(|payload| {
        let path = payload.with_extension("torrent");
        let made = btd(&arguments(&[&"create", payload, &"-o", &path, &"--piece-length", &"256KiB"]));
        assert_eq!(made.code(), Some(0), "{}", made.describe());
        Torrent::read(&path)
    });
    let seeder = Seeder::start(&[&shrinking, &steady], &["--piece-length", "256KiB"]);
    let hashes: Vec<&str> = seeder.torrents.iter().map(|torrent| torrent.info_hash.as_str()).collect();
    assert_eq!(hashes, [torrent.hex(), other.hex()]);
    let address = seeder.address();
    let has_shrunk = AtomicBool::new(false);
    thread::scope(|scope| {
        let (progress, has_begun) = mpsc::channel();
        let (torrent, has_shrunk) = (&torrent, &has_shrunk);
        let peers: Vec<_> = (0..PEERS)
            .map(|number| {
                let progress = progress.clone();
                scope.spawn(move || {
                    download_until_closed(number, address, torrent, wanted, has_shrunk, &progress)
                })
            })
            .collect();
        let mut pieces = [0; PEERS];
        while pieces.iter().any(|count| *count < 20) {
            pieces[has_begun.recv_timeout(ANSWER_LIMIT).expect("every peer downloads")] += 1;
        }
        OpenOptions::new().write(true).open(&shrinking).unwrap().set_len(SHRUNK_LENGTH).unwrap();
        has_shrunk.store(true, Ordering::SeqCst);
        for peer in peers {
            let wrong = peer.join().expect("each peer is heard until it is closed");
            assert!(wrong.is_empty(), "pieces {wrong:?} arrived with the wrong hash");
        }
    });
    seeder.wait_for_error("shrinking.bin", NOTICE_LIMIT);
    // The torrent has stopped: nobody new gets in.
    let mut late = Peer::connect(address);
    late.send(&handshake(torrent.info_hash, Speaks::Fast));
    late.assert_closed(NOTICE_LIMIT);
    // The other one goes on.
    Download::start(address, &other, Speaks::Fast).whole();
    seeder.end_well();
}

/// Downloads pieces in a loop, beginning somewhere else than other peers do, until btd hangs up; returns those
/// whose hash was wrong. The piece in which the payload ends after it shrank is asked for once before and then
/// only after: a block that is already on its way at that moment is the race that btd documents, one asked for later has no excuse.
fn download_until_closed(
    number: usize,
    address: SocketAddr,
    torrent: &Torrent,
    wanted: Wanted,
    has_shrunk: &AtomicBool,
    progress: &Sender<usize>,
) -> Vec<u32> {
    let speaks = if number.is_multiple_of(2) { Speaks::Fast } else { Speaks::Plain };
    let mut download = Download::start(address, torrent, speaks);
    let end = if wanted == Wanted::Everything { torrent.piece_count() } else { TAIL_PIECE };
    let mut others = (0..end).filter(|piece| *piece != TAIL_PIECE).cycle().skip(number * 16);
    // Once before, so that what btd has in memory is what it will be asked for.
    let mut asked_for_tail = download.ask(TAIL_PIECE).is_ok();
    let mut wrong = Vec::new();
    loop {
        while download.wants_more() {
            let wants_tail = !asked_for_tail && has_shrunk.load(Ordering::SeqCst);
            let piece = if wants_tail { TAIL_PIECE } else { others.next().expect("it cycles") };
            asked_for_tail |= wants_tail;
            if download.ask(piece).is_err() {
                break;
            }
        }
        match download.next_event() {
            Event::Piece(piece) => {
                asked_for_tail &= piece.index != TAIL_PIECE;
                if !piece.is_right {
                    wrong.push(piece.index);
                }
                progress.send(number).ok();
            }
            // A fast peer may be told before it is closed.
            Event::Rejected(block) if speaks == Speaks::Fast => {
                assert!(has_shrunk.load(Ordering::SeqCst), "{block:?}")
            }
            Event::Rejected(block) => panic!("{block:?} is rejected to a peer that is not fast"),
            Event::Closed => return wrong,
        }
    }
}
