//! How btctl fails: what it says, and the exit code that scripts see.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use protocol::control::{ErrorCode, ErrorReply};

use crate::client::ClientError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The daemon refused, or could not be talked to.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// An argument makes no sense.
    #[error("{0}")]
    Usage(String),
    /// A file that was named cannot be read.
    #[error("{}: {source}", .path.display())]
    Unreadable {
        /// As it was named.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {source}", .path.display())]
    Unwritable {
        /// As it was named.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nobody takes what is printed.
    #[error("cannot write to stdout: {0}")]
    Output(#[from] io::Error),
    /// Something went wrong with a torrent.
    #[error("{name}: {message}")]
    Torrent {
        /// Its name.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// A torrent was removed while it was waited for.
    #[error("{0} has been removed")]
    Gone(String),
    /// It took too long.
    #[error("timed out after {}: {left}", humantime::format_duration(*.after))]
    TimedOut {
        /// How long it was waited.
        after: Duration,
        /// What is not done.
        left: String,
    },
    /// All has been said; this is the exit code.
    #[error("failed")]
    Told(u8),
}

impl Failure {
    /// What a script sees: 1 refused or failed, 2 usage, 3 no daemon, 4 no such torrent, 5 timed out. One who has heard
    /// enough, as `head` has, is no failure.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Client(ClientError::Refused(ErrorReply { error: ErrorCode::NotFound, .. }))
            | Self::Gone(_) => 4,
            Self::Client(ClientError::Unreachable { .. } | ClientError::HungUp { .. }) => 3,
            Self::Usage(_) | Self::Unreadable { .. } => 2,
            Self::TimedOut { .. } => 5,
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Told(code) => *code,
            Self::Client(_) | Self::Unwritable { .. } | Self::Output(_) | Self::Torrent { .. } => 1,
        }
    }

    /// Whether there is nothing more to say.
    pub fn is_silent(&self) -> bool {
        matches!(self, Self::Told(_)) || self.exit_code() == 0
    }

    /// Whether it is about one torrent or file, so that others may still be asked for.
    pub fn is_of_one(&self) -> bool {
        match self {
            Self::Client(ClientError::Refused(reply)) => reply.error != ErrorCode::Stopping,
            Self::Unreadable { .. } => true,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(error: ErrorCode) -> Failure {
        Failure::Client(ClientError::Refused(ErrorReply::new(error, "no")))
    }

    #[test]
    fn scripts_tell_failures_apart() {
        assert_eq!(refused(ErrorCode::NotFound).exit_code(), 4);
        assert_eq!(refused(ErrorCode::Ambiguous).exit_code(), 1);
        assert_eq!(Failure::Usage(String::new()).exit_code(), 2);
        assert_eq!(Failure::Output(io::ErrorKind::BrokenPipe.into()).exit_code(), 0);
        assert_eq!(Failure::Output(io::ErrorKind::StorageFull.into()).exit_code(), 1);
        let hung_up = ClientError::HungUp { socket: "/s".into(), reason: String::new() };
        assert_eq!(Failure::from(hung_up).exit_code(), 3);
    }

    #[test]
    fn after_a_refusal_others_are_asked_for_unless_the_daemon_goes() {
        assert!(refused(ErrorCode::NotFound).is_of_one());
        assert!(!refused(ErrorCode::Stopping).is_of_one());
        assert!(!Failure::Output(io::ErrorKind::BrokenPipe.into()).is_of_one());
    }
}
