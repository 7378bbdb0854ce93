//! What can go wrong between btctl and the daemon.

use std::io;
use std::path::PathBuf;

use protocol::control::ErrorReply;

use super::MAX_REPLY_LENGTH;

/// Why there is no answer, or not the one that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers at the socket.
    #[error("no btd answers at {}: {source}; {}", .socket.display(), hint(.source))]
    Unreachable {
        /// What was tried.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The daemon went away before it had answered.
    #[error("btd at {} hung up before it had answered: {reason}", .socket.display())]
    HungUp {
        /// Its socket.
        socket: PathBuf,
        /// How it was noticed.
        reason: String,
    },
    /// The daemon said no.
    #[error(transparent)]
    Refused(#[from] ErrorReply),
    /// The answer is not one of the control API.
    #[error("{} does not answer as btd does: {reason}", .socket.display())]
    NotBtd {
        /// The socket.
        socket: PathBuf,
        /// What came.
        reason: String,
    },
    /// The answer is too long.
    #[error("the answer to {path} is longer than the {MAX_REPLY_LENGTH} bytes that are read")]
    TooLong {
        /// What was asked for.
        path: String,
    },
    /// It cannot be asked: a name is too long for a request.
    #[error("cannot ask for that: {0}")]
    Request(String),
}

/// What to do about a socket where nobody answers.
fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "only its owner and its group may use it",
        io::ErrorKind::TimedOut => "it is there, but busy or stuck",
        _ => {
            "start one with `systemctl start btd`, or `btd run` as yourself, or name its socket with --socket"
        }
    }
}
