//! What a person at a terminal sees: progress bars, the status line, log lines between them.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::args::LogArgs;

/// How often a progress bar is drawn.
const REDRAW: Duration = Duration::from_millis(100);

/// The bars on the terminal; hidden where stderr is none.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Sends log lines to stderr, at the level that was asked for; RUST_LOG goes above all.
pub(super) fn start_log(log: &LogArgs) {
    let level = match (log.quiet, log.verbose) {
        (true, _) => "error",
        (_, 0) => "warn",
        (_, 1) => "info",
        (_, 2) => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    // A second start happens only in tests, where the first one's log will do.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(BetweenBars)
        .with_ansi(io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_target(false)
        .try_init();
}

/// Prints why the program fails.
pub(super) fn print_error(message: &str) {
    let mut line = String::new();
    // One line, whatever a file name or a peer put into it.
    message.chars().for_each(|c| match c.is_control() {
        true => line.extend(c.escape_default()),
        false => line.push(c),
    });
    let _ = BetweenBars.write_all(format!("btd: {line}\n").as_bytes());
}

/// Writes to stderr without tearing the bars.
#[derive(Debug, Clone, Copy)]
struct BetweenBars;

impl Write for BetweenBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        BARS.suspend(|| io::stderr().write_all(bytes)).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl MakeWriter<'_> for BetweenBars {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        *self
    }
}

/// Runs `work`, which counts the bytes it has done, under a progress bar for `length` bytes.
pub(super) fn with_progress<R>(
    what: &str,
    length: u64,
    is_quiet: bool,
    work: impl FnOnce(&AtomicU64) -> R,
) -> R {
    let done = AtomicU64::new(0);
    if is_quiet || !io::stderr().is_terminal() {
        return work(&done);
    }
    let bar = BARS.add(ProgressBar::new(length));
    let template = "{msg} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(what.to_owned());
    let is_over = AtomicBool::new(false);
    let result = std::thread::scope(|scope| {
        let drawing = scope.spawn(|| {
            while !is_over.load(Ordering::Acquire) {
                bar.set_position(done.load(Ordering::Relaxed));
                std::thread::park_timeout(REDRAW);
            }
        });
        let result = work(&done);
        is_over.store(true, Ordering::Release);
        drawing.thread().unpark();
        result
    });
    bar.finish_and_clear();
    BARS.remove(&bar);
    result
}

/// The line that shows how seeding goes.
#[derive(Debug)]
pub(super) struct StatusLine {
    bar: ProgressBar,
}

impl StatusLine {
    /// A line at the bottom of the terminal; nothing where stderr is none.
    pub(super) fn new(is_quiet: bool) -> Self {
        let bar = if is_quiet || !io::stderr().is_terminal() {
            ProgressBar::hidden()
        } else {
            BARS.add(ProgressBar::new_spinner())
        };
        if let Ok(style) = ProgressStyle::with_template("{wide_msg}") {
            bar.set_style(style);
        }
        Self { bar }
    }

    /// Shows the rate of the last second, who is there, and what has been sent of a payload of `length` bytes.
    pub(super) fn show(&self, rate_bytes_per_s: u64, peers: usize, sent_bytes: u64, length: u64) {
        let mut text = String::new();
        let (rate, sent) = (bytes(rate_bytes_per_s), bytes(sent_bytes));
        let _ =
            write!(text, "↑ {rate}/s  {peers} peers  {sent} sent  ratio {:.2}", ratio(sent_bytes, length));
        self.bar.set_message(text);
        self.bar.tick();
    }

    /// Takes the line away.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// A number of bytes for people.
pub(super) fn bytes(count: u64) -> bytesize::ByteSize {
    bytesize::ByteSize::b(count)
}

/// How often the payload has been sent.
#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
fn ratio(sent_bytes: u64, length: u64) -> f64 {
    if length == 0 { 0.0 } else { sent_bytes as f64 / length as f64 }
}
