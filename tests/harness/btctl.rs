//! The btctl under test, and what scripts see of it: its exit codes, and its JSON.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::folders;
use crate::process::{Output, Running, run};

/// Longest that a command may take, also one that waits for a download.
const COMMAND_LIMIT: Duration = Duration::from_secs(120);

/// Exit codes.
pub mod exit {
    /// Done.
    pub const DONE: i32 = 0;
    /// Refused by the daemon, or failed.
    pub const REFUSED: i32 = 1;
    /// An argument makes no sense.
    pub const USAGE: i32 = 2;
    /// No daemon can be reached.
    pub const NO_DAEMON: i32 = 3;
    /// There is no such torrent.
    pub const NO_TORRENT: i32 = 4;
    /// It took too long.
    pub const TIMED_OUT: i32 = 5;
}

/// The binary under test: `$BTCTL`, or the release build.
pub fn binary() -> PathBuf {
    let path = env::var_os("BTCTL").map_or_else(|| folders::target().join("release/btctl"), PathBuf::from);
    assert!(path.is_file(), "there is no {}: `tests/run` builds it, or set BTCTL", path.display());
    path
}

/// A `btctl` for the daemon at `socket` with `arguments`, to be run.
pub fn command<A: AsRef<OsStr>>(socket: &Path, arguments: &[A]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments).env("BTD_SOCKET", socket);
    command
}

/// Runs `btctl` with `arguments` to its end.
pub fn btctl<A: AsRef<OsStr>>(socket: &Path, arguments: &[A]) -> Output {
    run(command(socket, arguments), COMMAND_LIMIT)
}

/// Starts a `btctl` that goes on.
pub fn start<A: AsRef<OsStr>>(socket: &Path, arguments: &[A]) -> Running {
    Running::spawn(command(socket, arguments))
}

/// Runs `btctl --json` with `arguments`, which must succeed, and reads each line that it prints.
pub fn json_lines<A: AsRef<OsStr>>(socket: &Path, arguments: &[A]) -> Vec<Value> {
    let mut command = command(socket, arguments);
    command.arg("--json");
    let output = run(command, COMMAND_LIMIT);
    assert_eq!(output.code(), Some(exit::DONE), "{}", output.describe());
    let parse = |line: &str| {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {}", output.describe()))
    };
    output.stdout().lines().map(parse).collect()
}

/// Checks that `output` ended with `code`, and says each of `words` on stderr without a panic.
pub fn assert_code(output: &Output, code: i32, words: &[&str]) {
    assert_eq!(output.code(), Some(code), "{}", output.describe());
    let said = output.stderr();
    assert!(!said.contains("panicked"), "{}", output.describe());
    for word in words {
        assert!(said.contains(word), "it should say {word:?}: {}", output.describe());
    }
}
