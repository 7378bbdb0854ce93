//! Seeds of `btd run`: their payload is never written to, nothing wrong is ever sent of it, and what became of it is said.

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use tests::btctl::{assert_code, exit};
use tests::compare::{EmptyFiles, assert_same};
use tests::daemon::{Daemon, Home, text};
use tests::download::{Download, Event};
use tests::needs::{Need, unprivileged_command};
use tests::wire::{ANSWER_LIMIT, Peer, Speaks, frame, handshake, id};
use walkdir::WalkDir;

use crate::Case;
use crate::offer::{FILES, Offer};

pub(crate) const CASES: &[Case] = &[
    Case::new("daemon_seeds_and_writes_nothing", daemon_seeds_and_writes_nothing)
        .needs(&[Need::Unprivileged]),
    Case::new("daemon_leaves_a_broken_seed_as_it_is", daemon_leaves_a_broken_seed_as_it_is),
    Case::new("daemon_opens_a_whole_payload_only_to_read", daemon_opens_a_whole_payload_only_to_read),
    Case::new("daemon_shares_a_payload_among_seeds", daemon_shares_a_payload_among_seeds),
    Case::new("daemon_never_sends_what_it_has_not_hashed", daemon_never_sends_what_it_has_not_hashed),
    Case::new("daemon_says_that_a_payload_is_gone", daemon_says_that_a_payload_is_gone),
    Case::new("daemon_says_that_a_payload_never_was_there", daemon_says_that_a_payload_never_was_there),
    Case::new("daemon_names_what_lets_it_see_homes", daemon_names_what_lets_it_see_homes)
        .needs(&[Need::Mounts]),
    Case::new("daemon_verifies_and_fetches_again", daemon_verifies_and_fetches_again),
];

const LENGTH: u64 = 3_000_017;
const PIECES_OF_64_KIB: &[&str] = &["--piece-length", "64KiB"];

/// How files look: paths, inodes, lengths, times of change, in nanoseconds.
type Look = Vec<(PathBuf, u64, u64, i64, i64)>;

/// How everything under `root` looks.
fn look(root: &Path) -> Look {
    let entries = WalkDir::new(root).sort_by_file_name().into_iter().map(|entry| entry.unwrap());
    let look = |entry: walkdir::DirEntry| {
        let it = entry.metadata().unwrap();
        let (changed, status) =
            (it.mtime() * 1_000_000_000 + it.mtime_nsec(), it.ctime() * 1_000_000_000 + it.ctime_nsec());
        (entry.into_path(), it.ino(), it.len(), changed, status)
    };
    entries.map(look).collect()
}

fn flip(path: &Path, offset: u64) {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 1], offset).unwrap();
}

/// Downloads all of `offer` from `daemon`, each piece checked.
pub(crate) fn download(daemon: &Daemon<'_>, offer: &Offer) {
    Download::start(daemon.address(), &offer.torrent, Speaks::Fast).whole();
}

fn daemon_seeds_and_writes_nothing() {
    let offer = Offer::folder("d-ro", FILES, PIECES_OF_64_KIB);
    for entry in WalkDir::new(&offer.payload).contents_first(true) {
        let entry = entry.unwrap();
        let mode = if entry.file_type().is_dir() { 0o555 } else { 0o444 };
        fs::set_permissions(entry.path(), PermissionsExt::from_mode(mode)).unwrap();
    }
    let before = look(&offer.payload);
    let home = Home::new("d-ro-home", "");
    let mut command = unprivileged_command(tests::btd::binary());
    command.args(["run", "--config", text(&home.config())]);
    let daemon = home.start_with(command);
    let info_hash = daemon.add(&["--seed-only", "--dir", text(offer.home()), text(&offer.file)]);
    daemon.wait_state(&info_hash, "seeding");
    download(&daemon, &offer);
    daemon.told(&["verify", "--wait", "--timeout", "100s", &info_hash]);
    download(&daemon, &offer);
    daemon.end_well();
    assert_eq!(look(&offer.payload), before);
    for entry in WalkDir::new(&offer.payload) {
        let entry = entry.unwrap();
        if entry.file_type().is_dir() {
            fs::set_permissions(entry.path(), PermissionsExt::from_mode(0o755)).unwrap();
        }
    }
}

