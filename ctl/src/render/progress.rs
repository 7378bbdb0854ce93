//! A bar on stderr for what takes its time; nothing where that is no terminal.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use protocol::printable::printable;

/// How it looks.
const TEMPLATE: &str = "{msg} {wide_bar} {percent:>3}% {binary_bytes}/{binary_total_bytes} {eta}";

/// A bar. It is taken away when it is dropped.
#[derive(Debug)]
pub struct Bar {
    bar: ProgressBar,
}

impl Bar {
    /// A bar at 0, with nothing to say yet.
    pub fn new() -> Self {
        let is_seen = io::stderr().is_terminal();
        let target = if is_seen { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style);
        }
        Self { bar }
    }

    /// Whether anybody sees it.
    pub fn is_seen(&self) -> bool {
        !self.bar.is_hidden()
    }

    /// Shows that `done` of `total` bytes are done, of `what`.
    pub fn show(&self, what: &str, done: u64, total: u64) {
        self.bar.set_message(printable(what));
        self.bar.set_length(total);
        self.bar.set_position(done.min(total));
    }

    /// Prints something else without tearing the bar.
    pub fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }
}

impl Default for Bar {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
