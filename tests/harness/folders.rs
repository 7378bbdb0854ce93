//! Where the tests find and leave things: the build folder, the source tree, temporary folders.

use std::path::{Path, PathBuf};
use std::{env, fs, process};

use tempfile::TempDir;

use crate::mount;

/// First part of the names of temporary folders and network namespaces; the process id follows.
pub(crate) const MARK: &str = "btd-e2e";

/// The root of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace")
}

/// Cargo's build folder: the nearest one above the running test that Cargo has tagged as such.
pub fn target() -> PathBuf {
    let program = env::current_exe().expect("the running test has a path");
    let tagged = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    tagged.unwrap_or_else(|| panic!("{} lies in no build folder", program.display())).to_owned()
}

/// A fresh temporary folder under the build folder, removed when dropped.
pub fn scratch(name: &str) -> TempDir {
    let parent = target().join("tmp");
    fs::create_dir_all(&parent).unwrap_or_else(|error| panic!("{}: {error}", parent.display()));
    tempfile::Builder::new()
        .prefix(&format!("{MARK}-{}-{name}-", process::id()))
        .tempdir_in(&parent)
        .unwrap_or_else(|error| panic!("{}: {error}", parent.display()))
}

/// Removes temporary folders of test runs that were killed.
pub fn sweep() {
    let Ok(entries) = fs::read_dir(target().join("tmp")) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_str().is_some_and(is_orphan) {
            mount::sweep(&entry.path());
            fs::remove_dir_all(entry.path()).ok();
        }
    }
}

/// Whether `name` is marked with a process that has ended.
pub(crate) fn is_orphan(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(MARK).and_then(|rest| rest.strip_prefix('-')) else { return false };
    let process = rest.split('-').next().unwrap_or_default();
    !process.is_empty()
        && process.bytes().all(|byte| byte.is_ascii_digit())
        && !Path::new("/proc").join(process).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_dead_process_left_is_an_orphan() {
        assert!(is_orphan("btd-e2e-999999999-verify-x"), "no such process id exists");
        assert!(!is_orphan(&format!("btd-e2e-{}-verify-x", process::id())));
        assert!(!is_orphan("btd-e2e-x"));
        assert!(!is_orphan("someone-elses"));
    }
}
