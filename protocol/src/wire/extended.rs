//! The handshake of the extension protocol (BEP 10): which extended messages a peer understands, and under what id.

use std::collections::HashMap;

use serde_bencode::value::Value;

use crate::bencode;

/// The id of the extended handshake among extended messages.
pub const EXTENDED_HANDSHAKE_ID: u8 = 0;

/// A bencoded dictionary of an extended message.
pub(super) type Dictionary = HashMap<Vec<u8>, Value>;

/// What a peer says in its extended handshake. Keys that are missing or of the wrong type are `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExtendedHandshake {
    /// The id under which the peer wants `ut_metadata` messages (BEP 9).
    pub ut_metadata: Option<u8>,
    /// Bytes in the raw `info` dictionary (BEP 9).
    pub metadata_size: Option<u32>,
    /// How many requests the peer queues.
    pub request_queue: Option<u32>,
    /// Name and version of the client.
    pub client: Option<String>,
    /// Whether the peer only uploads (BEP 21).
    pub is_upload_only: bool,
}

/// A payload that is no extended handshake.
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
        let mut dictionary = HashMap::new();
        let mut insert = |key: &str, value: Option<Value>| {
            value.map(|value| dictionary.insert(key.as_bytes().to_vec(), value));
        };
        let extensions = self.ut_metadata.map(|id| (b"ut_metadata".to_vec(), Value::Int(id.into())));
        insert("m", Some(Value::Dict(extensions.into_iter().collect())));
        insert("metadata_size", self.metadata_size.map(|size| Value::Int(size.into())));
        insert("reqq", self.request_queue.map(|count| Value::Int(count.into())));
        insert("upload_only", self.is_upload_only.then_some(Value::Int(1)));
        insert("v", self.client.as_ref().map(|client| Value::Bytes(client.clone().into_bytes())));
        encode(Value::Dict(dictionary))
    }

    /// Reads the payload of the message, after its id.
    ///
    /// # Errors
    /// When it is not a bencoded dictionary.
    pub fn decode(payload: &[u8]) -> Result<Self, ExtendedError> {
        let (dictionary, _) = decode(payload)?;
        let number = |key: &str| match dictionary.get(key.as_bytes()) {
            Some(Value::Int(number)) => u32::try_from(*number).ok(),
            _ => None,
        };
        let ut_metadata = match dictionary.get(&b"m"[..]) {
            Some(Value::Dict(extensions)) => match extensions.get(&b"ut_metadata"[..]) {
                // Id 0 switches an extension off (BEP 10).
                Some(Value::Int(id)) => u8::try_from(*id).ok().filter(|id| *id != 0),
                _ => None,
            },
            _ => None,
        };
        let client = match dictionary.get(&b"v"[..]) {
            Some(Value::Bytes(name)) => Some(String::from_utf8_lossy(name).into_owned()),
            _ => None,
        };
        Ok(Self {
            ut_metadata,
            metadata_size: number("metadata_size"),
            request_queue: number("reqq"),
            client,
            is_upload_only: number("upload_only") == Some(1),
        })
    }
}

/// Reads the dictionary at the front of `payload`, and what follows it.
pub(super) fn decode(payload: &[u8]) -> Result<(Dictionary, &[u8]), ExtendedError> {
    let length = bencode::scan(payload)?;
    let (dictionary, rest) = payload.split_at(length);
    match serde_bencode::from_bytes(dictionary) {
        Ok(Value::Dict(dictionary)) => Ok((dictionary, rest)),
        _ => Err(ExtendedError::Malformed),
    }
}

/// Encodes a value of our own making; its keys come out sorted.
pub(super) fn encode(value: Value) -> Vec<u8> {
    // Encoding into memory a tree of integers, bytes and dictionaries has no way to fail.
    serde_bencode::to_bytes(&value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encode_then_decode_is_identity() {
        let handshake = ExtendedHandshake {
            ut_metadata: Some(3),
            metadata_size: Some(31_235),
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
            request_queue: Some(3),
            client: Some("x".to_owned()),
            is_upload_only: true,
        };
        let expected = b"d1:md11:ut_metadatai1ee13:metadata_sizei2e4:reqqi3e11:upload_onlyi1e1:v1:xe";
        assert_eq!(handshake.encode(), expected);
    }

    #[test]
    fn odd_types_and_an_extension_switched_off_are_read_past() {
        let odd = b"d1:md11:ut_metadatai0ee13:metadata_size3:big4:reqqi-5e1:vi7ee";
        assert_eq!(ExtendedHandshake::decode(odd), Ok(ExtendedHandshake::default()));
    }

    #[test]
    fn what_is_no_dictionary_is_refused() {
        assert_eq!(ExtendedHandshake::decode(b"le"), Err(ExtendedError::Malformed));
        assert!(ExtendedHandshake::decode(b"").is_err());
        assert!(ExtendedHandshake::decode(b"d1:m").is_err());
    }
}
