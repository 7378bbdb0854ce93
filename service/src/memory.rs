//! The memory of the process, as the kernel reckons it; what is ours and what is a mapped file apart.

use std::{fs, io};

/// What is resident, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resident {
    /// What the process holds itself.
    pub anonymous: u64,
    /// Pages of files that are mapped: the kernel takes them back when it needs them.
    pub file_backed: u64,
}

/// Asks the kernel. Does not wait for any disk.
///
/// # Errors
/// Where there is no `/proc`.
pub fn resident() -> io::Result<Resident> {
    fs::read_to_string("/proc/self/status").map(|status| parse(&status))
}

/// Allocations of so much are mappings of their own: larger than what is read or hashed at a time, and smaller than what
/// a list of thousands of torrents takes.
#[cfg(target_env = "gnu")]
const OWN_MAPPING_BYTES: std::ffi::c_int = 1 << 20;

/// Has large allocations go back to the kernel as soon as they are freed.
///
/// By itself glibc keeps more the larger they were, up to 32 MiB in the arena of each thread, and small things that are
/// put there hold the rest: a list of 10,000 torrents leaves half a KiB for each of them.
#[cfg(target_env = "gnu")]
pub fn return_large() {
    // SAFETY: sets a number inside the allocator, under the lock of the allocator; no memory is touched.
    let is_set = unsafe { nix::libc::mallopt(nix::libc::M_MMAP_THRESHOLD, OWN_MAPPING_BYTES) };
    if is_set == 0 {
        tracing::warn!("malloc takes no threshold: more memory may be held than is used");
    }
}

/// Has all threads allocate from one arena; before there is a second thread.
///
/// By itself glibc gives each thread an arena of its own. What comes and goes with connections leaves holes in each: a
/// thousand busy ones held a fifth more after a minute. Threads that allocate little have no need to do it apart.
#[cfg(target_env = "gnu")]
pub fn share_one_arena() {
    // SAFETY: sets a number inside the allocator, under the lock of the allocator; no memory is touched. It refuses only
    // what it does not know, and does as before then.
    unsafe { nix::libc::mallopt(nix::libc::M_ARENA_MAX, 1) };
}

/// Other allocators do so, or cannot be told.
#[cfg(not(target_env = "gnu"))]
pub fn return_large() {}

/// Other allocators cannot be told.
#[cfg(not(target_env = "gnu"))]
pub fn share_one_arena() {}

fn parse(status: &str) -> Resident {
    let bytes = |key: &str| {
        let rest = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        let kib: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
        kib.checked_mul(1_024)
    };
    Resident {
        anonymous: bytes("RssAnon").unwrap_or_default(),
        file_backed: bytes("RssFile").unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_sorts_of_memory_are_told_apart() {
        let status =
            "Name:\tbtd\nVmRSS:\t   99 kB\nRssAnon:\t    12 kB\nRssFile:\t     3 kB\nRssShmem:\t 0 kB\n";
        assert_eq!(parse(status), Resident { anonymous: 12 * 1_024, file_backed: 3 * 1_024 });
        assert_eq!(parse("RssAnon: many\n"), Resident::default());
    }

    #[test]
    fn this_process_has_memory_of_its_own() {
        let resident = resident().unwrap();
        assert!(resident.anonymous > 0 && resident.file_backed > 0, "{resident:?}");
    }
}
