//! How the values that bttracker alone has are spelled in its configuration.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use bytesize::ByteSize;
use ipnet::IpNet;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use service::config::value::Spelled;
use toml::Value;

/// How much memory there may be for torrents and peers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Memory {
    /// Half of what the machine has.
    #[default]
    Half,
    /// So many bytes; 0 is no limit.
    Bytes(u64),
}

impl Spelled for Memory {
    fn read(text: &str) -> Result<Self, String> {
        match text {
            "" => Ok(Self::Half),
            _ => text.parse::<ByteSize>().map(|size| Self::Bytes(size.as_u64())).map_err(|_| {
                "memory is bytes, as 500000000 or \"2GiB\"; \"\" for half of the machine's, or 0 for no limit".into()
            }),
        }
    }

    fn write(&self) -> Value {
        match self {
            Self::Half => Value::String(String::new()),
            Self::Bytes(bytes) => Value::Integer((*bytes).try_into().unwrap_or(i64::MAX)),
        }
    }
}

/// A network, as `10.0.0.0/8`; an address alone is a network of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(pub IpNet);

/// A text that is no network.
#[derive(Debug, thiserror::Error)]
#[error("a network is an address and a length, as \"10.0.0.0/8\" or \"::1\"")]
pub struct NetworkError;

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let one = || text.parse::<IpAddr>().map(IpNet::from);
        text.parse().or_else(|_| one()).map(Self).map_err(|_| NetworkError)
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Network {
    /// Refuses the text while it is being read, so that a fault is placed at it and not at its list.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Reader)
    }
}

/// Reads a [`Network`].
struct Reader;

impl Visitor<'_> for Reader {
    type Value = Network;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{NetworkError}")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Network, E> {
        text.parse().map_err(E::custom)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_spelled_in_several_ways() {
        assert_eq!(Memory::read(""), Ok(Memory::Half));
        assert_eq!(Memory::read("0"), Ok(Memory::Bytes(0)));
        assert_eq!(Memory::read("2GiB"), Ok(Memory::Bytes(2 << 30)));
        assert_eq!(Memory::Bytes(2 << 30).write(), Value::Integer(2 << 30));
        assert_eq!(Memory::Half.write(), Value::String(String::new()));
        assert!(Memory::read("half").unwrap_err().contains("no limit"));
    }

    #[test]
    fn an_address_is_a_network_of_one() {
        for (text, written) in [("10.0.0.0/8", "10.0.0.0/8"), ("::1", "::1/128"), ("1.2.3.4", "1.2.3.4/32")] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), written);
        }
        for wrong in ["", "10.0.0.0/33", "proxy", "10/8"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }
}
