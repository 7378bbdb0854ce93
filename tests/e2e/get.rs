//! `btd get` from `btd seed`: by .torrent, magnet and URL, some of the files, in order, and on to the next peer.

use std::fs;
use std::os::unix::fs::MetadataExt;

use nix::sys::signal::Signal;
use tests::get::{Event, GET_LIMIT, Getter, exit};
use tests::http::Server;
use tests::raw_seed::RawSeed;

use crate::Case;
use crate::offer::{FILES, Offer, with_peers};

pub(crate) const CASES: &[Case] = &[
    Case::new("get_fetches_a_folder_by_its_torrent", get_fetches_a_folder_by_its_torrent),
    Case::new("get_fetches_a_folder_by_its_magnet", get_fetches_a_folder_by_its_magnet),
    Case::new("get_fetches_from_a_peer_that_the_magnet_names", get_fetches_from_a_peer_that_the_magnet_names),
    Case::new("get_fetches_a_torrent_from_a_url", get_fetches_a_torrent_from_a_url),
    Case::new("get_tells_what_it_does", get_tells_what_it_does),
    Case::new("get_selects_files_by_a_pattern", get_selects_files_by_a_pattern),
    Case::new("get_selects_files_by_a_magnet", get_selects_files_by_a_magnet),
    Case::new("get_fetches_in_order_if_asked", get_fetches_in_order_if_asked),
    Case::new("get_fetches_in_no_order_else", get_fetches_in_no_order_else),
    Case::new("get_allocates_in_full_if_asked", get_allocates_in_full_if_asked),
    Case::new("get_goes_on_seeding_if_asked", get_goes_on_seeding_if_asked),
    Case::new("get_connects_once_to_a_peer_and_never_to_itself", get_connects_once_and_never_to_itself),
    Case::new("get_spreads_over_two_seeds", get_spreads_over_two_seeds),
];

/// Bytes of a payload of one file: 65 pieces of 256 KiB.
const LENGTH: u64 = 16 * 1024 * 1024 + 12_345;
const PIECES_OF_64_KIB: &[&str] = &["--piece-length", "64KiB"];

fn get_fetches_a_folder_by_its_torrent() {
    let offer = Offer::folder("get-torrent", FILES, PIECES_OF_64_KIB);
    let seeder = offer.seed(&[]);
    let folder = offer.place("got");
    let ended = offer.get(&folder, &[seeder.address()], &[]).finish();
    assert_eq!(ended.verified().len(), usize::try_from(offer.torrent.piece_count()).unwrap());
    offer.assert_in(&folder);
    assert!(folder.join(".btd/state.sqlite").is_file(), "what was done is remembered beside the payload");
    seeder.end_well();
}

fn get_fetches_a_folder_by_its_magnet() {
    // Small pieces make metadata of several parts.
    let offer = Offer::folder("get-magnet", FILES, &["--piece-length", "16KiB"]);
    assert!(offer.torrent.info_length > 16_384, "{} bytes prove little", offer.torrent.info_length);
    let seeder = offer.seed(&[]);
    let folder = offer.place("got");
    Getter::start(offer.magnet(), &folder, &with_peers(&[seeder.address()], &[])).finish();
    offer.assert_in(&folder);
    seeder.end_well();
}

fn get_fetches_from_a_peer_that_the_magnet_names() {
    let offer = Offer::single("get-x-pe", LENGTH);
    let seeder = offer.seed(&[]);
    let folder = offer.place("got");
    let magnet = format!("{}&x.pe={}", offer.magnet(), seeder.address());
    Getter::start(magnet, &folder, &[""; 0]).finish();
    offer.assert_in(&folder);
    seeder.end_well();
}

fn get_fetches_a_torrent_from_a_url() {
    let offer = Offer::single("get-url", 1_000_000);
    let seeder = offer.seed(&[]);
    let folder = offer.place("got");
    let file = fs::read(&offer.file).unwrap();
    let server = Server::start(move |_, path| if path == "/p.torrent" { file.clone() } else { Vec::new() });
    let options = with_peers(&[seeder.address()], &[]);
    Getter::start(server.url("/p.torrent"), &folder, &options).finish();
    offer.assert_in(&folder);
    let ended = Getter::start(server.url("/no.torrent"), &folder, &options).wait(GET_LIMIT);
    ended.assert_code(exit::FAILED);
    ended.assert_says(&["/no.torrent"]);
    seeder.end_well();
}

