//! What the kernel charged to a process: CPU time and memory.

use std::fs;
use std::io;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

/// CPU time of the whole process, user and system, ended threads and io_uring's kernel workers included.
///
/// The sum of utime and stime in `/proc/PID/stat`, read from the process's clock: in nanoseconds, where `stat` rounds
/// to hundredths of a second.
///
/// # Errors
/// When there is no such process.
pub fn cpu_time(pid: i32) -> io::Result<Duration> {
    Ok(clock_getcpuclockid(Pid::from_raw(pid))?.now()?.into())
}

/// CPU time of all children that have ended and were waited for, counted as in [`cpu_time`].
///
/// # Errors
/// Never on Linux.
pub fn children_cpu_time() -> io::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = (usage.user_time() + usage.system_time()).num_microseconds();
    u64::try_from(micros).map(Duration::from_micros).map_err(io::Error::other)
}

/// Anonymous memory that is resident: heap and stacks, without file mappings.
///
/// # Errors
/// When there is no such process, or its status has no such line.
pub fn rss_anon_bytes(pid: i32) -> io::Result<u64> {
    status_bytes(pid, "RssAnon")
}

/// All memory that is resident, file mappings included.
///
/// # Errors
/// As those of [`rss_anon_bytes`].
pub fn rss_bytes(pid: i32) -> io::Result<u64> {
    status_bytes(pid, "VmRSS")
}

/// What is mapped of files and resident.
///
/// # Errors
/// As those of [`rss_anon_bytes`].
pub fn rss_file_bytes(pid: i32) -> io::Result<u64> {
    status_bytes(pid, "RssFile")
}

/// Bytes that the process has had read from disk so far, read-ahead included (`read_bytes` of `/proc/PID/io`).
///
/// # Errors
/// When there is no such process, or it is another user's.
pub fn disk_bytes(pid: i32) -> io::Result<u64> {
    let io = fs::read_to_string(format!("/proc/{pid}/io"))?;
    let bytes = io.lines().find_map(|line| line.strip_prefix("read_bytes: ")?.parse().ok());
    bytes.ok_or_else(|| io::Error::other(format!("no read_bytes in /proc/{pid}/io")))
}

fn status_bytes(pid: i32, name: &str) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let value =
        |line: &str| line.strip_prefix(name)?.strip_prefix(':')?.trim().strip_suffix(" kB")?.parse().ok();
    let kib: Option<u64> = status.lines().find_map(value);
    kib.map(|kib| kib * 1024).ok_or_else(|| io::Error::other(format!("no {name} in /proc/{pid}/status")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_process_has_time_and_memory() {
        let pid = std::process::id().try_into().unwrap();
        let before = cpu_time(pid).unwrap();
        while cpu_time(pid).unwrap() == before {}
        assert!(rss_anon_bytes(pid).unwrap() > 0);
        assert!(rss_bytes(pid).unwrap() > rss_anon_bytes(pid).unwrap());
        assert!(rss_file_bytes(pid).unwrap() > 0);
        disk_bytes(pid).unwrap();
    }
}
