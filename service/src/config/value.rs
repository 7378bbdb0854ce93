//! How the values of the configuration file are spelled where TOML has no type for them. Whatever may be absent is
//! spelled as an empty text or as 0, so that each key has a default that can be shown.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use protocol::amount::rate;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use toml::Value;

/// A rate in bytes a second, if there is a limit; 0 is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rate(pub Option<u64>);

/// Bits that new files do not get, in octal; empty for those that the process was started with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Umask(pub Option<u32>);

/// A value that is spelled as text. A number in its place is read as its digits.
pub trait Spelled: Sized {
    /// Reads it, or says what is allowed.
    fn read(text: &str) -> Result<Self, String>;
    /// Writes what reads as the same.
    fn write(&self) -> Value;
}

impl Spelled for Rate {
    fn read(text: &str) -> Result<Self, String> {
        if text == "0" {
            return Ok(Self(None));
        }
        rate(text).map(|rate| Self(Some(rate))).map_err(|allowed| format!("{allowed}, or 0 for no limit"))
    }

    fn write(&self) -> Value {
        Value::Integer(self.0.unwrap_or(0).try_into().unwrap_or(i64::MAX))
    }
}

impl Spelled for Umask {
    fn read(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        let bits = u32::from_str_radix(text, 8).ok().filter(|bits| *bits <= 0o777);
        bits.map(|bits| Self(Some(bits))).ok_or_else(|| "a umask is octal, as \"022\"".to_owned())
    }

    fn write(&self) -> Value {
        Value::String(self.0.map_or_else(String::new, |bits| format!("{bits:03o}")))
    }
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
pub fn serialize<T: Spelled, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    value.write().serialize(serializer)
}

/// For `serde(with)`.
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
        assert_eq!(round::<Rate>("500k", "500000"), Rate(Some(500_000)));
        assert_eq!(round::<Rate>("0", "0"), Rate(None));
        assert_eq!(round::<Umask>("27", "027"), Umask(Some(0o27)));
        assert_eq!(round::<Umask>("", ""), Umask(None));
        assert_eq!(round::<Duration>("1h 30m", "1h 30m"), Duration::from_secs(5_400));
        assert_eq!(round::<Duration>("0", "0"), Duration::ZERO);
        assert_eq!(round::<Option<PathBuf>>("/a", "/a"), Some("/a".into()));
        assert_eq!(round::<Option<PathBuf>>("", ""), None);
        assert_eq!(round::<Option<SocketAddr>>("[::1]:1", "[::1]:1"), Some("[::1]:1".parse().unwrap()));
        assert_eq!(round::<Option<SocketAddr>>("", ""), None);
    }

    #[test]
    fn what_is_none_says_what_is_allowed() {
        assert!(Rate::read("fast").unwrap_err().contains("or 0 for no limit"));
        assert!(Umask::read("8").is_err() && Umask::read("1000").is_err() && Umask::read("-1").is_err());
        assert!(Duration::read("30").is_err() && Duration::read("soon").is_err());
        assert!(Option::<PathBuf>::read("a/b").is_err() && Option::<PathBuf>::read("~/a").is_err());
        assert!(Option::<SocketAddr>::read("::1").is_err());
    }
}
