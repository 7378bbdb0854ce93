//! The handshake of the extension protocol (BEP 10): which extended messages a peer understands, and under what id.

use crate::bencode::{self, Value};

use super::dictionary::Dictionary;

/// The id of the extended handshake among extended messages.
pub const EXTENDED_HANDSHAKE_ID: u8 = 0;

/// What a peer says in its extended handshake. Keys that are missing, or whose value is none they can have, are
/// `None`. A peer may say it again at any time, and changes only what it mentions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExtendedHandshake {
    /// The id under which the peer wants `ut_metadata` messages from now on (BEP 9). `Some(0)`: it wants none any
    /// more, and 0 must never be used as the id of a message (it would be a handshake). `None`: as before.
    pub ut_metadata: Option<u8>,
    /// Bytes in the raw `info` dictionary (BEP 9).
    pub metadata_size: Option<u32>,
    /// The port that the peer listens on (`p`).
    pub listen_port: Option<u16>,
    /// How many requests the peer queues.
    pub request_queue: Option<u32>,
    /// Name and version of the client.
    pub client: Option<String>,
    /// Whether the peer only uploads (BEP 21).
    pub is_upload_only: bool,
}

/// A payload that is no extended message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExtendedError {
    /// It is not bencoded.
    #[error("an extended message is not bencoded: {0}")]
    Bencode(#[from] bencode::BencodeError),
    /// It is bencoded, but no dictionary, or lacks what it must have.
    #[error("an extended message is malformed")]
    Malformed,
}

impl ExtendedHandshake {
    /// The payload of the message, after its id.
    pub fn encode(&self) -> Vec<u8> {
        Dictionary::new()
            .dictionary("m", Dictionary::new().integer_if("ut_metadata", self.ut_metadata))
            .integer_if("metadata_size", self.metadata_size)
            .integer_if("p", self.listen_port)
            .integer_if("reqq", self.request_queue)
            .integer_if("upload_only", self.is_upload_only.then_some(1))
            .string_if("v", self.client.as_deref())
            .finish()
    }

    /// Reads the payload of the message, after its id. Of a key given twice the last counts.
    ///
    /// # Errors
    /// When it is not a bencoded dictionary. Odd integers in it (leading zeros, too large) are read past.
    pub fn decode(payload: &[u8]) -> Result<Self, ExtendedError> {
        let entries = Value::scan_leniently(payload)?.dictionary().ok_or(ExtendedError::Malformed)?;
        let number = |value: Value<'_>| value.integer().and_then(|number| u32::try_from(number).ok());
        let mut handshake = Self::default();
        for (key, value) in entries {
            match key {
                b"m" => handshake.ut_metadata = ut_metadata(value),
                b"metadata_size" => handshake.metadata_size = number(value),
                b"p" => {
                    handshake.listen_port =
                        number(value).and_then(|port| port.try_into().ok()).filter(|port| *port > 0)
                }
                b"reqq" => handshake.request_queue = number(value),
                b"upload_only" => handshake.is_upload_only = number(value) == Some(1),
                b"v" => handshake.client = value.string().map(|v| String::from_utf8_lossy(v).into_owned()),
                _ => {}
            }
        }
        Ok(handshake)
    }
}

/// The id of `ut_metadata` in the dictionary of extensions.
fn ut_metadata(extensions: Value<'_>) -> Option<u8> {
    let (_, id) = extensions.dictionary()?.filter(|(key, _)| *key == b"ut_metadata").last()?;
    u8::try_from(id.integer()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encode_then_decode_is_identity() {
        let handshake = ExtendedHandshake {
            ut_metadata: Some(3),
            metadata_size: Some(31_235),
            listen_port: Some(6_881),
            request_queue: Some(2_000),
            client: Some("btd 0.1".to_owned()),
            is_upload_only: true,
        };
        assert_eq!(ExtendedHandshake::decode(&handshake.encode()), Ok(handshake));
        let empty = ExtendedHandshake::default();
        assert_eq!(empty.encode(), b"d1:mdee");
        assert_eq!(ExtendedHandshake::decode(b"d1:mdee"), Ok(empty));
    }

    #[test]
    fn keys_come_out_sorted() {
        let handshake = ExtendedHandshake {
            ut_metadata: Some(1),
            metadata_size: Some(2),
            listen_port: Some(4),
            request_queue: Some(3),
            client: Some("x".to_owned()),
            is_upload_only: true,
        };
        let expected = b"d1:md11:ut_metadatai1ee13:metadata_sizei2e1:pi4e4:reqqi3e11:upload_onlyi1e1:v1:xe";
        assert_eq!(handshake.encode(), expected);
    }

    #[test]
    fn odd_values_are_read_past() {
        for odd in [
            b"d1:md11:ut_metadata1:3e13:metadata_size3:big4:reqqi-5e11:upload_onlyle1:vi7ee".as_slice(),
            b"d1:md11:ut_metadatai256ee13:metadata_sizei4294967296e4:reqqi05e11:upload_onlyi01e1:vlee",
            b"d1:md11:ut_metadatai-1ee13:metadata_sizei99999999999999999999e4:reqqi-0e1:vdee",
            b"d1:md11:ut_metadatai03ee4:reqqlee",
            b"d1:mi3e4:reqq0:e",
        ] {
            let handshake = ExtendedHandshake::decode(odd);
            assert_eq!(handshake, Ok(ExtendedHandshake::default()), "{}", odd.escape_ascii());
        }
        let behind = ExtendedHandshake::decode(b"d1:ai007e1:md6:ut_pexi01e11:ut_metadatai3eee");
        assert_eq!(behind, Ok(ExtendedHandshake { ut_metadata: Some(3), ..ExtendedHandshake::default() }));
    }

    #[test]
    fn an_extension_switched_off_is_not_one_left_out() {
        let ut_metadata = |payload: &[u8]| ExtendedHandshake::decode(payload).unwrap().ut_metadata;
        assert_eq!(ut_metadata(b"d1:md11:ut_metadatai0eee"), Some(0));
        assert_eq!(ut_metadata(b"d1:md11:ut_metadatai255eee"), Some(255));
        assert_eq!(ut_metadata(b"d1:md6:ut_pexi1eee"), None);
        assert_eq!(ut_metadata(b"de"), None);
        let off = ExtendedHandshake { ut_metadata: Some(0), ..ExtendedHandshake::default() };
        assert_eq!(off.encode(), b"d1:md11:ut_metadatai0eee");
    }

    #[test]
    fn what_follows_the_dictionary_is_not_looked_at() {
        assert_eq!(ExtendedHandshake::decode(b"deHTTP"), Ok(ExtendedHandshake::default()));
    }

    #[test]
    fn what_is_no_dictionary_is_refused() {
        assert_eq!(ExtendedHandshake::decode(b"le"), Err(ExtendedError::Malformed));
        assert!(ExtendedHandshake::decode(b"").is_err());
        assert!(ExtendedHandshake::decode(b"d1:m").is_err());
    }
}