fn daemon_leaves_a_broken_seed_as_it_is() {
    let offer = Offer::folder("d-broken", FILES, PIECES_OF_64_KIB);
    let home = Home::new("d-broken-home", "");
    let lies = home.data().join("payload");
    fs::create_dir_all(lies.join("nested/deeper/still")).unwrap();
    fs::copy(offer.payload.join("a.bin"), lies.join("a.bin")).unwrap();
    fs::copy(offer.payload.join("nested/one"), lies.join("nested/one")).unwrap();
    flip(&lies.join("a.bin"), 500_000);
    let before = look(&home.data());
    let daemon = home.start();
    let info_hash = daemon.add(&["--seed-only", text(&offer.file)]);
    let torrent = daemon.wait("torrent that is looked at", |daemon| {
        let torrent = daemon.torrent(&info_hash);
        (torrent["state"] == "seeding").then_some(torrent)
    });
    let progress = torrent["progress"].as_f64().unwrap();
    assert!(progress > 0.0 && progress < 1.0, "{torrent}");
    // Whoever waits for all of it, or has it checked, is told.
    daemon.refuses(&["wait", &info_hash, "--timeout", "100s"], exit::REFUSED, &["only to be seeded"]);
    let checked = daemon.btctl(&["verify", "--wait", "--timeout", "100s", &info_hash]);
    assert_code(&checked, exit::REFUSED, &[]);
    assert!(checked.stdout().contains("incomplete"), "{}", checked.describe());
    // A peer that has all of it, and gives, is of no use: it is parted from, and nothing was asked of it.
    let mut seed = Peer::greet(daemon.address(), offer.torrent.info_hash, Speaks::Fast);
    seed.send(&[frame(id::HAVE_ALL, &[]), frame(id::UNCHOKE, &[])].concat());
    let mut told = Vec::new();
    while let Some(message) = seed.receive(ANSWER_LIMIT).unwrap() {
        told.extend(message.id);
    }
    assert!(!told.contains(&id::INTERESTED) && !told.contains(&id::REQUEST), "messages {told:?}");
    let mut download = Download::start(daemon.address(), &offer.torrent, Speaks::Fast);
    download.ask(1).unwrap();
    assert!(matches!(download.next_event(), Event::Piece(piece) if piece.is_right));
    drop(download);
    daemon.end_well();
    assert_eq!(look(&home.data()), before);
}

fn daemon_opens_a_whole_payload_only_to_read() {
    let offer = Offer::folder("d-whole", FILES, PIECES_OF_64_KIB);
    let before = look(&offer.payload);
    let home = Home::new("d-whole-home", "preallocate = 'full'\nincomplete_suffix = '.part'");
    let daemon = home.start();
    offer.seed_by(&daemon);
    let mut download = Download::start(daemon.address(), &offer.torrent, Speaks::Fast);
    download.whole();
    // While it is served, none of its files is open for writing.
    let files = fs::read_dir(format!("/proc/{}/fd", daemon.id())).unwrap().flatten();
    let ours = files.filter(|fd| fs::read_link(fd.path()).is_ok_and(|path| path.starts_with(&offer.payload)));
    let mut count = 0;
    for fd in ours {
        let info = format!("/proc/{}/fdinfo/{}", daemon.id(), fd.file_name().display());
        let Ok(info) = fs::read_to_string(info) else { continue };
        count += 1;
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
        assert_eq!(i32::from_str_radix(flags, 8).unwrap() & 3, 0, "it is open for more than reading: {info}");
    }
    assert!(count > 0, "files that are long are held open");
    drop(download);
    daemon.end_well();
    assert_eq!(look(&offer.payload), before);
}

fn daemon_shares_a_payload_among_seeds() {
    let offer = Offer::single("d-share", LENGTH);
    let (other, third) = (offer.home().join("other.torrent"), offer.home().join("third.torrent"));
    for (file, length) in [(&other, "32KiB"), (&third, "128KiB")] {
        let made =
            tests::btd::btd(&["create", text(&offer.payload), "-o", text(file), "--piece-length", length]);
        assert_eq!(made.code(), Some(0), "{}", made.describe());
    }
    let home = Home::new("d-share-home", "");
    let daemon = home.start();
    for file in [&offer.file, &other] {
        let info_hash = daemon.add(&["--seed-only", "--dir", text(offer.home()), text(file)]);
        daemon.wait_state(&info_hash, "seeding");
    }
    download(&daemon, &offer);
    // Once one of them may be written to, no other may be there.
    let home = Home::new("d-share-second", "");
    let second = home.start();
    second.add(&["--paused", text(&offer.file)]);
    second.refuses(&["add", "--seed-only", text(&third)], exit::REFUSED, &["payload.bin"]);
    second.end_well();
    daemon.end_well();
}

fn daemon_never_sends_what_it_has_not_hashed() {
    let offer = Offer::folder("d-skip", FILES, PIECES_OF_64_KIB);
    flip(&offer.payload.join("nested/deeper/still/big.bin"), 7_000_000);
    let home = Home::new("d-skip-home", "");
    let daemon = home.start();
    let options = ["--seed-only", "--skip-check", "--dir", text(offer.home()), text(&offer.file)];
    let info_hash = daemon.add(&options);
    let torrent = daemon.wait_state(&info_hash, "seeding");
    assert_eq!(torrent["progress"], json!(1.0), "it is taken on trust");
    let mut download = Download::start(daemon.address(), &offer.torrent, Speaks::Fast);
    let mut right = 0;
    // The right pieces come; of the one that is wrong not a byte does.
    let mut to_ask = 0..offer.torrent.piece_count();
    loop {
        while download.wants_more() {
            let Some(piece) = to_ask.next() else { break };
            if download.ask(piece).is_err() {
                break;
            }
        }
        match download.next_event() {
            Event::Piece(piece) => assert!(piece.is_right, "piece {} was sent wrong", piece.index),
            Event::Rejected(_) | Event::Closed => break,
        }
        right += 1;
    }
    assert!(right > 0);
    let torrent = daemon.wait_state(&info_hash, "error");
    assert!(torrent["error"].as_str().unwrap().contains("nested/deeper/still/big.bin"), "{torrent}");
    drop(download);
    daemon.end_well();
}

