//! What tests of a program ask of its configuration: all keys that there are, and what the file says that packages install,
//! in which each key is commented out and explanations begin with a blank after the `#`. No program has it in it.

use std::collections::BTreeSet;

use serde::Serialize;
use toml::{Table, Value};

/// All keys of a configuration, with dots for those in tables; none of what is no configuration.
pub fn keys_of(file: &impl Serialize) -> BTreeSet<String> {
    Table::try_from(file).map(|table| keys(&table)).unwrap_or_default()
}

/// All keys of a table, with dots.
fn keys(table: &Table) -> BTreeSet<String> {
    let inner = |(name, value): (&String, &Value)| match value.as_table() {
        Some(table) => keys(table).into_iter().map(|key| format!("{name}.{key}")).collect(),
        None => vec![name.clone()],
    };
    table.iter().flat_map(inner).collect()
}

/// The installed file with its keys at work.
pub fn uncommented(installed: &str) -> String {
    let lines = installed.lines().filter(|line| !line.starts_with("# ") && *line != "#");
    lines.map(|line| format!("{}\n", line.strip_prefix('#').unwrap_or(line))).collect()
}

/// Keys whose explanation in the installed file says `(restart)`.
pub fn marked_restart(installed: &str) -> BTreeSet<String> {
    let (mut restart, mut table, mut explanation) = (BTreeSet::new(), String::new(), String::new());
    for line in installed.lines() {
        if let Some(name) = line.strip_prefix("#[") {
            table = format!("{}.", name.trim_end_matches(']'));
        } else if line.is_empty() {
            explanation.clear();
        } else if line.starts_with("# ") || line == "#" {
            explanation.push_str(line);
        } else if explanation.contains("(restart)") {
            restart.extend(line.split(['#', ' ']).nth(1).map(|key| format!("{table}{key}")));
        }
    }
    restart
}

#[cfg(test)]
mod tests {
    use super::*;

    const INSTALLED: &str = "# A file.\n\n# Here. (restart)\n#a = 1\n\n\
                             #[t]\n# There.\n#b = \"#x\"\n\n# So. (restart)\n#c = 2\n#d = 3\n";

    fn owned(keys: &[&str]) -> BTreeSet<String> {
        keys.iter().map(|key| (*key).to_owned()).collect()
    }

    #[test]
    fn the_installed_file_is_read_as_people_read_it() {
        assert_eq!(uncommented(INSTALLED), "\na = 1\n\n[t]\nb = \"#x\"\n\nc = 2\nd = 3\n");
        assert_eq!(marked_restart(INSTALLED), owned(&["a", "t.c", "t.d"]));
        let table: Table = uncommented(INSTALLED).parse().unwrap();
        assert_eq!(keys_of(&table), owned(&["a", "t.b", "t.c", "t.d"]));
        assert!(keys_of(&1).is_empty());
    }
}
