//! The clients that users have: aria2c, transmission-cli, and libtorrent through its Python package. Each runs
//! until its download is complete and ends. None looks for peers but where it is told.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use nix::sys::signal::Signal;

use crate::folders;
use crate::netns::Namespace;
use crate::process::{Running, run_well};

/// Longest that a client may take for a payload of two gigabytes on a busy machine.
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(240);
/// Longest that a client may take to end after its download.
const END_LIMIT: Duration = Duration::from_secs(60);
/// Longest that a tool may take to make or read a small torrent.
const TOOL_LIMIT: Duration = Duration::from_secs(60);

/// The Python of the tests' virtual environment: `$TESTS_PYTHON`, or where `tests/run` makes it.
pub fn python() -> PathBuf {
    env::var_os("TESTS_PYTHON").map_or_else(|| folders::target().join("venv/bin/python"), PathBuf::from)
}

/// Where the tests have their npm packages: `$TESTS_NPM`, or where `tests/run` installs them.
pub fn npm_folder() -> PathBuf {
    env::var_os("TESTS_NPM").map_or_else(|| folders::target().join("npm"), PathBuf::from)
}

/// Downloads `source`, a .torrent file or a magnet link, into `folder` with aria2c, which asks its trackers.
pub fn aria2(source: &str, folder: &Path) {
    let mut command = Command::new("aria2c");
    command
        .args(["--no-conf", "--enable-dht=false", "--enable-dht6=false", "--bt-enable-lpd=false"])
        .args(["--enable-peer-exchange=false", "--seed-time=0", "--file-allocation=none"])
        .args(["--summary-interval=0", "--console-log-level=notice"])
        .arg(format!("--dir={}", folder.display()))
        .arg(source);
    run_well(command, DOWNLOAD_LIMIT);
}

/// Downloads `source`, a .torrent file or a magnet link, into `folder` with libtorrent, which connects to `peer`
/// or to those that the magnet names.
pub fn libtorrent(source: &str, folder: &Path, peer: Option<&str>) {
    let mut command = script("download.py");
    command.arg(source).arg(folder).args(peer);
    run_well(command, DOWNLOAD_LIMIT);
}

/// Downloads `source`, a .torrent file or a magnet link, into `folder` with transmission-cli inside `namespace`,
/// which asks its trackers. `settings` is a folder of its own.
pub fn transmission(source: &str, folder: &Path, settings: &Path, namespace: &Namespace) {
    // With uTP on, transmission 3.00 never turns to TCP in a network where nobody sends uTP: its uTP timers start
    // with the first such packet that comes in.
    let quiet = r#"{"dht-enabled": false, "lpd-enabled": false, "pex-enabled": false, "utp-enabled": false}"#;
    fs::create_dir_all(settings).expect("the folder for settings can be made");
    fs::write(settings.join("settings.json"), quiet).expect("settings can be written");
    let mut command = namespace.command("transmission-cli");
    command.arg("-g").arg(settings).arg("-w").arg(folder).args(["--no-portmap", source]);
    let running = Running::spawn(command);
    // It never ends by itself: once complete it says that it seeds, and a signal ends it.
    running.wait_for("\"Seeding\"", DOWNLOAD_LIMIT, |output| {
        let tail =
            output.stdout.rsplit(|byte| *byte == b'\r').take(3).any(|line| line.starts_with(b"Seeding"));
        tail.then_some(())
    });
    running.signal(Signal::SIGINT);
    let output = running.wait(END_LIMIT);
    assert_eq!(output.code(), Some(0), "transmission-cli: {}", output.describe());
}

/// A command that runs one of the Python scripts beside the harness.
pub(crate) fn script(name: &str) -> Command {
    let mut command = Command::new(python());
    command.arg("-W").arg("ignore").arg(folders::workspace().join("tests/scripts").join(name));
    command
}

/// Makes a torrent of `path` with libtorrent; `kind` is `v1`, `v2` or `hybrid`, and more options may follow.
pub fn libtorrent_create(path: &Path, torrent: &Path, kind: &str, options: &[&str]) {
    let mut command = script("create.py");
    command.arg(path).arg(torrent).arg(kind).args(options);
    run_well(command, TOOL_LIMIT);
}

/// What libtorrent reads in a .torrent file or a magnet link, in the shape of `btd inspect --json`.
pub fn libtorrent_inspect(what: &str) -> serde_json::Value {
    let mut command = script("inspect.py");
    command.arg(what);
    let output = run_well(command, TOOL_LIMIT);
    serde_json::from_str(&output.stdout()).unwrap_or_else(|error| panic!("{error}: {}", output.describe()))
}

/// Makes a torrent of `path` with transmission-create.
pub fn transmission_create(path: &Path, torrent: &Path, options: &[&str]) {
    let mut command = Command::new("transmission-create");
    command.args(options).arg("-o").arg(torrent).arg(path);
    run_well(command, TOOL_LIMIT);
}

/// What transmission-show reads in a .torrent file.
#[derive(Debug, PartialEq, Eq)]
pub struct Shown {
    /// 40 hex digits.
    pub info_hash: String,
    /// The torrent's name.
    pub name: String,
    /// The paths of the files, in the torrent's order.
    pub files: Vec<String>,
}

/// Reads the .torrent file `torrent` with transmission-show.
pub fn transmission_show(torrent: &Path) -> Shown {
    let mut command = Command::new("transmission-show");
    command.arg("--unsorted").arg(torrent);
    shown(&run_well(command, TOOL_LIMIT).stdout())
}

fn shown(text: &str) -> Shown {
    let field = |name: &str| {
        let mut values = text.lines().filter_map(|line| line.strip_prefix(name));
        values.next().unwrap_or_else(|| panic!("no {name:?} in {text}")).to_owned()
    };
    let (_, files) = text.split_once("\nFILES\n").unwrap_or_else(|| panic!("no files in {text}"));
    let files =
        files.lines().filter_map(|line| line.strip_prefix("  ")?.rsplit_once(" (")).map(|(path, _)| path);
    Shown { info_hash: field("  Hash: "), name: field("  Name: "), files: files.map(str::to_owned).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_of_transmission_show_is_read() {
        let text = "Name: p q\nFile: /x\n\nGENERAL\n\n  Name: p q\n  Hash: 3d32\n  Piece Count: 4\n\nTRACKERS\n\n\
                    FILES\n\n  p q/a (1).bin (1.00 MB)\n  p q/größe ☃ (0.02 kB)\n\n";
        let files = vec!["p q/a (1).bin".to_owned(), "p q/größe ☃".to_owned()];
        assert_eq!(shown(text), Shown { info_hash: "3d32".to_owned(), name: "p q".to_owned(), files });
    }
}
