//! What is measured: the two commands that hash a payload that is already there.

use std::fmt;

use serde::Serialize;

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Work {
    /// A .torrent is made of the payload.
    Create,
    /// The payload is compared with its .torrent.
    Verify,
}

impl Work {
    pub(super) const ALL: [Self; 2] = [Self::Create, Self::Verify];
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Create => "create",
            Self::Verify => "verify",
        })
    }
}
