//! Limits of `btd run`: rates of all torrents and of one, connections, open files. Of a rate, only what it must take at
//! least is measured, and that without it the rest comes in a fraction of the time that it would take.

use std::time::{Duration, Instant};

use tests::daemon::{Daemon, Home, text};
use tests::download::{Download, Event};
use tests::wire::{ANSWER_LIMIT, Peer, Speaks, handshake};

use crate::Case;
use crate::offer::Offer;

pub(crate) const CASES: &[Case] = &[
    Case::new("daemon_heeds_an_upload_rate_until_it_is_lifted", heeds_an_upload_rate_until_it_is_lifted),
    Case::new("daemon_heeds_a_download_rate_until_it_is_lifted", heeds_a_download_rate_until_it_is_lifted),
    Case::new("daemon_heeds_an_upload_rate_of_a_torrent", heeds_an_upload_rate_of_a_torrent),
    Case::new("daemon_heeds_a_download_rate_of_a_torrent", heeds_a_download_rate_of_a_torrent),
    Case::new("daemon_turns_away_who_is_too_many", turns_away_who_is_too_many),
    Case::new("daemon_holds_few_files_open", holds_few_files_open),
];

/// Bytes of a payload, which takes two minutes at the rate of [`SLOW`].
const LENGTH: u64 = 6_000_017;
const PIECES_OF_64_KIB: &[&str] = &["--piece-length", "64KiB"];
/// A rate of 50 kB/s, as it is typed.
const SLOW: &str = "50k";
/// Bytes that come before a rate is lifted.
const FIRST_BYTES: u64 = 4 * 65_536;
/// Least that they take: 5 s, less what a bucket holds at the start and what a busy machine does to a clock.
const FIRST_TIME: Duration = Duration::from_secs(3);
/// Longest that the rest may take without a limit; with it, it takes 115 s.
const REST_TIME: Duration = Duration::from_secs(60);

/// Fetches pieces of `offer` in order until as many bytes have come as are to be timed; then `lift` takes the limit
/// away, and the rest is fetched.
fn assert_slow_upload(daemon: &Daemon<'_>, offer: &Offer, lift: impl FnOnce()) {
    let mut download = Download::start(daemon.address(), &offer.torrent, Speaks::Fast);
    let (mut to_ask, mut bytes) = (0..offer.torrent.piece_count(), 0);
    let mut lift = Some(lift);
    let mut begin = Instant::now();
    while bytes < LENGTH {
        while download.wants_more() {
            let Some(piece) = to_ask.next() else { break };
            download.ask(piece).unwrap();
        }
        match download.next_event() {
            Event::Piece(piece) => bytes += u64::try_from(piece.data.len()).unwrap(),
            other => panic!("{other:?} after {bytes} bytes"),
        }
        if bytes >= FIRST_BYTES
            && let Some(lift) = lift.take()
        {
            assert!(begin.elapsed() >= FIRST_TIME, "{bytes} bytes took {:?}", begin.elapsed());
            lift();
            begin = Instant::now();
        }
    }
    assert!(begin.elapsed() <= REST_TIME, "the rest took {:?} without a limit", begin.elapsed());
}

fn heeds_an_upload_rate_until_it_is_lifted() {
    let offer = Offer::single_with("d-up-rate", LENGTH, PIECES_OF_64_KIB);
    let home = Home::new("d-up-rate-home", &format!("[limits]\nupload_rate = '{SLOW}'"));
    let daemon = home.start();
    offer.seed_by(&daemon);
    assert_slow_upload(&daemon, &offer, || {
        daemon.reload("[limits]\nupload_rate = 0");
    });
    daemon.end_well();
}

fn heeds_an_upload_rate_of_a_torrent() {
    let offer = Offer::single_with("d-up-one", LENGTH, PIECES_OF_64_KIB);
    let home = Home::new("d-up-one-home", "");
    let daemon = home.start();
    let options = ["--upload-limit", SLOW, "--dir", text(offer.home()), text(&offer.file)];
    let info_hash = daemon.add(&options);
    daemon.wait_state(&info_hash, "seeding");
    assert_slow_upload(&daemon, &offer, || {
        daemon.told(&["limit", "--up", "none", &info_hash]);
    });
    daemon.end_well();
}

