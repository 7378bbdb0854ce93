//! Sockets that the service manager has opened for us (socket activation).
//!
//! Called once, while the process has one thread, by programs that have a control socket and nothing else
//! ([`control_listener`]), and by those that serve on all they are given ([`sockets`]). It never makes or removes one.

use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;
use nix::sys::socket::{getsockopt, sockopt};

/// What the control socket is called by `FileDescriptorName=`.
const CONTROL: &str = "control";

/// Sockets that were inherited, by what kind of socket they are; each kind in the order in which they were passed.
/// They block or not, as inherited.
#[derive(Debug, Default)]
pub struct Inherited {
    /// TCP sockets that listen.
    pub tcp: Vec<TcpListener>,
    /// UDP sockets.
    pub udp: Vec<UdpSocket>,
    /// The control socket: the one Unix socket. Its path is the service manager's, and must not be removed.
    pub control: Option<UnixListener>,
}

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
    /// The control socket is something else.
    #[error("the inherited control socket is no Unix stream socket: {0}; use ListenStream=/PATH")]
    Kind(io::Error),
    /// The control socket is a connection.
    #[error("the inherited control socket does not listen: use ListenStream= with Accept=no")]
    Connection,
    /// Nothing that can be served on.
    #[error(
        "the inherited socket `{0}` is neither of TCP nor UDP, nor a Unix stream socket: use ListenStream= or \
         ListenDatagram="
    )]
    Foreign(String),
    /// A connection over TCP.
    #[error("the inherited socket `{0}` does not listen: use ListenStream= with Accept=no")]
    TcpConnection(String),
    /// More than one of Unix.
    #[error("the inherited socket `{0}` is a second control socket, and there can be but one")]
    SecondControl(String),
}

/// Takes the control socket over, if the service manager has passed one to this very process; the next call finds
/// none. It blocks or not, as inherited. Its path is the service manager's, and must not be removed.
///
/// Of several it is the one that is called `control`, or, where its unit does not say, like the unit of `program`.
///
/// LISTEN_PID and LISTEN_FDS are taken out of the environment: call it while no other thread runs.
///
/// # Errors
/// When what was passed cannot be the control socket.
pub fn control_listener(program: &str) -> Result<Option<UnixListener>, InheritError> {
    let names = passed()?;
    if names.is_empty() {
        return Ok(None);
    }
    let index = index_of_control(&names, &format!("{program}.socket"))?;
    let listener = ListenFd::from_env().take_unix_listener(index).map_err(InheritError::Kind)?;
    match &listener {
        Some(listener) if !does_listen(listener) => Err(InheritError::Connection),
        _ => Ok(listener),
    }
}

/// Takes over all sockets that the service manager has passed to this very process, and tells them apart by their
/// kind, whatever they are called; the next call finds none.
///
/// LISTEN_PID and LISTEN_FDS are taken out of the environment: call it while no other thread runs.
///
/// # Errors
/// When one of them cannot be served on.
pub fn sockets() -> Result<Inherited, InheritError> {
    let names = passed()?;
    let mut inherited = Inherited::default();
    if names.is_empty() {
        return Ok(inherited);
    }
    let mut sockets = ListenFd::from_env();
    for (index, name) in names.into_iter().enumerate() {
        // One that is of another kind is left where it is.
        if let Ok(Some(socket)) = sockets.take_udp_socket(index) {
            inherited.udp.push(socket);
        } else if let Ok(Some(listener)) = sockets.take_tcp_listener(index) {
            if !does_listen(&listener) {
                return Err(InheritError::TcpConnection(name));
            }
            inherited.tcp.push(listener);
        } else if let Ok(Some(listener)) = sockets.take_unix_listener(index) {
            if !does_listen(&listener) {
                return Err(InheritError::Connection);
            }
            if inherited.control.replace(listener).is_some() {
                return Err(InheritError::SecondControl(name));
            }
        } else {
            return Err(InheritError::Foreign(name));
        }
    }
    Ok(inherited)
}

/// What the sockets are called that were passed to this very process, in their order.
fn passed() -> Result<Vec<String>, InheritError> {
    // It looks at the process id more closely than `listenfd` does, knows names, and keeps all from our children.
    if sd_notify::listen_fds().map_err(InheritError::Environment)?.len() == 0 {
        // Names that nothing goes by are another process's too.
        return Ok(Vec::new());
    }
    let passed = sd_notify::listen_fds_with_names().map_err(InheritError::Environment)?;
    Ok(passed.map(|(_, name)| name).collect())
}

/// Which of those called `names` is the control socket; `unit` is the unit that it comes from.
fn index_of_control(names: &[String], unit: &str) -> Result<usize, InheritError> {
    if let [_] = names {
        return Ok(0);
    }
    let mut called = names.iter().enumerate().filter(|(_, name)| [CONTROL, unit].contains(&name.as_str()));
    match (called.next(), called.next()) {
        (Some((index, _)), None) => Ok(index),
        _ => Err(InheritError::Ambiguous { count: names.len(), names: names.join(", ") }),
    }
}

fn does_listen(socket: &impl AsFd) -> bool {
    getsockopt(socket, sockopt::AcceptConn).unwrap_or(false)
}
