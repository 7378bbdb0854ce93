//! What a person at a terminal sees: progress bars and the status line.

use std::io::{self, IsTerminal, Write};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
pub(super) use protocol::printable::printable;

use crate::storage::Task;

/// How often a progress bar is drawn.
const REDRAW: Duration = Duration::from_millis(100);
/// How long the end waits for the status line to go: a terminal may have been stopped with Ctrl-S.
const CLEAR_TIMEOUT: Duration = Duration::from_millis(150);

/// The bars on the terminal; hidden where stderr is none.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Writes to stderr without tearing the bars. Waits for as long as stderr does.
#[derive(Debug, Clone, Copy)]
pub(super) struct BetweenBars;

impl Write for BetweenBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        BARS.suspend(|| io::stderr().write_all(bytes)).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Runs `work`, which counts the bytes it has done, under a progress bar for `length` bytes.
pub(super) fn with_progress<R>(what: &str, length: u64, is_quiet: bool, work: impl FnOnce(&Task) -> R) -> R {
    let task = Task::default();
    if is_quiet || !io::stderr().is_terminal() {
        return work(&task);
    }
    let bar = BARS.add(ProgressBar::new(length));
    let template = "{msg} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(printable(what));
    let is_over = AtomicBool::new(false);
    let result = std::thread::scope(|scope| {
        let drawing = scope.spawn(|| {
            while !is_over.load(Ordering::Acquire) {
                bar.set_position(task.done_bytes());
                std::thread::park_timeout(REDRAW);
            }
        });
        let result = work(&task);
        is_over.store(true, Ordering::Release);
        drawing.thread().unpark();
        result
    });
    bar.finish_and_clear();
    BARS.remove(&bar);
    result
}

/// The line that shows how things go. A thread of its own draws it, so that whoever shows something never waits
/// for a terminal.
#[derive(Debug)]
pub(super) struct StatusLine {
    drawing: Option<Drawing>,
}

#[derive(Debug)]
struct Drawing {
    frames: Sender<Frame>,
    /// Closed when the line has gone.
    is_gone: Receiver<()>,
}

/// What the line shows.
#[derive(Debug)]
pub(super) struct Frame {
    /// Bytes done, and in all, where there is an end.
    pub(super) progress: Option<(u64, u64)>,
    pub(super) text: String,
}

impl StatusLine {
    /// A line at the bottom of the terminal; nothing where stderr is none.
    pub(super) fn new(is_quiet: bool) -> Self {
        if is_quiet || !io::stderr().is_terminal() {
            return Self { drawing: None };
        }
        let (frames, to_draw) = bounded(1);
        let (gone, is_gone) = bounded(0);
        let thread = std::thread::Builder::new().name("btd-status".into()).spawn(move || {
            draw(&to_draw);
            drop::<Sender<()>>(gone);
        });
        Self { drawing: thread.ok().map(|_| Drawing { frames, is_gone }) }
    }

    /// Whether anybody sees it.
    pub(super) fn is_shown(&self) -> bool {
        self.drawing.is_some()
    }

    /// Shows `frame`, in place of what was shown before.
    pub(super) fn show(&self, frame: Frame) {
        // The terminal is behind: the next second has news.
        let _ = self.drawing.as_ref().map(|drawing| drawing.frames.try_send(frame));
    }

    /// Takes the line away. Waits for a bounded time.
    pub(super) fn clear(self) {
        if let Some(Drawing { frames, is_gone }) = self.drawing {
            drop(frames);
            let _ = is_gone.recv_timeout(CLEAR_TIMEOUT);
        }
    }
}

/// Draws the status line until there are no more frames for it.
fn draw(frames: &Receiver<Frame>) {
    let bar = BARS.add(ProgressBar::new_spinner());
    let style =
        |template| ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let (plain, with_bar) = (style("{wide_msg}"), style("{bar:24} {percent:>3} % {wide_msg}"));
    for Frame { progress, text } in frames {
        bar.set_style(if progress.is_some() { with_bar.clone() } else { plain.clone() });
        if let Some((done, length)) = progress {
            bar.set_length(length);
            bar.set_position(done);
        }
        bar.set_message(printable(&text));
        bar.tick();
    }
    bar.finish_and_clear();
}

/// A number of bytes for people.
pub(super) fn bytes(count: u64) -> bytesize::ByteSize {
    bytesize::ByteSize::b(count)
}

/// How seeding goes: the rate of the last second, who is there, and what has been sent of a payload of `length` bytes.
pub(super) fn seeding(rate_bytes_per_s: u64, peers: u64, sent_bytes: u64, length: u64) -> Frame {
    let (rate, sent, ratio) = (bytes(rate_bytes_per_s), bytes(sent_bytes), ratio(sent_bytes, length));
    let text = format!("↑ {rate}/s  {peers} peers  {sent} sent  ratio {ratio:.2}");
    Frame { progress: None, text }
}

/// How often the payload has been sent.
#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
fn ratio(sent_bytes: u64, length: u64) -> f64 {
    if length == 0 { 0.0 } else { sent_bytes as f64 / length as f64 }
}
