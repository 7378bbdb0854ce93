//! Real clients find each other through bttracker alone, and one downloads from the other: over HTTP and UDP, IPv4 and
//! IPv6. The torrents are private, so that nobody asks elsewhere.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use tests::btd::Seeder;
use tests::bttracker::{Bttracker, Site, binary, with_tracker};
use tests::caller::fetch;
use tests::client;
use tests::compare::{EmptyFiles, assert_same};
use tests::get::Getter;
use tests::needs::Need;
use tests::netns::{Namespace, Star};
use tests::peers::{Aria2, Libtorrent, Transmission};
use tests::query::scrape_target;

use crate::Case;
use crate::offer::Offer;

pub(crate) const CASES: &[Case] = &[
    Case::new("tracker_joins_clients_over_http_and_ipv4", joins_clients_over_http_and_ipv4).needs(ALL),
    Case::new("tracker_joins_clients_over_http_and_ipv6", joins_clients_over_http_and_ipv6).needs(ALL),
    Case::new("tracker_joins_clients_over_udp_and_ipv4", joins_clients_over_udp_and_ipv4).needs(ALL),
    Case::new("tracker_joins_clients_over_udp_and_ipv6", joins_clients_over_udp_and_ipv6).needs(ALL),
    Case::new("tracker_joins_clients_on_loopback", joins_clients_on_loopback)
        .needs(&[Need::Libtorrent, Need::Program("aria2c")]),
];

const ALL: &[Need] =
    &[Need::Libtorrent, Need::Program("transmission-cli"), Need::Program("aria2c"), Need::Namespaces];
const LENGTH: u64 = 1_500_017;
/// The tracker's address of IPv6, for those that read no such address in the URL of a tracker over UDP.
const NAME: &str = "tracker6.test";
/// Longest that a download may take.
const LIMIT: Duration = Duration::from_secs(120);

/// Without a DHT, aria2 has no socket for UDP. It asks nobody there: the torrents are private.
const ARIA2_UDP: &str = "--enable-dht=true";

/// Where the DHT keeps its table: in the client's own folder. aria2 puts a new file in the place of whatever is there.
fn table_in(folder: &Path) -> String {
    format!("--dht-file-path={}", folder.join("dht.dat").display())
}

/// A client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Btd,
    Libtorrent,
    Transmission,
    Aria2,
}

/// A client that shares the whole payload; it is held for its end.
enum Seed {
    Btd(Seeder),
    Libtorrent(Libtorrent),
    Transmission(Transmission),
    Aria2(Aria2),
}

/// Where libtorrent listens in `home`.
fn both(home: &Namespace) -> String {
    format!("{}:6881,[{}]:6881", home.address(), home.address6())
}

impl Kind {
    fn seed(self, home: &Namespace, offer: &Offer) -> Seed {
        match self {
            Self::Btd => {
                Seed::Btd(Seeder::start_in(home, &[&offer.file], &[Path::new("--data"), offer.home()]))
            }
            Self::Libtorrent => {
                let options = ["--listen", &both(home)];
                Seed::Libtorrent(Libtorrent::start_in(home, &offer.file, offer.home(), &options))
            }
            Self::Transmission => {
                let settings = offer.place("settings-seed");
                Seed::Transmission(Transmission::start_in(home, &offer.file, offer.home(), &settings))
            }
            Self::Aria2 => Seed::Aria2({
                let table = table_in(offer.home());
                let options = ["--seed-ratio=0.0", "--check-integrity=true", ARIA2_UDP, &table];
                Aria2::start_in(home, &offer.file, offer.home(), &options)
            }),
        }
    }

    /// Downloads all of it, and leaves.
    fn download(self, home: &Namespace, offer: &Offer) {
        let folder = offer.place("got");
        match self {
            Self::Btd => {
                let mut getter = Getter::start_in(home, &offer.file, &folder, &["--timeout", "120s"]);
                getter.done();
                getter.finish();
            }
            Self::Libtorrent => {
                let options = ["--listen", &both(home)];
                let leech = Libtorrent::start_in(home, &offer.file, &folder, &options);
                leech.wait_finished(LIMIT);
                leech.end();
            }
            Self::Transmission => {
                let leech = Transmission::start_in(home, &offer.file, &folder, &offer.place("settings"));
                leech.wait_finished(LIMIT);
                leech.end();
            }
            Self::Aria2 => {
                let table = table_in(&folder);
                let options = ["--seed-time=0", ARIA2_UDP, &table];
                Aria2::start_in(home, &offer.file, &folder, &options).wait_finished(LIMIT);
            }
        }
        assert_same(&offer.payload, &offer.copy_in(&folder), EmptyFiles::Wanted);
    }
}

impl Seed {
    fn end(self) {
        match self {
            Self::Btd(seeder) => drop(seeder.end_well()),
            Self::Libtorrent(seed) => drop(seed.end()),
            Self::Transmission(seed) => seed.end(),
            Self::Aria2(seed) => seed.end(),
        }
    }
}

/// A torrent that names one tracker.
fn offer(name: &str, url: &str, number: usize) -> Offer {
    // Each has a length of its own, and so an info-hash.
    let length = LENGTH + u64::try_from(number).unwrap();
    Offer::single_with(name, length, &["--piece-length", "64KiB", "--private", "--tracker", url])
}

