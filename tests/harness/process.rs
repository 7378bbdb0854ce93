//! A child process whose output is collected while it runs, that can be waited for with a deadline, and that
//! does not outlive its owner.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::mem;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

/// Most characters of a process's output that a failure shows.
const SHOWN_CHARACTERS: usize = 6_000;

/// What a process has said and how it ended, if it did.
#[derive(Debug, Default)]
pub struct Output {
    /// What it wrote on standard output so far.
    pub stdout: Vec<u8>,
    /// What it wrote on standard error so far.
    pub stderr: Vec<u8>,
    /// How it ended, once it has.
    pub status: Option<ExitStatus>,
    open_pipes: u8,
}

impl Output {
    /// Standard output as text.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// The exit code; `None` while it runs, or when a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.and_then(|status| status.code())
    }

    fn is_over(&self) -> bool {
        self.status.is_some() && self.open_pipes == 0
    }

    /// All of it for a human; the end of it where it is long.
    pub fn describe(&self) -> String {
        let mut text = match self.status {
            Some(status) => format!("{status}\n"),
            None => "still running\n".to_owned(),
        };
        for (name, bytes) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            let all = String::from_utf8_lossy(bytes).replace('\r', "\n");
            let skipped = all.chars().count().saturating_sub(SHOWN_CHARACTERS);
            let shown: String = all.chars().skip(skipped).collect();
            writeln!(text, "--- {name} ---\n{shown}").expect("a string takes all");
        }
        text
    }
}

struct Shared {
    output: Mutex<Output>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Output> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Output)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

/// A process that runs; it is killed when this is dropped, and what it has said is shown if the test fails by then.
pub struct Running {
    title: String,
    process: Pid,
    shared: Arc<Shared>,
    /// Whether a failure has shown already what it said.
    is_shown: AtomicBool,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.title, self.process)
    }
}

