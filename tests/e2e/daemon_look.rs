//! What btctl and the control API show: lists, details, figures, events, copies; as scripts read it.

use std::fs;
use std::io::Write as _;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tests::api;
use tests::btctl::{self, exit};
use tests::daemon::{Home, WAIT_LIMIT, text};
use tests::download::Download;
use tests::needs::Need;
use tests::process::{Running, run_well};
use tests::wire::Speaks;

use crate::Case;
use crate::offer::{FILES, Offer};

pub(crate) const CASES: &[Case] = &[
    Case::new("daemon_lists_its_torrents", daemon_lists_its_torrents),
    Case::new("daemon_shows_a_torrent", daemon_shows_a_torrent),
    Case::new("daemon_gives_a_torrent_back", daemon_gives_a_torrent_back),
    Case::new("daemon_counts_what_it_does", daemon_counts_what_it_does),
    Case::new("daemon_tells_what_happens", daemon_tells_what_happens),
    Case::new("daemon_is_waited_for", daemon_is_waited_for),
    Case::new("daemon_copies_its_state", daemon_copies_its_state),
    Case::new("daemon_answers_curl", daemon_answers_curl).needs(&[Need::Program("curl")]),
    Case::new("daemon_shows_metrics", daemon_shows_metrics),
    Case::new("btctl_watches_on_a_terminal", btctl_watches_on_a_terminal),
    Case::new("btctl_makes_completions", btctl_makes_completions),
];

const LENGTH: u64 = 3_000_017;
const PIECES_OF_64_KIB: &[&str] = &["--piece-length", "64KiB"];
const FIELDS: &str = "info_hash name state progress size have uploaded downloaded ratio upload_rate \
                      download_rate peers seeds eta_s label error dir added_at";

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|torrent| torrent["name"].as_str().unwrap()).collect()
}

fn daemon_lists_its_torrents() {
    let home = Home::new("d-list-home", "");
    let daemon = home.start();
    let offers = [("b", 3_000_017), ("a", 1_000_003), ("c", 2_000_003)].map(|(name, length)| {
        let offer = Offer::single_with(&format!("d-list-{name}"), length, PIECES_OF_64_KIB);
        let named = offer.home().join(name);
        fs::rename(&offer.payload, &named).unwrap();
        let file = offer.home().join("named.torrent");
        let made =
            tests::btd::btd(&["create", text(&named), "-o", text(&file), "--tracker", "http://t.example/a"]);
        assert_eq!(made.code(), Some(0), "{}", made.describe());
        (offer, file)
    });
    for (index, (offer, file)) in offers.iter().enumerate() {
        let options = ["--dir", text(offer.home()), text(file)];
        let rest: &[&str] = if index == 1 { &["--paused", "--label", "x"] } else { &[] };
        daemon.add(&[&options[..], rest].concat());
    }
    for id in ["b", "c"] {
        daemon.wait("seeds", |daemon| (daemon.json(&["show", id])["state"] == "seeding").then_some(()));
    }
    let list = daemon.json(&["list"]);
    assert_eq!(names(&list), ["b", "a", "c"], "in the order in which they were added");
    let mut fields: Vec<&str> = list[0].as_object().unwrap().keys().map(String::as_str).collect();
    let mut promised: Vec<&str> = FIELDS.split_whitespace().collect();
    fields.sort_unstable();
    promised.sort_unstable();
    assert_eq!(fields, promised);
    let lists: [(&[&str], &[&str]); 10] = [
        (&["--state", "seeding"], &["b", "c"]),
        (&["--state", "paused"], &["a"]),
        (&["--state", "error"], &[]),
        (&["--label", "x"], &["a"]),
        (&["--label", ""], &["b", "c"]),
        (&["--tracker", "t.example"], &["b", "a", "c"]),
        (&["--tracker", "u.example"], &[]),
        (&["--sort", "name"], &["a", "b", "c"]),
        (&["--sort", "-size"], &["b", "c", "a"]),
        (&["--state", "seeding", "--sort", "size", "--label", ""], &["c", "b"]),
    ];
    for (options, expected) in lists {
        assert_eq!(names(&daemon.json(&[&["list"], options].concat())), expected, "{options:?}");
    }
    let table = daemon.told(&["list"]);
    assert!(["seeding", "paused", "2.9 MiB"].iter().all(|word| table.contains(word)), "{table}");
    assert!(!table.contains('\x1b'), "no colours but on a terminal");
    assert!(daemon.told(&["list", "--color", "always"]).contains('\x1b'));
    daemon.refuses(&["list", "--sort", "nonsense"], exit::USAGE, &["nonsense", "sorted by one of"]);
    // What has changed since.
    let reply = daemon.get("/v1/torrents?limit=2");
    assert_eq!((&reply["total"], reply["torrents"].as_array().map(Vec::len)), (&json!(3), Some(2)));
    let next = reply["next"].as_str().unwrap();
    assert_eq!(names(&daemon.get(&format!("/v1/torrents?limit=2&after={next}"))["torrents"]), ["c"]);
    let since = format!("/v1/torrents?since={}", reply["revision"]);
    assert_eq!(names(&daemon.get(&since)["torrents"]), [""; 0]);
    daemon.told(&["label", "b", "y"]);
    daemon.told(&["remove", "c"]);
    let delta = daemon.get(&since);
    assert_eq!((names(&delta["torrents"]), delta["removed"].as_array().map(Vec::len)), (vec!["b"], Some(1)));
    daemon.end_well();
}

