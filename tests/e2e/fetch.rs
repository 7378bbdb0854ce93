//! `btd get` from the clients that users have: libtorrent, transmission and aria2 seed, and btd downloads by .torrent
//! and by magnet, from a peer that it is told and from those that a tracker names.

use std::time::Duration;

use tests::announces::LiveTracker;
use tests::get::Getter;
use tests::needs::Need;
use tests::netns::{Namespace, Pair};
use tests::peers::{Aria2, Libtorrent, Transmission, address_in};

use crate::Case;
use crate::offer::{FILES, Offer, with_peers};

pub(crate) const CASES: &[Case] = &[
    Case::new("get_fetches_from_libtorrent", get_fetches_from_libtorrent).needs(&[Need::Libtorrent]),
    Case::new("get_fetches_from_libtorrent_by_a_tracker", get_fetches_from_libtorrent_by_a_tracker)
        .needs(&[Need::Libtorrent]),
    Case::new("get_fetches_from_libtorrent_by_a_udp_tracker", get_fetches_from_libtorrent_by_a_udp_tracker)
        .needs(&[Need::Libtorrent]),
    Case::new("get_fetches_from_transmission", get_fetches_from_transmission)
        .needs(&[Need::Program("transmission-cli"), Need::Namespaces]),
    Case::new("get_fetches_from_aria2", get_fetches_from_aria2)
        .needs(&[Need::Program("aria2c"), Need::Namespaces]),
];

/// Longest that a client may take to look through its payload.
const CHECK_LIMIT: Duration = Duration::from_secs(60);
/// Small pieces make metadata of several parts.
const OPTIONS: &[&str] = &["--piece-length", "16KiB"];

fn get_fetches_from_libtorrent() {
    let offer = Offer::folder("from-libtorrent", FILES, OPTIONS);
    let seed = Libtorrent::start(&offer.file, offer.home(), &[]);
    let options = with_peers(&[seed.address()], &[]);
    seed.wait_finished(CHECK_LIMIT);
    let (by_torrent, by_magnet) = (offer.place("by-torrent"), offer.place("by-magnet"));
    Getter::start(&offer.file, &by_torrent, &options).finish();
    offer.assert_in(&by_torrent);
    Getter::start(offer.magnet(), &by_magnet, &options).finish();
    offer.assert_in(&by_magnet);
    let sent = seed.end().sent;
    assert!(
        sent < 3 * offer.torrent.length,
        "two downloads fetched {sent} of twice {}",
        offer.torrent.length
    );
}

fn get_fetches_from_libtorrent_by_a_tracker() {
    from_libtorrent_by(&LiveTracker::http());
}

fn get_fetches_from_libtorrent_by_a_udp_tracker() {
    from_libtorrent_by(&LiveTracker::udp());
}

/// A seed and a btd that know nothing of each other but `tracker`.
fn from_libtorrent_by(tracker: &LiveTracker) {
    let options = [OPTIONS, &["--tracker", &tracker.url]].concat();
    let offer = Offer::folder("by-tracker", FILES, &options);
    let seed = Libtorrent::start(&offer.file, offer.home(), &[]);
    let address = seed.address();
    tracker.roll.wait_for("the seed", CHECK_LIMIT, |announce| (announce.address == address).then_some(()));
    let (by_torrent, by_magnet) = (offer.place("by-torrent"), offer.place("by-magnet"));
    Getter::start(&offer.file, &by_torrent, &[""; 0]).finish();
    offer.assert_in(&by_torrent);
    Getter::start(offer.magnet(), &by_magnet, &[""; 0]).finish();
    offer.assert_in(&by_magnet);
    seed.end();
}

/// Two downloads inside `here`, by .torrent and by magnet, from the seed inside `there`.
fn fetch_twice(offer: &Offer, here: &Namespace, there: &Namespace) {
    let options = with_peers(&[address_in(there)], &[]);
    let (by_torrent, by_magnet) = (offer.place("by-torrent"), offer.place("by-magnet"));
    Getter::start_in(here, &offer.file, &by_torrent, &options).finish();
    offer.assert_in(&by_torrent);
    Getter::start_in(here, offer.magnet(), &by_magnet, &options).finish();
    offer.assert_in(&by_magnet);
}

fn get_fetches_from_transmission() {
    let offer = Offer::folder("from-transmission", FILES, OPTIONS);
    let network = Pair::create();
    let settings = offer.place("settings");
    let seed = Transmission::start_in(&network.seeder, &offer.file, offer.home(), &settings);
    seed.wait_finished(CHECK_LIMIT);
    fetch_twice(&offer, &network.client, &network.seeder);
    seed.end();
}

fn get_fetches_from_aria2() {
    let offer = Offer::folder("from-aria2", FILES, OPTIONS);
    let network = Pair::create();
    let seed = Aria2::seed_in(&network.seeder, &offer.file, offer.home());
    seed.wait_listening();
    fetch_twice(&offer, &network.client, &network.seeder);
    seed.end();
}