impl Running {
    /// Starts `command` with its output collected and nothing to read.
    pub fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self::start(command, None)
    }

    /// Starts `command` on a terminal of 100 columns and 30 lines. What it draws counts as standard output; what is
    /// written into the file that is returned is typed.
    pub fn spawn_on_terminal(mut command: Command) -> (Self, File) {
        let size = Winsize { ws_row: 30, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = openpty(&size, None).unwrap_or_else(|error| panic!("a terminal: {error}"));
        let [ours, screen] =
            [&pair.master, &pair.master].map(|end| end.try_clone().expect("a descriptor can be copied"));
        let theirs = || pair.slave.try_clone().expect("a descriptor can be copied");
        command.stdin(theirs()).stdout(theirs()).stderr(Stdio::piped());
        (Self::start(command, Some(screen.into())), ours.into())
    }

    /// Starts `command`, whose standard output is to be read of `screen`, or of its pipe.
    fn start(mut command: Command, screen: Option<File>) -> Self {
        let title = format!("{command:?}");
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot run {title}: {error}"));
        // With it go our ends of what it reads and writes, so that it is seen when it has closed them.
        drop(command);
        let shared = Arc::new(Shared {
            output: Mutex::new(Output { open_pipes: 2, ..Output::default() }),
            changed: Condvar::new(),
        });
        let stderr = child.stderr.take().expect("stderr is piped");
        match screen {
            Some(screen) => collect(screen, Arc::clone(&shared), |output| &mut output.stdout),
            None => {
                let stdout = child.stdout.take().expect("stdout is piped");
                collect(stdout, Arc::clone(&shared), |output| &mut output.stdout);
            }
        }
        collect(stderr, Arc::clone(&shared), |output| &mut output.stderr);
        let process = Pid::from_raw(i32::try_from(child.id()).expect("process ids are positive"));
        reap(child, process, Arc::clone(&shared));
        Self { title, process, shared, is_shown: AtomicBool::new(false) }
    }

    /// The process id.
    pub fn id(&self) -> i32 {
        self.process.as_raw()
    }

    /// Whether it has ended, and all its output is read.
    pub fn is_over(&self) -> bool {
        self.shared.lock().is_over()
    }

    /// Sends `signal`, unless the process has ended.
    pub fn signal(&self, signal: Signal) {
        // The reaper collects the process under this lock, so that the id cannot be another's by now.
        let output = self.shared.lock();
        if output.status.is_none() {
            kill(self.process, signal).unwrap_or_else(|error| panic!("{signal} to {}: {error}", self.title));
        }
    }

    /// What it has said up to now, for a failure.
    pub fn describe(&self) -> String {
        self.is_shown.store(true, Ordering::Relaxed);
        format!("{}: {}", self.title, self.shared.lock().describe())
    }

    /// Waits until `ready` finds what it looks for in the output. Fails after `limit`, or when the process
    /// has ended without it.
    pub fn wait_for<T>(&self, what: &str, limit: Duration, mut ready: impl FnMut(&Output) -> Option<T>) -> T {
        let deadline = Instant::now() + limit;
        let mut output = self.shared.lock();
        loop {
            if let Some(found) = ready(&output) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if output.is_over() || left.is_zero() {
                let why = if left.is_zero() {
                    format!("no {what} within {limit:?}")
                } else {
                    format!("ended without {what}")
                };
                let said = output.describe();
                drop(output);
                self.is_shown.store(true, Ordering::Relaxed);
                panic!("{}: {why}: {said}", self.title);
            }
            output = self.shared.changed.wait_timeout(output, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until the process ends by itself and all its output is read. Fails after `limit`.
    pub fn wait(self, limit: Duration) -> Output {
        self.wait_for("end", limit, |output| output.is_over().then_some(()));
        let mut output = self.shared.lock();
        let (stdout, stderr) = (mem::take(&mut output.stdout), mem::take(&mut output.stderr));
        Output { stdout, stderr, ..*output }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut output = self.shared.lock();
        if thread::panicking() && !self.is_shown.load(Ordering::Relaxed) {
            // Whatever failed, it may know why.
            eprintln!("{}: {}", self.title, output.describe());
        }
        if output.status.is_none() {
            kill(self.process, Signal::SIGKILL).ok();
            // A killed process ends; wait, so that nothing of it is left when its folder is removed.
            while output.status.is_none() {
                output = self.shared.changed.wait(output).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

/// Runs `command` to its end.
pub fn run(command: Command, limit: Duration) -> Output {
    Running::spawn(command).wait(limit)
}

/// Runs `command` to its end and fails unless it succeeds.
pub fn run_well(command: Command, limit: Duration) -> Output {
    let title = format!("{command:?}");
    let output = run(command, limit);
    assert_eq!(output.code(), Some(0), "{title}: {}", output.describe());
    output
}

fn collect(
    mut pipe: impl Read + Send + 'static,
    shared: Arc<Shared>,
    stream: fn(&mut Output) -> &mut Vec<u8>,
) {
    thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = pipe.read(&mut chunk) {
            shared.change(|output| stream(output).extend_from_slice(&chunk[..count]));
        }
        shared.change(|output| output.open_pipes -= 1);
    });
}

fn reap(mut child: Child, process: Pid, shared: Arc<Shared>) {
    thread::spawn(move || {
        // Wait without collecting, then collect under the lock: see `Running::signal`.
        while waitid(Id::Pid(process), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).is_err() {}
        shared.change(|output| output.status = child.wait().ok());
    });
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    const LIMIT: Duration = Duration::from_secs(20);

    #[test]
    fn a_process_is_heard_and_waited_for() {
        let running = Running::spawn(shell("echo ready; echo oops >&2; read line; exit 3"));
        running.wait_for("ready", LIMIT, |output| output.stdout().contains("ready").then_some(()));
        let output = running.wait(LIMIT);
        assert_eq!((output.code(), output.stderr().as_str()), (Some(3), "oops\n"));
    }

    #[test]
    fn a_process_on_a_terminal_is_typed_to() {
        let (running, mut keys) =
            Running::spawn_on_terminal(shell("test -t 0 && stty size && read word && exit 3"));
        running.wait_for("size", LIMIT, |output| output.stdout().contains("30 100").then_some(()));
        keys.write_all(b"word\n").unwrap();
        assert_eq!(running.wait(LIMIT).code(), Some(3));
    }

    #[test]
    #[should_panic(expected = "ended without a word: exit status: 1")]
    fn a_process_that_ends_too_early_is_a_failure() {
        Running::spawn(shell("exit 1")).wait_for("a word", LIMIT, |_| None::<()>);
    }

    #[test]
    #[should_panic(expected = "no word within")]
    fn a_deadline_is_a_failure_that_shows_the_output() {
        Running::spawn(shell("echo said; exec tail -f /dev/null")).wait_for(
            "word",
            Duration::from_millis(50),
            |_| None::<()>,
        );
    }

    #[test]
    fn a_process_does_not_outlive_its_owner() {
        let running = Running::spawn(shell("exec tail -f /dev/null"));
        let process = running.process;
        drop(running);
        assert!(kill(process, None).is_err(), "{process} still exists");
    }
}
