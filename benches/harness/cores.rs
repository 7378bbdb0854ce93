//! Which core runs what: the server under test and the load never share one.

use std::io;
use std::process::{Child, Command};
use std::thread;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// Keeps the calling thread, and the threads and processes that it starts, on `core`.
///
/// # Errors
/// When there is no such core, or we may not use it.
pub fn pin(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core)?;
    sched_setaffinity(Pid::from_raw(0), &set)?;
    Ok(())
}

/// Starts `command` on `core`: from a thread that is pinned there, as a child inherits the cores of its maker.
///
/// # Errors
/// When the thread cannot be pinned or the program cannot be started.
pub fn spawn_on(core: usize, command: &mut Command) -> io::Result<Child> {
    let spawn = || pin(core).and_then(|()| command.spawn());
    thread::scope(|scope| scope.spawn(spawn).join())
        .unwrap_or_else(|_| Err(io::Error::other("the thread that starts a server panicked")))
}
