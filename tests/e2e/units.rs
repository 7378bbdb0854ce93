//! The units of `systemd/`, as systemd reads them: no mistakes, little exposed, and a system call filter that lets btd do
//! what it does.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tests::btd::{Seeder, binary};
use tests::download::Download;
use tests::folders::{scratch, workspace};
use tests::limit::within;
use tests::needs::Need;
use tests::payload::write_single;
use tests::process::{Output, Running, run, run_well};
use tests::torrent::Torrent;
use tests::wire::Speaks;

use crate::Case;

const ANALYZE: Need = Need::Program("systemd-analyze");
const STRACE: Need = Need::Program("strace");

pub(crate) const CASES: &[Case] = &[
    Case::new("units_have_no_mistakes", have_no_mistakes).needs(&[ANALYZE]),
    Case::new("a_mistake_in_a_unit_is_found", a_mistake_is_found).needs(&[ANALYZE]),
    Case::new("services_are_little_exposed", are_little_exposed).needs(&[ANALYZE]),
    Case::new("the_filter_lets_btd_serve", the_filter_lets_btd_serve).needs(&[ANALYZE, STRACE]),
    Case::new("the_filter_lets_the_daemon_download", the_filter_lets_the_daemon_download)
        .needs(&[ANALYZE, STRACE]),
];

const UNITS: [&str; 3] = ["btd.service", "btd.socket", "bttracker.service"];
/// Where systemd's own units lie.
const SYSTEM: &str = "/usr/lib/systemd/system";
/// What the services run.
const PROGRAMS: [&str; 3] = ["usr/bin/btd", "usr/bin/bttracker", "bin/kill"];
/// Worst that a service may be rated.
const MAX_EXPOSURE: f64 = 2.0;
/// Keys that a systemd before 254 does not know, says so, and does without.
const NEW_KEYS: [&str; 2] = ["'RestartSteps'", "'RestartMaxDelaySec'"];
/// Longest that systemd-analyze or strace may take.
const LIMIT: Duration = Duration::from_secs(60);

/// A root with the units in it, each changed by `change`, the targets of this machine, and programs to run.
fn root(change: impl Fn(&str) -> String) -> TempDir {
    let root = scratch("units");
    let units = root.path().join(&SYSTEM[1..]);
    fs::create_dir_all(&units).unwrap();
    for entry in fs::read_dir(SYSTEM).unwrap().flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "target") {
            fs::copy(entry.path(), units.join(entry.file_name())).unwrap();
        }
    }
    for name in UNITS {
        let text = fs::read_to_string(workspace().join("systemd").join(name)).unwrap();
        fs::write(units.join(name), change(&text)).unwrap();
    }
    for path in PROGRAMS {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy("/bin/true", path).unwrap();
    }
    root
}

fn analyze(root: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new("systemd-analyze");
    command.arg(format!("--root={}", root.display())).args(arguments);
    run(command, LIMIT)
}

/// What systemd has to say against the units in `root`.
fn complaints(root: &Path) -> Vec<String> {
    let output = analyze(root, &[&["verify", "--man=no"], UNITS.as_slice()].concat());
    let said = output.stderr();
    let ours = said.lines().filter(|line| line.contains("btd") || line.contains("bttracker"));
    let unknown = |line: &&str| line.contains("Unknown key") && NEW_KEYS.iter().any(|key| line.contains(key));
    let mut complaints: Vec<String> = ours.filter(|line| !unknown(line)).map(str::to_owned).collect();
    if output.code() != Some(0) && complaints.is_empty() {
        complaints.push(output.describe());
    }
    complaints
}

fn have_no_mistakes() {
    let root = root(str::to_owned);
    assert_eq!(complaints(root.path()), [""; 0]);
}

fn a_mistake_is_found() {
    for (right, wrong) in [
        ("User=", "Usr="),
        ("WatchdogSec=60", "WatchdogSec=soon"),
        ("SystemCallFilter=@system-service", "SystemCallFilter=@no-such-group"),
        ("/usr/bin/btd ", "/usr/bin/no-such-program "),
        ("ListenStream=", "ListenStream=nowhere/"),
    ] {
        let root = root(|text| text.replace(right, wrong));
        assert!(!complaints(root.path()).is_empty(), "{wrong} is not found");
    }
}

/// How exposed systemd thinks a service in `root` is, from 0 to 10.
fn exposure(root: &Path, service: &str) -> f64 {
    let output = analyze(root, &["security", "--offline=true", "--no-pager", service]);
    let said = output.stdout();
    let last = said.lines().find(|line| line.contains("Overall exposure level"));
    let number = last.and_then(|line| line.split(": ").nth(1)?.split(' ').next()?.parse().ok());
    number.unwrap_or_else(|| panic!("{}", output.describe()))
}

fn are_little_exposed() {
    let root = root(str::to_owned);
    for service in ["btd.service", "bttracker.service"] {
        let exposure = exposure(root.path(), service);
        assert!(exposure <= MAX_EXPOSURE, "{service} is rated {exposure}");
    }
    let open = self::root(|text| text.replace("SystemCallFilter=", "#").replace("ProtectSystem=", "#"));
    assert!(exposure(open.path(), "btd.service") > MAX_EXPOSURE, "the rating is read");
}

/// The system calls that btd.service allows: those in groups of the first filter, but for those of the second.
fn allowed() -> BTreeSet<String> {
    let unit = fs::read_to_string(workspace().join("systemd/btd.service")).unwrap();
    let mut allowed = calls("@default");
    for filter in unit.lines().filter_map(|line| line.strip_prefix("SystemCallFilter=")) {
        let is_allowed = !filter.starts_with('~');
        for call in filter.trim_start_matches('~').split(' ').flat_map(calls) {
            if is_allowed {
                allowed.insert(call)
            } else {
                allowed.remove(&call)
            };
        }
    }
    allowed
}

