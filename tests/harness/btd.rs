//! The btd under test: the release binary, driven through its command line as a user would.

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use nix::sys::signal::Signal;
use serde::Deserialize;

use crate::folders;
use crate::netns::Namespace;
use crate::process::{Output, Running, run};

/// Longest that btd may take to hash a payload and listen; gigabytes on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(120);
/// Longest that a command without a network may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(120);
/// Longest that btd may take to end after a signal. It promises 2 s; the rest is for a machine busy with tests.
pub const END_LIMIT: Duration = Duration::from_secs(15);

/// The binary under test: `$BTD`, or the release build.
pub fn binary() -> PathBuf {
    let path = env::var_os("BTD").map_or_else(|| folders::target().join("release/btd"), PathBuf::from);
    assert!(path.is_file(), "there is no {}: `tests/run` builds it, or set BTD", path.display());
    path
}

/// One line of `btd seed --json`.
#[derive(Debug, Clone, Deserialize)]
pub struct Announcement {
    /// 40 hex digits.
    pub info_hash: String,
    /// Of the file or folder.
    pub name: String,
    /// Bytes in all.
    pub length: u64,
    /// Bytes in a piece.
    pub piece_length: u64,
    /// How many pieces.
    pub piece_count: u64,
    /// The magnet link.
    pub magnet: String,
    /// Where btd listens.
    pub listen: Vec<SocketAddr>,
    /// Where the .torrent was written or read.
    pub torrent: Option<PathBuf>,
}

impl Announcement {
    /// The first address at which btd listens.
    pub fn address(&self) -> SocketAddr {
        *self.listen.first().expect("btd listens somewhere")
    }
}

/// A `btd seed` that peers can connect to.
#[derive(Debug)]
pub struct Seeder {
    /// What it said about each of its torrents.
    pub torrents: Vec<Announcement>,
    process: Running,
}

impl Seeder {
    /// Seeds `paths` at a port of its own on loopback.
    pub fn start<A: AsRef<OsStr>>(paths: &[&Path], options: &[A]) -> Self {
        let mut command = Command::new(binary());
        command.args(["seed", "--json", "--listen", "127.0.0.1:0"]).args(options).args(paths);
        Self::announced(command, paths.len())
    }

    /// Seeds `paths` where `options` say.
    pub fn start_at<A: AsRef<OsStr>>(paths: &[&Path], options: &[A]) -> Self {
        let mut command = Command::new(binary());
        command.args(["seed", "--json"]).args(options).args(paths);
        Self::announced(command, paths.len())
    }

    /// Seeds `paths` inside `namespace` with only the options given.
    pub fn start_in<A: AsRef<OsStr>>(namespace: &Namespace, paths: &[&Path], options: &[A]) -> Self {
        let mut command = namespace.command(binary());
        command.args(["seed", "--json"]).args(options).args(paths);
        Self::announced(command, paths.len())
    }

    fn announced(command: Command, count: usize) -> Self {
        let process = Running::spawn(command);
        let lines = process.wait_for("line for each path", START_LIMIT, |output| {
            let text = output.stdout();
            let complete = text.rfind('\n').map_or("", |end| &text[..end]);
            let lines: Vec<String> = complete.lines().map(str::to_owned).collect();
            (lines.len() >= count).then_some(lines)
        });
        let parse = |line: &String| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in the announcement {line}"))
        };
        Self { torrents: lines.iter().map(parse).collect(), process }
    }

    /// What it said about its only torrent.
    pub fn torrent(&self) -> &Announcement {
        assert_eq!(self.torrents.len(), 1, "one torrent was expected: {:?}", self.torrents);
        &self.torrents[0]
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.torrents[0].address()
    }

    /// The process id.
    pub fn id(&self) -> i32 {
        self.process.id()
    }

    /// Waits until standard error contains `text`.
    pub fn wait_for_error(&self, text: &str, limit: Duration) {
        self.process.wait_for(&format!("{text:?} on stderr"), limit, |output| {
            output.stderr().contains(text).then_some(())
        });
    }

    /// Sends `signal` and waits for the process to end by itself.
    pub fn end(self, signal: Signal) -> Output {
        self.process.signal(signal);
        self.process.wait(END_LIMIT)
    }

    /// Ends it as a user would and checks that it ended well and never panicked.
    pub fn end_well(self) -> Output {
        let output = self.end(Signal::SIGINT);
        assert_eq!(output.code(), Some(0), "after SIGINT: {}", output.describe());
        assert!(!output.stderr().contains("panicked"), "{}", output.describe());
        output
    }

    /// The ids of the threads that serve peers.
    pub fn worker_threads(&self) -> Vec<i32> {
        let folder = format!("/proc/{}/task", self.id());
        let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
        let is_worker = |path: &PathBuf| {
            fs::read_to_string(path.join("comm")).is_ok_and(|name| name.starts_with("btd-worker-"))
        };
        let paths = entries.flatten().map(|entry| entry.path()).filter(is_worker);
        paths.filter_map(|path| path.file_name()?.to_str()?.parse().ok()).collect()
    }
}

/// Runs `btd` with `arguments` to its end.
pub fn btd<A: AsRef<OsStr>>(arguments: &[A]) -> Output {
    let mut command = Command::new(binary());
    command.args(arguments);
    run(command, COMMAND_LIMIT)
}

/// Runs `btd` with `arguments`, which must succeed, and reads the one JSON object that it prints.
pub fn btd_json<A: AsRef<OsStr>>(arguments: &[A]) -> serde_json::Value {
    let output = btd(arguments);
    assert_eq!(output.code(), Some(0), "{}", output.describe());
    json_line(&output)
}

/// The one JSON object on one line that `output` consists of.
pub fn json_line(output: &Output) -> serde_json::Value {
    let text = output.stdout();
    assert_eq!(text.lines().count(), 1, "one line of JSON was expected: {}", output.describe());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {}", output.describe()))
}

/// Checks that `output` is a refusal as a user should see it: exit code 1, nothing on stdout, and one line on
/// stderr that contains each of `words`.
pub fn assert_refused(output: &Output, words: &[&str]) {
    let told = output.describe();
    assert_eq!(output.code(), Some(1), "a refusal exits with 1: {told}");
    assert_eq!(output.stdout(), "", "a refusal prints no result: {told}");
    assert_eq!(output.stderr().trim_end().lines().count(), 1, "a refusal is one line: {told}");
    assert!(!output.stderr().contains("panicked"), "{told}");
    for word in words {
        assert!(output.stderr().contains(word), "the refusal should say {word:?}: {told}");
    }
}

/// Command-line arguments of mixed kinds as one list.
pub fn arguments(list: &[&dyn AsRef<OsStr>]) -> Vec<OsString> {
    list.iter().map(|argument| argument.as_ref().to_owned()).collect()
}
