//! A swarm as it is out there: one slow libtorrent seed, and two btd, a transmission, a libtorrent and an aria2 that
//! download from it and from each other, and know of each other by a tracker alone.

use std::time::{Duration, Instant};

use tests::announces::LiveTracker;
use tests::compare::{EmptyFiles, assert_same};
use tests::get::Getter;
use tests::needs::Need;
use tests::netns::Star;
use tests::peers::{Aria2, Libtorrent, Transmission};

use crate::Case;
use crate::offer::Offer;

pub(crate) const CASES: &[Case] = &[Case::new("a_mixed_swarm_completes", a_mixed_swarm_completes).needs(&[
    Need::Libtorrent,
    Need::Program("transmission-cli"),
    Need::Program("aria2c"),
    Need::Namespaces,
])];

/// Files that share pieces; more than 20 MB in all.
const FILES: &[(&str, u64)] =
    &[("a.bin", 1_000_003), ("empty.dat", 0), ("größe ☃/日本語 файл.bin", 23_000_001), ("z.txt", 12_345)];
/// Bytes a second that the seed sends: a copy takes twelve seconds.
const SEED_RATE: &str = "2000000";
/// Longest that the swarm may take: each client finds the others when its tracker's interval is over.
const SWARM_LIMIT: Duration = Duration::from_secs(240);

fn a_mixed_swarm_completes() {
    let star = Star::create(6);
    let [seed_home, first_home, second_home, transmission_home, libtorrent_home, aria2_home] =
        star.members.as_slice()
    else {
        panic!("six members were made")
    };
    let tracker = LiveTracker::http_in(&star.middle);
    let offer =
        Offer::folder("mixed", FILES, &["--piece-length", "64KiB", "--tracker", tracker.url.as_str()]);
    let place = |name: &str| offer.place(name);
    let begin = Instant::now();
    let getters = [(first_home, "btd-1"), (second_home, "btd-2")].map(|(home, name)| {
        let listen = format!("{}:6881", home.address());
        Getter::start_in(home, &offer.file, &place(name), &["--listen", &listen, "--seed"])
    });
    let transmission =
        Transmission::start_in(transmission_home, &offer.file, &place("transmission"), &place("settings"));
    let libtorrent = Libtorrent::start_in(libtorrent_home, &offer.file, &place("libtorrent"), &[]);
    let aria2 = Aria2::leech_in(aria2_home, &offer.file, &place("aria2"));
    for member in &star.members[1..] {
        let name = member.address();
        tracker.roll.wait_for(&format!("{name}"), SWARM_LIMIT, |announce| {
            (announce.address.ip() == name).then_some(())
        });
    }
    // Everyone is there before the first byte is.
    let seed = Libtorrent::start_in(seed_home, &offer.file, offer.home(), &["--upload-limit", SEED_RATE]);
    let mut done = Vec::new();
    let ended = getters.map(|mut getter| {
        getter.done();
        done.push(begin.elapsed());
        getter
    });
    transmission.wait_finished(SWARM_LIMIT);
    libtorrent.wait_finished(SWARM_LIMIT);
    aria2.wait_finished(SWARM_LIMIT);
    println!("mixed: two btd after {done:?}, everyone after {:?}", begin.elapsed());
    let progress = ended.map(|getter| getter.end(nix::sys::signal::Signal::SIGINT).progress());
    transmission.end();
    let (seed, libtorrent) = (seed.end(), libtorrent.end());
    println!("mixed: {progress:?}, seed {seed:?}, libtorrent {libtorrent:?}");
    for name in ["btd-1", "btd-2", "libtorrent", "aria2"] {
        offer.assert_in(&place(name));
    }
    assert_same(&offer.payload, &offer.copy_in(&place("transmission")), EmptyFiles::MayBeMissing);
    let length = offer.torrent.length;
    for progress in progress {
        assert!(
            progress.downloaded >= length && progress.uploaded > length / 20,
            "gave and took: {progress:?}"
        );
    }
    assert!(seed.sent < 3 * length, "the seed has sent {} of five times {length}: few gave", seed.sent);
}
