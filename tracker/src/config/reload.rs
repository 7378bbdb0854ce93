//! When a change of each key is taken: SIGHUP, or another start.

use service::config::Taken::{AtOnce, AtStart};
use service::config::{Keys, Reload};

use super::{Config, ConfigError};

/// All keys. A test fails when one is missing here.
pub(super) const KEYS: &Keys = &[
    ("http", AtStart),
    ("udp", AtStart),
    ("workers", AtStart),
    ("state_dir", AtStart),
    ("snapshot_interval", AtStart),
    ("control_socket", AtStart),
    ("control_group", AtStart),
    ("metrics_listen", AtStart),
    ("announce.interval", AtOnce),
    ("announce.min_interval", AtOnce),
    ("announce.numwant", AtOnce),
    ("announce.numwant_max", AtOnce),
    ("announce.tracker_id", AtOnce),
    // Connections that come from now on.
    ("http_server.idle_timeout", AtOnce),
    ("http_server.connections", AtOnce),
    ("http_server.connections_per_address", AtOnce),
    ("http_server.trusted_proxies", AtOnce),
    ("http_server.proxy_protocol", AtOnce),
    ("http_server.ip_parameter", AtOnce),
    ("http_server.metrics", AtOnce),
    ("http_server.stats", AtOnce),
    ("udp_server.key", AtStart),
    ("access.allow", AtOnce),
    ("access.deny", AtOnce),
    ("access.passkeys", AtOnce),
    ("limits.rate_per_address", AtOnce),
    ("limits.rate_burst", AtOnce),
    ("limits.peers_per_address_per_torrent", AtOnce),
    // Without a limit nothing is counted, and who is here already could not be.
    ("limits.torrents_per_address", AtStart),
    ("limits.torrents", AtOnce),
    ("limits.memory", AtOnce),
    ("log.level", AtOnce),
    ("log.target", AtStart),
];

impl Config {
    /// What is to become of this one when `new` was read.
    ///
    /// # Errors
    /// When old and new values together cannot be meant.
    pub fn reload(&self, new: &Self) -> Result<Reload<Self>, ConfigError> {
        Ok(Reload::new(&self.file, &new.file, KEYS)?.try_map(|file| self.with_file(file))?)
    }
}
