//! Reads Rust sources well enough to keep the house in order: which paths a file names, without comments, strings
//! and false alarms. Judges nothing; `tests/sources.rs` says what is allowed.

use std::fs;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

/// A source file of the workspace.
#[derive(Debug, Clone)]
pub struct Source {
    /// Where it lies, from the root of the workspace.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

/// Every `.rs` file under `root`, but for build folders and hidden ones.
pub fn sources(root: &Path) -> Vec<Source> {
    let is_ours = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_str().unwrap_or_default();
        entry.depth() == 0 || !(name.starts_with('.') || name == "target")
    };
    let entries = WalkDir::new(root).sort_by_file_name().into_iter().filter_entry(is_ours);
    let paths = entries.map(|entry| entry.expect("the workspace can be read").into_path());
    let files = paths.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    files
        .map(|path| Source {
            text: fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
            path: path.strip_prefix(root).expect("it lies below").to_owned(),
        })
        .collect()
}

/// Splits code into names, `::`, and single characters; comments and literals are left out.
pub fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = skipped(rest).unwrap_or_else(|| {
            let is_name = |c: char| c.is_alphanumeric() || c == '_';
            let name = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
            let length = if name > 0 {
                name
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            if !first.is_whitespace() {
                tokens.push(rest[..length].to_owned());
            }
            length
        });
        rest = &rest[length..];
    }
    tokens
}

/// How much of the start of `rest` is a comment or a literal with arbitrary text.
fn skipped(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(rest.find("*/").map_or(rest.len(), |end| end + 2));
    }
    let quoted = rest.trim_start_matches(['b', 'c', 'r']);
    let prefix = rest.len() - quoted.len();
    if prefix <= 2 && rest[..prefix].ends_with('r') {
        let hashes = quoted.len() - quoted.trim_start_matches('#').len();
        if quoted[hashes..].starts_with('"') {
            let close = format!("\"{}", "#".repeat(hashes));
            let body = &quoted[hashes + 1..];
            return Some(body.find(&close).map_or(rest.len(), |end| prefix + hashes + 1 + end + close.len()));
        }
    }
    if prefix <= 1 && quoted.starts_with('"') {
        return Some(prefix + closing(quoted, '"'));
    }
    // A character, but not a lifetime.
    let is_character = quoted.starts_with("'\\") || quoted.chars().nth(2) == Some('\'');
    (prefix <= 1 && quoted.starts_with('\'') && is_character).then(|| prefix + closing(quoted, '\''))
}

