//! Lines on their way to the thread that writes them.
//!
//! Whoever reads the log may be slow, or have stopped reading. So nobody who says something waits for it to be
//! written: what does not fit the queue is lost and counted.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender, bounded};
use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;

use super::flood::Flood;

/// Most lines that wait to be written: a burst of a few hundred kB.
pub(super) const MAX_WAITING_LINES: usize = 4_096;

/// Something for the thread that writes.
#[derive(Debug)]
pub(super) enum Message {
    /// Write this, whole.
    Line(Vec<u8>),
    /// Write why the program fails, if it does, and end.
    End(Option<String>),
}

/// Where lines wait to be written.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    messages: Sender<Message>,
    /// Lines that found no place.
    pub(super) lost: Arc<AtomicU64>,
}

/// Where lines go.
pub(super) struct Sink {
    /// What the program is called.
    pub(super) program: &'static str,
    /// Takes each with one write.
    pub(super) to: Box<dyn Write + Send>,
    /// How a line of the log's own is spelled there: by whom, and what.
    pub(super) spell: fn(&str, Level, &str) -> Vec<u8>,
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").finish_non_exhaustive()
    }
}

impl Queue {
    /// A queue, and its end.
    pub(super) fn new() -> (Self, Receiver<Message>) {
        let (messages, waiting) = bounded(MAX_WAITING_LINES);
        (Self { messages, lost: Arc::default() }, waiting)
    }

    /// Has `line` written, if there is room for it.
    pub(super) fn say(&self, line: Vec<u8>) {
        if self.messages.try_send(Message::Line(line)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Ends the thread that writes, with a reason if there is one, which comes back when there is no such thread.
    pub(super) fn end(&self, failure: Option<String>, deadline: Instant) -> Result<(), Option<String>> {
        match self.messages.send_deadline(Message::End(failure), deadline) {
            Ok(()) => Ok(()),
            Err(SendTimeoutError::Disconnected(Message::End(failure))) => Err(failure),
            Err(_) => Err(None),
        }
    }
}

impl Sink {
    /// Writes messages until one says that it is the last, and what `flood` has suppressed when it is over. Errors
    /// are nobody's: there is nowhere left to tell them.
    pub(super) fn write_all(mut self, waiting: &Receiver<Message>, queue_lost: &AtomicU64, flood: &Flood) {
        loop {
            let message = match flood.next_due() {
                Some(due) => waiting.recv_deadline(due),
                None => waiting.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match message {
                Ok(Message::Line(line)) => self.write(&line),
                Ok(Message::End(failure)) => return self.write_end(failure, queue_lost, flood),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.write_suppressed(flood, Some(Instant::now()));
        }
    }

    fn write_end(&mut self, failure: Option<String>, lost: &AtomicU64, flood: &Flood) {
        self.write_suppressed(flood, None);
        let lost = lost.load(Ordering::Relaxed);
        if lost > 0 {
            self.write_own(Level::WARN, &format!("{lost} log lines were lost"));
        }
        if let Some(failure) = failure {
            self.write_own(Level::ERROR, &failure);
        }
    }

    fn write_suppressed(&mut self, flood: &Flood, now: Option<Instant>) {
        for suppressed in flood.take_due(now) {
            self.write_own(*suppressed.place.level(), &suppressed.text());
        }
    }

    /// Writes a line of the log's own.
    pub(super) fn write_own(&mut self, level: Level, text: &str) {
        let line = (self.spell)(self.program, level, text);
        self.write(&line);
    }

    fn write(&mut self, line: &[u8]) {
        let _ = self.to.write_all(line);
    }
}

impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.say(line.to_vec());
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
