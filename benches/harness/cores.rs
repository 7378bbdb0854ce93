//! Which core runs what, so that server and load never share one unless they are to.

use std::io;
use std::process::{Child, Command};
use std::thread;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// Where a program may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cores {
    /// On this one alone.
    One(usize),
    /// Wherever its maker may.
    All,
}

/// Keeps this thread, and the processes that it starts, on `core`.
///
/// # Errors
/// When there is no such core, or we may not use it.
pub fn pin(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core)?;
    sched_setaffinity(Pid::from_raw(0), &set)?;
    Ok(())
}

/// Starts `command` on `cores`: from a thread that is pinned there, as a child inherits the cores of its maker.
///
/// # Errors
/// When the thread cannot be pinned or the program cannot be started.
pub fn spawn_on(cores: Cores, command: &mut Command) -> io::Result<Child> {
    let spawn = || {
        if let Cores::One(core) = cores {
            pin(core)?;
        }
        command.spawn()
    };
    thread::scope(|scope| scope.spawn(spawn).join())
        .unwrap_or_else(|_| Err(io::Error::other("the thread that starts a server panicked")))
}
