//! The log: lines that any thread may say at any time, and one thread that writes them to stderr.
//!
//! Whoever reads stderr may be slow, or have stopped reading. So nobody who says something waits for it to be
//! written: what does not fit the queue is lost and counted. The end of the program waits for a bounded time.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, SendTimeoutError, Sender, bounded};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::args::LogArgs;

use super::terminal::{BetweenBars, printable};

/// Most lines that wait to be written: a burst of a few hundred kB.
const MAX_WAITING_LINES: usize = 4_096;
/// How long a program that ends well waits for its last lines: it has promised to end within 2 s of a signal.
const END_TIMEOUT: Duration = Duration::from_millis(300);
/// How long a program that fails waits for its reason to be written.
const FAILURE_TIMEOUT: Duration = Duration::from_secs(2);

/// The log of the program, until it ends.
#[derive(Debug)]
pub(super) struct Log {
    queue: Queue,
    /// Closed by the thread that writes when it has written its last line.
    is_written: Receiver<()>,
}

/// Something for the thread that writes.
#[derive(Debug)]
enum Message {
    /// Write this, whole.
    Line(Vec<u8>),
    /// Write why the program fails, if it does, and end.
    End(Option<String>),
}

/// Where lines wait to be written.
#[derive(Debug, Clone)]
struct Queue {
    messages: Sender<Message>,
    /// Lines that found no place.
    lost: Arc<AtomicU64>,
}

impl Log {
    /// Starts the log, at the level that was asked for; RUST_LOG goes above all.
    pub(super) fn start(args: Option<&LogArgs>) -> Self {
        let level = match args.map_or((false, 0), |args| (args.quiet, args.verbose)) {
            (true, _) => "error",
            (_, 0) => "warn",
            (_, 1) => "info",
            (_, 2) => "debug",
            _ => "trace",
        };
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
        let log = Self::writing_to(BetweenBars);
        // A second start happens only in tests, where the first one's log will do.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(log.queue.clone())
            .with_ansi(io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
            .with_target(false)
            .try_init();
        log
    }

    fn writing_to(to: impl Write + Send + 'static) -> Self {
        let (messages, waiting) = bounded(MAX_WAITING_LINES);
        let (written, is_written) = bounded(0);
        let lost = Arc::new(AtomicU64::new(0));
        let queue = Queue { messages, lost: Arc::clone(&lost) };
        // Without a thread the queue is closed, which `end` notices.
        let _ = std::thread::Builder::new().name("btd-log".into()).spawn(move || {
            write_all(&waiting, to, &lost);
            drop::<Sender<()>>(written);
        });
        Self { queue, is_written }
    }

    /// Writes what waits, and why the program fails, if it does. Waits for a bounded time.
    pub(super) fn end(self, failure: Option<String>) {
        let timeout = if failure.is_some() { FAILURE_TIMEOUT } else { END_TIMEOUT };
        self.end_within(failure, timeout);
    }

    fn end_within(self, failure: Option<String>, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        match self.queue.messages.send_deadline(Message::End(failure), deadline) {
            Ok(()) => {
                let _ = self.is_written.recv_deadline(deadline);
            }
            Err(SendTimeoutError::Disconnected(Message::End(Some(failure)))) => {
                let _ = BetweenBars.write_all(failure_line(&failure).as_bytes());
            }
            Err(_) => {}
        }
    }
}

/// Writes messages until one says that it is the last. Errors are nobody's: there is nowhere left to tell them.
fn write_all(messages: &Receiver<Message>, mut to: impl Write, lost: &AtomicU64) {
    for message in messages {
        match message {
            Message::Line(line) => {
                let _ = to.write_all(&line);
            }
            Message::End(failure) => {
                let lost = lost.load(Ordering::Relaxed);
                if lost > 0 {
                    let _ = to.write_all(format!("btd: {lost} log lines were lost\n").as_bytes());
                }
                if let Some(failure) = failure {
                    let _ = to.write_all(failure_line(&failure).as_bytes());
                }
                return;
            }
        }
    }
}

/// One line, whatever a file name or a peer put into it.
fn failure_line(failure: &str) -> String {
    format!("btd: {}\n", printable(failure))
}

impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.messages.try_send(Message::Line(line.to_vec())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Queue {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use super::*;

    /// Keeps what is written.
    #[derive(Debug, Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Never takes anything, as a pipe that nobody reads; ends when the other half of the channel does.
    struct Stuck(mpsc::Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_was_said_is_written_in_order_and_the_failure_last() {
        let kept = Kept::default();
        let log = Log::writing_to(kept.clone());
        let mut queue = log.queue.clone();
        queue.write_all(b"one\n").unwrap();
        queue.write_all(b"two\n").unwrap();
        log.end(Some("no\nway".into()));
        assert_eq!(String::from_utf8_lossy(&kept.0.lock().unwrap()), "one\ntwo\nbtd: no\\nway\n");
    }

    #[test]
    fn a_reader_that_does_not_read_holds_up_nobody_and_lines_are_lost() {
        let (release, stuck) = mpsc::channel();
        let log = Log::writing_to(Stuck(stuck));
        let mut queue = log.queue.clone();
        for _ in 0..MAX_WAITING_LINES + 100 {
            queue.write_all(b"line\n").unwrap();
        }
        assert!(queue.lost.load(Ordering::Relaxed) >= 99);
        log.end_within(Some("failed".into()), Duration::from_millis(1));
        drop(release);
    }
}
