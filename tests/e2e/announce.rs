//! What `btd seed` prints and writes once peers can connect: magnet links, JSON lines, .torrent files; and the
//! addresses that it takes or refuses to take.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use percent_encoding::percent_decode_str;
use socket2::{Domain, Socket, Type};
use tests::btd::{Seeder, arguments, assert_refused, binary, btd, btd_json};
use tests::download::Download;
use tests::folders::scratch;
use tests::needs::Need;
use tests::netns::Pair;
use tests::payload::{write_folder, write_single};
use tests::process::Running;
use tests::torrent::Torrent;
use tests::wire::{ANSWER_LIMIT, Speaks};

use crate::Case;

pub(crate) const CASES: &[Case] = &[
    Case::new("a_json_line_describes_each_path", a_json_line_describes_each_path),
    Case::new("a_magnet_link_names_everything", a_magnet_link_names_everything),
    Case::new("a_magnet_link_spells_out_a_wildcard", a_magnet_link_spells_out_a_wildcard)
        .needs(&[Need::Namespaces]),
    Case::new("options_go_into_the_torrent", options_go_into_the_torrent),
    Case::new("a_torrent_is_seeded_from_its_data", a_torrent_is_seeded_from_its_data),
    Case::new("every_listener_is_announced_and_serves", every_listener_is_announced_and_serves),
    Case::new("a_port_in_use_is_refused", a_port_in_use_is_refused),
    Case::new("a_port_that_would_be_shared_is_refused", a_port_that_would_be_shared_is_refused),
    Case::new("a_port_of_another_btd_is_refused", a_port_of_another_btd_is_refused),
];

const NO_OPTIONS: &[&str] = &[];

fn a_json_line_describes_each_path() {
    let scratch = scratch("json");
    let file = write_single(scratch.path(), "one file.bin", 1, 100_000);
    let folder = write_folder(scratch.path(), "größe", 2, &[("a", 70_000), ("sub/b", 50_000), ("empty", 0)]);
    let seeder = Seeder::start(&[&file, &folder], &["--piece-length", "32KiB"]);
    let [first, second] = seeder.torrents.as_slice() else { panic!("two lines: {:?}", seeder.torrents) };
    assert_eq!((first.name.as_str(), first.length, first.piece_count), ("one file.bin", 100_000, 4));
    assert_eq!((second.name.as_str(), second.length, second.piece_count), ("größe", 120_000, 4));
    for torrent in &seeder.torrents {
        assert_eq!(torrent.piece_length, 32_768);
        assert_eq!(torrent.torrent, None);
        assert!(torrent.magnet.contains(&format!("xt=urn:btih:{}", torrent.info_hash)), "{}", torrent.magnet);
        let [address] = torrent.listen.as_slice() else { panic!("one listener: {:?}", torrent.listen) };
        assert!(address.ip().is_loopback() && address.port() != 0, "{address}");
    }
    seeder.end_well();
}

/// The values of `key` in a magnet link, decoded.
fn magnet_values(magnet: &str, key: &str) -> Vec<String> {
    let query = magnet.strip_prefix("magnet:?").unwrap_or_else(|| panic!("{magnet} is no magnet link"));
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let values =
        pairs.filter(|(name, _)| *name == key).map(|(_, value)| percent_decode_str(value).decode_utf8());
    values.map(|value| value.expect("a magnet link is UTF-8").into_owned()).collect()
}

fn a_magnet_link_names_everything() {
    let scratch = scratch("magnet");
    let file = write_single(scratch.path(), "a & b=c+d ☃.bin", 3, 50_000);
    let trackers = ["http://tracker.invalid/announce?key=a&b", "udp://tracker.invalid:6969"];
    let mut command = Command::new(binary());
    command.args(["seed", "--listen", "127.0.0.1:0"]).arg(&file);
    for tracker in trackers {
        command.args(["--tracker", tracker]);
    }
    let process = Running::spawn(command);
    let line = process.wait_for("a magnet link", ANSWER_LIMIT, |output| {
        output.stdout().split_once('\n').map(|(line, _)| line.to_owned())
    });
    assert!(line.is_ascii() && !line.contains(' '), "{line}");
    assert_eq!(magnet_values(&line, "dn"), ["a & b=c+d ☃.bin"]);
    assert_eq!(magnet_values(&line, "xl"), ["50000"]);
    assert_eq!(magnet_values(&line, "tr"), trackers);
    let topic = magnet_values(&line, "xt");
    let hash = topic.first().and_then(|topic| topic.strip_prefix("urn:btih:")).expect("an info-hash");
    assert!(hash.len() == 40 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{hash}");
    let peers = magnet_values(&line, "x.pe");
    let [peer] = peers.as_slice() else { panic!("one address: {line}") };
    let address: SocketAddr = peer.parse().expect("x.pe is an address and a port");
    std::net::TcpStream::connect(address).expect("peers can connect once the line is printed");
    process.signal(Signal::SIGTERM);
    let output = process.wait(tests::btd::END_LIMIT);
    assert_eq!(output.code(), Some(0), "{}", output.describe());
    assert_eq!(output.stdout().lines().count(), 1, "one line for one path: {}", output.describe());
}

fn a_magnet_link_spells_out_a_wildcard() {
    let scratch = scratch("wildcard");
    let file = write_single(scratch.path(), "f", 4, 50_000);
    let network = Pair::create();
    let seeder = Seeder::start_in(&network.seeder, &[&file], NO_OPTIONS);
    let torrent = seeder.torrent();
    let listen: Vec<String> = torrent.listen.iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["0.0.0.0:6881", "[::]:6881"], "the default");
    let peers = magnet_values(&torrent.magnet, "x.pe");
    assert!(peers.contains(&format!("{}:6881", network.seeder.address())), "{peers:?}");
    for peer in peers {
        let address: SocketAddr = peer.parse().unwrap_or_else(|error| panic!("{peer}: {error}"));
        assert!(!address.ip().is_unspecified(), "nobody can connect to {address}");
    }
    seeder.end_well();
}

