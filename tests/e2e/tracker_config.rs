//! bttracker as its operator sees it: the configuration and its faults, reloads, flags, sockets that are handed to it,
//! and ports that are taken.

use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::btd::assert_refused;
use tests::bttracker::{Bttracker, Site, binary, with_tracker};
use tests::caller::fetch;
use tests::daemon::WAIT_LIMIT;
use tests::folders::workspace;
use tests::needs::Need;
use tests::netns::Pair;
use tests::process::{Output, run, run_well};
use tests::query::{Ask, Hash};
use tests::udp_caller::UdpCaller;

use crate::Case;

pub(crate) const CASES: &[Case] = &[
    Case::new("tracker_checks_its_configuration", checks_its_configuration),
    Case::new("tracker_says_where_a_fault_is", says_where_a_fault_is),
    Case::new("tracker_reads_its_configuration_again", reads_its_configuration_again),
    Case::new("tracker_goes_on_with_a_broken_configuration", goes_on_with_a_broken_configuration),
    Case::new("tracker_puts_flags_above_its_file", puts_flags_above_its_file),
    Case::new("tracker_needs_no_configuration", needs_no_configuration).needs(&[Need::Namespaces]),
    Case::new("tracker_names_the_flag_of_a_taken_port", names_the_flag_of_a_taken_port),
    Case::new("tracker_takes_sockets_over", takes_sockets_over).needs(&[Need::Program("python3")]),
    Case::new("tracker_logs_where_it_listens", logs_where_it_listens),
    Case::new("tracker_has_completions_and_a_manual", has_completions_and_a_manual),
];

const HASH: Hash = [7; 20];

fn check(site: &Site, options: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.arg("check-config").arg("--config").arg(site.config()).args(options);
    run(command, WAIT_LIMIT)
}

fn checks_its_configuration() {
    let site = Site::new("t-k-check", "[announce]\ninterval = '45m'");
    let output = check(&site, &[]);
    assert_eq!((output.code(), output.stderr().as_str()), (Some(0), ""), "{}", output.describe());
    let output = check(&site, &["--json"]);
    assert_eq!(output.code(), Some(0), "{}", output.describe());
    let value: Value =
        serde_json::from_str(&output.stdout()).unwrap_or_else(|_| panic!("{}", output.describe()));
    assert!(value.is_object(), "{value}");
}

fn says_where_a_fault_is() {
    for (fault, place, key) in [
        ("colour = 'red'", "1:1", "colour"),
        ("workers = 'many'", "1:11", "workers"),
        ("workers = 1\n[announce]\ninterval = 'soon'", "3:12", "interval"),
        ("[announce]\nnumwant = -5", "2:11", "numwant"),
        ("http = ['nowhere']", "1:9", "http"),
        ("udp = ['127.0.0.1']", "1:8", "udp"),
        ("[http_server]\ntrusted_proxies = ['10.0.0.0/99']", "2:20", "trusted_proxies"),
        ("[limits]\nmemory = 'much'", "2:10", "memory"),
        ("[log]\nlevel = 'loud'", "2:9", "level"),
        ("[limits]\ntorrent = 5", "2:1", "torrent"),
        ("[announce]\ninterval = '1m'\nmin_interval = '5m'", "3:16", "min_interval"),
    ] {
        let site = Site::new("t-k-fault", "");
        fs::write(site.config(), fault).unwrap();
        let path = site.config();
        let words = [&format!("{}:{place}", path.display()), key];
        assert_refused(&check(&site, &[]), &words);
        assert_refused(&run(site.command(), WAIT_LIMIT), &words);
        let output = check(&site, &["--json"]);
        assert_eq!(output.code(), Some(1), "{}", output.describe());
    }
    let site = Site::new("t-k-syntax", "");
    fs::write(site.config(), "workers = \n").unwrap();
    assert_refused(&check(&site, &[]), &[":1:"]);
    fs::remove_file(site.config()).unwrap();
    assert_refused(&check(&site, &[]), &[site.config().to_str().unwrap()]);
    assert_refused(&run(site.command(), WAIT_LIMIT), &[site.config().to_str().unwrap()]);
}

fn interval(tracker: &Bttracker<'_>) -> u64 {
    tracker.announce(&Ask::leech(HASH, 1001)).number("interval")
}

fn reads_its_configuration_again() {
    with_tracker("t-k-reload", "", |tracker| {
        tracker.announce(&Ask::leech(HASH, 1001));
        tracker.reload("[announce]\ninterval = '1h'");
        assert!((3240..=3960).contains(&interval(tracker)), "an interval changes at once");
        tracker.wait_for_log("announce.interval");
        assert_eq!(tracker.peers(HASH).len(), 1, "nobody is forgotten");
        tracker.reload("[limits]\npeers_per_address_per_torrent = 1");
        tracker.tell(&Ask::leech(HASH, 1002)).failure();
        tracker.reload("[http_server]\nstats = false");
        assert_eq!(tracker.fetch("/stats").status, 404);
        tracker.reload("workers = 3\nhttp = ['127.0.0.1:1']");
        tracker.wait_for_log("takes a restart to change");
        let log = tracker.log();
        let line = log.lines().find(|line| line.contains("takes a restart to change")).unwrap();
        assert!(line.contains("workers") && line.contains("http"), "{line}");
        tracker.announce(&Ask::leech(HASH, 1002));
    });
}

