//! A memory cgroup: page cache that a process of it reads counts, and goes when there is too much.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where systems mount the hierarchy of memory: that of version 1, and the one of version 2.
const V1: &str = "/sys/fs/cgroup/memory";
const V2: &str = "/sys/fs/cgroup";

/// A limit, until this is dropped, which must be after the processes under it have ended.
#[derive(Debug)]
pub(crate) struct MemoryLimit {
    folder: PathBuf,
}

impl MemoryLimit {
    /// A cgroup of this name whose processes may have `bytes` in memory.
    ///
    /// # Errors
    /// When this user may not have one.
    pub(crate) fn new(name: &str, bytes: u64) -> io::Result<Self> {
        let is_v1 = Path::new(V1).join("memory.limit_in_bytes").exists();
        let (root, file) = if is_v1 { (V1, "memory.limit_in_bytes") } else { (V2, "memory.max") };
        let folder = Path::new(root).join(name);
        let refused = |error| io::Error::other(format!("no memory cgroup at {}: {error}", folder.display()));
        fs::create_dir(&folder).map_err(refused)?;
        let limit = Self { folder: folder.clone() };
        fs::write(folder.join(file), bytes.to_string()).map_err(refused)?;
        Ok(limit)
    }

    /// Puts a process under it.
    ///
    /// # Errors
    /// When there is no such process.
    pub(crate) fn add(&self, pid: i32) -> io::Result<()> {
        fs::write(self.folder.join("cgroup.procs"), pid.to_string())
    }

    /// Has the kernel take back what it can, mapped pages too; where it cannot be asked to, the limit does that later.
    pub(crate) fn reclaim(&self) {
        let _ = fs::write(self.folder.join("memory.force_empty"), "0")
            .or_else(|_| fs::write(self.folder.join("memory.reclaim"), "1G"));
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.folder);
    }
}
