//! What stands in the lists: info-hashes and passkeys, as they are typed. The files of lists read and write them; a
//! request's passkey is looked up as the bytes that came, which need not be one.

use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;

use protocol::id::{InfoHash, InfoHashError};

/// Longest passkey: half as much again as the hex digits of a SHA-1. It has to fit the URL of an announce, and BEP 41's
/// options.
const MAX_PASSKEY_LENGTH: usize = 64;
/// What means something in a URL where a passkey may stand.
const RESERVED: &[u8] = b"/?#%&";

/// A passkey: 1 to 64 printable ASCII characters, none of them a space or one of `/?#%&`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Passkey(Box<[u8]>);

/// A text that is not what the list holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// It is no info-hash.
    #[error(transparent)]
    InfoHash(#[from] InfoHashError),
    /// It is no passkey. It is not shown: it may be most of one.
    #[error("a passkey is 1 to {MAX_PASSKEY_LENGTH} printable ASCII characters without spaces and /?#%&")]
    Passkey,
}

/// One entry of a list.
pub(super) trait Entry: Clone + Eq + Hash + fmt::Display {
    /// Reads what stands in a line.
    fn read(text: &[u8]) -> Result<Self, EntryError>;
}

impl Entry for InfoHash {
    fn read(text: &[u8]) -> Result<Self, EntryError> {
        Ok(String::from_utf8_lossy(text).parse()?)
    }
}

impl Entry for Passkey {
    fn read(text: &[u8]) -> Result<Self, EntryError> {
        let is_good = |byte: &u8| byte.is_ascii_graphic() && !RESERVED.contains(byte);
        let is_passkey = (1..=MAX_PASSKEY_LENGTH).contains(&text.len()) && text.iter().all(is_good);
        if is_passkey { Ok(Self(text.into())) } else { Err(EntryError::Passkey) }
    }
}

impl Borrow<[u8]> for Passkey {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Passkey {
    /// As it is typed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for Passkey {
    /// Without the characters, for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passkey(_)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passkeys_are_what_may_stand_in_a_url() {
        for text in ["a", "0123456789abcdef0123456789abcdef", "!~-_.:;=+\"", &"x".repeat(64)] {
            assert_eq!(Passkey::read(text.as_bytes()).unwrap().to_string(), text);
        }
        for text in ["", "a b", "a/b", "a?b", "a#b", "a%b", "a&b", "a\tb", "\x7f", "ä", &"x".repeat(65)] {
            assert_eq!(Passkey::read(text.as_bytes()), Err(EntryError::Passkey), "{text:?}");
        }
        assert!(!format!("{:?}", Passkey::read(b"secret")).contains("secret"));
    }

    #[test]
    fn info_hashes_are_hex_or_base32() {
        let hash = InfoHash::new([0x0a; 20]);
        assert_eq!(InfoHash::read(&b"0A".repeat(20)), Ok(hash));
        assert_eq!(InfoHash::read(b"bifaucqkbifaucqkbifaucqkbifaucqk"), Ok(hash));
        let error = InfoHash::read(b"\xff\xfe").unwrap_err();
        assert!(error.to_string().starts_with("an info-hash is 40 hex digits"), "{error}");
    }
}
