//! A server under test: started on its core, known by the one JSON line that it prints, ended with the bench.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;

use crate::cores::{Cores, spawn_on};
use crate::daemon::await_answer;

/// How long a server may take until peers can connect: it may hash the payload first.
const READY_WAIT: Duration = Duration::from_secs(60);
/// How long a server may take to end when asked, before it is killed.
const END_WAIT: Duration = Duration::from_secs(5);
const POLL_PERIOD: Duration = Duration::from_millis(10);
/// So much of what a failed server said on stderr is shown.
const LAST_WORDS_LENGTH: usize = 500;

/// What a server says when peers can connect, or what is known of one that says nothing.
#[derive(Debug, Clone, Deserialize)]
pub struct Ready {
    /// Where.
    pub listen: Vec<SocketAddr>,
    /// Its version, if it says.
    #[serde(default)]
    pub version: Option<String>,
    /// How it is set, if it says.
    #[serde(default)]
    pub settings: Option<serde_json::Value>,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    child: Child,
    pid: i32,
    ready: Ready,
}

impl Server {
    /// Starts `command` on `cores` and waits until it says that it is ready; what it says on stderr goes to `log`.
    ///
    /// # Errors
    /// When it cannot be started, ends, says something else, or takes too long.
    pub fn start(mut command: Command, cores: Cores, log: &Path) -> io::Result<Self> {
        command.stdout(Stdio::piped());
        let mut starting = Self::spawn(command, cores, log)?;
        let ready = wait_ready(starting.child.stdout.take());
        starting.become_ready(ready, log)
    }

    /// As [`Server::start`], of one that says nothing and is `ready` when `is_ready`.
    ///
    /// # Errors
    /// When it cannot be started, ends, or takes too long.
    pub fn start_until(
        mut command: Command,
        cores: Cores,
        log: &Path,
        ready: Ready,
        is_ready: impl Fn() -> bool,
    ) -> io::Result<Self> {
        command.stdout(Stdio::null());
        let mut starting = Self::spawn(command, cores, log)?;
        let outcome = await_answer(&mut starting.child, READY_WAIT, is_ready).map(|()| ready);
        starting.become_ready(outcome, log)
    }

    fn spawn(mut command: Command, cores: Cores, log: &Path) -> io::Result<Starting> {
        command.stdin(Stdio::null()).stderr(File::create(log)?);
        let program = command.get_program().display().to_string();
        let explain = |error| io::Error::other(format!("cannot start {program}: {error}"));
        let child = spawn_on(cores, &mut command).map_err(explain)?;
        Ok(Starting { child, program })
    }

    /// Its process.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Where it listens: the first of its addresses.
    pub fn address(&self) -> SocketAddr {
        self.ready.listen[0]
    }

    /// What it said.
    pub fn ready(&self) -> &Ready {
        &self.ready
    }
}

/// A server that is not known to be ready.
struct Starting {
    child: Child,
    program: String,
}

impl Starting {
    /// The server, if it is ready; otherwise it is ended, and quoted.
    fn become_ready(mut self, ready: io::Result<Ready>, log: &Path) -> io::Result<Server> {
        match ready {
            Ok(ready) => {
                let pid = i32::try_from(self.child.id()).map_err(io::Error::other)?;
                Ok(Server { child: self.child, pid, ready })
            }
            Err(error) => {
                self.child.kill()?;
                let status = self.child.wait()?;
                let words = last_words(log);
                Err(io::Error::other(format!("{} ({status}): {error}; {words}", self.program)))
            }
        }
    }
}

impl Drop for Server {
    /// Asks it to end, then makes it; nothing is left to do when that fails.
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.pid), Signal::SIGTERM);
        let end = Instant::now() + END_WAIT;
        while Instant::now() < end {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(POLL_PERIOD);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first line, read by a thread that goes on to empty the pipe as long as the server lives.
fn wait_ready(stdout: Option<ChildStdout>) -> io::Result<Ready> {
    let stdout = stdout.ok_or_else(|| io::Error::other("no pipe for stdout"))?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            // After the first line nobody listens, and that is fine.
            let _ = sender.send(line);
        }
    });
    let line = receiver
        .recv_timeout(READY_WAIT)
        .map_err(|_| io::Error::other("it did not say where it listens"))??;
    let ready: Ready =
        serde_json::from_str(&line).map_err(|error| io::Error::other(format!("{error} in {line:?}")))?;
    match ready.listen.first() {
        Some(address) if address.ip().is_loopback() => Ok(ready),
        _ => Err(io::Error::other(format!("it does not listen on loopback: {line:?}"))),
    }
}

/// The end of what a program said on stderr, for an error that quotes it.
pub(crate) fn last_words(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(LAST_WORDS_LENGTH)..]);
    let text = text.trim();
    if text.is_empty() { "it said nothing".to_owned() } else { format!("it said: {text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(script: &str) -> io::Result<Server> {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Server::start(command, Cores::All, log.path())
    }

    #[test]
    fn a_server_is_ready_with_its_line_and_ended_by_drop() {
        let server = start(r#"echo '{"listen":["127.0.0.1:1"],"piece_count":3}'; exec sleep 100"#).unwrap();
        let pid = Pid::from_raw(server.pid());
        assert_eq!(server.address().port(), 1);
        drop(server);
        assert!(kill(pid, None).is_err());
    }

    #[test]
    fn a_server_that_fails_is_quoted() {
        let error = start("echo out of luck >&2; exit 3").unwrap_err().to_string();
        assert!(error.contains("out of luck"), "{error}");
        let error = start(r#"echo '{"listen":["0.0.0.0:1"]}'"#).unwrap_err().to_string();
        assert!(error.contains("loopback"), "{error}");
    }
}
