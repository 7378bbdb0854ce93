//! `btctl add`: whatever names a torrent brings it, as the options say, or is refused in a sentence.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tests::btctl::{self, assert_code, exit};
use tests::daemon::{Home, text};
use tests::http::Server;
use tests::payload::write_single;
use tests::tracker::Tracker;

use crate::Case;
use crate::offer::{FILES, Offer};

pub(crate) const CASES: &[Case] = &[
    Case::new("daemon_downloads_by_a_file_and_its_tracker", daemon_downloads_by_a_file_and_its_tracker),
    Case::new("daemon_downloads_by_a_magnet", daemon_downloads_by_a_magnet),
    Case::new("daemon_downloads_by_a_url", daemon_downloads_by_a_url),
    Case::new("daemon_takes_an_info_hash_and_stdin", daemon_takes_an_info_hash_and_stdin),
    Case::new("daemon_adds_as_the_options_say", daemon_adds_as_the_options_say),
    Case::new("daemon_fetches_only_what_is_selected", daemon_fetches_only_what_is_selected),
    Case::new("daemon_puts_files_where_it_is_told", daemon_puts_files_where_it_is_told),
    Case::new("daemon_refuses_what_cannot_be_added", daemon_refuses_what_cannot_be_added),
    Case::new("daemon_refuses_files_of_another_torrent", daemon_refuses_files_of_another_torrent),
    Case::new("daemon_names_paths_only_under_its_roots", daemon_names_paths_only_under_its_roots),
];

const LENGTH: u64 = 3_000_017;
const PIECES_OF_64_KIB: &[&str] = &["--piece-length", "64KiB"];
/// A discard port: nobody is there.
const NOBODY: &str = "127.0.0.1:9";

fn nobody() -> SocketAddr {
    NOBODY.parse().unwrap()
}

fn daemon_downloads_by_a_file_and_its_tracker() {
    let tracker = Tracker::start();
    let options = ["--piece-length", "64KiB", "--tracker", &tracker.url];
    let offer = Offer::folder("d-file", FILES, &options);
    let seeder = offer.seed(&[]);
    tracker.name_peer(seeder.address());
    let home = Home::new("d-file-home", "");
    let daemon = home.start();
    let told = daemon.told(&["add", "--wait", "--timeout", "100s", text(&offer.file)]);
    assert!(told.contains(&offer.torrent.hex()) && told.contains("payload"), "{told}");
    offer.assert_in(&home.data());
    let torrent = daemon.torrent(&offer.torrent.hex());
    assert_eq!((&torrent["state"], &torrent["progress"]), (&json!("seeding"), &json!(1.0)));
    assert_eq!(torrent["have"], json!(offer.torrent.length));
    daemon.end_well();
    seeder.end_well();
}

fn daemon_downloads_by_a_magnet() {
    let offer = Offer::folder("d-magnet", FILES, PIECES_OF_64_KIB);
    let seeder = offer.seed(&[]);
    let home = Home::new("d-magnet-home", "");
    let daemon = home.start();
    let into = home.join("elsewhere");
    let magnet = offer.magnet_of(seeder.address());
    daemon.told(&["add", "--wait", "--timeout", "100s", "--dir", text(&into), &magnet]);
    offer.assert_in(&into);
    let torrent = daemon.torrent(&offer.torrent.hex());
    assert_eq!((&torrent["name"], &torrent["dir"]), (&json!("payload"), &json!(text(&into))));
    daemon.end_well();
    seeder.end_well();
}

fn daemon_downloads_by_a_url() {
    let tracker = Tracker::start();
    let offer = Offer::single_with("d-url", LENGTH, &["--tracker", &tracker.url]);
    let seeder = offer.seed(&[]);
    tracker.name_peer(seeder.address());
    let file = fs::read(&offer.file).unwrap();
    let server = Server::start(move |_, path| if path == "/p.torrent" { file.clone() } else { Vec::new() });
    let home = Home::new("d-url-home", "");
    let daemon = home.start();
    daemon.told(&["add", "--wait", "--timeout", "100s", &server.url("/p.torrent")]);
    offer.assert_in(&home.data());
    daemon.refuses(&["add", &server.url("/none")], exit::REFUSED, &["/none"]);
    daemon.refuses(&["add", &format!("http://{NOBODY}/x")], exit::REFUSED, &[NOBODY]);
    daemon.end_well();
    seeder.end_well();
}

fn daemon_takes_an_info_hash_and_stdin() {
    let offer = Offer::single("d-hash", LENGTH);
    let other = Offer::single_with("d-stdin", LENGTH, PIECES_OF_64_KIB);
    let home = Home::new("d-hash-home", "");
    let daemon = home.start();
    let info_hash = offer.torrent.hex();
    assert_eq!(daemon.add(&[&info_hash]), info_hash);
    let torrent = daemon.wait_state(&info_hash, "metadata");
    assert_eq!((&torrent["name"], &torrent["size"]), (&json!(info_hash), &json!(0)));
    let mut command = btctl::command(&home.socket(), &["add", "--paused", "-"]);
    command.stdin(fs::File::open(&other.file).unwrap()).stdout(Stdio::null());
    assert!(command.status().unwrap().success());
    let torrent = daemon.torrent(&other.torrent.hex());
    assert_eq!((&torrent["state"], &torrent["size"]), (&json!("paused"), &json!(LENGTH)));
    daemon.end_well();
}

