//! The configuration file of `btd run` as it is typed: all its keys, with their defaults. What they mean is checked
//! in `run`; `systemd/btd.toml` explains them to people, and a test holds the two together.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use service::config::value;
use service::log::LogTable;

use crate::args::Preallocate;

use super::default_listen;
use super::value::{Rate, Umask};

/// Downloads that go on at a time: more share the same line and finish later, all of them.
const DEFAULT_ACTIVE_DOWNLOADS: u32 = 8;

/// The file, with defaults for what it leaves out. A folder that is none here has its place by `Places`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "systemd/btd.toml explains each key")]
pub struct ConfigFile {
    pub listen: Vec<SocketAddr>,
    #[serde(with = "value")]
    pub data_dir: Option<PathBuf>,
    #[serde(with = "value")]
    pub state_dir: Option<PathBuf>,
    #[serde(with = "value")]
    pub control_socket: Option<PathBuf>,
    pub control_group: String,
    pub control_roots: Vec<PathBuf>,
    #[serde(with = "value")]
    pub watch_dir: Option<PathBuf>,
    #[serde(with = "value")]
    pub incomplete_dir: Option<PathBuf>,
    pub incomplete_suffix: String,
    pub preallocate: Preallocate,
    #[serde(with = "value")]
    pub metrics_listen: Option<SocketAddr>,
    pub workers: u16,
    #[serde(with = "value")]
    pub umask: Umask,
    pub on_complete: Vec<String>,
    pub on_error: Vec<String>,
    pub limits: LimitsTable,
    pub tracker: TrackerTable,
    pub log: LogTable,
}

/// The table `[limits]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "systemd/btd.toml explains each key")]
pub struct LimitsTable {
    #[serde(with = "value")]
    pub upload_rate: Rate,
    #[serde(with = "value")]
    pub download_rate: Rate,
    pub connections: u32,
    pub connections_per_torrent: u32,
    pub upload_slots: u32,
    pub open_files: u32,
    pub active_downloads: u32,
    pub ratio: f64,
    #[serde(with = "value")]
    pub seed_time: Duration,
}

/// The table `[tracker]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "systemd/btd.toml explains each key")]
pub struct TrackerTable {
    pub announce_port: u16,
    pub numwant: u32,
    #[serde(with = "value")]
    pub http_timeout: Duration,
    #[serde(with = "value")]
    pub udp_timeout: Duration,
    pub udp_attempts: u32,
    pub requests: u32,
    pub requests_per_host: u32,
}

impl Default for ConfigFile {
    fn default() -> Self {
        Self {
            listen: default_listen(),
            data_dir: None,
            state_dir: None,
            control_socket: None,
            control_group: String::new(),
            control_roots: Vec::new(),
            watch_dir: None,
            incomplete_dir: None,
            incomplete_suffix: String::new(),
            preallocate: Preallocate::default(),
            metrics_listen: None,
            workers: 0,
            umask: Umask::default(),
            on_complete: Vec::new(),
            on_error: Vec::new(),
            limits: LimitsTable::default(),
            tracker: TrackerTable::default(),
            log: LogTable::default(),
        }
    }
}

impl Default for LimitsTable {
    fn default() -> Self {
        Self {
            upload_rate: Rate::default(),
            download_rate: Rate::default(),
            connections: 0,
            connections_per_torrent: 0,
            upload_slots: 0,
            open_files: 0,
            active_downloads: DEFAULT_ACTIVE_DOWNLOADS,
            ratio: 0.0,
            seed_time: Duration::ZERO,
        }
    }
}

impl Default for TrackerTable {
    fn default() -> Self {
        Self {
            announce_port: 0,
            numwant: 200,
            http_timeout: Duration::from_secs(30),
            udp_timeout: Duration::from_secs(15),
            udp_attempts: 2,
            requests: 64,
            requests_per_host: 4,
        }
    }
}

impl ConfigFile {
    /// The file that says the same.
    ///
    /// # Errors
    /// A path that is no UTF-8.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }
}