fn options_go_into_the_torrent() {
    let scratch = scratch("options");
    let folder = write_folder(scratch.path(), "p", 5, &[("a", 70_000), ("b", 60_000)]);
    let torrent = scratch.path().join("p.torrent");
    let tracker = ["http://one.invalid/announce", "udp://two.invalid:80/announce"];
    let options = arguments(&[
        &"--torrent",
        &torrent,
        &"--private",
        &"--piece-length",
        &"32KiB",
        &"--tracker",
        &tracker[0],
        &"--tracker",
        &tracker[1],
    ]);
    let seeder = Seeder::start(&[&folder], &options);
    let announced = seeder.torrent();
    assert_eq!(announced.torrent.as_deref(), Some(torrent.as_path()));
    assert_eq!(magnet_values(&announced.magnet, "tr"), tracker);
    let said = btd_json(&arguments(&[&"inspect", &torrent, &"--json"]));
    assert_eq!(said["info_hash"], announced.info_hash.as_str());
    assert_eq!(said["piece_length"], 32_768);
    assert_eq!(said["private"], true);
    let urls: Vec<&str> = said["trackers"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|tier| tier.as_array().unwrap())
        .map(|url| url.as_str().unwrap())
        .collect();
    assert_eq!(urls, tracker);
    // The same options by `btd create` make the same torrent: the info-hash is what peers know it by.
    let created = scratch.path().join("created.torrent");
    let options =
        arguments(&[&"create", &folder, &"-o", &created, &"--private", &"--piece-length", &"32768"]);
    let output = btd(&options);
    assert_eq!(output.code(), Some(0), "{}", output.describe());
    assert_eq!(
        btd_json(&arguments(&[&"inspect", &created, &"--json"]))["info_hash"],
        announced.info_hash.as_str()
    );
    seeder.end_well();
}

fn a_torrent_is_seeded_from_its_data() {
    let scratch = scratch("data");
    let folder = write_folder(scratch.path(), "p", 6, &[("a", 70_000), ("sub/b", 60_000)]);
    let path = scratch.path().join("elsewhere.torrent");
    let created = btd(&arguments(&[&"create", &folder, &"-o", &path]));
    assert_eq!(created.code(), Some(0), "{}", created.describe());
    let seeder = Seeder::start(&[&path], &arguments(&[&"--data", &scratch.path()]));
    let torrent = Torrent::read(&path);
    assert_eq!(seeder.torrent().info_hash, torrent.hex());
    Download::start(seeder.address(), &torrent, Speaks::Fast).whole();
    seeder.end_well();
}

fn every_listener_is_announced_and_serves() {
    let scratch = scratch("listeners");
    let file = write_single(scratch.path(), "f", 7, 200_000);
    let path = scratch.path().join("f.torrent");
    let seeder = Seeder::start(&[&file], &arguments(&[&"--listen", &"127.0.0.2:0", &"--torrent", &path]));
    let torrent = Torrent::read(&path);
    let listen = seeder.torrent().listen.clone();
    assert_eq!(listen.len(), 2, "{listen:?}");
    for address in listen {
        Download::start(address, &torrent, Speaks::Plain).whole();
    }
    seeder.end_well();
}

/// `btd seed` at the port of `listener`, which must be refused with the port named.
fn assert_port_is_refused(file: &Path, address: SocketAddr) {
    let listen = address.to_string();
    let output = btd(&arguments(&[&"seed", &"--listen", &listen, &file]));
    assert_refused(&output, &[&address.port().to_string()]);
}

fn a_port_in_use_is_refused() {
    let scratch = scratch("port");
    let file = write_single(scratch.path(), "f", 8, 1_000);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    assert_port_is_refused(&file, listener.local_addr().unwrap());
}

fn a_port_that_would_be_shared_is_refused() {
    let scratch = scratch("shared-port");
    let file = write_single(scratch.path(), "f", 9, 1_000);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.listen(8).unwrap();
    assert_port_is_refused(&file, socket.local_addr().unwrap().as_socket().unwrap());
}

fn a_port_of_another_btd_is_refused() {
    let scratch = scratch("two-btds");
    let file = write_single(scratch.path(), "f", 10, 1_000);
    let seeder = Seeder::start(&[&file], NO_OPTIONS);
    assert_port_is_refused(&file, seeder.address());
    seeder.end_well();
}