fn get_tells_what_it_does() {
    let offer = Offer::single("get-tells", LENGTH);
    let seeder = offer.seed(&[]);
    let folder = offer.place("got");
    let ended = offer.get(&folder, &[seeder.address()], &[]).finish();
    let pieces = offer.torrent.piece_count();
    let metadata = Event::Metadata {
        info_hash: offer.torrent.hex(),
        name: "payload.bin".to_owned(),
        length: LENGTH,
        piece_count: pieces,
    };
    assert_eq!(ended.events.iter().filter(|event| **event == metadata).count(), 1);
    let mut verified = ended.verified();
    verified.sort_unstable();
    assert_eq!(verified, (0..pieces).collect::<Vec<_>>(), "each piece is told once");
    let done = ended.done();
    assert_eq!(ended.events.last(), Some(&Event::Done(done)));
    assert_eq!((done.length, done.uploaded), (LENGTH, 0));
    assert!((LENGTH..LENGTH * 5 / 4).contains(&done.downloaded), "{done:?}");
    assert_eq!(ended.banned(), []);
    seeder.end_well();
}

/// Files of which some are to be fetched; each shares pieces with its neighbours.
const SOME: &[(&str, u64)] = &[
    ("1-no.bin", 3_000_001),
    ("2-yes.iso", 2_000_003),
    ("3-no.bin", 4_000_007),
    ("4-no/no.bin", 2_500_000),
    ("5-yes.iso", 1_000_001),
];

/// Checks that of `SOME` the wanted files are in `folder`, and that no more was fetched than what they share
/// pieces with.
fn assert_only_wanted(offer: &Offer, folder: &std::path::Path, fetched: usize) {
    let copy = offer.copy_in(folder);
    let (mut start, mut wanted) = (0, std::collections::BTreeSet::new());
    for (name, length) in SOME {
        let (ours, theirs) = (offer.payload.join(name), copy.join(name));
        if name.contains("yes") {
            assert!(fs::read(ours).unwrap() == fs::read(&theirs).unwrap(), "{name} was fetched");
            let piece_length = u64::from(offer.torrent.piece_length);
            wanted.extend(start / piece_length..=(start + length - 1) / piece_length);
        } else if let Ok(metadata) = fs::metadata(&theirs) {
            let held = metadata.blocks() * 512;
            assert!(held <= 4 * 65_536, "{name} was not wanted and takes {held} bytes");
        }
        start += length;
    }
    assert_eq!(fetched, wanted.len(), "pieces that hold what is wanted");
}

fn get_selects_files_by_a_pattern() {
    let offer = Offer::folder("get-select", SOME, PIECES_OF_64_KIB);
    let seeder = offer.seed(&[]);
    for (number, select) in ["*.iso", "1,4"].into_iter().enumerate() {
        let folder = offer.place(&number.to_string());
        let ended = offer.get(&folder, &[seeder.address()], &["--select", select]).finish();
        assert_only_wanted(&offer, &folder, ended.verified().len());
    }
    // What was left out can be had later.
    let folder = offer.place("0");
    offer.get(&folder, &[seeder.address()], &[]).finish();
    offer.assert_in(&folder);
    seeder.end_well();
}

fn get_selects_files_by_a_magnet() {
    let offer = Offer::folder("get-so", SOME, PIECES_OF_64_KIB);
    let seeder = offer.seed(&[]);
    let folder = offer.place("got");
    let magnet = format!("{}&so=1,4", offer.magnet());
    let ended = Getter::start(magnet, &folder, &with_peers(&[seeder.address()], &[])).finish();
    assert_only_wanted(&offer, &folder, ended.verified().len());
    seeder.end_well();
}

/// How far from its place the worst piece was verified.
fn disorder(verified: &[u32]) -> usize {
    let off = (0..).zip(verified).map(|(place, piece)| usize::try_from(*piece).unwrap().abs_diff(place));
    off.max().unwrap_or(0)
}

fn get_fetches_in_order_if_asked() {
    let offer = Offer::single_with("get-sequential", LENGTH, PIECES_OF_64_KIB);
    let seeder = offer.seed(&[]);
    let folder = offer.place("got");
    let ended = offer.get(&folder, &[seeder.address()], &["--sequential"]).finish();
    let verified = ended.verified();
    assert_eq!(verified.len(), 257);
    // Pieces that are fetched at the same time may be hashed out of order.
    assert!(disorder(&verified) <= 8, "{verified:?}");
    offer.assert_in(&folder);
    seeder.end_well();
}

