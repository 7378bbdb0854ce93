//! Stdout: what is written there, and how.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, BufWriter, IsTerminal, Write};

use protocol::control::Torrent;
use protocol::printable::printable;
use serde::Serialize;

use crate::args::{Color, GlobalArgs};

use super::Table;

/// Bytes that are gathered before they are written: lists of 100,000 torrents have 50 MB.
const BUFFER: usize = 256 * 1024;

/// Stdout, and what is known of it.
pub struct Output {
    writer: BufWriter<Box<dyn Write>>,
    /// Whether programs read it.
    pub is_json: bool,
    /// Whether a person sees it at once.
    pub is_terminal: bool,
    has_color: bool,
    /// Columns of the terminal; none where lines may have any length.
    width: Option<u16>,
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output")
            .field("is_json", &self.is_json)
            .field("width", &self.width)
            .finish_non_exhaustive()
    }
}

impl Output {
    /// Stdout, as `args` want it.
    pub fn stdout(args: &GlobalArgs) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let width = crossterm::terminal::size().ok().map(|(columns, _)| columns).filter(|_| is_terminal);
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            writer: BufWriter::with_capacity(BUFFER, Box::new(io::stdout())),
            is_json: args.json,
            is_terminal,
            has_color: has_color(args.color, is_terminal, no_color),
            width,
        }
    }

    /// For tests: what is written, to be looked at when the output has been flushed.
    #[cfg(test)]
    pub fn capture(is_json: bool) -> (Self, Captured) {
        let captured = Captured::default();
        let writer = BufWriter::new(Box::new(captured.clone()) as Box<dyn Write>);
        (Self { writer, is_json, is_terminal: false, has_color: false, width: None }, captured)
    }

    /// Writes a line for a person.
    ///
    /// # Errors
    /// When nobody takes it.
    pub fn line(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.writer, "{}", printable(line))
    }

    /// Writes a value as a line of JSON.
    ///
    /// # Errors
    /// When nobody takes it.
    pub fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_string(value)?;
        self.json_text(&text)?;
        self.bytes(b"\n")
    }

    /// Writes JSON, or a part of it. A terminal gets characters that would command it as `\u` and digits, which is the
    /// same to programs: they stand in strings only.
    ///
    /// # Errors
    /// When nobody takes it.
    pub fn json_text(&mut self, text: &str) -> io::Result<()> {
        let text = if self.is_terminal { harmless(text) } else { text.into() };
        self.writer.write_all(text.as_bytes())
    }

    /// Writes a line about a torrent, of which `what` is to be said, at once: someone may wait for it.
    ///
    /// # Errors
    /// When nobody takes it.
    pub fn torrent(&mut self, what: &str, torrent: &Torrent) -> io::Result<()> {
        if self.is_json {
            self.json(torrent)?;
        } else {
            self.line(&format!("{what} {} {}", torrent.info_hash, torrent.name))?;
        }
        self.flush()
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// When nobody takes them.
    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes)
    }

    /// Writes a table, as wide as the terminal.
    ///
    /// # Errors
    /// When nobody takes it.
    pub fn table(&mut self, table: Table) -> io::Result<()> {
        for line in table.lines(self.width, self.has_color) {
            writeln!(self.writer, "{line}")?;
        }
        Ok(())
    }

    /// Columns that a picture may take.
    pub fn width(&self) -> u16 {
        /// What terminals have where nobody has asked for more.
        const USUAL: u16 = 80;
        self.width.unwrap_or(USUAL)
    }

    /// Has all that was written go out: someone waits for it.
    ///
    /// # Errors
    /// When nobody takes it.
    pub fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// For tests: what has been written.
#[cfg(test)]
#[derive(Debug, Clone, Default)]
pub struct Captured(std::rc::Rc<std::cell::RefCell<Vec<u8>>>);

#[cfg(test)]
impl Captured {
    /// As text.
    pub fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).unwrap()
    }
}

#[cfg(test)]
impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn has_color(color: Color, is_terminal: bool, no_color: bool) -> bool {
    match color {
        Color::Auto => is_terminal && !no_color,
        Color::Always => true,
        Color::Never => false,
    }
}

/// JSON without characters that a terminal obeys.
fn harmless(text: &str) -> Cow<'_, str> {
    let is_harmless = |c: char| c == '\n' || !protocol::printable::is_command(c);
    if text.chars().all(is_harmless) {
        return text.into();
    }
    let mut harmless = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_harmless(c) {
            harmless.push(c);
        } else {
            // All of them have 16 bits. Writing to a string does not fail.
            let _ = write!(harmless, "\\u{:04x}", u32::from(c));
        }
    }
    harmless.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_of_those_who_want_them() {
        assert!(has_color(Color::Auto, true, false));
        assert!(!has_color(Color::Auto, true, true) && !has_color(Color::Auto, false, false));
        assert!(has_color(Color::Always, false, true) && !has_color(Color::Never, true, false));
    }

    #[test]
    fn json_on_a_terminal_commands_nothing_and_stays_the_same() {
        let text = serde_json::to_string("a\u{9b}2J\u{202e}b\u{1b}ü\u{7f}").unwrap();
        let shown = harmless(&text);
        assert!(shown.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{shown}");
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), "a\u{9b}2J\u{202e}b\u{1b}ü\u{7f}");
        assert!(matches!(harmless("\"ü\"\n"), Cow::Borrowed(_)));
    }
}