fn daemon_shows_a_torrent() {
    let offer = Offer::folder("d-show", FILES, PIECES_OF_64_KIB);
    let home = Home::new("d-show-home", "");
    let daemon = home.start();
    let info_hash = offer.seed_by(&daemon);
    let torrent = daemon.json(&["show", "payload"]);
    let pieces = offer.torrent.piece_count();
    assert_eq!((&torrent["piece_count"], &torrent["pieces_have"]), (&json!(pieces), &json!(pieces)));
    assert_eq!(
        (&torrent["length"], &torrent["piece_length"]),
        (&json!(offer.torrent.length), &json!(65_536))
    );
    let files = daemon.json(&["files", &info_hash]);
    let shown = files.as_array().unwrap().iter();
    let shown: Vec<(&str, u64)> =
        shown.map(|file| (file["path"].as_str().unwrap(), file["size"].as_u64().unwrap())).collect();
    let expected: Vec<(String, u64)> =
        FILES.iter().map(|(path, size)| (format!("payload/{path}"), *size)).collect();
    let mut sorted = expected.clone();
    sorted.sort();
    let mut shown_sorted: Vec<(String, u64)> =
        shown.iter().map(|(path, size)| ((*path).to_owned(), *size)).collect();
    shown_sorted.sort();
    assert_eq!(shown_sorted, sorted);
    let have = daemon.json(&["pieces", &info_hash]);
    assert_eq!((&have["piece_count"], &have["have_count"]), (&json!(pieces), &json!(pieces)));
    // A peer that is connected.
    let mut download = Download::start(daemon.address(), &offer.torrent, Speaks::Fast);
    download.whole();
    let peers = daemon.json(&["peers", &info_hash]);
    assert_eq!(peers.as_array().map(Vec::len), Some(1), "{peers}");
    assert_eq!((&peers[0]["is_incoming"], &peers[0]["is_choked"]), (&json!(true), &json!(false)));
    let torrent = daemon.wait("figures", |daemon| {
        let torrent = daemon.torrent(&info_hash);
        (torrent["uploaded"] == json!(offer.torrent.length) && torrent["peers"] == json!(1))
            .then_some(torrent)
    });
    assert_eq!((&torrent["ratio"], &torrent["downloaded"]), (&json!(1.0), &json!(0)));
    for command in ["show", "files", "peers", "pieces", "trackers"] {
        let told = daemon.told(&[command, &info_hash]);
        assert!(command == "trackers" || !told.trim().is_empty(), "{command}");
    }
    drop(download);
    daemon.end_well();
}