fn goes_on_with_a_broken_configuration() {
    with_tracker("t-k-broken", "[announce]\ninterval = '1h'", |tracker| {
        tracker.reload("[announce]\ninterval = 'soon'");
        tracker.wait_for_log("interval");
        assert!((3240..=3960).contains(&interval(tracker)), "the one before holds");
    });
}

fn puts_flags_above_its_file() {
    let site = Site::new("t-k-flags", "[log]\nlevel = 'error'");
    let mut command = site.command();
    command.args(["--http", "127.0.0.2:0", "--http", "127.0.0.3:0", "-v"]);
    let tracker = site.start_with(command);
    let ips: Vec<String> = tracker.http.iter().map(|address| address.ip().to_string()).collect();
    assert_eq!(ips, ["127.0.0.2", "127.0.0.3"], "not where the file has it listen");
    assert_eq!(tracker.udp.len(), 2, "as the file says");
    for address in &tracker.http {
        assert_eq!(fetch(*address, "/health").status, 200);
    }
    tracker.end_well();
    let mut command = site.command();
    command.args(["--udp", "127.0.0.2:0", "-q"]);
    let tracker = site.start_with(command);
    assert_eq!((tracker.http.len(), tracker.udp.len()), (2, 1));
    UdpCaller::open(tracker.udp[0]).announce(&Ask::leech(HASH, 1001));
    let output = tracker.end_well();
    assert!(!output.stderr().contains("INFO"), "{}", output.describe());
}

fn needs_no_configuration() {
    let network = Pair::create();
    let site = Site::new("t-k-none", "");
    let tracker = site.spawn(network.seeder.command(binary()));
    tracker.wait_for_notice("READY=1");
    let target = Ask::leech(HASH, 1001).target();
    let ip = network.seeder.address();
    let peers = network.seeder.within(|| {
        let port = 6969;
        fetch((ip, port).into(), &target).well();
        fetch(([0, 0, 0, 0, 0, 0, 0, 1], port).into(), &target).well();
        UdpCaller::open_from((ip, 0).into(), (ip, port).into()).announce(&Ask::leech(HASH, 1002));
        UdpCaller::open(([0, 0, 0, 0, 0, 0, 0, 1], port).into()).announce(&Ask::leech(HASH, 1002)).leechers
    });
    assert_eq!(peers, 4);
    tracker.end_well();
}

/// Fails unless bttracker says that `address` is taken, and which flag to try again.
fn assert_taken(site: &Site, flag: &str, address: SocketAddr) {
    let mut command = site.command();
    command.args([flag, &address.to_string()]);
    site.refused(command, &["127.0.0.1", &address.port().to_string(), "in use", flag]);
}

fn names_the_flag_of_a_taken_port() {
    let site = Site::new("t-k-taken", "");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    assert_taken(&site, "--http", listener.local_addr().unwrap());
    assert_taken(&site, "--udp", socket.local_addr().unwrap());
    // Another bttracker's are taken as well: nothing is shared unseen.
    with_tracker("t-k-first", "", |tracker| {
        for (flag, address) in [("--http", tracker.http4()), ("--udp", tracker.udp4())] {
            assert_taken(&site, flag, address);
        }
    });
}

fn takes_sockets_over() {
    let site = Site::new("t-k-activate", "");
    let mut command = Command::new("python3");
    command.arg(workspace().join("tests/scripts/activate.py"));
    command.args(["http=tcp:127.0.0.1:0", "http=tcp:[::1]:0", "udp=udp:127.0.0.1:0"]);
    command.arg(format!("control=unix:{}", site.socket().display()));
    command.arg("--").arg(binary()).arg("--config").arg(site.config());
    let mut tracker = site.spawn(command);
    tracker.wait_for_notice("READY=1");
    tracker.learn();
    assert_eq!((tracker.http.len(), tracker.udp.len()), (2, 1), "those that were handed over, and no others");
    tracker.announce(&Ask::leech(HASH, 1001));
    tracker.announce6(&Ask::leech(HASH, 1002));
    assert_eq!(tracker.udp_caller().announce(&Ask::leech(HASH, 1003)).leechers, 3);
    tracker.end_well();
    assert!(site.socket().exists(), "it is the service manager's, and stays");
}

fn logs_where_it_listens() {
    with_tracker("t-k-log", "", |tracker| {
        for address in &tracker.http {
            tracker.wait_for_log(&format!("listening for HTTP on {address}"));
        }
        for address in &tracker.udp {
            tracker.wait_for_log(&format!("listening for UDP on {address}"));
        }
        // Tokens that one may know it by do not get in, nor do those of others.
        tracker.fetch("/announce?passkey=secret-passkey");
        tracker.fetch("/secret-passkey/announce");
        assert!(!tracker.log().contains("secret-passkey"), "{}", tracker.log());
        tracker.signal(Signal::SIGHUP);
        tracker.wait_for_notice("RELOADING=1");
        assert!(tracker.wait_for_notice("MONOTONIC_USEC=").len() > "MONOTONIC_USEC=".len());
        tracker.wait_for_notice("READY=1");
    });
}

fn has_completions_and_a_manual() {
    let tell = |arguments: &[&str]| {
        let mut command = Command::new(binary());
        command.args(arguments);
        run_well(command, WAIT_LIMIT).stdout()
    };
    assert!(tell(&["completions", "bash"]).contains("--http"));
    assert!(tell(&["man"]).contains("bttracker"));
    assert!(tell(&["--help"]).contains("--udp"));
    assert!(tell(&["--version"]).starts_with("bttracker "));
}
