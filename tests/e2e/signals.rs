//! SIGINT and SIGTERM end btd well, whatever it is doing.

use std::sync::mpsc;
use std::thread;

use nix::sys::signal::Signal;
use tests::btd::END_LIMIT;
use tests::download::{Download, Event};
use tests::wire::{ANSWER_LIMIT, Peer, Speaks};

use crate::Case;
use crate::swarm::Swarm;

pub(crate) const CASES: &[Case] = &[
    Case::new("sigint_ends_an_idle_btd", || ends_while_idle(Signal::SIGINT)),
    Case::new("sigterm_ends_an_idle_btd", || ends_while_idle(Signal::SIGTERM)),
    Case::new("sigint_ends_a_busy_btd", || ends_while_busy(Signal::SIGINT)),
    Case::new("sigterm_ends_a_busy_btd", || ends_while_busy(Signal::SIGTERM)),
];

/// Connections that download when the signal comes.
const PEERS: usize = 16;

fn ends_while_idle(signal: Signal) {
    let swarm = Swarm::start("signal-idle");
    let mut peer = Peer::greet(swarm.address(), swarm.torrent.info_hash, Speaks::Fast);
    let output = swarm.seeder.end(signal);
    assert_eq!(output.code(), Some(0), "{signal}: {}", output.describe());
    assert!(!output.stderr().contains("panicked"), "{}", output.describe());
    peer.assert_closed(END_LIMIT);
}

fn ends_while_busy(signal: Signal) {
    let swarm = Swarm::start("signal-busy");
    let (address, torrent) = (swarm.address(), &swarm.torrent);
    thread::scope(|scope| {
        let (progress, has_begun) = mpsc::channel();
        for number in 0..PEERS {
            let progress = progress.clone();
            scope.spawn(move || {
                let mut download = Download::start(address, torrent, Speaks::Plain);
                let mut pieces = (0..torrent.piece_count()).cycle().skip(number * 4);
                let mut is_open = true;
                while is_open {
                    while is_open && download.wants_more() {
                        is_open = download.ask(pieces.next().expect("it cycles")).is_ok();
                    }
                    match download.next_event() {
                        Event::Piece(piece) => assert!(piece.is_right, "piece {}", piece.index),
                        Event::Rejected(block) => panic!("{block:?} is rejected to a peer that is not fast"),
                        Event::Closed => return,
                    }
                    progress.send(number).ok();
                }
            });
        }
        let mut busy = [false; PEERS];
        while busy.contains(&false) {
            busy[has_begun.recv_timeout(ANSWER_LIMIT).expect("every peer downloads")] = true;
        }
        let output = swarm.seeder.end(signal);
        assert_eq!(output.code(), Some(0), "{signal}: {}", output.describe());
        assert!(!output.stderr().contains("panicked"), "{}", output.describe());
    });
}
