//! A daemon under test: started on its core, ready when it tells the service manager so or when it answers, ended in
//! order.

use std::fs::{self, File};
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cores::{Cores, spawn_on};
use crate::server::last_words;

/// How long a daemon may take to be ready, or to end.
const PATIENCE: Duration = Duration::from_secs(120);
const POLL_PERIOD: Duration = Duration::from_millis(2);

/// A running daemon. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    pid: i32,
}

impl Daemon {
    /// Starts `command` on `cores`, and waits until it is ready; returns how long that took. What it says on stderr goes
    /// to `log`, and the notify socket lies beside it.
    ///
    /// # Errors
    /// When it cannot be started, ends, or takes too long.
    pub(crate) fn start(mut command: Command, cores: Cores, log: &Path) -> io::Result<(Self, Duration)> {
        let path = log.with_extension("notify");
        let _ = fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path)?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(log)?);
        command.env("NOTIFY_SOCKET", &path);
        let begin = Instant::now();
        let mut daemon = Self::spawn(command, cores)?;
        await_ready(&socket, &mut daemon.child, begin).map_err(|error| quote(&error, log))?;
        Ok((daemon, begin.elapsed()))
    }

    /// Starts `command` on `cores`, and waits until `answers` is true, for one that tells no service manager. What it says
    /// goes to `log`.
    ///
    /// # Errors
    /// When it cannot be started, ends, or takes too long.
    pub(crate) fn start_until(
        mut command: Command,
        cores: Cores,
        log: &Path,
        answers: impl Fn() -> bool,
    ) -> io::Result<Self> {
        let output = File::create(log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let mut daemon = Self::spawn(command, cores)?;
        await_answer(&mut daemon.child, PATIENCE, answers).map_err(|error| quote(&error, log))?;
        Ok(daemon)
    }

    fn spawn(mut command: Command, cores: Cores) -> io::Result<Self> {
        let child = spawn_on(cores, &mut command).map_err(|error| {
            io::Error::other(format!("cannot start {}: {error}", command.get_program().display()))
        })?;
        let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        Ok(Self { child, pid })
    }

    /// Whether it lives.
    ///
    /// # Errors
    /// When it has ended: how.
    pub(crate) fn check(&mut self) -> io::Result<()> {
        match self.child.try_wait()? {
            Some(status) => Err(io::Error::other(format!("it ended with {status}"))),
            None => Ok(()),
        }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// Asks it to end, and waits for that; returns how long it took.
    ///
    /// # Errors
    /// When it fails, or takes too long.
    pub(crate) fn stop(mut self) -> io::Result<Duration> {
        let begin = Instant::now();
        kill(Pid::from_raw(self.pid), Signal::SIGTERM)?;
        while begin.elapsed() < PATIENCE {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(begin.elapsed()),
                Some(status) => return Err(io::Error::other(format!("it ended with {status}"))),
                None => thread::sleep(POLL_PERIOD),
            }
        }
        Err(io::Error::other("it does not end"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until `answers` is true, for a program that does not say when it is ready.
///
/// # Errors
/// When `child` ends, or takes longer than `patience`.
pub(crate) fn await_answer(
    child: &mut Child,
    patience: Duration,
    answers: impl Fn() -> bool,
) -> io::Result<()> {
    let begin = Instant::now();
    while !answers() {
        if let Some(status) = child.try_wait()? {
            return Err(io::Error::other(format!("it ended with {status}")));
        }
        if begin.elapsed() > patience {
            return Err(io::Error::other("it does not answer"));
        }
        thread::sleep(POLL_PERIOD);
    }
    Ok(())
}

fn quote(error: &io::Error, log: &Path) -> io::Error {
    io::Error::other(format!("{error}; {}", last_words(log)))
}

fn await_ready(socket: &UnixDatagram, child: &mut Child, begin: Instant) -> io::Result<()> {
    let mut message = [0; 4096];
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    while begin.elapsed() < PATIENCE {
        match socket.recv(&mut message) {
            Ok(length) if message[..length].split(|byte| *byte == b'\n').any(|line| line == b"READY=1") => {
                return Ok(());
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if let Some(status) = child.try_wait()? {
                    return Err(io::Error::other(format!("it ended with {status}")));
                }
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("it did not become ready"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(script: &str) -> io::Result<(Daemon, Duration)> {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Daemon::start(command, Cores::All, &folder.path().join("log"))
    }

    #[test]
    fn a_daemon_that_ends_before_it_is_ready_is_quoted() {
        let error = start("echo no luck >&2; exit 3").unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.contains("no luck"), "{error}");
    }

    #[test]
    fn one_that_ends_before_it_answers_is_quoted_and_one_that_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let start = |command: Command| {
            Daemon::start_until(command, Cores::All, &folder.path().join("log"), || false).unwrap_err()
        };
        let mut command = Command::new("sh");
        command.args(["-c", "echo no luck; exit 3"]);
        let error = start(command).to_string();
        assert!(error.contains("exit status: 3") && error.contains("no luck"), "{error}");
        let error = start(Command::new("/nowhere/tracker")).to_string();
        assert!(error.starts_with("cannot start /nowhere/tracker"), "{error}");
    }
}
