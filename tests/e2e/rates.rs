//! Limits of rates, measured over ten seconds: here time is the subject.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tests::download::{Download, Event as Got};
use tests::get::Event;
use tests::raw_seed::RawSeed;
use tests::torrent::Torrent;
use tests::wire::Speaks;

use crate::Case;
use crate::offer::Offer;

pub(crate) const CASES: &[Case] = &[
    Case::new("an_upload_limit_of_a_seed_is_kept", an_upload_limit_of_a_seed_is_kept),
    Case::new("an_upload_limit_of_a_download_is_kept", an_upload_limit_of_a_download_is_kept),
    Case::new("a_download_limit_is_kept", a_download_limit_is_kept),
];

/// What is measured first is left out: a bucket is full at the start.
const LEAD: Duration = Duration::from_secs(2);
/// How long is measured.
const SPAN: Duration = Duration::from_secs(10);
/// What is allowed, in bytes a second.
const RATE: f64 = 2_000_000.0;
/// How far above it a rate may be.
const TOLERANCE: f64 = 0.05;
/// Least part of it that must come, also on a machine busy with tests.
const LEAST: f64 = 0.5;
/// Bytes of the payload: more than comes in that time.
const LENGTH: u64 = 40_000_000;
const PIECES_OF_64_KIB: &[&str] = &["--piece-length", "64KiB"];

/// Bytes a second, from a count that grows: `next` waits for its next value.
fn measure(mut next: impl FnMut() -> u64) -> f64 {
    next();
    let begin = Instant::now();
    while begin.elapsed() < LEAD {
        next();
    }
    let (first, start) = (next(), Instant::now());
    loop {
        let (count, elapsed) = (next(), start.elapsed());
        if elapsed >= SPAN {
            #[allow(clippy::cast_precision_loss, reason = "less than 2^53 bytes")]
            return (count - first) as f64 / elapsed.as_secs_f64();
        }
    }
}

fn assert_kept(rate: f64) {
    println!("rates: {rate:.0} bytes/s of {RATE}");
    assert!((LEAST..=1.0 + TOLERANCE).contains(&(rate / RATE)), "{rate:.0} bytes/s where {RATE} are allowed");
}

/// The rate at which the btd at `address` lets a raw peer download.
fn rate_from(address: std::net::SocketAddr, torrent: &Torrent) -> f64 {
    let mut download = Download::start(address, torrent, Speaks::Fast);
    let (mut asked, mut bytes) = (0..torrent.piece_count(), 0);
    measure(|| {
        while download.wants_more() {
            download.ask(asked.next().expect("the payload is longer")).unwrap();
        }
        match download.next_event() {
            Got::Piece(piece) => bytes += u64::try_from(piece.data.len()).unwrap(),
            other => panic!("{other:?} after {bytes} bytes"),
        }
        bytes
    })
}

fn an_upload_limit_of_a_seed_is_kept() {
    let offer = Offer::single_with("upload-limit", LENGTH, PIECES_OF_64_KIB);
    let seeder = offer.seed(&["--upload-limit", "2M"]);
    assert_kept(rate_from(seeder.address(), &offer.torrent));
    seeder.end_well();
}

fn an_upload_limit_of_a_download_is_kept() {
    let offer = Offer::single_with("get-upload-limit", LENGTH, PIECES_OF_64_KIB);
    let folder = offer.place("got");
    std::fs::copy(&offer.payload, offer.copy_in(&folder)).unwrap();
    let mut getter = offer.get(&folder, &[], &["--seed", "--upload-limit", "2M"]);
    let address = getter.address();
    assert_kept(rate_from(address, &offer.torrent));
    getter.end(Signal::SIGINT);
}

fn a_download_limit_is_kept() {
    let offer = Offer::single_with("download-limit", LENGTH, PIECES_OF_64_KIB);
    // Two seeds, so that the limit is of all peers together.
    let seeds = [0, 1].map(|_| RawSeed::honest(&offer.torrent, offer.bytes()));
    let peers = seeds.each_ref().map(|seed| seed.address);
    let folder = offer.place("got");
    let mut getter = offer.get(&folder, &peers, &["--download-limit", "2M"]);
    let rate = measure(|| {
        getter.expect("progress", |event| match event {
            Event::Progress(progress) if progress.downloaded > 0 => Some(progress.downloaded),
            _ => None,
        })
    });
    assert_kept(rate);
    getter.finish();
    offer.assert_in(&folder);
}
