//! The daemon as a whole.

use serde::{Deserialize, Serialize};

/// Who answers: the reply of `GET /v1/version`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Version {
    /// The version of btd.
    pub version: String,
    /// The version of this API.
    pub api: u32,
    /// Its process id.
    pub pid: u32,
}

/// How many torrents are in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[allow(missing_docs, reason = "they are the states of `State`")]
#[serde(default)]
pub struct StateCounts {
    pub metadata: u64,
    pub checking: u64,
    pub queued: u64,
    pub downloading: u64,
    pub seeding: u64,
    pub paused: u64,
    pub error: u64,
}

impl StateCounts {
    /// How many are in `state`.
    pub fn of(&self, state: super::State) -> u64 {
        let mut copy = *self;
        *copy.of_mut(state)
    }

    /// How many are in `state`, to be changed.
    pub fn of_mut(&mut self, state: super::State) -> &mut u64 {
        match state {
            super::State::Metadata => &mut self.metadata,
            super::State::Checking => &mut self.checking,
            super::State::Queued => &mut self.queued,
            super::State::Downloading => &mut self.downloading,
            super::State::Seeding => &mut self.seeding,
            super::State::Paused => &mut self.paused,
            super::State::Error => &mut self.error,
        }
    }

    /// All states, and how many are in each.
    pub fn iter(&self) -> impl Iterator<Item = (super::State, u64)> {
        super::State::ALL.into_iter().map(|state| (state, self.of(state)))
    }

    /// How many there are in all.
    pub fn total(&self) -> u64 {
        self.iter().map(|(_, count)| count).sum()
    }
}

/// Memory of the process, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct Memory {
    /// What btd holds itself.
    pub anonymous: u64,
    /// Payload in the page cache that is mapped: the kernel takes it back when it needs it.
    pub file_backed: u64,
}

/// What is going on: the reply of `GET /v1/stats`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct Stats {
    /// The version of btd.
    pub version: String,
    /// How long it has been running, in seconds.
    pub uptime_s: u64,
    /// Bytes a second that peers get.
    pub upload_rate: u64,
    /// Bytes a second that peers give.
    pub download_rate: u64,
    /// Payload that peers got since the start.
    pub uploaded: u64,
    /// Payload that peers gave since the start.
    pub downloaded: u64,
    /// Payload that peers got, ever, of the torrents that are here.
    pub uploaded_total: u64,
    /// Payload that peers gave, ever, of the torrents that are here.
    pub downloaded_total: u64,
    /// Bytes of payload that are wanted, in all torrents.
    pub size: u64,
    /// Bytes of these that are here and verified.
    pub have: u64,
    /// How many torrents are in each state.
    pub torrents: StateCounts,
    /// Connected peers.
    pub peers: u64,
    /// Addresses that are listened on.
    pub listen: Vec<String>,
    /// Threads that serve.
    pub workers: u32,
    /// Memory.
    pub memory: Memory,
    /// Changes so far.
    pub revision: u64,
}