fn daemon_adds_as_the_options_say() {
    let offer = Offer::folder("d-options", FILES, PIECES_OF_64_KIB);
    let home = Home::new("d-options-home", "");
    let daemon = home.start();
    let options = "--paused --label linux --sequential --upload-limit 500k --download-limit 2M \
                   --ratio-limit 1.5 --seed-time-limit 2h";
    let mut arguments: Vec<&str> = options.split_whitespace().collect();
    arguments.push(text(&offer.file));
    let torrent = daemon.torrent(&daemon.add(&arguments));
    let expected = [
        ("state", json!("paused")),
        ("label", json!("linux")),
        ("sequential", json!(true)),
        ("upload_limit", json!(500_000)),
        ("download_limit", json!(2_000_000)),
        ("ratio_limit", json!(1.5)),
        ("seed_time_limit_s", json!(7_200)),
        ("seed_only", json!(false)),
        ("dir", json!(text(&home.data()))),
    ];
    for (field, value) in expected {
        assert_eq!(torrent[field], value, "{field}");
    }
    daemon.told(&["remove", &offer.torrent.hex()]);
    let info_hash = daemon.add(&["--seed-only", "--ratio-limit", "never", text(&offer.file)]);
    let torrent = daemon.torrent(&info_hash);
    assert_eq!((&torrent["seed_only"], &torrent["ratio_limit"]), (&json!(true), &json!(0.0)));
    daemon.end_well();
}

/// Files of which some are to be fetched.
const SOME: &[(&str, u64)] =
    &[("1-no.bin", 3_000_001), ("2-yes.iso", 2_000_003), ("3-no.bin", 4_000_007), ("4-yes.iso", 1_000_001)];

/// Which of the files in a list are whole.
fn whole(files: &Value) -> Vec<bool> {
    let files = files.as_array().unwrap();
    files.iter().map(|file| file["have"] == file["size"]).collect()
}

fn daemon_fetches_only_what_is_selected() {
    let offer = Offer::folder("d-select", SOME, PIECES_OF_64_KIB);
    let seeder = offer.seed(&[]);
    let home = Home::new("d-select-home", "");
    let daemon = home.start();
    let magnet = offer.magnet_of(seeder.address());
    daemon.told(&["add", "--wait", "--timeout", "100s", "--select", "*.iso", &magnet]);
    let info_hash = offer.torrent.hex();
    let files = daemon.json(&["files", &info_hash]);
    let wanted: Vec<bool> =
        files.as_array().unwrap().iter().map(|file| file["wanted"] == json!(true)).collect();
    assert_eq!((wanted, whole(&files)), (vec![false, true, false, true], vec![false, true, false, true]));
    let torrent = daemon.torrent(&info_hash);
    assert_eq!((&torrent["progress"], &torrent["have"]), (&json!(1.0), &torrent["size"]));
    assert!(torrent["size"].as_u64() < torrent["length"].as_u64());
    for name in ["2-yes.iso", "4-yes.iso"] {
        let got = fs::read(home.data().join("payload").join(name)).unwrap();
        assert!(got == fs::read(offer.payload.join(name)).unwrap(), "{name}");
    }
    // One more, then all.
    daemon.told(&["select", &info_hash, "0", "*.iso"]);
    daemon.told(&["wait", &info_hash, "--timeout", "100s"]);
    assert_eq!(whole(&daemon.json(&["files", &info_hash])), [true, true, false, true]);
    daemon.told(&["select", &info_hash, "--all", "--sequential"]);
    assert_eq!(daemon.torrent(&info_hash)["sequential"], json!(true));
    daemon.told(&["wait", &info_hash, "--timeout", "100s"]);
    offer.assert_in(&home.data());
    daemon.told(&["select", &info_hash, "--rarest-first"]);
    assert_eq!(daemon.torrent(&info_hash)["sequential"], json!(false));
    daemon.refuses(&["select", &info_hash, "9"], exit::REFUSED, &["there is no file 9"]);
    daemon.end_well();
    seeder.end_well();
}