/// The system calls that `name` stands for: a group, with the groups in it, or a call.
fn calls(name: &str) -> BTreeSet<String> {
    if !name.starts_with('@') {
        return [name.to_owned()].into();
    }
    let mut command = Command::new("systemd-analyze");
    command.args(["syscall-filter", "--no-pager", name]);
    let list = run_well(command, LIMIT).stdout();
    // The first line is the group itself.
    let names = list.lines().skip(1).map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    names.flat_map(calls).collect()
}

fn the_filter_lets_btd_serve() {
    let scratch = scratch("filter");
    let payload = write_single(scratch.path(), "payload", 1, 1 << 20);
    let (torrent, log) = (scratch.path().join("t.torrent"), scratch.path().join("calls"));
    let mut create = Command::new(binary());
    create.arg("create").arg(&payload).arg("-o").arg(&torrent);
    run_well(create, LIMIT);
    let mut command = traced(&log);
    command.args(["seed", "--json", "--listen", "127.0.0.1:0", "--data"]).arg(scratch.path()).arg(&torrent);
    let seeder = Running::spawn(command);
    let address = seeder.wait_for("the address", LIMIT, |output| {
        let line = output.stdout().lines().next()?.to_owned();
        let announcement: tests::btd::Announcement = serde_json::from_str(&line).ok()?;
        announcement.listen.first().copied()
    });
    Download::start(address, &Torrent::read(&torrent), Speaks::Fast).whole();
    assert_none_denied(seeder, &log);
}

/// A daemon that a file tells of a torrent downloads it, runs a command, and answers at its door.
fn the_filter_lets_the_daemon_download() {
    let scratch = scratch("filter");
    let path = |name: &str| scratch.path().join(name);
    ["from", "watched"].iter().for_each(|name| fs::create_dir(path(name)).unwrap());
    let seeder = Seeder::start(&[&write_single(&path("from"), "payload", 1, 1 << 20)], &[""; 0]);
    let magnet = format!("magnet:?xt=urn:btih:{}&x.pe={}", seeder.torrent().info_hash, seeder.address());
    fs::write(path("watched/t.magnet"), magnet).unwrap();
    let home = scratch.path().display();
    let config = format!(
        "listen = ['127.0.0.1:0']\ndata_dir = '{home}/data'\nstate_dir = '{home}/state'\n\
         control_socket = '{home}/socket'\nwatch_dir = '{home}/watched'\nincomplete_dir = '{home}/incomplete'\n\
         on_complete = ['/bin/sh', '-c', 'cat < /dev/null > \"$BTD_DIR/done\"']\nlog.level = 'debug'\n"
    );
    fs::write(path("btd.toml"), config).unwrap();
    let mut command = traced(&path("calls"));
    command.args(["run", "--config"]).arg(path("btd.toml"));
    let daemon = Running::spawn(command);
    daemon.wait_for("the command", LIMIT, |output| output.stderr().contains("was run for").then_some(()));
    assert_eq!(fs::read(path("data/payload")).unwrap(), fs::read(path("from/payload")).unwrap());
    assert!(path("data/done").exists());
    let mut door = UnixStream::connect(path("socket")).unwrap();
    door.set_read_timeout(Some(LIMIT)).unwrap();
    door.write_all(b"GET /metrics HTTP/1.1\r\nHost: btd\r\nConnection: close\r\n\r\n").unwrap();
    let mut metrics = String::new();
    within(LIMIT, door.read_to_string(&mut metrics)).unwrap();
    assert!(metrics.contains("btd_torrents{state=\"seeding\"} 1"), "{metrics}");
    assert_none_denied(daemon, &path("calls"));
    seeder.end_well();
}

/// A btd whose system calls go to `log`; its arguments are still to come.
fn traced(log: &Path) -> Command {
    let mut command = Command::new("strace");
    // A btd whose strace is killed would go on.
    command.args(["-f", "-qq", "-o"]).arg(log).args(["setpriv", "--pdeathsig", "KILL"]).arg(binary());
    command
}

/// Ends a btd that was traced, and compares what it did with what it may do.
fn assert_none_denied(btd: Running, log: &Path) {
    let first_line = fs::read_to_string(log).unwrap();
    let id = first_line.split(' ').next().unwrap().parse().unwrap();
    // strace holds signals of its own back until its child has ended.
    kill(Pid::from_raw(id), Signal::SIGINT).unwrap();
    let ended = btd.wait(LIMIT);
    assert_eq!(ended.code(), Some(0), "{}", ended.describe());
    let mut allowed = allowed();
    // As root, which the service is not, SQLite gives new files to the owner of the database.
    allowed.insert("fchown".to_owned());
    assert!(allowed.contains("io_uring_enter") && !allowed.contains("mount"), "{allowed:?}");
    let log = fs::read_to_string(log).unwrap();
    // What setpriv did before it became btd is no matter of the filter.
    let used = used(log.splitn(3, "execve(").last().unwrap());
    assert!(used.contains("io_uring_enter"), "strace saw btd at work: {used:?}");
    let denied: Vec<_> = used.difference(&allowed).collect();
    assert!(denied.is_empty(), "btd.service denies {denied:?}");
}

/// The system calls in a log of strace.
fn used(log: &str) -> BTreeSet<String> {
    let calls = log.lines().filter_map(|line| {
        let (_, call) = line.split_once(' ')?;
        let (name, _) = call.trim_start().split_once('(')?;
        name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_').then(|| name.to_owned())
    });
    calls.collect()
}
