//! Standard output: results, for people and for scripts. Whoever stops reading them is no failure.

use std::io::{self, ErrorKind, Write};

use protocol::printable::printable;

/// Prints a value as one line of JSON, which escapes in its own way.
///
/// # Errors
/// When stdout does not take it.
pub fn print_json(value: &impl serde::Serialize) -> io::Result<()> {
    write_line(&serde_json::to_string(value)?)
}

/// Prints a line for a person; what is in it that would command the terminal is spelled out.
///
/// # Errors
/// When stdout does not take it.
pub fn print_line(line: &str) -> io::Result<()> {
    write_line(&printable(line))
}

/// Writes a line to stdout, at once: scripts wait for it.
///
/// # Errors
/// When stdout does not take it.
pub fn write_line(line: &str) -> io::Result<()> {
    write_bytes(format!("{line}\n").as_bytes())
}

/// Writes to stdout. One who has heard enough, as `head` has, is no failure.
///
/// # Errors
/// When stdout does not take it.
pub fn write_bytes(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}