/// Waits until `ready` is what a scrape of `offer` at `address` tells: seeds, downloads, leechers.
fn wait_scrape(
    tracker: &Bttracker<'_>,
    address: SocketAddr,
    offer: &Offer,
    what: &str,
    ready: impl Fn((u64, u64, u64)) -> bool,
) {
    let hash = offer.torrent.info_hash;
    tracker.wait(what, |_| ready(fetch(address, &scrape_target(&[hash])).row(hash)).then_some(()));
}

/// Has the second of each pair download from the first, all pairs at a time, through the tracker in the middle.
fn join(name: &str, url: impl Fn(&Namespace) -> String, pairs: &[(Kind, Kind)]) {
    let star = Star::of_both_families(u8::try_from(pairs.len() * 2).unwrap());
    let site = Site::new(name, "http = ['0.0.0.0:6969', '[::]:6969']\nudp = ['0.0.0.0:6969', '[::]:6969']");
    let mut command = star.middle.command(binary());
    command.arg("--config").arg(site.config());
    let tracker = site.start_with(command);
    star.members.iter().for_each(|member| member.learn(NAME, star.middle.address6()));
    let (middle, url) = (&star.middle, url(&star.middle));
    let address = SocketAddr::new(middle.address(), 6969);
    std::thread::scope(|scope| {
        for (number, ((seed, leech), homes)) in pairs.iter().zip(star.members.chunks(2)).enumerate() {
            let (tracker, url) = (&tracker, &url);
            scope.spawn(move || {
                // Processes are started in namespaces of their own; this thread goes where it can ask.
                middle.enter();
                let offer = offer(&format!("{name}-{number}"), url, number);
                let wait = |what: &str, ready: &dyn Fn((u64, u64, u64)) -> bool| {
                    wait_scrape(tracker, address, &offer, what, ready);
                };
                let sharing = seed.seed(&homes[0], &offer);
                wait(&format!("seed {seed:?}"), &|(seeds, ..)| seeds == 1);
                leech.download(&homes[1], &offer);
                // aria2 that leaves at once says that it stops, and no more.
                if *leech != Kind::Aria2 {
                    wait(&format!("download by {leech:?}"), &|(_, downloads, _)| downloads == 1);
                }
                sharing.end();
            });
        }
    });
    tracker.end_well();
}

/// Each client once as a seed, and once as a leecher.
const RING: &[(Kind, Kind)] = &[
    (Kind::Libtorrent, Kind::Transmission),
    (Kind::Transmission, Kind::Aria2),
    (Kind::Aria2, Kind::Btd),
    (Kind::Btd, Kind::Libtorrent),
];

fn joins_clients_over_http_and_ipv4() {
    join("t-j-http4", |middle| format!("http://{}:6969/announce", middle.address()), RING);
}

fn joins_clients_over_http_and_ipv6() {
    join("t-j-http6", |middle| format!("http://[{}]:6969/announce", middle.address6()), RING);
}

fn joins_clients_over_udp_and_ipv4() {
    join("t-j-udp4", |middle| format!("udp://{}:6969/announce", middle.address()), RING);
}

/// aria2 asks no tracker over UDP and IPv6. transmission 3.00 does, but reads no peers from the answer.
fn joins_clients_over_udp_and_ipv6() {
    let pairs = [
        (Kind::Libtorrent, Kind::Btd),
        (Kind::Btd, Kind::Libtorrent),
        (Kind::Transmission, Kind::Btd),
        (Kind::Transmission, Kind::Libtorrent),
    ];
    join("t-j-udp6", |_| format!("udp://{NAME}:6969/announce"), &pairs);
}

/// On loopback, libtorrent and aria2 download from btd, and btd from libtorrent. (transmission takes no such address.)
fn joins_clients_on_loopback() {
    with_tracker("t-j-loopback", "", |tracker| {
        for (number, (ip, url)) in [
            ("127.0.0.1", format!("http://{}/announce", tracker.http4())),
            ("[::1]", format!("http://{}/announce", tracker.http6())),
            ("127.0.0.1", format!("udp://{}/announce", tracker.udp4())),
            ("[::1]", format!("udp://{}/announce", tracker.udp6())),
        ]
        .into_iter()
        .enumerate()
        {
            let listen = format!("{ip}:0");
            let offer = offer(&format!("t-j-lo-{number}"), &url, number);
            let data = offer.home().to_str().unwrap();
            let seeder = Seeder::start_at(&[&offer.file], &["--data", data, "--listen", &listen]);
            wait_scrape(tracker, tracker.http4(), &offer, "a seed", |(seeds, ..)| seeds == 1);
            let folder = offer.place("got-libtorrent");
            let libtorrent = Libtorrent::start(&offer.file, &folder, &["--listen", &listen]);
            libtorrent.wait_finished(LIMIT);
            offer.assert_in(&folder);
            // Without a DHT, aria2 has no socket for UDP.
            if number < 2 {
                client::aria2(offer.file.to_str().unwrap(), &offer.place("got-aria2"));
                offer.assert_in(&offer.place("got-aria2"));
            }
            seeder.end_well();
            wait_scrape(tracker, tracker.http4(), &offer, "a seed", |(seeds, ..)| seeds == 1);
            let folder = offer.place("got-btd");
            let mut getter = Getter::start_at(&offer.file, &folder, &["--listen", &listen]);
            getter.done();
            getter.end(Signal::SIGINT);
            offer.assert_in(&folder);
            libtorrent.end();
        }
    });
}
