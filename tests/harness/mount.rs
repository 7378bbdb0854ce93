//! A small file system of its own, to be filled to the brim. Needs root. It is gone when dropped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::run_well;

/// Longest that a mount may take.
const MOUNT_LIMIT: Duration = Duration::from_secs(20);
/// What the folder is called, so that a later run finds what a killed one left.
const NAME: &str = "small-disk";

/// A tmpfs of a given size.
#[derive(Debug)]
pub struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// Mounts one of `kib` KiB in `parent`.
    pub fn mount(parent: &Path, kib: u32) -> Self {
        let path = parent.join(NAME);
        fs::create_dir_all(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={kib}k"), "tmpfs"]).arg(&path);
        run_well(command, MOUNT_LIMIT);
        Self { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        unmount(&self.path);
    }
}

fn unmount(path: &Path) {
    Command::new("umount").arg("--lazy").arg(path).status().ok();
}

/// Unmounts what a killed run has left in the folder `scratch`.
pub(crate) fn sweep(scratch: &Path) {
    let path = scratch.join(NAME);
    if path.is_dir() {
        unmount(&path);
    }
}