fn daemon_gives_a_torrent_back() {
    let tracker = "http://tracker.example/announce";
    let offer = Offer::folder("d-export", FILES, &["--piece-length", "64KiB", "--tracker", tracker]);
    let home = Home::new("d-export-home", "");
    let daemon = home.start();
    let info_hash = daemon.add(&["--paused", text(&offer.file)]);
    let file = home.join("back.torrent");
    daemon.told(&["export", &info_hash, "-o", text(&file)]);
    assert!(fs::read(&file).unwrap() == fs::read(&offer.file).unwrap(), "byte for byte");
    let output = daemon.btctl(&["export", &info_hash]);
    assert!(output.stdout == fs::read(&offer.file).unwrap(), "on stdout too");
    let magnet = daemon.told(&["magnet", &info_hash]);
    assert!(magnet.contains(&info_hash) && magnet.contains("tracker.example"), "{magnet}");
    // Of a magnet: what peers gave, as good as the file.
    let seeder = offer.seed(&[]);
    daemon.told(&["remove", &info_hash]);
    let added = daemon.add(&[&offer.magnet_of(seeder.address())]);
    daemon.wait("metadata", |daemon| (daemon.torrent(&added)["size"].as_u64() > Some(0)).then_some(()));
    daemon.told(&["export", &info_hash, "-o", text(&home.join("made.torrent"))]);
    let made = tests::torrent::Torrent::read(&home.join("made.torrent"));
    assert_eq!(made.info_hash, offer.torrent.info_hash);
    seeder.end_well();
    daemon.end_well();
}

fn daemon_counts_what_it_does() {
    let offer = Offer::single_with("d-stats", LENGTH, PIECES_OF_64_KIB);
    let home = Home::new("d-stats-home", "workers = 2");
    let daemon = home.start();
    offer.seed_by(&daemon);
    Download::start(daemon.address(), &offer.torrent, Speaks::Fast).whole();
    let stats = daemon.wait("figures", |daemon| {
        let stats = daemon.json(&["stats"]);
        (stats["uploaded_total"] == json!(LENGTH)).then_some(stats)
    });
    assert_eq!((&stats["uploaded"], &stats["workers"]), (&json!(LENGTH), &json!(2)));
    assert_eq!((&stats["torrents"]["seeding"], &stats["have"]), (&json!(1), &json!(LENGTH)));
    assert!(stats["memory"]["anonymous"].as_u64() > Some(0));
    let version = daemon.json(&["version"]);
    assert_eq!(version["btd"]["pid"], json!(daemon.id()));
    assert_eq!(version["btctl"], version["btd"]["version"]);
    daemon.end_well();
}

fn daemon_tells_what_happens() {
    let offer = Offer::single_with("d-events", LENGTH, PIECES_OF_64_KIB);
    let seeder = offer.seed(&[]);
    let home = Home::new("d-events-home", "");
    let daemon = home.start();
    let events = btctl::start(&home.socket(), &["events", "--json"]);
    events.wait_for("hello", WAIT_LIMIT, |output| output.stdout().contains("hello").then_some(()));
    let magnet = offer.magnet_of(seeder.address());
    daemon.told(&["add", "--wait", "--timeout", "100s", &magnet]);
    let info_hash = offer.torrent.hex();
    daemon.told(&["label", &info_hash, "x"]);
    daemon.told(&["pause", &info_hash]);
    daemon.wait_state(&info_hash, "paused");
    daemon.told(&["remove", "--data", &info_hash]);
    daemon.end_well();
    let output = events.wait(WAIT_LIMIT);
    assert_eq!(output.code(), Some(0), "{}", output.describe());
    let lines: Vec<Value> = output.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<String> = lines
        .iter()
        .map(|event| match (event["event"].as_str().unwrap(), event["to"].as_str()) {
            (_, Some(to)) => to.to_owned(),
            (event, None) => event.to_owned(),
        })
        .collect();
    let mut rest = told.iter();
    let expected = [
        "hello",
        "added",
        "metadata",
        "downloading",
        "completed",
        "changed",
        "paused",
        "removed",
        "shutdown",
    ];
    for event in expected {
        assert!(rest.any(|told| told == event), "{event} is missing, or in the wrong place: {told:?}");
    }
    let revisions: Vec<u64> = lines.iter().map(|event| event["revision"].as_u64().unwrap()).collect();
    assert!(revisions.is_sorted(), "{revisions:?}");
    seeder.end_well();
}

