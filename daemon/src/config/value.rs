//! How the values that btd alone has are spelled in its configuration.

use protocol::amount::rate;
use service::config::value::Spelled;
use toml::Value;

/// A rate in bytes a second, if there is a limit; 0 is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rate(pub Option<u64>);

/// Bits that new files do not get, in octal; empty for those that the process was started with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Umask(pub Option<u32>);

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_as_the_same() {
        assert_eq!(Rate::read("500k"), Ok(Rate(Some(500_000))));
        assert_eq!(Rate(Some(500_000)).write(), Value::Integer(500_000));
        assert_eq!((Rate::read("0"), Rate(None).write()), (Ok(Rate(None)), Value::Integer(0)));
        assert_eq!(Umask::read("27"), Ok(Umask(Some(0o27))));
        assert_eq!(Umask(Some(0o27)).write(), Value::String("027".to_owned()));
        assert_eq!((Umask::read(""), Umask(None).write()), (Ok(Umask(None)), Value::String(String::new())));
    }

    #[test]
    fn what_is_none_says_what_is_allowed() {
        assert!(Rate::read("fast").unwrap_err().contains("or 0 for no limit"));
        assert!(Umask::read("8").is_err() && Umask::read("1000").is_err() && Umask::read("-1").is_err());
    }
}