fn get_fetches_in_no_order_else() {
    let offer = Offer::single_with("get-random", LENGTH, PIECES_OF_64_KIB);
    let seeder = offer.seed(&[]);
    let ended = offer.get(&offer.place("got"), &[seeder.address()], &[]).finish();
    let verified = ended.verified();
    assert!(disorder(&verified) > 32, "pieces of equal rarity are fetched in a random order: {verified:?}");
    seeder.end_well();
}

fn get_allocates_in_full_if_asked() {
    let offer = Offer::single("get-full", LENGTH);
    let seed = RawSeed::start(&offer.torrent, offer.bytes(), 16, |_| false);
    for (option, is_full) in [("sparse", false), ("full", true)] {
        let folder = offer.place(option);
        let mut getter = offer.get(&folder, &[seed.address], &["--preallocate", option]);
        seed.allow(16);
        getter.verified();
        let held = fs::metadata(offer.copy_in(&folder)).unwrap().blocks() * 512;
        assert_eq!(held >= LENGTH, is_full, "{option}: {held} of {LENGTH} bytes are held");
        getter.end(Signal::SIGINT).assert_code(exit::INTERRUPTED);
        seed.hang_up();
    }
}

fn get_goes_on_seeding_if_asked() {
    let offer = Offer::folder("get-seed", FILES, PIECES_OF_64_KIB);
    let seeder = offer.seed(&[]);
    let (first, second) = (offer.place("first"), offer.place("second"));
    let mut getter = offer.get(&first, &[seeder.address()], &["--seed"]);
    let address = getter.address();
    getter.done();
    seeder.end_well();
    // The first seed is gone; all comes from the one that has just downloaded it.
    Getter::start(offer.magnet(), &second, &with_peers(&[address], &[])).finish();
    offer.assert_in(&second);
    let ended = getter.end(Signal::SIGINT);
    assert!(
        matches!(ended.output.code(), Some(0 | exit::INTERRUPTED)),
        "seeding is ended by a signal: {}",
        ended.output.describe()
    );
    offer.assert_in(&first);
}

fn get_connects_once_and_never_to_itself() {
    let offer = Offer::single("get-self", LENGTH);
    // Enough to begin with, so that both peers stay connected for as long as the test looks.
    let seed = RawSeed::start(&offer.torrent, offer.bytes(), 16, |_| false);
    let (first, second) = (offer.place("first"), offer.place("second"));
    let mut one = offer.get(&first, &[seed.address, seed.address], &[]);
    let address = one.address();
    one.verified();
    assert_eq!(seed.connections(), 1, "a peer that is named twice is connected to once");
    // Each knows the other, and itself.
    let mut other = offer.get(&second, &[address, address], &[]);
    let theirs = other.address();
    assert_ne!(address, theirs);
    let progress = other.expect("connection", |event| match event {
        Event::Progress(progress) if progress.peers > 0 => Some(*progress),
        _ => None,
    });
    assert_eq!(progress.peers, 1);
    seed.allow(usize::MAX);
    let ended = one.finish();
    ended.assert_code(0);
    offer.assert_in(&first);
    other.end(Signal::SIGINT);
    // Started anew at a port that it names as a peer of its own.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let third = offer.place("third");
    let mut command = with_peers(&[port, seed.address], &[]);
    command.extend(["--listen".to_owned(), port.to_string()]);
    let ended = Getter::start(&offer.file, &third, &command).finish();
    let most = ended.events.iter().filter_map(|event| match event {
        Event::Progress(progress) => Some(progress.peers),
        _ => None,
    });
    assert!(most.max().unwrap_or(0) <= 1, "{}", ended.output.describe());
    assert_eq!(ended.banned(), []);
    offer.assert_in(&third);
}

fn get_spreads_over_two_seeds() {
    let offer = Offer::single_with("get-two", LENGTH, PIECES_OF_64_KIB);
    let seeds = [0, 1].map(|_| RawSeed::start(&offer.torrent, offer.bytes(), 0, |_| false));
    let folder = offer.place("got");
    let getter = offer.get(&folder, &seeds.each_ref().map(|seed| seed.address), &[]);
    // Neither sends anything before both are asked.
    seeds.iter().for_each(|seed| seed.wait_asked(GET_LIMIT));
    seeds.iter().for_each(|seed| seed.allow(usize::MAX));
    getter.finish();
    offer.assert_in(&folder);
    let sent = seeds.each_ref().map(RawSeed::sent_count);
    assert!(sent.iter().all(|sent| *sent > offer.block_count() / 10), "blocks that each has sent: {sent:?}");
    let total: usize = sent.iter().sum();
    assert!(total < offer.block_count() * 5 / 4, "{total} blocks were fetched of {}", offer.block_count());
}