fn daemon_says_that_a_payload_is_gone() {
    let offer = Offer::single("d-gone", LENGTH);
    let home = Home::new("d-gone-home", "");
    let daemon = home.start();
    let info_hash = offer.seed_by(&daemon);
    let away = home.join("away.bin");
    fs::rename(&offer.payload, &away).unwrap();
    // The next peer finds out.
    let mut peer = Peer::connect(daemon.address());
    peer.send(&handshake(offer.torrent.info_hash, Speaks::Fast));
    let torrent = daemon.wait_state(&info_hash, "error");
    let error = torrent["error"].as_str().unwrap();
    assert!(error.contains("payload.bin") && error.contains("btctl resume"), "{error}");
    drop(peer);
    assert!(!offer.payload.exists(), "nothing is made in its place");
    fs::rename(&away, &offer.payload).unwrap();
    daemon.told(&["resume", &info_hash]);
    daemon.wait_state(&info_hash, "seeding");
    download(&daemon, &offer);
    daemon.end_well();
}

/// A folder that was mistyped is told of at once, and can be named again.
fn daemon_says_that_a_payload_never_was_there() {
    let offer = Offer::folder("d-nowhere", FILES, PIECES_OF_64_KIB);
    let home = Home::new("d-nowhere-home", "");
    let daemon = home.start();
    let add = ["add", "--seed-only", "--wait", "--timeout", "100s", text(&offer.file)];
    daemon.refuses(&add, exit::REFUSED, &["No such file", "btctl move --already-there"]);
    let info_hash = offer.torrent.hex();
    daemon.told(&["resume", &info_hash]);
    daemon.refuses(&["wait", &info_hash, "--timeout", "100s"], exit::REFUSED, &["No such file"]);
    daemon.told(&["move", "--already-there", &info_hash, text(offer.home())]);
    daemon.told(&["wait", &info_hash, "--timeout", "100s"]);
    download(&daemon, &offer);
    // What a check no longer finds is told of too.
    let away = home.join("away");
    fs::rename(&offer.payload, &away).unwrap();
    let checked = daemon.btctl(&["verify", "--wait", "--timeout", "100s", &info_hash]);
    assert_code(&checked, exit::REFUSED, &[]);
    assert!(checked.stdout().contains("No such file"), "{}", checked.describe());
    daemon.end_well();
}

/// To a service the folders of users look empty (ProtectHome=tmpfs): the daemon runs where one does.
fn daemon_names_what_lets_it_see_homes() {
    let offer = Offer::single("d-hidden", LENGTH);
    let home = Home::new("d-hidden-home", "");
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c"]);
    command.arg("mount -t tmpfs tmpfs /run && mkdir /run/user && exec \"$1\" run --config \"$2\"");
    command.arg("sh").arg(tests::btd::binary()).arg(home.config());
    let daemon = home.start_with(command);
    let id = daemon.add(&["--seed-only", "--dir", "/run/user/ann", text(&offer.file)]);
    let torrent = daemon.wait_state(&id, "error");
    let error = torrent["error"].as_str().unwrap();
    for words in ["No such file", " BindReadOnlyPaths=/run/user/ann ", "/etc/systemd/system/btd.service.d/"] {
        assert!(error.contains(words), "{error}");
    }
    daemon.end_well();
}

fn daemon_verifies_and_fetches_again() {
    let offer = Offer::folder("d-verify", FILES, PIECES_OF_64_KIB);
    let seeder = offer.seed(&[]);
    let home = Home::new("d-verify-home", "");
    let daemon = home.start();
    let magnet = offer.magnet_of(seeder.address());
    daemon.told(&["add", "--wait", "--timeout", "100s", &magnet]);
    let info_hash = offer.torrent.hex();
    daemon.told(&["verify", "--wait", "--timeout", "100s", &info_hash]);
    daemon.told(&["pause", &info_hash]);
    daemon.wait_state(&info_hash, "paused");
    let file = home.data().join("payload/nested/deeper/still/big.bin");
    flip(&file, 1_000_000);
    // It is found, and said by the exit code.
    daemon.refuses(&["verify", "--wait", "--timeout", "100s", &info_hash], exit::REFUSED, &[]);
    let torrent = daemon.torrent(&info_hash);
    let piece = u64::from(offer.torrent.piece_length);
    assert_eq!(torrent["have"], json!(offer.torrent.length - piece), "one piece is wrong");
    daemon.told(&["resume", &info_hash]);
    daemon.told(&["wait", "--timeout", "100s", &info_hash]);
    assert_same(&offer.payload, &home.data().join("payload"), EmptyFiles::Wanted);
    daemon.end_well();
    seeder.end_well();
}
