//! Names of torrents and peers as they go over the wire.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE32, HEXLOWER_PERMISSIVE};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha1::{Digest, Sha1};

/// Azureus-style prefix of our peer ids (BEP 20): `BD`, then the version as four digits.
const PEER_ID_PREFIX: &[u8; 8] = b"-BD0100-";

/// SHA-1 of the raw bytes of a torrent's `info` dictionary (BEP 3): 20 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InfoHash([u8; 20]);

/// A text that is not an info-hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an info-hash is 40 hex digits or 32 base32 characters, not {length} characters of something else")]
pub struct InfoHashError {
    length: usize,
}

impl InfoHash {
    /// Takes 20 bytes as they stand in a handshake or an announce.
    pub const fn new(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// Hashes `raw`, the exact bytes of the `info` dictionary.
    pub fn of_info(raw: &[u8]) -> Self {
        Self(Sha1::digest(raw).into())
    }

    /// The 20 bytes as they go over the wire.
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

impl FromStr for InfoHash {
    type Err = InfoHashError;

    /// Reads the two spellings of a magnet link (BEP 9): 40 hex digits or 32 base32 characters, in any case.
    fn from_str(text: &str) -> Result<Self, InfoHashError> {
        let error = InfoHashError { length: text.chars().count() };
        let bytes = match text.len() {
            40 => HEXLOWER_PERMISSIVE.decode(text.as_bytes()),
            32 => BASE32.decode(text.to_ascii_uppercase().as_bytes()),
            _ => return Err(error),
        };
        bytes.ok().and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or(error)
    }
}

impl Serialize for InfoHash {
    /// 40 hex digits, as everywhere outside the wire protocols.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for InfoHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl fmt::Display for InfoHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In one piece: lists have a hundred thousand.
        HEXLOWER_PERMISSIVE.encode_display(&self.0).fmt(f)
    }
}

impl fmt::Debug for InfoHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InfoHash({self})")
    }
}

/// A peer's name for itself (BEP 20): 20 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId([u8; 20]);

impl PeerId {
    /// Takes 20 bytes as they stand in a handshake.
    pub const fn new(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// Makes our own id: the client's prefix, then letters and digits drawn from `random`.
    pub fn ours(random: [u8; 12]) -> Self {
        const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let mut id = [0; 20];
        id[..8].copy_from_slice(PEER_ID_PREFIX);
        for (to, from) in id[8..].iter_mut().zip(random) {
            *to = ALPHABET[usize::from(from) % ALPHABET.len()];
        }
        Self(id)
    }

    /// The 20 bytes as they go over the wire.
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

impl fmt::Display for PeerId {
    /// Printable bytes as they are, the others escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_info_hash_reads_hex_and_base32_in_any_case() {
        let hex = "5ba93c9db0cff93f52b521d7420e43f6eda2784f";
        let hash: InfoHash = hex.parse().unwrap();
        assert_eq!(hash.to_string(), hex);
        let base32 = BASE32.encode(hash.as_bytes());
        assert_eq!(base32.parse(), Ok(hash));
        assert_eq!(base32.to_lowercase().parse(), Ok(hash));
        assert_eq!(hex.to_uppercase().parse(), Ok(hash));
    }

    #[test]
    fn other_texts_are_no_info_hash() {
        for text in ["", "5ba93c", "zz", &"g".repeat(40), &"1".repeat(32), &"é".repeat(20)] {
            assert!(text.parse::<InfoHash>().is_err(), "{text}");
        }
    }

    #[test]
    fn our_peer_id_names_the_client_and_stays_printable() {
        let id = PeerId::ours([255; 12]);
        assert!(id.as_bytes().starts_with(b"-BD"));
        assert!(id.as_bytes().iter().all(u8::is_ascii_graphic));
    }
}
