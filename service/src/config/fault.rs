//! What is wrong with a configuration, and where it says so: line, column and key.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

/// A key or value that cannot be meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fault {
    /// The file that says so; none for what was given on the command line.
    pub path: Option<PathBuf>,
    /// Line and column in it, from 1.
    pub place: Option<(usize, usize)>,
    /// The key, as `limits.ratio`, where it is known.
    pub key: Option<String>,
    /// What is wrong.
    pub message: String,
}

impl std::error::Error for Fault {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{}", path.display())?;
            if let Some((line, column)) = self.place {
                write!(f, ":{line}:{column}")?;
            }
            write!(f, ": ")?;
        }
        match &self.key {
            Some(key) => write!(f, "{key}: {}", self.message),
            None => write!(f, "{}", self.message),
        }
    }
}

impl Fault {
    /// Something is wrong with the value of `key`.
    pub fn new(key: &str, message: impl Into<String>) -> Self {
        Self { key: Some(key.to_owned()), message: message.into(), ..Self::default() }
    }

    /// What the parser found in `text`.
    pub(super) fn of_toml(text: &str, error: &toml::de::Error) -> Self {
        let offset = error.span().map(|span| span.start);
        let is_twice = error.message().starts_with("duplicate key");
        // The second of two is in nothing that could be read.
        let second = || error.span().filter(|_| is_twice).and_then(|span| text.get(span)).map(str::to_owned);
        Self {
            path: None,
            place: offset.map(|offset| place(text, offset)),
            key: offset.and_then(|offset| key_at(text, offset)).or_else(second),
            message: error.message().lines().collect::<Vec<_>>().join(": "),
        }
    }

    /// The same, in the file at `path` whose `text` has the key.
    pub(super) fn found_in(self, path: &Path, text: &str) -> Self {
        let key = self.key.as_deref().unwrap_or_default();
        let spot = || entries(text).into_iter().find(|entry| entry.key == key).map(|entry| entry.value);
        let place = self.place.or_else(|| spot().map(|value| place(text, value.start)));
        Self { path: Some(path.to_owned()), place, ..self }
    }
}

/// A key of a file, and where it stands.
struct Entry {
    key: String,
    /// The last part of its name.
    name: Range<usize>,
    value: Range<usize>,
}

/// All keys of `text`, those in tables after their table. What cannot be read is left out.
fn entries(text: &str) -> Vec<Entry> {
    let (table, _) = DeTable::parse_recoverable(text);
    let mut entries = Vec::new();
    collect("", table.get_ref(), &mut entries);
    entries
}

fn collect(prefix: &str, table: &DeTable<'_>, entries: &mut Vec<Entry>) {
    for (name, value) in table {
        let key = format!("{prefix}{}", name.get_ref());
        entries.push(Entry { key: key.clone(), name: name.span(), value: value.span() });
        if let DeValue::Table(inner) = value.get_ref() {
            collect(&format!("{key}."), inner, entries);
        }
    }
}

/// The key whose name or value lies at `offset` of `text`; the innermost, if it is in a table.
fn key_at(text: &str, offset: usize) -> Option<String> {
    let is_there = |entry: &Entry| entry.name.contains(&offset) || entry.value.contains(&offset);
    entries(text).into_iter().rfind(is_there).map(|entry| entry.key)
}

/// Line and column of `offset`, from 1; columns are characters.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use serde::Deserialize;

    use super::*;
    use crate::config::value;
    use crate::log::LogTable;

    /// A configuration with a key of each sort.
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct File {
        listen: Vec<SocketAddr>,
        workers: u16,
        limits: Limits,
        log: LogTable,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Limits {
        #[serde(with = "value")]
        period: Duration,
    }

    fn fault(text: &str) -> String {
        let error = toml::from_str::<File>(text).unwrap_err();
        Fault::of_toml(text, &error).found_in(Path::new("f"), text).to_string()
    }

    #[test]
    fn a_fault_names_line_column_and_key() {
        let starts = |text: &str, start: &str| {
            let fault = fault(text);
            assert!(fault.starts_with(start), "{text:?}: {fault}");
        };
        starts("\n[limits]\nperiod = \"soon\"\n", "f:3:10: limits.period: a time is a text as");
        starts("listen = [\n  \"0.0.0.0:1\",\n  \"0.0.0.0:66000\",\n]\n", "f:3:3: listen: ");
        starts("nonsense = 1\n", "f:1:1: nonsense: unknown field");
        starts("[limits]\nconections = 1\n", "f:2:1: limits.conections: unknown field");
        starts("[limit]\n", "f:1:2: limit: unknown field");
        starts("# é\nworkers = \"é\" # x\n", "f:2:11: workers: invalid type");
        starts("log.level = \"loud\"\n", "f:1:13: log.level: unknown variant");
        starts("workers = 1\nworkers = 2\n", "f:2:1: workers: duplicate key");
        starts("a = \n", "f:1:");
    }

    #[test]
    fn a_value_that_is_wrong_among_others_is_found_again() {
        let text = "[limits]\nratio = -1\n";
        let fault = Fault::new("limits.ratio", "no").found_in(Path::new("f"), text);
        assert_eq!(fault.to_string(), "f:2:9: limits.ratio: no");
        assert_eq!(Fault::new("workers", "no").to_string(), "workers: no");
    }
}
