//! What a new configuration changes in one that is at work: SIGHUP.
//!
//! Both are compared as they are written, key by key. Programs list their keys, and say when a change of each is taken.

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::Fault;

/// When a change of a key is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// When the configuration is read again.
    AtOnce,
    /// When the program is started again.
    AtStart,
}

use Taken::{AtOnce, AtStart};

/// All keys of a configuration, with dots for those in tables.
pub type Keys = [(&'static str, Taken)];

/// What a new configuration comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Reload<T> {
    /// What is to be at work from now on: the new values of all keys that can be changed, the old ones of the rest.
    pub config: T,
    /// Keys that are other than before, and taken.
    pub changed: Vec<&'static str>,
    /// Keys that are other than before, and wait for another start.
    pub needs_restart: Vec<&'static str>,
}

impl<T: Serialize + DeserializeOwned> Reload<T> {
    /// What is to become of `old` when `new` was read. A key that is not among `keys` stays as it is.
    ///
    /// # Errors
    /// When one of them cannot be written, or not be read again: a mistake of ours.
    pub fn new(old: &T, new: &T, keys: &'static Keys) -> Result<Self, Fault> {
        let mut merged = table(old)?;
        let after = table(new)?;
        let differs = |key: &str| value(&merged, key) != value(&after, key);
        let different: Vec<_> = keys.iter().filter(|(key, _)| differs(key)).collect();
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
        let config = merged.try_into().map_err(|error: toml::de::Error| unspelled(error.message()))?;
        Ok(Self { config, changed, needs_restart })
    }
}

impl<T> Reload<T> {
    /// The same, with what `mean` makes of the configuration.
    ///
    /// # Errors
    /// As `mean` has.
    pub fn try_map<U, E>(self, mean: impl FnOnce(T) -> Result<U, E>) -> Result<Reload<U>, E> {
        let Self { config, changed, needs_restart } = self;
        Ok(Reload { config: mean(config)?, changed, needs_restart })
    }

    /// Says in the log what has changed, and what waits.
    pub fn tell(&self) {
        if !self.needs_restart.is_empty() {
            tracing::warn!("takes a restart to change: {}", self.needs_restart.join(", "));
        }
        let changed = match &self.changed[..] {
            [] => "nothing".to_owned(),
            keys => keys.join(", "),
        };
        tracing::info!("reloaded: {changed} changed");
    }
}

fn table(file: &impl Serialize) -> Result<Table, Fault> {
    Table::try_from(file).map_err(|error| unspelled(&error.to_string()))
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

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct File {
        workers: u16,
        limits: Limits,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Limits {
        rate: u32,
        connections: u32,
    }

    const KEYS: &Keys = &[("workers", AtStart), ("limits.rate", AtOnce), ("limits.connections", AtStart)];

    #[test]
    fn what_can_be_changed_is_and_the_rest_waits() {
        let old = File { workers: 1, limits: Limits { rate: 2, connections: 3 } };
        let new = File { workers: 1, limits: Limits { rate: 5, connections: 6 } };
        let reload = Reload::new(&old, &new, KEYS).unwrap();
        let merged = File { workers: 1, limits: Limits { rate: 5, connections: 3 } };
        let (changed, needs_restart) = (vec!["limits.rate"], vec!["limits.connections"]);
        assert_eq!(reload, Reload { config: merged, changed, needs_restart });
        let same = Reload::new(&new, &new, KEYS).unwrap();
        assert_eq!(same, Reload { config: new, changed: vec![], needs_restart: vec![] });
    }

    #[test]
    fn what_the_whole_means_may_be_refused() {
        let file = File { workers: 1, limits: Limits { rate: 2, connections: 3 } };
        let reload = Reload::new(&file, &file, KEYS).unwrap();
        assert_eq!(reload.clone().try_map(|file| Ok::<_, ()>(file.workers)).unwrap().config, 1);
        assert_eq!(reload.try_map(|_| Err::<(), _>("no")), Err("no"));
    }
}