/// Connections to the control socket of the daemon at `home`.
fn connections(home: &Home) -> usize {
    let table = fs::read_to_string("/proc/net/unix").unwrap();
    // Num, RefCount, Protocol, Flags, Type, St, Inode, Path; one that is connected is in state 3.
    let is_ours = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields.len() == 8 && fields[5] == "03" && fields[7] == text(&home.socket())
    };
    table.lines().filter(is_ours).count()
}

fn daemon_is_waited_for() {
    let offer = Offer::single("d-wait", LENGTH);
    let home = Home::new("d-wait-home", "");
    let daemon = home.start();
    let info_hash = daemon.add(&[&offer.magnet()]);
    daemon.refuses(&["wait", &info_hash, "--timeout", "300ms"], exit::TIMED_OUT, &["timed out after 300ms"]);
    // One that is removed meanwhile. Whoever waits has a connection more than those that he has asked for events and
    // for rows with; one is ours.
    let clients = |count: usize| {
        daemon.wait(&format!("{count} connections"), |_| (connections(&home) == count).then_some(()));
    };
    clients(1);
    let waiting = btctl::start(&home.socket(), &["wait", &info_hash]);
    clients(4);
    daemon.told(&["remove", &info_hash]);
    let output = waiting.wait(WAIT_LIMIT);
    btctl::assert_code(&output, exit::NO_TORRENT, &[&format!("{info_hash} has been removed")]);
    // One whose daemon goes.
    let info_hash = daemon.add(&[&offer.magnet()]);
    let events = btctl::start(&home.socket(), &["events", "--json"]);
    events.wait_for("hello", WAIT_LIMIT, |output| output.stdout().contains("hello").then_some(()));
    daemon.kill();
    btctl::assert_code(&events.wait(WAIT_LIMIT), exit::NO_DAEMON, &[text(&home.socket())]);
    let output = btctl::btctl(&home.socket(), &["wait", &info_hash]);
    btctl::assert_code(&output, exit::NO_DAEMON, &[text(&home.socket())]);
}

fn daemon_copies_its_state() {
    let offer = Offer::single("d-backup", LENGTH);
    let home = Home::new("d-backup-home", "");
    let daemon = home.start();
    let info_hash = daemon.add(&["--label", "kept", "--dir", text(offer.home()), text(&offer.file)]);
    daemon.wait_state(&info_hash, "seeding");
    let copy = home.join("copy.sqlite");
    daemon.told(&["backup", text(&copy)]);
    daemon.refuses(&["backup", text(&copy)], exit::REFUSED, &["copy.sqlite: exists already"]);
    daemon.told(&["remove", &info_hash]);
    daemon.end_well();
    // Another daemon goes on from there.
    let other = Home::new("d-backup-other", "");
    fs::create_dir_all(other.join("state")).unwrap();
    fs::copy(&copy, other.state_file()).unwrap();
    let daemon = other.start();
    let torrent = daemon.wait_state(&info_hash, "seeding");
    assert_eq!(torrent["label"], json!("kept"));
    Download::start(daemon.address(), &offer.torrent, Speaks::Fast).whole();
    daemon.end_well();
}

fn daemon_answers_curl() {
    let offer = Offer::single("d-curl", LENGTH);
    let home = Home::new("d-curl-home", "");
    let daemon = home.start();
    let curl = |path: &str, options: &[&str]| {
        let mut command = Command::new("curl");
        command
            .args(["-sS", "--unix-socket", text(&home.socket())])
            .args(options)
            .arg(format!("http://btd{path}"));
        let output = run_well(command, Duration::from_secs(60));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let body = json!({"magnet": offer.magnet(), "paused": true, "label": "curled"}).to_string();
    let added = curl("/v1/torrents", &["-H", "Content-Type: application/json", "-d", &body]);
    assert_eq!((&added["info_hash"], &added["label"]), (&json!(offer.torrent.hex()), &json!("curled")));
    assert_eq!(curl("/v1/torrents", &[])["total"], json!(1));
    let path = format!("/v1/torrents/{}", offer.torrent.hex());
    assert_eq!(curl(&path, &["-X", "DELETE"])["torrents"], json!([offer.torrent.hex()]));
    assert_eq!(curl(&path, &[])["error"], json!("not_found"));
    assert!(curl("/v1/openapi.json", &[])["info"]["title"].is_string());
    let reply = daemon.ask("POST", "/v1/torrents", Some(&json!({"magnet": "magnet:"})));
    assert_eq!((reply.status, &reply.json()["error"]), (400, &json!("bad_request")));
    daemon.end_well();
}

/// The value of each sample in a text for Prometheus, by its name with its labels; fails where a line is none.
fn samples(text: &str) -> std::collections::BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
            (name.to_owned(), value.parse().unwrap_or_else(|_| panic!("no number: {line}")))
        })
        .collect()
}

