//! The house in order: this test reads the sources and keeps the arrows between the rooms, the list of files that
//! may hold `unsafe`, the purity of `protocol`, and the shape of files.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a failed test is a panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use tests::folders::workspace;
use tests::sources::{Source, dependencies, module_of, paths, sources, tokens};

/// The rooms of a package, and which others each may name; `service` and `protocol` are open to all of them.
type Arrows = &'static [(&'static str, &'static [&'static str])];

/// The packages that have rooms: folder, name, rooms. Whoever adds a room adds it here, and to ARCHITECTURE.md.
const HOUSES: &[(&str, &str, Arrows)] =
    &[("daemon/src", "btd", DAEMON), ("tracker/src", "bttracker", TRACKER)];

/// Those of btd.
const DAEMON: Arrows = &[
    ("main", &["app", "args"]),
    (
        "app",
        &[
            "args",
            "config",
            "engine",
            "catalog",
            "control",
            "worker",
            "discovery",
            "coordinator",
            "bus",
            "storage",
            "sys",
        ],
    ),
    // What is typed and what it means: read by `main` and `app` alone.
    ("args", &[]),
    ("config", &["args", "bus", "storage", "sys"]),
    ("catalog", &["engine", "coordinator", "discovery", "bus", "storage"]),
    ("engine", &["config", "worker", "coordinator", "discovery", "bus", "storage"]),
    ("worker", &["bus", "storage", "sys"]),
    ("coordinator", &["bus", "storage"]),
    ("control", &["bus", "storage"]),
    ("discovery", &["bus", "storage"]),
    ("bus", &[]),
    ("storage", &[]),
    ("sys", &[]),
];

/// Those of bttracker.
const TRACKER: Arrows = &[
    ("main", &["app", "args"]),
    ("app", &["args", "config", "admin", "http", "udp", "desk", "access", "swarms"]),
    ("args", &[]),
    ("config", &["args", "http", "desk", "access", "limits", "swarms"]),
    // The doors. They never name each other.
    ("admin", &["desk", "access", "figures", "swarms"]),
    ("http", &["desk", "figures", "swarms"]),
    ("udp", &["desk", "figures", "limits"]),
    ("desk", &["access", "figures", "limits", "swarms"]),
    ("figures", &["swarms"]),
    ("access", &[]),
    ("limits", &[]),
    ("swarms", &[]),
];

/// The only files that may hold `unsafe`. Mappings and ring calls of the daemon need none: their crates' safe
/// interfaces do.
const UNSAFE_FILES: &[&str] = &[
    "benches/harness/mapping.rs",
    "daemon/src/storage/guard.rs",
    "daemon/src/storage/sha1/unit.rs",
    "daemon/src/storage/sha1/vectors.rs",
    "service/src/memory.rs",
    "tracker/src/udp/batch.rs",
];

/// What `protocol` may not name: sockets, files, threads, clocks.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::thread",
    "std::process",
    "std::env",
    "std::os",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "std::net::ToSocketAddrs",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "std::time::SystemTime",
    "std::time::Instant::now",
    "Instant::now",
    "SystemTime",
    "tokio",
    "nix",
    "libc",
];

/// The packages of the workspace, and which of them each may depend on.
const PACKAGES: &[(&str, &str, &[&str])] = &[
    ("protocol", "protocol", &[]),
    ("service", "service", &["protocol"]),
    ("daemon", "btd", &["protocol", "service"]),
    ("ctl", "btctl", &["protocol"]),
    ("tracker", "bttracker", &["protocol", "service"]),
];

/// Most lines of a source file.
const MAX_LINES: usize = 500;

fn all() -> Vec<Source> {
    let all = sources(workspace());
    assert!(all.len() > 20, "the workspace has more than {} sources", all.len());
    all
}

