//! When a change of each key is taken: SIGHUP, or another start.

use service::config::Taken::{AtOnce, AtStart};
use service::config::{Keys, Reload};

use super::run::{RunConfig, RunConfigError};

/// All keys. A test fails when one is missing here.
pub(super) const KEYS: &Keys = &[
    ("listen", AtStart),
    ("data_dir", AtStart),
    ("state_dir", AtStart),
    ("control_socket", AtStart),
    ("control_group", AtStart),
    ("control_roots", AtOnce),
    ("watch_dir", AtOnce),
    // Torrents that are added from now on.
    ("incomplete_dir", AtOnce),
    ("incomplete_suffix", AtOnce),
    ("preallocate", AtOnce),
    ("metrics_listen", AtStart),
    ("workers", AtStart),
    ("umask", AtStart),
    ("on_complete", AtOnce),
    ("on_error", AtOnce),
    ("limits.upload_rate", AtOnce),
    ("limits.download_rate", AtOnce),
    // Descriptors are shared out once.
    ("limits.connections", AtStart),
    // Swarms that begin from now on.
    ("limits.connections_per_torrent", AtOnce),
    ("limits.upload_slots", AtOnce),
    ("limits.open_files", AtStart),
    ("limits.active_downloads", AtOnce),
    ("limits.ratio", AtOnce),
    ("limits.seed_time", AtOnce),
    // Discovery is started with them.
    ("tracker.announce_port", AtStart),
    ("tracker.numwant", AtStart),
    ("tracker.http_timeout", AtStart),
    ("tracker.udp_timeout", AtStart),
    ("tracker.udp_attempts", AtStart),
    ("tracker.requests", AtStart),
    ("tracker.requests_per_host", AtStart),
    ("log.level", AtOnce),
    ("log.target", AtStart),
];

impl RunConfig {
    /// What is to become of this one when `new` was read.
    ///
    /// # Errors
    /// When old and new values together cannot be meant.
    pub fn reload(&self, new: &Self) -> Result<Reload<Self>, RunConfigError> {
        Ok(Reload::new(&self.file, &new.file, KEYS)?.try_map(|file| self.with_file(file))?)
    }
}