fn daemon_shows_metrics() {
    let offer = Offer::single_with("d-metrics", LENGTH, PIECES_OF_64_KIB);
    let home = Home::new("d-metrics-home", "metrics_listen = '127.0.0.1:0'");
    let daemon = home.start();
    let address = daemon.metrics_address();
    let info_hash = offer.seed_by(&daemon);
    Download::start(daemon.address(), &offer.torrent, Speaks::Fast).whole();
    let reply = api::ask_at(address, "/metrics");
    assert_eq!(reply.status, 200);
    assert!(reply.head.contains("text/plain") || reply.head.contains("openmetrics"), "{}", reply.head);
    let metrics = samples(&reply.text());
    let has = |name: &str, value: f64| {
        metrics.iter().any(|(key, it)| key.contains(name) && (*it - value).abs() < f64::EPSILON)
    };
    #[allow(clippy::cast_precision_loss, reason = "less than 2^53 bytes")]
    let length = LENGTH as f64;
    assert!(has("state=\"seeding\"", 1.0) && has("upload", length), "{metrics:#?}");
    assert!(metrics.keys().any(|name| name.contains("worker=\"0\"")), "{metrics:#?}");
    assert!(!metrics.keys().any(|name| name.contains(&info_hash)), "nothing of each torrent");
    let names = |reply: api::Reply| samples(&reply.text()).into_keys().collect::<Vec<_>>();
    let on_socket = daemon.ask("GET", "/metrics", None);
    assert_eq!(names(on_socket), metrics.into_keys().collect::<Vec<_>>());
    assert_eq!(api::ask_at(address, "/v1/torrents").status, 404, "nothing else is there for all");
    daemon.end_well();
}

fn btctl_watches_on_a_terminal() {
    let offer = Offer::single("d-watch", LENGTH);
    let home = Home::new("d-watch-home", "");
    let daemon = home.start();
    let (watch, mut keys) =
        Running::spawn_on_terminal(btctl::command(&home.socket(), &["watch", "--interval", "100ms"]));
    let shows = |text: &str| {
        watch.wait_for(&format!("{text:?} on the screen"), WAIT_LIMIT, |output| {
            output.stdout().contains(text).then_some(())
        });
    };
    // Words only: between them the cursor may jump over what is there already.
    shows("torrents,");
    let info_hash = daemon.add(&["--paused", text(&offer.file)]);
    for word in [&info_hash[..8], "paused", "payload.bin"] {
        shows(word);
    }
    keys.write_all(b"q").unwrap();
    let output = watch.wait(WAIT_LIMIT);
    assert_eq!(output.code(), Some(exit::DONE), "{}", output.describe());
    // The screen is given back as it was.
    assert!(output.stdout().contains("\x1b[?1049l"), "{}", output.describe());
    // Where there is no terminal, it says what to use instead.
    daemon.refuses(&["watch"], exit::USAGE, &["btctl events", "btctl list"]);
    daemon.end_well();
}

fn btctl_makes_completions() {
    let home = Home::new("d-complete-home", "");
    for shell in ["bash", "zsh", "fish"] {
        let output = btctl::btctl(&home.join("none"), &["completions", shell]);
        btctl::assert_code(&output, exit::DONE, &[]);
        assert!(output.stdout().contains("reannounce"), "{shell}");
    }
    let folder = home.join("man");
    fs::create_dir(&folder).unwrap();
    btctl::assert_code(&btctl::btctl(&home.join("none"), &["man", text(&folder)]), exit::DONE, &[]);
    let pages: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .flatten()
        .map(|page| page.file_name().into_string().unwrap())
        .collect();
    assert!(pages.iter().any(|page| page.starts_with("btctl-add")), "{pages:?}");
}
