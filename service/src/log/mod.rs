//! The log: lines that any thread may say at any time, and one thread that writes them, to stderr or to journald.
//! The end of the program waits for it, for a bounded time.
//!
//! Programs start one each. How stderr is written to is theirs: there may be more on a terminal than the log.

mod config;
mod flood;
mod journal;
mod queue;

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use tracing::Level;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use protocol::printable::printable;

pub use config::{LogArgs, LogConfig, LogLevel, LogTable, LogTarget};

use flood::{Flood, FloodGate};
use journal::{Journal, JournalLayer};
use queue::{Queue, Sink};

/// How long a program that ends well waits for its last lines: it has promised to end within 2 s of a signal.
const END_TIMEOUT: Duration = Duration::from_millis(300);
/// How long a program that fails waits for its reason to be written.
const FAILURE_TIMEOUT: Duration = Duration::from_secs(2);

/// The log of the program, until it ends.
#[derive(Debug)]
pub struct Log {
    queue: Queue,
    /// Closed by the thread that writes when it has written its last line.
    is_written: Receiver<()>,
    /// Where the failure goes when there is no such thread.
    last: Sink,
    /// How much is said; none where RUST_LOG has the word.
    filter: Option<reload::Handle<EnvFilter, Registry>>,
}

impl Log {
    /// Starts the log of `program`, at the level and with the target that were asked for; RUST_LOG goes above the level.
    /// Lines for stderr are given to `stderr`, each with one write, which may wait.
    pub fn start(
        program: &'static str,
        config: LogConfig,
        stderr: impl Write + Send + Clone + 'static,
    ) -> Self {
        let (journal, unreachable) = match journal(config.target) {
            Ok(journal) => (journal, None),
            Err(error) => (None, Some(error)),
        };
        let is_journal = journal.is_some();
        let sink = match journal {
            Some(journal) => Sink { program, to: Box::new(journal), spell: journal::record },
            None => Sink { program, to: Box::new(stderr.clone()), spell: own_line },
        };
        let last = Sink { program, to: Box::new(stderr), spell: own_line };
        let flood = config.is_limited.then(Arc::<Flood>::default);
        let gate = flood.clone().map(FloodGate);
        let log = Self::writing_to(sink, last, flood);
        let chosen = EnvFilter::try_from_default_env().ok();
        let is_chosen = chosen.is_some();
        let (filter, handle) =
            reload::Layer::new(chosen.unwrap_or_else(|| EnvFilter::new(config.level.name())));
        let records = is_journal.then(|| JournalLayer { program, queue: log.queue.clone() });
        let has_colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let lines = || fmt::layer().with_writer(log.queue.clone()).with_ansi(has_colours).with_target(false);
        let registry = tracing_subscriber::registry().with(filter).with(gate).with(records);
        // A second start happens only in tests, where the first one's log will do.
        let _ = registry.with((!is_journal).then(lines)).try_init();
        if let Some(error) = unreachable {
            tracing::warn!("journald cannot be reached, so the log goes to stderr: {error}");
        }
        Self { filter: (!is_chosen).then_some(handle), ..log }
    }

    fn writing_to(sink: Sink, last: Sink, flood: Option<Arc<Flood>>) -> Self {
        let (queue, waiting) = Queue::new();
        let (written, is_written) = bounded(0);
        let lost = Arc::clone(&queue.lost);
        let thread = std::thread::Builder::new().name(format!("{}-log", sink.program));
        // Without a thread the queue is closed, which `end` notices.
        let _ = thread.spawn(move || {
            sink.write_all(&waiting, &lost, &flood.unwrap_or_default());
            drop::<Sender<()>>(written);
        });
        Self { queue, is_written, last, filter: None }
    }

    /// Says more or less from now on, unless RUST_LOG has the word.
    pub fn set_level(&self, level: LogLevel) {
        if let Some(filter) = &self.filter {
            // It fails only when the log is gone.
            let _ = filter.reload(EnvFilter::new(level.name()));
        }
    }

    /// Writes what waits, and why the program fails, if it does. Waits for a bounded time.
    pub fn end(self, failure: Option<String>) {
        let timeout = if failure.is_some() { FAILURE_TIMEOUT } else { END_TIMEOUT };
        self.end_within(failure, timeout);
    }

