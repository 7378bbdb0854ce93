//! The control socket that the service manager has opened for us (socket activation).
//!
//! Called once, while the process has one thread. It never makes or removes a socket.

use std::io;
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;
use nix::sys::socket::{getsockopt, sockopt};

/// What the control socket is called: by `FileDescriptorName=` of btd.socket, or, without one, by its unit.
const NAMES: [&str; 2] = ["control", "btd.socket"];

/// Why an inherited socket cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    /// What the environment says makes no sense.
    #[error("the service manager's LISTEN_FDS, LISTEN_PID or LISTEN_FDNAMES is wrong: {0}")]
    Environment(io::Error),
    /// There are several, and none of them is the control socket, or more than one.
    #[error(
        "{count} sockets were inherited ({names}), and just one of them must be called `control`: \
         set FileDescriptorName=control in its .socket unit"
    )]
    Ambiguous {
        /// How many there are.
        count: usize,
        /// What they are called.
        names: String,
    },
    /// It is something else.
    #[error("the inherited control socket is no Unix stream socket: {0}; use ListenStream=/PATH")]
    Kind(io::Error),
    /// It is a connection.
    #[error("the inherited control socket does not listen: use ListenStream= with Accept=no")]
    Connection,
}

/// Takes the control socket over, if the service manager has passed one to this very process; the next call finds
/// none. It blocks or not, as inherited. Its path is the service manager's, and must not be removed.
///
/// LISTEN_PID and LISTEN_FDS are taken out of the environment: call it while no other thread runs.
///
/// # Errors
/// When what was passed cannot be the control socket.
pub fn control_listener() -> Result<Option<UnixListener>, InheritError> {
    // It looks at the process id more closely than `listenfd` does, knows names, and keeps all from our children.
    if sd_notify::listen_fds().map_err(InheritError::Environment)?.len() == 0 {
        // Names that nothing goes by are another process's too.
        return Ok(None);
    }
    let passed = sd_notify::listen_fds_with_names().map_err(InheritError::Environment)?;
    let names: Vec<String> = passed.map(|(_, name)| name).collect();
    let index = index_of_control(&names)?;
    let listener = ListenFd::from_env().take_unix_listener(index).map_err(InheritError::Kind)?;
    match &listener {
        Some(listener) if !does_listen(listener) => Err(InheritError::Connection),
        _ => Ok(listener),
    }
}

/// Which of those called `names` is the control socket.
fn index_of_control(names: &[String]) -> Result<usize, InheritError> {
    if let [_] = names {
        return Ok(0);
    }
    let mut called = names.iter().enumerate().filter(|(_, name)| NAMES.contains(&name.as_str()));
    match (called.next(), called.next()) {
        (Some((index, _)), None) => Ok(index),
        _ => Err(InheritError::Ambiguous { count: names.len(), names: names.join(", ") }),
    }
}

fn does_listen(listener: &UnixListener) -> bool {
    getsockopt(listener, sockopt::AcceptConn).unwrap_or(false)
}

#[cfg(test)]
mod tests;
