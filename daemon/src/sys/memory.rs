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