/// Fails with all of `faults`, if there are any.
fn report(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// The room that the file at `path` of a package belongs to; `None` for lib.rs, which only lists them.
fn room_of(path: &Path) -> Option<String> {
    if path == Path::new("main.rs") { Some("main".to_owned()) } else { module_of(path).into_iter().next() }
}

/// Where the file at `path` of the package called `name` names a room that it may not.
fn broken_arrows(name: &str, arrows: Arrows, path: &Path, text: &str) -> Vec<String> {
    let Some(room) = room_of(path) else { return Vec::new() };
    let Some((_, allowed)) = arrows.iter().find(|(name, _)| *name == room) else {
        return vec![format!("{name}: {}: the room `{room}` is not in the table of arrows", path.display())];
    };
    let is_room = |name: &str| arrows.iter().any(|(room, _)| *room == name);
    let named = paths(text, &module_of(path));
    let rooms: BTreeSet<String> = named
        .into_iter()
        .filter(|path| path.first().is_some_and(|first| first == "crate" || first == name))
        .filter_map(|path| path.into_iter().nth(1))
        .filter(|other| is_room(other) && *other != room && !allowed.contains(&other.as_str()))
        .collect();
    let told = |other| format!("{name}: {}: `{room}` may not name `{other}`", path.display());
    rooms.into_iter().map(told).collect()
}

#[test]
fn rooms_name_only_the_rooms_below_them() {
    let sources = all();
    let mut faults = Vec::new();
    for (folder, name, arrows) in HOUSES {
        let mut rooms = BTreeSet::new();
        for source in &sources {
            if let Ok(path) = source.path.strip_prefix(folder) {
                rooms.extend(room_of(path));
                faults.extend(broken_arrows(name, arrows, path, &source.text));
            }
        }
        assert_eq!(rooms.len(), arrows.len(), "the rooms of {name} are {rooms:?}");
    }
    report(&faults);
}

#[test]
fn a_broken_arrow_is_found() {
    let broken = |path, text| !broken_arrows("btd", DAEMON, Path::new(path), text).is_empty();
    assert!(broken("worker/ring.rs", "use crate::coordinator::Swarm;"));
    assert!(broken("coordinator.rs", "fn f(w: super::worker::Worker) {}"));
    assert!(broken("worker/mod.rs", "use crate::{bus::Order, app::App};"));
    assert!(broken("storage/lease.rs", "use super::super::worker;"));
    assert!(broken("main.rs", "use btd::worker::Worker;"));
    assert!(broken("attic/mod.rs", ""), "a room that nobody has drawn");
    assert!(!broken(
        "worker/ring.rs",
        "use crate::storage::Lease; use super::reader; use crate::worker::writer;"
    ));
    assert!(!broken("worker/mod.rs", "// crate::coordinator\nmod tests { use super::bus; }"));
    assert!(!broken("app/mod.rs", "use crate::worker; use crate::coordinator;"));
}

/// What a file of `protocol` says outside of its tests, which make up times to pass on.
fn without_tests<'a>(path: &Path, text: &'a str) -> &'a str {
    let is_test = path.iter().any(|part| part == "tests" || part == "tests.rs");
    if is_test { "" } else { text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default() }
}

/// Where `text`, a file of `protocol`, names something that is not thinking.
fn impurities(path: &Path, text: &str) -> Vec<String> {
    let named = paths(without_tests(path, text), &module_of(path));
    let is_under = |path: &[String], what: &str| {
        let what: Vec<&str> = what.split("::").collect();
        path.windows(what.len()).next().is_some_and(|start| start == what)
    };
    let forbidden = |path: &Vec<String>| IMPURE.iter().any(|what| is_under(path, what));
    let found: BTreeSet<String> = named.into_iter().filter(forbidden).map(|path| path.join("::")).collect();
    found.into_iter().map(|what| format!("{}: `protocol` may not name `{what}`", path.display())).collect()
}

#[test]
fn protocol_only_thinks() {
    let sources = all();
    let ours: Vec<&Source> = sources.iter().filter(|source| source.path.starts_with("protocol")).collect();
    let faults: Vec<String> = ours.iter().flat_map(|source| impurities(&source.path, &source.text)).collect();
    report(&faults);
    let root = ours
        .iter()
        .find(|source| source.path == Path::new("protocol/src/lib.rs"))
        .expect("protocol has a root");
    assert!(root.text.contains("#![forbid(unsafe_code)]"), "protocol forbids unsafe code");
}

