//! What a test needs of the machine, and what to say when it is missing.

use std::env;
use std::fs::{self, File};
use std::panic;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::sync::OnceLock;

use socket2::{Domain, Protocol, Socket, Type};

use crate::client::{npm_folder, python};
use crate::folders::{MARK, scratch};
use crate::mount::{Disk, SmallDisk};
use crate::netns::Pair;

/// Something a machine may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A program on the path.
    Program(&'static str),
    /// The Python package libtorrent in the tests' virtual environment.
    Libtorrent,
    /// The right to make network namespaces.
    Namespaces,
    /// The right to mount file systems.
    Mounts,
    /// The right to mount a file as a disk.
    LoopDevices,
    /// The right to send packets with made-up headers.
    RawSockets,
    /// A package of the tests' own npm folder.
    Npm(&'static str),
    /// The right to make memory cgroups.
    MemoryCgroups,
    /// The right to mount file systems of user space.
    Fuse,
    /// The right to take away privileges, so that files can be unreadable even to root.
    Unprivileged,
}

impl Need {
    /// Why the need is not met, or `None` when it is.
    pub fn missing(self) -> Option<String> {
        match self {
            Self::Program(name) => find(name).is_none().then(|| format!("{name} is not installed")),
            Self::Libtorrent => libtorrent().clone(),
            Self::Namespaces => namespaces().clone(),
            Self::Mounts => mounts().clone(),
            Self::LoopDevices => loop_devices().clone(),
            Self::RawSockets => raw_sockets(),
            Self::Npm(package) => npm_package(package),
            Self::MemoryCgroups => memory_cgroups(),
            Self::Fuse => fuse(),
            Self::Unprivileged => unprivileged(),
        }
    }
}

fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|candidate| candidate.is_file())
}

fn libtorrent() -> &'static Option<String> {
    static REASON: OnceLock<Option<String>> = OnceLock::new();
    REASON.get_or_init(|| {
        let works = succeeds(Command::new(python()).args(["-c", "import libtorrent"]));
        (!works).then(|| format!("{} has no package libtorrent", python().display()))
    })
}

fn namespaces() -> &'static Option<String> {
    static REASON: OnceLock<Option<String>> = OnceLock::new();
    REASON.get_or_init(|| {
        if !nix::unistd::geteuid().is_root() {
            return Some("network namespaces need root".to_owned());
        }
        if let Some(reason) = Need::Program("ip").missing() {
            return Some(reason);
        }
        panic::catch_unwind(Pair::create)
            .is_err()
            .then(|| "network namespaces are not allowed here".to_owned())
    })
}

fn mounts() -> &'static Option<String> {
    static REASON: OnceLock<Option<String>> = OnceLock::new();
    REASON.get_or_init(|| {
        if !nix::unistd::geteuid().is_root() {
            return Some("mounting needs root".to_owned());
        }
        let scratch = scratch("mounts");
        let mounted = panic::catch_unwind(|| SmallDisk::mount(scratch.path(), 64));
        mounted.is_err().then(|| "mounting is not allowed here".to_owned())
    })
}

fn loop_devices() -> &'static Option<String> {
    static REASON: OnceLock<Option<String>> = OnceLock::new();
    REASON.get_or_init(|| {
        if let Some(reason) = mounts().clone().or_else(|| Need::Program("mkfs.ext4").missing()) {
            return Some(reason);
        }
        let scratch = scratch("loop");
        let mounted = panic::catch_unwind(|| Disk::mount(scratch.path()));
        mounted.is_err().then(|| "mounting a file as a disk is not allowed here".to_owned())
    })
}

fn raw_sockets() -> Option<String> {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::UDP));
    socket.err().map(|error| format!("raw sockets: {error}"))
}

fn npm_package(package: &str) -> Option<String> {
    let is_there = npm_folder().join("node_modules").join(package).join("package.json").is_file();
    let missing = || format!("{} has no package {package}", npm_folder().display());
    Need::Program("node").missing().or_else(|| (!is_there).then(missing))
}

fn memory_cgroups() -> Option<String> {
    // Version 1 has a hierarchy of its own for memory.
    let root = Some(Path::new("/sys/fs/cgroup/memory")).filter(|root| root.is_dir());
    let folder = root.unwrap_or(Path::new("/sys/fs/cgroup")).join(format!("{MARK}-{}", process::id()));
    let made = fs::create_dir(&folder);
    let _ = fs::remove_dir(&folder);
    made.err().map(|error| format!("memory cgroups are not allowed here: {error}"))
}

fn fuse() -> Option<String> {
    if let Some(reason) = mounts() {
        return Some(reason.clone());
    }
    let opened = File::options().read(true).write(true).open("/dev/fuse");
    opened.err().map(|error| format!("/dev/fuse: {error}"))
}

fn unprivileged() -> Option<String> {
    let mut command = unprivileged_command("true");
    let works = succeeds(&mut command);
    (!works).then(|| "setpriv cannot drop the privilege to read every file".to_owned())
}

/// A command that runs `program` without root's privilege to read every file.
pub fn unprivileged_command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    if !nix::unistd::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.arg("--bounding-set=-dac_override,-dac_read_search").arg(program);
    command
}

fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named() {
        assert_eq!(Need::Program("sh").missing(), None);
        let reason = Need::Program("no-such-client").missing();
        assert_eq!(reason.as_deref(), Some("no-such-client is not installed"));
    }
}
