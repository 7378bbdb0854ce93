//! Small file systems of a test's own, to be filled to the brim or to fail. They need root, and are gone when dropped.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::run_well;

/// Longest that a mount may take.
const MOUNT_LIMIT: Duration = Duration::from_secs(20);
/// Bytes of a disk that can fail.
const DISK_BYTES: u64 = 16 << 20;
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

/// A disk of its own, in a file, that can fail as disks do: the kernel then has it read-only, open files too.
#[derive(Debug)]
pub struct Disk(SmallDisk);

impl Disk {
    /// Makes a small one in `parent` and mounts it.
    pub fn mount(parent: &Path) -> Self {
        let (path, image) = (parent.join(NAME), parent.join("disk-image"));
        let made = fs::create_dir_all(&path).and_then(|()| File::create(&image)?.set_len(DISK_BYTES));
        made.unwrap_or_else(|error| panic!("{}: {error}", image.display()));
        let mut make = Command::new("mkfs.ext4");
        make.args(["-q", "-F"]).arg(&image);
        run_well(make, MOUNT_LIMIT);
        let mut mount = Command::new("mount");
        mount.args(["-o", "loop"]).arg(&image).arg(&path);
        run_well(mount, MOUNT_LIMIT);
        Self(SmallDisk { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Has it fail.
    pub fn fail(&self) {
        let mut abort = Command::new("mount");
        abort.args(["-o", "remount,abort"]).arg(self.path());
        run_well(abort, MOUNT_LIMIT);
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
