//! SIGHUP has `btd run` read its configuration again: each key that can change while it runs is seen to. Rates are in
//! `daemon_limits`, downloads at a time in `daemon_life`.

use std::fs;

use serde_json::json;
use tests::btctl::exit;
use tests::daemon::{Home, text};
use tests::download::Download;
use tests::wire::Speaks;

use crate::Case;
use crate::offer::Offer;

pub(crate) const CASES: &[Case] = &[
    Case::new("daemon_watches_another_folder_when_told", watches_another_folder_when_told),
    Case::new("daemon_lets_other_paths_be_named_when_told", lets_other_paths_be_named_when_told),
    Case::new("daemon_says_more_or_less_when_told", says_more_or_less_when_told),
    Case::new("daemon_pauses_at_another_ratio_when_told", pauses_at_another_ratio_when_told),
];

const LENGTH: u64 = 300_017;

fn watches_another_folder_when_told() {
    let offers = [0, 1, 2].map(|number| Offer::single(&format!("d-rewatch-{number}"), LENGTH + number));
    let home = Home::new("d-rewatch-home", "watch_dir = '{home}/first'");
    let daemon = home.start();
    let put = |offer: &Offer, folder: &str, name: &str| {
        // Moved in whole: it is read as soon as it is there.
        fs::write(home.join(name), offer.magnet()).unwrap();
        fs::rename(home.join(name), home.join(folder).join(name)).unwrap();
    };
    let is_added = |folder: &str, name: &str| home.join(folder).join(format!("{name}.added")).exists();
    put(&offers[0], "first", "a.magnet");
    daemon.wait("file of the first folder", |_| is_added("first", "a.magnet").then_some(()));
    daemon.reload("watch_dir = '{home}/second'");
    daemon.wait("second folder", |_| home.join("second").is_dir().then_some(()));
    put(&offers[1], "first", "b.magnet");
    put(&offers[2], "second", "c.magnet");
    daemon.wait("file of the second folder", |_| is_added("second", "c.magnet").then_some(()));
    assert_eq!(daemon.json(&["list"]).as_array().map(Vec::len), Some(2));
    daemon.end_well();
    assert!(home.join("first/b.magnet").exists(), "nobody looks there any more");
}

fn lets_other_paths_be_named_when_told() {
    let offer = Offer::single("d-reroot", LENGTH);
    let home = Home::new("d-reroot-home", "control_roots = ['{home}/data']");
    let daemon = home.start();
    let words = ["add", "--dir", text(offer.home()), text(&offer.file)];
    daemon.refuses(&words, exit::REFUSED, &["control_roots", text(&offer.file)]);
    daemon.reload(&format!("control_roots = ['{{home}}/data', '{}']", text(offer.home())));
    let info_hash = daemon.add(&words[1..]);
    daemon.wait_state(&info_hash, "seeding");
    daemon.end_well();
}

fn says_more_or_less_when_told() {
    let home = Home::new("d-relevel-home", "[log]\nlevel = 'error'");
    let daemon = home.start();
    // A copy of the state is told of at the level of info.
    let copy = |name: &str| daemon.told(&["backup", text(&home.join(name))]);
    copy("quiet.sqlite");
    daemon.reload("[log]\nlevel = 'info'");
    copy("told.sqlite");
    daemon.wait_for_log("told.sqlite");
    daemon.reload("[log]\nlevel = 'error'");
    copy("again.sqlite");
    let output = daemon.end_well();
    for name in ["quiet.sqlite", "again.sqlite"] {
        assert!(home.join(name).exists() && !output.stderr().contains(name), "{}", output.describe());
    }
}

fn pauses_at_another_ratio_when_told() {
    let offer = Offer::single("d-reratio", LENGTH);
    let home = Home::new("d-reratio-home", "[limits]\nratio = 2.0");
    let daemon = home.start();
    let info_hash = offer.seed_by(&daemon);
    Download::start(daemon.address(), &offer.torrent, Speaks::Fast).whole();
    let torrent = daemon.wait("ratio of 1", |daemon| {
        let torrent = daemon.torrent(&info_hash);
        (torrent["ratio"] == json!(1.0)).then_some(torrent)
    });
    assert_eq!(torrent["state"], json!("seeding"), "half of what is to be sent");
    daemon.reload("[limits]\nratio = 1.0");
    daemon.wait_state(&info_hash, "paused");
    daemon.end_well();
}