#[test]
fn an_impurity_is_found() {
    let impure = |text| !impurities(Path::new("x.rs"), text).is_empty();
    assert!(impure("use std::{fmt, fs::File};"));
    assert!(impure("let now = Instant::now();"));
    assert!(impure("let now = std::time::Instant::now();"));
    assert!(impure("use std::time::{Duration, SystemTime};"));
    assert!(impure("fn f(s: std::net::TcpStream) {}"));
    assert!(impure("use std::net::{IpAddr, UdpSocket};"));
    assert!(!impure(
        "use std::net::{IpAddr, SocketAddr}; use std::time::{Duration, Instant}; fn f(now: Instant) {}"
    ));
    assert!(!impure("fn f() {}\n#[cfg(test)]\nmod tests { fn g() { Instant::now() } }"));
    assert!(impure("#[cfg(test)]\nmod tests;\nfn f() { Instant::now() }"), "what follows is no test");
    assert!(!impure("// std::fs\nlet text = \"Instant::now\";"));
}

fn holds_unsafe(text: &str) -> bool {
    tokens(text).iter().any(|token| token == "unsafe")
}

#[test]
fn unsafe_stands_only_where_it_is_listed() {
    let found: BTreeSet<String> = all()
        .iter()
        .filter(|source| holds_unsafe(&source.text))
        .map(|source| source.path.to_string_lossy().into_owned())
        .collect();
    let listed: BTreeSet<String> = UNSAFE_FILES.iter().map(ToString::to_string).collect();
    assert_eq!(found, listed, "the files that hold `unsafe` and those that are listed");
}

#[test]
fn unsafe_is_found() {
    assert!(holds_unsafe("fn f() { unsafe { g() } }") && holds_unsafe("unsafe impl Send for X {}"));
    assert!(!holds_unsafe("#![forbid(unsafe_code)] // unsafe\nlet unsafe_ish = \"unsafe\";"));
}

/// What is wrong with the shape of a file.
fn misshapes(path: &Path, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if !text.starts_with("//! ") {
        faults.push(format!("{}: a file starts with a comment that says what it owns", path.display()));
    }
    let lines = text.lines().count();
    if lines > MAX_LINES {
        faults.push(format!("{}: {lines} lines are more than {MAX_LINES}", path.display()));
    }
    faults
}

#[test]
fn files_have_a_head_and_an_end() {
    let faults: Vec<String> = all().iter().flat_map(|source| misshapes(&source.path, &source.text)).collect();
    report(&faults);
}

#[test]
fn a_misshapen_file_is_found() {
    let path = Path::new("x.rs");
    assert_eq!(misshapes(path, "use std::fmt;\n").len(), 1);
    assert_eq!(misshapes(path, &format!("//! A head.\n{}", "\n".repeat(MAX_LINES))).len(), 1);
    assert!(misshapes(path, &format!("//! A head.\n{}", "\n".repeat(MAX_LINES - 1))).is_empty());
}

/// Packages of the workspace that `manifest` depends on although it may not.
fn wrong_dependencies(manifest: &str, allowed: &[&str]) -> Vec<String> {
    let ours = PACKAGES.iter().map(|(_, name, _)| *name).chain(["tests", "benches"]);
    let forbidden: Vec<&str> = ours.filter(|name| !allowed.contains(name)).collect();
    dependencies(manifest).into_iter().filter(|name| forbidden.contains(&name.as_str())).collect()
}

#[test]
fn packages_depend_on_those_below_them() {
    for (folder, name, allowed) in PACKAGES {
        let path = workspace().join(folder).join("Cargo.toml");
        let manifest =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{folder} is the package {name}");
        let wrong = wrong_dependencies(&manifest, allowed);
        assert!(wrong.is_empty(), "{name} may not depend on {wrong:?}");
    }
}

#[test]
fn a_wrong_dependency_is_found() {
    let manifest = "[dependencies]\nprotocol.workspace = true\nbtd.workspace = true\nserde = \"1\"\n";
    assert_eq!(wrong_dependencies(manifest, &["protocol"]), ["btd"]);
}
