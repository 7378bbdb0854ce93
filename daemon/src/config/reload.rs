//! What a new configuration changes in one that is at work: SIGHUP.

use service::config::Fault;
use toml::{Table, Value};

use super::ConfigFile;
use super::run::{RunConfig, RunConfigError};

/// When a change of a key is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// When the configuration is read again.
    AtOnce,
    /// When btd is started again.
    AtStart,
}

use Taken::{AtOnce, AtStart};

/// All keys. A test fails when one is missing here.
pub(super) const KEYS: &[(&str, Taken)] = &[
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

/// What a new configuration comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Reload {
    /// What is to be at work from now on: the new values of all keys that can be changed, the old ones of the rest.
    pub config: RunConfig,
    /// Keys that are other than before, and taken.
    pub changed: Vec<&'static str>,
    /// Keys that are other than before, and wait for another start.
    pub needs_restart: Vec<&'static str>,
}

impl RunConfig {
    /// What is to become of this one when `new` was read.
    ///
    /// # Errors
    /// When old and new values together cannot be meant.
    pub fn reload(&self, new: &Self) -> Result<Reload, RunConfigError> {
        let mut merged = table(&self.file)?;
        let after = table(&new.file)?;
        let differs = |key: &str| value(&merged, key) != value(&after, key);
        let different: Vec<_> = KEYS.iter().filter(|(key, _)| differs(key)).collect();
        let names = |wanted: Taken| {
            let keys = different.iter().filter(|(_, taken)| *taken == wanted);
            keys.map(|(key, _)| *key).collect::<Vec<&'static str>>()
        };
        let (changed, needs_restart) = (names(AtOnce), names(AtStart));
        for key in &changed {
            if let (Some(old), Some(new)) = (value_mut(&mut merged, key), value(&after, key)) {
                old.clone_from(new);
            }
        }
        let file = merged.try_into().map_err(|error: toml::de::Error| unspelled(error.message()))?;
        Ok(Reload { config: self.with_file(file)?, changed, needs_restart })
    }
}

fn table(file: &ConfigFile) -> Result<Table, RunConfigError> {
    Table::try_from(file).map_err(|error| unspelled(&error.to_string()).into())
}

/// What was read cannot be written, or the other way round, which is a mistake of ours.
fn unspelled(why: &str) -> Fault {
    Fault { message: format!("the configuration cannot be compared: {why}"), ..Fault::default() }
}

/// The value of a dotted key.
fn value<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    match key.split_once('.') {
        Some((name, rest)) => value(table.get(name)?.as_table()?, rest),
        None => table.get(key),
    }
}

fn value_mut<'a>(table: &'a mut Table, key: &str) -> Option<&'a mut Value> {
    match key.split_once('.') {
        Some((name, rest)) => value_mut(table.get_mut(name)?.as_table_mut()?, rest),
        None => table.get_mut(key),
    }
}