/// Bytes of the literal that `text` starts with, up to and with its closing `quote`.
fn closing(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (index, character) in text.char_indices().skip(1) {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            _ if character == quote => return index + character.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// Every path that `text` names, as its names; groups are spelled out, and what starts with `self` or `super` is
/// spelled from `crate`, given that the file is `module`.
pub fn paths(text: &str, module: &[String]) -> Vec<Vec<String>> {
    let tokens = tokens(text);
    let mut found = Vec::new();
    let mut open_modules: Vec<Option<String>> = Vec::new();
    let mut index = 0;
    while index < tokens.len() {
        let previous = index.checked_sub(1).map(|before| tokens[before].as_str());
        match tokens[index].as_str() {
            "{" => {
                let opens = index >= 2 && tokens[index - 2] == "mod";
                open_modules.push(opens.then(|| tokens[index - 1].clone()));
            }
            "}" => drop(open_modules.pop()),
            token if is_name(token) && previous != Some("::") => {
                let inner = open_modules.iter().flatten().cloned();
                let place: Vec<String> = module.iter().cloned().chain(inner).collect();
                let mut tree = Vec::new();
                index = read_tree(&tokens, index, &[], &mut tree) - 1;
                found.extend(tree.into_iter().map(|path| from_crate(path, &place)));
            }
            _ => {}
        }
        index += 1;
    }
    found
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Reads the path that starts at `index`, behind the names `before`; returns the index after it.
fn read_tree(tokens: &[String], mut index: usize, before: &[String], out: &mut Vec<Vec<String>>) -> usize {
    let mut path = before.to_vec();
    loop {
        match tokens.get(index).map(String::as_str) {
            Some("{") if tokens.get(index.wrapping_sub(1)).is_some_and(|token| token == "::") => {
                index += 1;
                while tokens.get(index).is_some_and(|token| token != "}") {
                    index = match tokens[index].as_str() {
                        "," | "as" => index + 1,
                        _ => read_tree(tokens, index, &path, out).max(index + 1),
                    };
                }
                return index + 1;
            }
            Some(name) if is_name(name) => path.push(name.to_owned()),
            _ => {}
        }
        index += 1;
        if tokens.get(index).is_none_or(|token| token != "::") {
            out.push(path);
            return index;
        }
        index += 1;
        let goes_on = tokens.get(index).is_some_and(|token| is_name(token) || token == "{");
        if !goes_on {
            out.push(path);
            return index;
        }
    }
}

/// Spells `path`, as it stands in module `place`, from `crate`.
fn from_crate(path: Vec<String>, place: &[String]) -> Vec<String> {
    let supers = path.iter().skip_while(|name| *name == "self").take_while(|name| *name == "super").count();
    let selves = path.iter().take_while(|name| *name == "self").count();
    if supers + selves == 0 {
        return path;
    }
    let above = place[..place.len().saturating_sub(supers)].iter().cloned();
    ["crate".to_owned()].into_iter().chain(above).chain(path.into_iter().skip(supers + selves)).collect()
}

/// The module that the file at `path` is, counted from its crate's `src`: `worker/ring.rs` is `worker::ring`.
pub fn module_of(path: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        path.with_extension("").iter().map(|name| name.to_string_lossy().into_owned()).collect();
    if matches!(names.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        names.pop();
    }
    names
}

/// The names in the tables of dependencies of a Cargo.toml.
pub fn dependencies(manifest: &str) -> Vec<String> {
    let mut is_table = false;
    let mut names = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            is_table = header.trim_end_matches(']').ends_with("dependencies");
        } else if is_table && line.starts_with(|c: char| c.is_alphanumeric()) {
            let end =
                line.find(|c: char| !(c.is_alphanumeric() || c == '-' || c == '_')).unwrap_or(line.len());
            names.push(line[..end].to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str, module: &[&str]) -> Vec<String> {
        let module: Vec<String> = module.iter().map(ToString::to_string).collect();
        paths(text, &module)
            .into_iter()
            .map(|path| path.join("::"))
            .filter(|path| path.contains("::"))
            .collect()
    }

    #[test]
    fn groups_are_spelled_out() {
        let text = "use crate::{a::B, c::{self, D as E}, f}; use std::{fs, net::*};";
        let wanted = ["crate::a::B", "crate::c::self", "crate::c::D", "crate::f", "std::fs", "std::net"];
        let found = named(text, &["x"]);
        for path in wanted {
            assert!(found.iter().any(|found| found == path), "{path} is missing in {found:?}");
        }
    }

    #[test]
    fn super_is_followed_out_of_nested_modules() {
        assert_eq!(named("use super::b;", &["worker", "ring"]), ["crate::worker::b"]);
        assert_eq!(named("use super::super::b;", &["worker", "ring"]), ["crate::b"]);
        assert_eq!(
            named("mod tests { use super::b; } use super::c;", &["worker"]),
            ["crate::worker::b", "crate::c"]
        );
        assert_eq!(named("fn f() { self::g() }", &["worker"]), ["crate::worker::g"]);
    }

    #[test]
    fn comments_and_literals_name_nothing() {
        let text = "// crate::a\n/* crate::b */ \"crate::c \\\" crate::d\" r#\"crate::e\"# '\"' b'\\'' 'x' <'a>crate::f";
        assert_eq!(named(text, &[]), ["crate::f"]);
    }

    #[test]
    fn paths_inside_expressions_are_found() {
        assert_eq!(named("let x = crate::a::b(Instant::now()?);", &[]), ["crate::a::b", "Instant::now"]);
    }

    #[test]
    fn files_are_modules() {
        let module = |path: &str| module_of(Path::new(path)).join("::");
        assert_eq!(module("worker/mod.rs"), "worker");
        assert_eq!(module("worker/ring.rs"), "worker::ring");
        assert_eq!((module("main.rs"), module("args.rs")), (String::new(), "args".to_owned()));
    }

    #[test]
    fn dependencies_are_read() {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\na.workspace = true\nb-c = \"1\"\n[lints]\nd = 1\n\
                        [target.'cfg(unix)'.dev-dependencies]\ne = { version = \"1\" }\n";
        assert_eq!(dependencies(manifest), ["a", "b-c", "e"]);
    }
}