fn daemon_puts_files_where_it_is_told() {
    let offer = Offer::folder("d-paths", SOME, PIECES_OF_64_KIB);
    let home = Home::new("d-paths-home", "");
    // The payload as somebody has put it in order: one file lies elsewhere, under another name.
    let lies = home.data().join("payload");
    fs::create_dir_all(home.data().join("isos")).unwrap();
    fs::create_dir_all(&lies).unwrap();
    for (index, (name, _)) in SOME.iter().enumerate() {
        let to = if index == 1 { home.data().join("isos/second.iso") } else { lies.join(name) };
        fs::copy(offer.payload.join(name), to).unwrap();
    }
    let daemon = home.start();
    let info_hash = daemon.add(&["--seed-only", "--file-path", "1=isos/second.iso", text(&offer.file)]);
    daemon.wait(&format!("{info_hash} looked at"), |daemon| {
        let torrent = daemon.torrent(&info_hash);
        assert_ne!(torrent["state"], "error", "{torrent}");
        (torrent["state"] == "seeding" && torrent["progress"] == json!(1.0)).then_some(())
    });
    assert!(!lies.join("2-yes.iso").exists(), "nothing is made");
    daemon.refuses(
        &["add", "--file-path", "1=../../x", &offer.magnet_of(nobody())],
        exit::REFUSED,
        &["here already"],
    );
    daemon.end_well();
}

fn daemon_refuses_what_cannot_be_added() {
    let offer = Offer::single("d-refuse", LENGTH);
    let home = Home::new("d-refuse-home", "");
    let daemon = home.start();
    // A malformed magnet never leaves btctl: it is refused where there is no daemon, too.
    let nowhere = home.join("nowhere.sock");
    for (bad, why) in [
        ("magnet:?xt=urn:btih:zz", "an info-hash is 40 hex digits"),
        ("magnet:?dn=x", "has no `xt=urn:btih:`"),
        ("magnet:", "begins with `magnet:?`"),
    ] {
        assert_code(&btctl::btctl(&nowhere, &["add", bad]), exit::USAGE, &[bad, why]);
    }
    let why = format!("no btd answers at {}", nowhere.display());
    assert_code(&btctl::btctl(&nowhere, &["list"]), exit::NO_DAEMON, &[&why]);
    let missing = home.join("none.torrent");
    let why = format!("{}: No such file", missing.display());
    daemon.refuses(&["add", text(&missing)], exit::USAGE, &[&why]);
    daemon.refuses(&["add", text(&offer.payload)], exit::REFUSED, &["byte 0: no value begins with"]);
    daemon.refuses(&["add", "--select", "7", text(&offer.file)], exit::REFUSED, &["there is no file 7"]);
    let upwards = ["add", "--file-path", "0=../up", text(&offer.file)];
    daemon.refuses(&upwards, exit::REFUSED, &["\"../up\" is no path of a file"]);
    assert_eq!(daemon.json(&["list"]), json!([]), "nothing of that has been added");
    let info_hash = daemon.add(&["--paused", text(&offer.file)]);
    daemon.refuses(&["add", text(&offer.file)], exit::REFUSED, &["is here already", &info_hash]);
    // What is right is added, also beside what is wrong.
    let other = Offer::single_with("d-refuse-other", LENGTH, PIECES_OF_64_KIB);
    let into = home.join("other");
    daemon.refuses(
        &["add", "--paused", "--dir", text(&into), text(&offer.file), text(&other.file)],
        exit::REFUSED,
        &["is here already"],
    );
    assert_eq!(daemon.json(&["list"]).as_array().map(Vec::len), Some(2));
    daemon.end_well();
}

fn daemon_refuses_files_of_another_torrent() {
    let offer = Offer::single("d-twice", LENGTH);
    let other = Offer::single_with("d-twice-other", LENGTH, PIECES_OF_64_KIB);
    let home = Home::new("d-twice-home", "");
    let daemon = home.start();
    daemon.add(&["--paused", text(&offer.file)]);
    let holder = format!("are those of payload.bin ({})", offer.torrent.hex());
    daemon.refuses(&["add", "--paused", text(&other.file)], exit::REFUSED, &[&holder, "--seed-only"]);
    daemon.add(&["--paused", "--dir", text(&home.join("else")), text(&other.file)]);
    // Nor may it come to lie there later.
    daemon.refuses(&["move", &other.torrent.hex(), text(&home.data())], exit::REFUSED, &[&holder]);
    daemon.end_well();
}

fn daemon_names_paths_only_under_its_roots() {
    let offer = Offer::single("d-roots", LENGTH);
    let home = Home::new("d-roots-home", "control_roots = ['{home}/data', '{home}/more']");
    write_single(&home.join(""), "outside.bin", 1, 100);
    let daemon = home.start();
    let outside = home.join("outside");
    let lies_outside = |path: &Path| format!("{}: lies outside of what may be named", path.display());
    let refused = |words: &[&str], path: &Path| {
        daemon.refuses(words, exit::REFUSED, &[&lies_outside(path), "control_roots"]);
    };
    refused(&["add", "--dir", text(&outside), text(&offer.file)], &outside);
    let file = home.join("outside.bin");
    refused(&["create", text(&file), "-o", "-"], &file);
    refused(&["backup", text(&outside)], &outside);
    let inside = home.join("more/deep");
    let info_hash = daemon.add(&["--paused", "--dir", text(&inside), text(&offer.file)]);
    refused(&["move", &info_hash, text(&outside)], &outside);
    assert_eq!(daemon.torrent(&info_hash)["dir"], json!(text(&inside)));
    daemon.end_well();
}
