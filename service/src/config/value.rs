//! How the values of the configuration file are spelled where TOML has no type for them. Whatever may be absent is
//! spelled as an empty text or as 0, so that each key has a default that can be shown.
//!
//! Programs have types of their own spelled in the same way: `#[serde(with = "value")]` does it for all of them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use toml::Value;

/// A value that is spelled as text. A number in its place is read as its digits.
pub trait Spelled: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// What is allowed, for people.
    fn read(text: &str) -> Result<Self, String>;
    /// Writes what reads as the same.
    fn write(&self) -> Value;
}

impl Spelled for Duration {
    fn read(text: &str) -> Result<Self, String> {
        humantime::parse_duration(text)
            .map_err(|_| "a time is a text as \"90s\", \"10m\" or \"30d\"".to_owned())
    }

    fn write(&self) -> Value {
        match self.is_zero() {
            true => Value::Integer(0),
            false => Value::String(humantime::format_duration(*self).to_string()),
        }
    }
}

impl Spelled for Option<PathBuf> {
    fn read(text: &str) -> Result<Self, String> {
        match text {
            "" => Ok(None),
            _ if text.starts_with('/') => Ok(Some(text.into())),
            _ => Err("a path begins with /".to_owned()),
        }
    }

    fn write(&self) -> Value {
        Value::String(self.as_ref().map_or_else(String::new, |path| path.to_string_lossy().into_owned()))
    }
}

impl Spelled for Option<SocketAddr> {
    fn read(text: &str) -> Result<Self, String> {
        match text {
            "" => Ok(None),
            _ => text.parse().map(Some).map_err(|_| "an address has a port, as \"[::1]:9090\"".to_owned()),
        }
    }

    fn write(&self) -> Value {
        Value::String(self.map_or_else(String::new, |address| address.to_string()))
    }
}

/// For `serde(with)`.
///
/// # Errors
/// As the serializer has.
pub fn serialize<T: Spelled, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    value.write().serialize(serializer)
}

/// For `serde(with)`.
///
/// # Errors
/// As [`Spelled::read`] has, and where a value is neither text nor a number.
pub fn deserialize<'de, T: Spelled, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let text = match Value::deserialize(deserializer)? {
        Value::String(text) => text,
        Value::Integer(number) => number.to_string(),
        other => return Err(D::Error::custom(format!("{} is no value for this key", other.type_str()))),
    };
    T::read(&text).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round<T: Spelled + PartialEq + std::fmt::Debug>(text: &str, written: &str) -> T {
        let value = T::read(text).unwrap();
        let again = match value.write() {
            Value::String(text) => text,
            other => other.to_string(),
        };
        assert_eq!(again, written);
        assert_eq!(T::read(&again).unwrap(), value);
        value
    }

    #[test]
    fn what_is_written_reads_as_the_same() {
        assert_eq!(round::<Duration>("1h 30m", "1h 30m"), Duration::from_secs(5_400));
        assert_eq!(round::<Duration>("0", "0"), Duration::ZERO);
        assert_eq!(round::<Option<PathBuf>>("/a", "/a"), Some("/a".into()));
        assert_eq!(round::<Option<PathBuf>>("", ""), None);
        assert_eq!(round::<Option<SocketAddr>>("[::1]:1", "[::1]:1"), Some("[::1]:1".parse().unwrap()));
        assert_eq!(round::<Option<SocketAddr>>("", ""), None);
    }

    #[test]
    fn what_is_none_says_what_is_allowed() {
        assert!(Duration::read("30").is_err() && Duration::read("soon").is_err());
        assert!(Option::<PathBuf>::read("a/b").is_err() && Option::<PathBuf>::read("~/a").is_err());
        assert!(Option::<SocketAddr>::read("::1").is_err());
    }
}