    fn end_within(mut self, failure: Option<String>, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        match self.queue.end(failure, deadline) {
            Ok(()) => {
                let _ = self.is_written.recv_deadline(deadline);
            }
            Err(Some(failure)) => self.last.write_own(Level::ERROR, &failure),
            Err(None) => {}
        }
    }
}

/// The journal, where that is the target.
fn journal(target: LogTarget) -> io::Result<Option<Journal>> {
    let connect = || Journal::connect(Path::new(journal::SOCKET));
    let is_stderr =
        || std::env::var_os("JOURNAL_STREAM").is_some_and(|stream| journal::is_stream(&stream, io::stderr()));
    match target {
        LogTarget::Journald => connect().map(Some),
        // Where it is not to be had, stderr leads there too.
        LogTarget::Auto if is_stderr() => Ok(connect().ok()),
        LogTarget::Auto | LogTarget::Stderr => Ok(None),
    }
}

/// A line of the log's own, on stderr: one line, whatever a file name or a peer put into it.
fn own_line(program: &str, _: Level, text: &str) -> Vec<u8> {
    format!("{program}: {}\n", printable(text)).into_bytes()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;
    use std::sync::{Mutex, mpsc};

    use super::queue::MAX_WAITING_LINES;
    use super::*;

    fn writing_to(to: impl Write + Send + 'static) -> Log {
        Log::writing_to(own_lines(to), own_lines(io::sink()), None)
    }

    fn own_lines(to: impl Write + Send + 'static) -> Sink {
        Sink { program: "btd", to: Box::new(to), spell: own_line }
    }

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
        let log = writing_to(kept.clone());
        let mut queue = log.queue.clone();
        queue.write_all(b"one\n").unwrap();
        queue.write_all(b"two\n").unwrap();
        log.end(Some("no\nway".into()));
        assert_eq!(String::from_utf8_lossy(&kept.0.lock().unwrap()), "one\ntwo\nbtd: no\\nway\n");
    }

    #[test]
    fn a_reader_that_does_not_read_holds_up_nobody_and_lines_are_lost() {
        let (release, stuck) = mpsc::channel();
        let log = writing_to(Stuck(stuck));
        let mut queue = log.queue.clone();
        for _ in 0..MAX_WAITING_LINES + 100 {
            queue.write_all(b"line\n").unwrap();
        }
        assert!(queue.lost.load(Ordering::Relaxed) >= 99);
        log.end_within(Some("failed".into()), Duration::from_millis(1));
        drop(release);
    }

    #[test]
    fn the_level_can_be_changed_while_it_runs() {
        let kept = Kept::default();
        let (filter, handle) = reload::Layer::new(EnvFilter::new(LogLevel::Warn.name()));
        let log = Log { filter: Some(handle), ..writing_to(kept.clone()) };
        let layer = fmt::layer().with_writer(log.queue.clone()).with_ansi(false).without_time();
        let registry = tracing_subscriber::registry().with(filter).with(layer.with_target(false));
        tracing::subscriber::with_default(registry, || {
            let say = |text: &str| tracing::info!("{text}");
            say("one");
            log.set_level(LogLevel::Info);
            say("two");
            log.set_level(LogLevel::Error);
            say("three");
        });
        log.end(None);
        assert_eq!(String::from_utf8_lossy(&kept.0.lock().unwrap()), " INFO two\n");
    }

    #[test]
    fn what_was_suppressed_is_told_at_the_end() {
        let kept = Kept::default();
        let flood = Arc::new(Flood::default());
        let log = Log::writing_to(own_lines(kept.clone()), own_lines(io::sink()), Some(Arc::clone(&flood)));
        let layer = fmt::layer().with_writer(log.queue.clone()).with_ansi(false);
        let registry = tracing_subscriber::registry().with(FloodGate(flood)).with(layer);
        tracing::subscriber::with_default(registry, || {
            for n in 0..100 {
                tracing::warn!("a peer did it again: {n}");
            }
        });
        log.end(None);
        let kept = kept.0.lock().unwrap();
        let text = String::from_utf8_lossy(&kept);
        assert_eq!(text.matches("did it again").count(), 20);
        assert!(text.contains("btd: suppressed 80 more lines as those of service::log::tests"), "{text}");
    }
}