/// Adds `offer` with `options` and waits until as many bytes are here as are to be timed; then `lift` takes the limit
/// away, and the rest is waited for.
fn assert_slow_download(daemon: &Daemon<'_>, offer: &Offer, options: &[&str], lift: impl FnOnce(&str)) {
    let begin = Instant::now();
    let info_hash = daemon.add(&[options, &[text(&offer.file)]].concat());
    let wait = |bytes: u64| {
        daemon.wait(&format!("{bytes} bytes"), |daemon| {
            (daemon.torrent(&info_hash)["have"].as_u64() >= Some(bytes)).then_some(())
        });
    };
    wait(FIRST_BYTES);
    assert!(begin.elapsed() >= FIRST_TIME, "{FIRST_BYTES} bytes took {:?}", begin.elapsed());
    let begin = Instant::now();
    lift(&info_hash);
    wait(LENGTH);
    assert!(begin.elapsed() <= REST_TIME, "the rest took {:?} without a limit", begin.elapsed());
}

fn heeds_a_download_rate_until_it_is_lifted() {
    let (offer, _seed, _tracker) = Offer::tracked("d-down-rate", LENGTH, usize::MAX);
    let home = Home::new("d-down-rate-home", &format!("[limits]\ndownload_rate = '{SLOW}'"));
    let daemon = home.start();
    assert_slow_download(&daemon, &offer, &[], |_| {
        daemon.reload("[limits]\ndownload_rate = 0");
    });
    offer.assert_in(&home.data());
    daemon.end_well();
}

fn heeds_a_download_rate_of_a_torrent() {
    let (offer, _seed, _tracker) = Offer::tracked("d-down-one", LENGTH, usize::MAX);
    let home = Home::new("d-down-one-home", "");
    let daemon = home.start();
    assert_slow_download(&daemon, &offer, &["--download-limit", SLOW], |info_hash| {
        daemon.told(&["limit", "--down", "none", info_hash]);
    });
    offer.assert_in(&home.data());
    daemon.end_well();
}

fn turns_away_who_is_too_many() {
    const REFUSED: &str = "btd_worker_refused_total{worker=\"0\"}";
    let offer = Offer::single_with("d-connections", LENGTH, PIECES_OF_64_KIB);
    let home = Home::new("d-connections-home", "[limits]\nconnections = 1");
    let daemon = home.start();
    offer.seed_by(&daemon);
    let mut first = Download::start(daemon.address(), &offer.torrent, Speaks::Fast);
    let mut second = Peer::connect(daemon.address());
    second.assert_closed(ANSWER_LIMIT);
    assert!((daemon.metric(REFUSED) - 1.0).abs() < f64::EPSILON);
    // Whoever is in is served, and makes room when he goes.
    first.whole();
    drop(first);
    daemon.wait("room for another", |daemon| {
        let mut next = Peer::connect(daemon.address());
        next.try_send(&handshake(offer.torrent.info_hash, Speaks::Fast)).ok()?;
        next.receive_handshake()
    });
    daemon.end_well();
}

/// A file that is closed while something of it is being sent waits to be, so there may be one more.
fn holds_few_files_open() {
    let names = ["a", "b", "c", "d", "e", "f"];
    let offer = Offer::folder("d-open-files", &names.map(|name| (name, 500_009)), PIECES_OF_64_KIB);
    let most_open = |keys: &str| {
        let home = Home::new("d-open-files-home", keys);
        let daemon = home.start();
        offer.seed_by(&daemon);
        let mut download = Download::start(daemon.address(), &offer.torrent, Speaks::Fast);
        // While its peer is there, nothing is closed but what is too many.
        let mut most = 0.0_f64;
        for piece in 0..offer.torrent.piece_count() {
            download.ask(piece).unwrap();
            assert!(matches!(download.next_event(), Event::Piece(piece) if piece.is_right));
            most = most.max(daemon.metric("btd_open_files"));
        }
        drop(download);
        daemon.end_well();
        most
    };
    let (limited, free) = (most_open("[limits]\nopen_files = 1"), most_open(""));
    assert!((1.0..=2.0).contains(&limited), "{limited} files were open");
    assert!(free >= 6.0, "{free} files were open without a limit");
}
