//! Why the desk says no, and when it makes sense to ask again.

use std::time::Duration;

use protocol::announce::RetryIn;

use crate::access::Denied;
use crate::figures::Reason;
use crate::limits::RetryAfter;
use crate::swarms::Refused;

/// A no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The torrent is not tracked, or not for whoever asks.
    #[error(transparent)]
    Access(#[from] Denied),
    /// Too many requests from there.
    #[error(transparent)]
    Rate(#[from] RetryAfter),
    /// Too much from there.
    #[error(transparent)]
    Limit(#[from] Refused),
}

impl Refusal {
    /// How it is counted.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Access(Denied::NotAllowed) => Reason::NotAllowed,
            Self::Access(Denied::Denied) => Reason::Denied,
            Self::Access(Denied::NoPasskey | Denied::WrongPasskey) => Reason::Passkey,
            Self::Rate(_) => Reason::Rate,
            Self::Limit(Refused::PeersPerAddress) => Reason::PeersPerAddress,
            Self::Limit(Refused::TorrentsPerAddress) => Reason::TorrentsPerAddress,
        }
    }

    /// When to ask again (BEP 31): never for what the operator has decided.
    pub fn retry_in(&self, interval: Duration) -> RetryIn {
        match self {
            Self::Access(_) => RetryIn::Never,
            Self::Rate(RetryAfter(after)) => RetryIn::After(*after),
            Self::Limit(_) => RetryIn::After(interval),
        }
    }
}
