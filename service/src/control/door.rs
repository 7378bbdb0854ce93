//! The Unix socket: made, or inherited, and taken away in the end.
//!
//! A socket that a dead program left is replaced. One that somebody listens on is never touched, nor is anything that is
//! not a socket.

use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::libc;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use socket2::{Domain, SockAddr, Socket, Type};

use super::ControlError;

/// Connections that the kernel holds for us while we accept others: ten thousand `btctl add` at once wait their turn.
const BACKLOG: i32 = 4_096;
/// Mode of a folder that is made for the socket: the group may pass, so that the socket's own mode decides.
const FOLDER_MODE: u32 = 0o750;

/// A socket that is listened on.
#[derive(Debug)]
pub(super) struct Door {
    listener: UnixListener,
    /// The file that we made, and its device and inode.
    made: Option<(PathBuf, (u64, u64))>,
}

impl Door {
    /// Takes a socket that somebody else made and will take away.
    pub(super) fn inherit(listener: UnixListener) -> Result<Self, ControlError> {
        listener.set_nonblocking(true).map_err(ControlError::Inherited)?;
        Ok(Self { listener, made: None })
    }

    /// Makes the socket at `path`, with `mode` and, if there is one, a group of its own.
    pub(super) fn open(path: &Path, mode: u32, gid: Option<u32>) -> Result<Self, ControlError> {
        let refused = |source| ControlError::Refused { path: path.to_owned(), source };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        if !folder.exists() {
            DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder).map_err(refused)?;
        }
        // Two programs that start at once must not both find the socket of a dead one. Held until we listen.
        let lock = File::open(folder).map_err(refused)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => ControlError::Contended(path.to_owned()),
            TryLockError::Error(source) => refused(source),
        })?;
        clear(path)?;
        let listener = listen(path, mode, gid).map_err(refused)?;
        let identity = fs::symlink_metadata(path).map(|it| (it.dev(), it.ino())).map_err(refused)?;
        Ok(Self { listener, made: Some((path.to_owned(), identity)) })
    }

    /// The socket, for the runtime that is to accept on it. Needs to be called in one.
    pub(super) fn listener(&self) -> Result<tokio::net::UnixListener, ControlError> {
        let listener = self.listener.try_clone().and_then(tokio::net::UnixListener::from_std);
        listener.map_err(|source| match &self.made {
            Some((path, _)) => ControlError::Refused { path: path.clone(), source },
            None => ControlError::Inherited(source),
        })
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let Some((path, identity)) = &self.made else { return };
        let is_ours = fs::symlink_metadata(path).is_ok_and(|it| (it.dev(), it.ino()) == *identity);
        if is_ours && let Err(error) = fs::remove_file(path) {
            tracing::warn!("cannot remove the control socket {}: {error}", path.display());
        }
    }
}

/// Removes the socket of a dead program.
fn clear(path: &Path) -> Result<(), ControlError> {
    let refused = |source| ControlError::Refused { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(refused(error)),
        Ok(found) if !found.file_type().is_socket() => return Err(ControlError::NoSocket(path.to_owned())),
        Ok(_) => {}
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(refused)?;
    // One whose backlog is full would have us wait.
    socket.set_nonblocking(true).map_err(refused)?;
    match socket.connect(&SockAddr::unix(path).map_err(refused)?) {
        Ok(()) => {
            let pid = getsockopt(&socket, PeerCredentials).map_or(0, |credentials| credentials.pid());
            Err(ControlError::Held { path: path.to_owned(), holder: describe(pid) })
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            Err(ControlError::Held { path: path.to_owned(), holder: describe(0) })
        }
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path).map_err(refused),
        Err(error) => Err(refused(error)),
    }
}

/// Names a process, as well as it can be named.
fn describe(pid: libc::pid_t) -> String {
    match (pid, fs::read_to_string(format!("/proc/{pid}/comm"))) {
        (0, _) => "another process".to_owned(),
        (_, Ok(name)) => format!("process {pid} ({})", name.trim()),
        (_, Err(_)) => format!("process {pid}"),
    }
}

/// Nobody gets in before `listen`, so the file has its mode and group before anybody can.
fn listen(path: &Path, mode: u32, gid: Option<u32>) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let finish = || {
        // A service may be denied the call altogether, and needs none for a group that it is in.
        if let Some(gid) = gid.filter(|gid| fs::symlink_metadata(path).is_ok_and(|it| it.gid() != *gid)) {
            chown(path, None, Some(gid))?;
        }
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        socket.set_nonblocking(true)?;
        socket.listen(BACKLOG)
    };
    // Bound by us, so it is ours to take away.
    finish().inspect_err(|_| drop(fs::remove_file(path)))?;
    Ok(socket.into())
}
