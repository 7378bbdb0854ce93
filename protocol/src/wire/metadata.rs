//! Messages that carry the `info` dictionary from peer to peer (BEP 9).

use serde_bencode::value::Value;

use super::extended::{self, ExtendedError};

/// Bytes in a piece of metadata, but for the last.
pub const METADATA_PIECE_LENGTH: usize = 16 * 1024;

/// A `ut_metadata` message, as it stands after its extended id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetadataMessage<'a> {
    /// Asks for a piece of the raw `info` dictionary.
    Request {
        /// Index of the piece.
        piece: u32,
    },
    /// A piece of it.
    Data {
        /// Index of the piece.
        piece: u32,
        /// Bytes in the whole dictionary.
        total_size: u32,
        /// The bytes of the piece.
        data: &'a [u8],
    },
    /// The sender will not give this piece.
    Reject {
        /// Index of the piece.
        piece: u32,
    },
    /// A kind of message from the future, to be ignored (BEP 9).
    Unknown,
}

impl<'a> MetadataMessage<'a> {
    /// The payload of the message, after its id.
    pub fn encode(&self) -> Vec<u8> {
        let dictionary = |kind: i64, piece: u32, total_size: Option<u32>| {
            let keys = [
                Some(("msg_type", kind)),
                Some(("piece", i64::from(piece))),
                total_size.map(|size| ("total_size", i64::from(size))),
            ];
            let pairs = keys.into_iter().flatten();
            extended::encode(Value::Dict(
                pairs.map(|(key, value)| (key.as_bytes().to_vec(), Value::Int(value))).collect(),
            ))
        };
        match *self {
            Self::Request { piece } => dictionary(0, piece, None),
            Self::Data { piece, total_size, data } => {
                let mut bytes = dictionary(1, piece, Some(total_size));
                bytes.extend_from_slice(data);
                bytes
            }
            Self::Reject { piece } => dictionary(2, piece, None),
            Self::Unknown => dictionary(255, 0, None),
        }
    }

    /// Reads the payload of the message, after its id.
    ///
    /// # Errors
    /// When it is not a bencoded dictionary, or lacks what its kind must have.
    pub fn decode(payload: &'a [u8]) -> Result<Self, ExtendedError> {
        let (dictionary, data) = extended::decode(payload)?;
        let number = |key: &str| match dictionary.get(key.as_bytes()) {
            Some(Value::Int(number)) => u32::try_from(*number).map_err(|_| ExtendedError::Malformed),
            _ => Err(ExtendedError::Malformed),
        };
        Ok(match number("msg_type")? {
            0 => Self::Request { piece: number("piece")? },
            1 => Self::Data { piece: number("piece")?, total_size: number("total_size")?, data },
            2 => Self::Reject { piece: number("piece")? },
            _ => Self::Unknown,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages_look_as_bep_9_prints_them() {
        assert_eq!(MetadataMessage::Request { piece: 0 }.encode(), b"d8:msg_typei0e5:piecei0ee");
        let data = MetadataMessage::Data { piece: 0, total_size: 3, data: b"xyz" };
        assert_eq!(data.encode(), b"d8:msg_typei1e5:piecei0e10:total_sizei3eexyz");
        assert_eq!(MetadataMessage::Reject { piece: 7 }.encode(), b"d8:msg_typei2e5:piecei7ee");
    }

    #[test]
    fn a_message_without_its_piece_is_malformed_and_one_from_the_future_is_unknown() {
        assert_eq!(MetadataMessage::decode(b"d8:msg_typei0ee"), Err(ExtendedError::Malformed));
        assert_eq!(MetadataMessage::decode(b"d8:msg_typei0e5:piecei-1ee"), Err(ExtendedError::Malformed));
        assert_eq!(MetadataMessage::decode(b"d8:msg_typei9ee"), Ok(MetadataMessage::Unknown));
    }

    proptest! {
        #[test]
        fn encode_then_decode_is_identity(kind in 0..3, piece: u32, total_size: u32, data: Vec<u8>) {
            let message = match kind {
                0 => MetadataMessage::Request { piece },
                1 => MetadataMessage::Data { piece, total_size, data: &data },
                _ => MetadataMessage::Reject { piece },
            };
            let bytes = message.encode();
            prop_assert_eq!(MetadataMessage::decode(&bytes), Ok(message));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = MetadataMessage::decode(&bytes);
            let _ = super::super::ExtendedHandshake::decode(&bytes);
        }
    }
}
