//! One run: a program that goes on until it ends, and what that took. Called by the benchmarks whose contenders end.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;

use crate::cores::{Cores, spawn_on};
use crate::process;
use crate::server::last_words;

/// How often its memory is looked at.
const SAMPLE_PERIOD: Duration = Duration::from_millis(20);

/// What a run took.
#[derive(Debug)]
pub(crate) struct Run {
    /// From the start of the program to its end.
    pub(crate) wall_s: f64,
    /// CPU time of the whole process, user and system, all threads.
    pub(crate) cpu_s: f64,
    /// Most anonymous memory that was seen.
    pub(crate) rss_anon_bytes: u64,
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// All that it printed.
    pub(crate) stdout: Vec<u8>,
    /// What it said of itself.
    pub(crate) said: Option<Said>,
}

/// The JSON line that a program may print at its end: its own figures from the moment that it may begin until all is
/// done, without start and end of an interpreter that is none of its work.
#[derive(Debug, Deserialize)]
pub(crate) struct Said {
    pub(crate) wall_s: f64,
    pub(crate) cpu_s: f64,
    pub(crate) version: String,
    pub(crate) settings: serde_json::Value,
}

impl Run {
    /// Wall and CPU seconds: what it said of itself comes before what was seen of its process.
    pub(crate) fn seconds(&self) -> (f64, f64) {
        self.said.as_ref().map_or((self.wall_s, self.cpu_s), |said| (said.wall_s, said.cpu_s))
    }
}

/// Runs `command` to its end, on `cores`; what it says on stderr goes to `log`.
///
/// # Errors
/// When it cannot be started, fails, or takes longer than `limit`.
pub(crate) fn to_success(command: Command, cores: Cores, log: &Path, limit: Duration) -> io::Result<Run> {
    let program = command.get_program().to_owned();
    let run = to_end(command, cores, log, limit)?;
    if !run.status.success() {
        let words = last_words(log);
        return Err(io::Error::other(format!("{}: {}; {words}", program.display(), run.status)));
    }
    Ok(run)
}

/// As [`to_success`], but it may fail.
///
/// # Errors
/// When it cannot be started, or takes longer than `limit`.
pub(crate) fn to_end(mut command: Command, cores: Cores, log: &Path, limit: Duration) -> io::Result<Run> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(log)?);
    let program = command.get_program().to_owned();
    let explain = |error: io::Error| io::Error::other(format!("{}: {error}", program.display()));
    let cpu_before = process::children_cpu_time()?;
    let begin = Instant::now();
    let child = spawn_on(cores, &mut command);
    let (end, output, rss_anon_bytes) = watch(child.map_err(explain)?, begin, limit).map_err(explain)?;
    let cpu = process::children_cpu_time()? - cpu_before;
    let said = output.stdout.split(|byte| *byte == b'\n').find_map(|line| serde_json::from_slice(line).ok());
    Ok(Run {
        wall_s: (end - begin).as_secs_f64(),
        cpu_s: cpu.as_secs_f64(),
        rss_anon_bytes,
        status: output.status,
        stdout: output.stdout,
        said,
    })
}

/// Waits for the end of `child` and looks at its memory meanwhile.
fn watch(child: Child, begin: Instant, limit: Duration) -> io::Result<(Instant, Output, u64)> {
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let output = child.wait_with_output();
        sender.send((Instant::now(), output))
    });
    let mut rss_anon_bytes = 0;
    loop {
        if let Ok((end, output)) = receiver.recv_timeout(SAMPLE_PERIOD) {
            return Ok((end, output?, rss_anon_bytes));
        }
        if begin.elapsed() > limit {
            kill(Pid::from_raw(pid), Signal::SIGKILL)?;
            // Its CPU time must not count for the next.
            let _ = receiver.recv();
            return Err(io::Error::other(format!("not done after {} s", limit.as_secs())));
        }
        // A process that ends has no memory, and its end is the next that is received.
        rss_anon_bytes = rss_anon_bytes.max(process::rss_anon_bytes(pid).unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    fn run_script(script: &str, limit: Duration) -> io::Result<Run> {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        to_success(command, Cores::One(0), log.path(), limit)
    }

    #[test]
    fn a_run_has_the_time_of_its_process_and_what_it_said() {
        let count = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; ";
        let run = run_script(count, LIMIT).unwrap();
        assert!(run.cpu_s > 0.0 && run.wall_s > 0.0 && run.said.is_none(), "{run:?}");
        let said = r#"echo hello; echo '{"wall_s":2.5,"cpu_s":1.5,"version":"1","settings":{}}'"#;
        let run = run_script(said, LIMIT).unwrap();
        assert_eq!(run.said.unwrap().wall_s, 2.5);
        assert!(run.stdout.starts_with(b"hello\n"));
    }

    #[test]
    fn a_run_is_on_its_core_or_on_all() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let cores = |cores| {
            let run = to_end(Command::new("nproc"), cores, log.path(), LIMIT).unwrap();
            String::from_utf8(run.stdout).unwrap().trim().parse::<usize>().unwrap()
        };
        assert_eq!(cores(Cores::One(0)), 1);
        assert_eq!(cores(Cores::All), thread::available_parallelism().unwrap().get());
    }

    #[test]
    fn a_run_that_fails_or_never_ends_is_an_error() {
        let error = run_script("echo no room >&2; exit 3", LIMIT).unwrap_err().to_string();
        assert!(error.contains("no room"), "{error}");
        let error = run_script("exec sleep 100", Duration::ZERO).unwrap_err().to_string();
        assert!(error.contains("not done"), "{error}");
        let log = tempfile::NamedTempFile::new().unwrap();
        let run = to_end(Command::new("false"), Cores::All, log.path(), LIMIT).unwrap();
        assert_eq!(run.status.code(), Some(1));
    }
}
